"""What `budget show`, `raise` and `reconcile` say, of given figures: no server, no ledger."""

import csv
import io
import json
from dataclasses import replace
from datetime import datetime, timezone
from decimal import Decimal

import pytest

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.ledger.decision.admission import Purse
from prefect_governor.blocks.ledger.decision.outbox import EDITED_BY
from prefect_governor.blocks.ledger.decision.store import Spend
from prefect_governor.blocks.records.budgets import Account, AccountState, Allocation
from prefect_governor.blocks.records.calls import Attribution, Bound, CallRecord
from prefect_governor.blocks.records.notices import Audit
from prefect_governor.flows.cli.budget.change import _tokens, _usd
from prefect_governor.flows.cli.budget.echoes import without_echoes
from prefect_governor.flows.cli.budget.formats import as_csv, as_object, exact_json
from prefect_governor.flows.cli.budget.names import Names
from prefect_governor.flows.cli.budget.reconcile import reconcile_budget
from prefect_governor.flows.cli.budget.text import age, show_view, table
from prefect_governor.flows.cli.budget.view import (
    AllocationView,
    BudgetView,
    Holder,
    View,
    Waiting,
    parse_instant,
)

CENT = 10**7
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=timezone.utc)
WALL = int(NOW.timestamp()) * 10**9


def reserved(name: str, *, seconds: int = 90, reason: str | None = None) -> CallRecord:
    return CallRecord(
        call_id=name,
        state="reserved" if reason is None else "unconfirmed",
        owner="owner",
        pid=4321,
        bound=Bound(2 * CENT, 300, 100),
        usage=None,
        reason=reason,
        observed=None,
        request_id=name,
        created_wall=WALL - seconds * 10**9,
        resolved_wall=None,
        attribution=Attribution(
            flow="review", task="ask", item="a.md", tags=("llm",), model="openai/gpt-4o-mini"
        ),
    )


def view(**changes: object) -> View:
    leaf = AccountState(
        "leaf", "team", "2026-11-24", 500 * CENT, None,
        spent_nano=100 * CENT, unconfirmed_nano=4 * CENT, reserved_nano=2 * CENT,
        spent_tokens=9000, allocated_nano=50 * CENT, allocated_tokens=0,
    )  # fmt: skip
    above = AccountState("above", "engineering", "2026-11", None, 10_000)
    aside = AllocationView(
        Allocation("aside", "synthesis", (("leaf", "2026-11-24"),)),
        Account("aside", "synthesis", 60 * CENT, None),
        Purse("aside", "total", "synthesis", 60 * CENT, spent_nano=10 * CENT),
    )
    chain = (
        BudgetView(
            leaf,
            "day",
            (reserved("0f0f0f0f-in-flight"),),
            (reserved("1a1a1a1a-lost", reason="timeout after sending"),),
            (aside,),
        ),
        BudgetView(above, "month"),
    )
    plain = View("Governor", "team", NOW, chain, waiting=(Waiting("budget 'team'", 12.3),))
    return replace(plain, **changes)  # type: ignore[arg-type]


def test_text_says_what_holds_the_money_and_what_waits_for_it() -> None:
    text = show_view(view())
    assert "Governor 'team', per day, now 2026-11-24" in text
    assert "left         $3.44" in text
    assert "allocated    $0.50 (0 tokens)" in text
    (line,) = [line for line in text.splitlines() if "4321" in line]
    assert line.split()[:4] == ["2", "min", "$0.0200", "4321"]
    assert line.endswith("openai/gpt-4o-mini  review / ask / a.md")
    assert "1a1a1a1a" not in text
    assert "unconfirmed: 1 call, $0.0200 together (`--unconfirmed` lists them, " in text
    listed = show_view(view(), unconfirmed=True)
    (line,) = [line for line in listed.splitlines() if "1a1a1a1a" in line]
    assert "timeout after sending" in line
    assert "2026-11-24 11:58:30" in line
    (line,) = [line for line in text.splitlines() if "synthesis" in line]
    assert line.split() == ["synthesis", "$0.60", "$0.10", "$0.50"]
    assert "waiting for budget 'team': a call, for 12 s" in text
    many = show_view(view(waiting=(Waiting("limit 'llm'", 20.0, 16),)))
    assert "waiting for limit 'llm': at least 16 calls, the first for 20 s" in many
    assert "under Budget 'engineering', per month, now 2026-11" in text


def test_text_of_many_calls_in_flight_is_cut_and_says_so() -> None:
    calls = tuple(reserved(f"{at}-call") for at in range(200))
    leaf, above = view().chain
    text = show_view(view(chain=(replace(leaf, reserved=calls), above)))
    assert "reserved by 200 calls in flight:" in text
    assert "... and 190 more" in text
    found = as_object(view(chain=(replace(leaf, reserved=calls), above)))
    assert len(found["reserved_calls"]) == 200


def test_json_keeps_its_fields_and_has_who_holds_what() -> None:
    found = json.loads(exact_json(as_object(view())))
    assert found["name"] == "team"
    assert (found["ceiling_usd"], found["spent_usd"], found["left_usd"]) == (5.0, 1.0, 3.44)
    assert (found["unconfirmed_usd"], found["reserved_usd"]) == (0.04, 0.02)
    assert found["window_label"] == "2026-11-24"
    assert found["tokens"] == {
        "ceiling": None,
        "spent": 9000,
        "unconfirmed": 0,
        "reserved": 0,
        "allocated": 0,
        "elsewhere": 0,
        "left": None,
    }
    (held,) = found["reserved_calls"]
    assert (held["pid"], held["flow"], held["task"], held["item"]) == (
        4321,
        "review",
        "ask",
        "a.md",
    )
    assert held["since"] == "2026-11-24T11:58:30+00:00"
    assert held["bound_usd"] == 0.02
    (lost,) = found["unconfirmed_calls"]
    assert (lost["call_id"], lost["reason"]) == ("1a1a1a1a-lost", "timeout after sending")
    (aside,) = found["allocations"]
    assert (aside["label"], aside["ceiling_usd"], aside["left_usd"]) == ("synthesis", 0.6, 0.5)
    assert found["waiting"] == [{"for": "budget 'team'", "seconds": 12.3, "calls": 1}]
    assert [each["name"] for each in found["parents"]] == ["engineering"]
    assert "audit" not in found
    assert "spent_by" not in found


def test_json_has_every_digit_of_an_amount_that_no_float_holds() -> None:
    leaf, above = view().chain
    huge = 9_007_199_254_740_993 * 10**6 + 1
    large = replace(leaf.state, spent_nano=huge, reserved_nano=10**7, unconfirmed_nano=0)
    text = exact_json(as_object(view(chain=(replace(leaf, state=large), above))))
    found = json.loads(text, parse_float=str)
    assert found["spent_usd"] == str(Decimal(huge).scaleb(-9))
    assert (found["reserved_usd"], found["unconfirmed_usd"]) == ("0.01", "0.0")
    assert isinstance(json.loads(text)["spent_usd"], float)


def test_deployments_and_runs_are_called_by_name_and_keep_their_ids_in_json() -> None:
    leaf, above = view().chain
    call = reserved("2b2b2b2b")
    known = replace(call.attribution, deployment="d-1", flow_run_id="r-1")
    held = replace(leaf, reserved=(replace(call, attribution=known),))
    spends = (("d-1", Spend(1, CENT, 0, 0, 1, 1)), ("gone", Spend(1, 0, 0, 0, 1, 1)))
    names = Names({"d-1": "review/nightly"}, {"r-1": "brave-otter"})
    shown = view(chain=(held, above), by="deployment", spends=spends, names=names)
    text = show_view(shown)
    assert "review (brave-otter) / ask / a.md" in text
    assert "review/nightly" in text and "d-1" not in text and "gone" in text
    found = as_object(shown)
    assert [(each["name"], each["title"]) for each in found["spent_by"]] == [
        ("d-1", "review/nightly"), ("gone", None),
    ]  # fmt: skip
    (one,) = found["reserved_calls"]
    assert (one["deployment"], one["deployment_name"]) == ("d-1", "review/nightly")
    assert (one["flow_run_id"], one["flow_run_name"]) == ("r-1", "brave-otter")
    assert as_csv(shown).splitlines()[1].startswith("d-1,1,") and "review/nightly" in as_csv(shown)


def test_slots_of_one_run_are_one_row() -> None:
    call = reserved("3c3c3c3c")
    known = replace(call.attribution, flow_run_id="r-1")
    held = Holder(("limit 'warehouse'",), replace(call, attribution=known))
    other = Holder(("limit 'warehouse'",), reserved("4d4d4d4d", seconds=10))
    text = show_view(view(holders=(held,) * 3 + (other,), names=Names({}, {"r-1": "brave-otter"})))
    rows = [line.split() for line in text.splitlines() if "limit 'warehouse'" in line]
    assert rows == [
        ["2", "min", "3", "4321", "limit", "'warehouse'", "review", "(brave-otter)"],
        ["10", "s", "1", "4321", "limit", "'warehouse'", "review", "/", "ask", "/", "a.md"],
    ]


def test_an_edit_that_a_command_made_is_told_once_and_one_in_the_ui_is_told() -> None:
    by_command = Audit("edited", "leaf", EDITED_BY, "", None, "5 USD", "9 USD", WALL - 10**9)
    raised = Audit("raised", "leaf", "ann@host", "more", None, "5 USD", "9 USD", WALL)
    in_the_ui = replace(by_command, before="9 USD", after="2 USD", wall=WALL + 5 * 10**9)
    assert without_echoes([by_command, raised, in_the_ui]) == (raised, in_the_ui)
    text = show_view(view(audit=(raised, in_the_ui)))
    assert "an edit of its block" in text


def test_audit_is_shown_in_every_form() -> None:
    audit = (
        Audit("raised", "leaf", "ann@host", "more, please", None, "5 USD", "9 USD", WALL),
        Audit("voided", "1a1a1a1a-lost", "bob@host", "", "usage.csv", "x", "not billed", WALL),
    )
    text = show_view(view(audit=audit))
    assert "voided call 1a1a1a1a " in text
    assert "more, please" in text
    assert as_object(view(audit=audit))["audit"][0]["after"] == "9 USD"
    rows = list(csv.reader(io.StringIO(as_csv(view(audit=audit)))))
    assert rows[0][:3] == ["when", "by", "action"]
    assert rows[1][1:] == ["ann@host", "raised", "leaf", "5 USD", "9 USD", "more, please", ""]


def test_csv_has_exact_amounts() -> None:
    spend = Spend(2, 1, 0, 0, 10, 3)
    rows = as_csv(view(by="user", spends=(("ann, the first", spend),))).splitlines()
    assert rows[1] == '"ann, the first",2,0.000000001,0.000000000,0.000000000,10,3'
    plain = as_csv(view()).splitlines()
    assert plain[0] == "budget,window,ceiling_usd,spent_usd,unconfirmed_usd,reserved_usd," + (
        "allocated_usd,elsewhere_usd"
    )


def test_columns_are_aligned_and_lines_do_not_end_in_blanks() -> None:
    lines = list(table([("a", "b"), ("long", "1"), ("x", "")], numbers=frozenset({1})))
    assert lines == ["  a     b", "  long  1", "  x"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-1, "0 s"), (59, "59 s"), (60, "1 min"), (7200, "2 h"), (200_000, "2 d")],
)
def test_age_is_in_the_unit_that_people_use(seconds: float, words: str) -> None:
    assert age(seconds) == words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2h", "2026-11-24T10:00:00+00:00"),
        ("3d", "2026-11-21T12:00:00+00:00"),
        ("2026-11-24T09:00Z", "2026-11-24T09:00:00+00:00"),
        ("2026-11-24T09:00+02:00", "2026-11-24T07:00:00+00:00"),
    ],
)
def test_point_in_time_is_an_age_or_iso(text: str, expected: str) -> None:
    assert parse_instant(text, NOW, option="--since") == datetime.fromisoformat(expected)


@pytest.mark.parametrize(
    ("way", "text", "before", "after"),
    [
        ("raise", "20", "5", "20"),
        ("raise", "$20.50", "5", "20.50"),
        ("raise", "+5", "5", "10"),
        ("raise", "+0.000000001", "5", "5.000000001"),
        ("lower", "0", "5", "0"),
        ("lower", "-5", "5", "0"),
        ("lower", "3", None, "3"),
    ],
)
def test_ceiling_is_given_or_moved(way: str, text: str, before: str | None, after: str) -> None:
    assert _usd(way, text, None if before is None else Decimal(before)) == Decimal(after)


@pytest.mark.parametrize(
    ("way", "text", "before", "words"),
    [
        ("raise", "4", "5", "use `budget lower`"),
        ("raise", "-1", "5", "use `budget lower`"),
        ("raise", "5", "5", "$5.00 already"),
        ("raise", "5", None, "nothing to raise"),
        ("raise", "+5", None, "no ceiling yet"),
        ("lower", "6", "5", "use `budget raise`"),
        ("lower", "+1", "5", "use `budget raise`"),
        ("lower", "-6", "5", "more than the whole"),
        ("raise", "much", "5", "'much'"),
        ("raise", "+-5", "5", "negative"),
        ("raise", "1e400", "5", "too large"),
        ("raise", "6.0000000001", "5", "nano-dollars"),
    ],
)
def test_change_the_other_way_or_of_nothing_is_refused(
    way: str, text: str, before: str | None, words: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        _usd(way, text, None if before is None else Decimal(before))
    assert words in str(caught.value)


def test_tokens_are_raised_and_lowered_as_money_is() -> None:
    assert _tokens("raise", "1,000,000", 5) == 1_000_000
    assert _tokens("raise", "+5", 5) == 10
    assert _tokens("lower", "-2", 5) == 3
    for way, text in (("raise", "4"), ("lower", "+4"), ("raise", "1.5"), ("raise", f"{2**54}")):
        with pytest.raises(ConfigurationError):
            _tokens(way, text, 5)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"usd": "1"}, "which call"),
        ({"void": True}, "which call"),
        ({"call": "a"}, "what it was billed"),
        ({"call": "a", "usd": "1", "void": True, "reason": "x"}, "what it was billed"),
        ({"call": "a", "usd": "1"}, "reason"),
        ({"call": "a", "void": True, "reason": " "}, "reason"),
        ({"complete_until": "1h"}, "--from"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_read(
    given: dict[str, object], words: str
) -> None:
    nothing: dict[str, object] = {
        "export": None, "complete_until": None, "call": None, "usd": None, "void": False,
        "reason": None, "dry_run": False, "as_json": False,
    }  # fmt: skip
    with pytest.raises(ConfigurationError) as caught:
        reconcile_budget("x", **(nothing | given))  # type: ignore[arg-type]
    assert words in str(caught.value)
