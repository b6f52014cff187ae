"""The page of what nobody knows the bill of: a call is counted once, and no text is markup."""

import re
from datetime import datetime, timedelta, timezone

from markdown_it import MarkdownIt

from prefect_governor.blocks.records.calls import Attribution, Bound, CallRecord
from prefect_governor.flows.unconfirmed.page import Standing, headline, page

NOW = datetime(2026, 11, 30, 2, 30, tzinfo=timezone.utc)
EVIL = "a|b\n# c <img src=x onerror=alert(1)> **d** [e](javascript:f)"


def lost(name: str, *, nano: int = 10**7, days: int = 0, text: str = "no usage") -> CallRecord:
    return CallRecord(
        call_id=name,
        state="unconfirmed",
        owner="owner",
        pid=1,
        bound=Bound(nano, 300, 100),
        usage=None,
        reason=text,
        observed=None,
        request_id=name,
        created_wall=int((NOW - timedelta(days=days, hours=1)).timestamp() * 1e9),
        resolved_wall=None,
        attribution=Attribution(model=text),
    )


def test_a_call_under_two_budgets_is_one_call_and_its_money_is_charged_once() -> None:
    both = lost("a")
    said = headline([Standing("team", (both,)), Standing("company", (both, lost("b")))])
    assert said.startswith("2 unconfirmed, charged at $0.02")


def test_a_budget_that_could_not_be_looked_at_is_said_where_nothing_is_unconfirmed() -> None:
    standings = [Standing("a"), Standing("b", problem="max_usd must be at least 0")]
    assert headline(standings) == ("no call is unconfirmed; 1 of 2 budgets could not be looked at")
    assert "max\\_usd must be at least 0" in page(standings, now=NOW)


def test_the_oldest_call_says_how_long_a_person_has_left_it() -> None:
    text = page([Standing("team", (lost("a", days=12), lost("b")))], now=NOW)
    assert "| 12 d |" in text
    assert "prefect-governor budget reconcile team --from" in text


def test_nothing_that_a_provider_or_an_export_says_becomes_markup() -> None:
    standings = [
        Standing("team", (lost("a", text=EVIL),), unread=(EVIL,)),
        Standing("b", problem=EVIL),
        Standing(None, (lost("c"),)),
    ]
    renderer = MarkdownIt("commonmark", {"html": True}).enable("table")
    html = renderer.render(page(standings, now=NOW))
    assert not {*re.findall(r"<(\w+)", html)} & {"img", "script", "a", "strong"}
    assert html.count("<h1>") == 1 and html.count("<tr>") == 4


def test_of_very_many_calls_the_rest_is_counted() -> None:
    calls = tuple(lost(f"{at:08d}") for at in range(300))
    text = page([Standing("team", calls)], now=NOW)
    assert "… and 280 more" in text and len(text) < 5_000
