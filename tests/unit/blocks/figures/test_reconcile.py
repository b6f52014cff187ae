"""What a usage export may do to unconfirmed calls, and what it must not. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.figures.reconcile import Evidence, Matching, match
from prefect_governor.blocks.prices.prices import load_price
from prefect_governor.blocks.records.calls import Attribution, Bound, CallRecord, CallState, Usage
from prefect_governor.flows.cli.budget.evidence import read_export

MODEL = "openai/gpt-4o-mini"
SECOND = 10**9


def call(
    name: str,
    state: CallState = "unconfirmed",
    *,
    bound: int = 1_000_000,
    at: int = 100,
    until: int | None = None,
    model: str | None = MODEL,
    request_id: str | None = "",
    nano: int | None = None,
) -> CallRecord:
    """A call admitted at second `at`, resolved or given up at `until` (5 s later)."""
    usage = Usage(400_000 if nano is None else nano, 100, 20) if state == "spent" else None
    resolved = None if state == "reserved" else (at + 5 if until is None else until) * SECOND
    return CallRecord(
        call_id=name,
        state=state,
        owner="owner",
        pid=1,
        bound=Bound(bound, 400, 100),
        usage=usage,
        reason="timeout after sending" if state == "unconfirmed" else None,
        observed=None,
        request_id=name if request_id == "" else request_id,
        created_wall=at * SECOND,
        resolved_wall=resolved,
        attribution=Attribution(model=model),
    )


def row(*ids: str, cost: str | None = "0.0004", **fields: Any) -> Evidence:
    where = f"usage.csv line {'-'.join(ids)}"
    return Evidence(where, ids, None if cost is None else Decimal(cost), **fields)


def matched(
    rows: Sequence[Evidence], calls: Sequence[CallRecord], *, until: int | None = None
) -> Matching:
    return match(
        rows,
        calls,
        price_of=load_price,
        complete_until=None if until is None else until * SECOND,
    )


def why(found: Matching, subject: str) -> str:
    return next(each.why for each in found.left if each.subject == subject)


# Settled by a row


def test_call_settles_at_what_the_export_says_it_cost() -> None:
    found = matched([row("a", cost="0.0004", input_tokens=90, output_tokens=7)], [call("a")])
    (step,) = found.settle
    assert step.usage == Usage(400_000, 90, 7)
    assert not step.above_bound
    assert not step.priced
    assert (found.void, found.left) == ((), ())


def test_cost_finer_than_a_nano_dollar_is_rounded_up_and_never_down() -> None:
    found = matched([row("a", cost="0.0000000011")], [call("a")])
    assert found.settle[0].usage.nano == 2


def test_tokens_that_the_export_does_not_say_are_those_of_the_bound() -> None:
    found = matched([row("a")], [call("a")])
    assert found.settle[0].usage == Usage(400_000, 400, 100)


def test_call_is_found_by_its_request_id_as_well_as_by_its_own() -> None:
    calls = [call("a", request_id="the-client's-own"), call("b")]
    found = matched([row("the-client's-own")], calls)
    assert [step.call.call_id for step in found.settle] == ["a"]


def test_row_without_a_cost_is_priced_by_its_tokens() -> None:
    tokens = {"input_tokens": 1000, "output_tokens": 100, "cached_input_tokens": 200}
    found = matched([row("a", cost=None, service_tier="default", **tokens)], [call("a")])
    # 800 fresh at 0.15, 200 cached at 0.075, 100 out at 0.60 USD a million.
    assert found.settle[0].usage == Usage(195_000, 1000, 100, 200)
    assert found.settle[0].priced


def test_tier_that_the_export_does_not_say_is_priced_as_the_dearest() -> None:
    tokens = {"input_tokens": 1000, "output_tokens": 100}
    default = matched([row("a", cost=None, service_tier="default", **tokens)], [call("a")])
    unsaid = matched([row("a", cost=None, **tokens)], [call("a")])
    assert unsaid.settle[0].usage.nano > default.settle[0].usage.nano


def test_more_than_was_reserved_is_settled_and_said() -> None:
    found = matched([row("a", cost="0.002")], [call("a", bound=1_000_000)])
    assert found.settle[0].above_bound
    assert found.settle[0].usage.nano == 2_000_000


# Left alone


def test_two_rows_of_one_call_settle_nothing_and_are_both_named() -> None:
    rows = [row("a"), replace(row("a"), where="usage.csv line 9")]
    found = matched(rows, [call("a")], until=1000)
    assert (found.settle, found.void) == ((), ())
    assert "usage.csv line a and usage.csv line 9" in why(found, "a")


def test_row_that_names_two_calls_settles_neither() -> None:
    found = matched([row("a", "b")], [call("a"), call("b")], until=1000)
    assert (found.settle, found.void) == ((), ())
    assert "a, b" in why(found, "usage.csv line a-b")


def test_name_that_two_calls_share_settles_neither() -> None:
    calls = [call("a", request_id="same"), call("b", request_id="same")]
    found = matched([row("same")], calls, until=1000)
    assert (found.settle, found.void) == ((), ())


def test_call_in_flight_is_not_touched() -> None:
    found = matched([row("a")], [call("a", "reserved")], until=1000)
    assert (found.settle, found.void) == ((), ())
    assert "in flight" in why(found, "a")


def test_resolved_call_is_never_touched_and_a_difference_is_named() -> None:
    calls = [call("same", "spent"), call("other", "spent"), call("gone", "released")]
    rows = [row("same", cost="0.0004"), row("other", cost="0.0005"), row("gone", cost="0.0001")]
    found = matched(rows, calls, until=1000)
    assert (found.settle, found.void, found.agree) == ((), (), 1)
    assert "$0.000400" in why(found, "other")
    assert "$0.000500" in why(found, "other")
    assert "never changed" in why(found, "gone")


def test_row_with_neither_cost_nor_tokens_settles_nothing() -> None:
    found = matched([row("a", cost=None, input_tokens=3)], [call("a")])
    assert found.settle == ()
    assert "neither a cost" in why(found, "a")


def test_model_without_a_price_settles_nothing() -> None:
    tokens = {"input_tokens": 1, "output_tokens": 1}
    found = matched([row("a", cost=None, **tokens)], [call("a", model="openai/unheard-of")])
    assert "no price is known for model 'openai/unheard-of'" in why(found, "a")


def test_rows_of_other_calls_are_counted() -> None:
    assert matched([row("x"), row("y"), row()], [call("a")]).foreign == 3


# Void, because a complete export does not have it


def test_nothing_is_void_unless_the_export_is_said_to_be_complete() -> None:
    found = matched([row("b")], [call("a"), call("b", "spent")])
    assert found.void == ()


def test_call_that_a_complete_export_does_not_have_is_void() -> None:
    found = matched([row("b")], [call("a"), call("b", "spent")], until=200)
    assert [step.call.call_id for step in found.void] == ["a"]


def test_call_that_was_still_open_at_that_time_is_left() -> None:
    calls = [call("open", at=100, until=201), call("after", at=200), call("b", "spent")]
    found = matched([row("b")], calls, until=200)
    assert found.void == ()


def test_export_that_lacks_a_call_that_was_billed_voids_nothing() -> None:
    calls = [call("a"), call("b", "spent"), call("c", "spent")]
    found = matched([row("b")], calls, until=200)
    assert found.void == ()
    assert "lacks 1 of 2 calls to 'openai'" in why(found, "a")


def test_calls_billed_before_and_after_do_not_make_an_export_incomplete() -> None:
    calls = [call("before", "spent", at=10), call("a"), call("b", "spent"), call("late", "spent")]
    calls[-1] = replace(calls[-1], resolved_wall=201 * SECOND)
    found = matched([row("b")], calls, until=200)
    assert [step.call.call_id for step in found.void] == ["a"]


def test_export_of_another_provider_voids_nothing() -> None:
    calls = [call("a", model="anthropic/claude-sonnet-4-5"), call("b", "spent")]
    found = matched([row("b")], calls, until=200)
    assert found.void == ()
    assert "no call to 'anthropic'" in why(found, "a")


def test_spend_that_no_provider_knows_by_name_is_not_void() -> None:
    calls = [call("a", request_id=None), call("b", "spent")]
    found = matched([row("b")], calls, until=200)
    assert found.void == ()
    assert "by hand" in why(found, "a")


STATES: tuple[CallState, ...] = ("unconfirmed", "reserved", "spent", "released")
NAMES = [f"call-{at}" for at in range(6)]


@given(
    states=st.lists(st.sampled_from(STATES), min_size=6, max_size=6),
    shared=st.lists(st.sampled_from(NAMES), min_size=6, max_size=6),
    starts=st.lists(st.integers(1, 300), min_size=6, max_size=6),
    rows=st.lists(
        st.tuples(
            st.lists(st.sampled_from([*NAMES, "x"]), max_size=2), st.sampled_from(["0", "0.003"])
        ),
        max_size=12,
    ),
    until=st.none() | st.integers(0, 400),
)
def test_whatever_an_export_holds_only_unconfirmed_calls_are_acted_on_and_each_once(
    states: list[CallState],
    shared: list[str],
    starts: list[int],
    rows: list[tuple[list[str], str]],
    until: int | None,
) -> None:
    calls = [
        call(name, state, at=at, request_id=other)
        for name, state, other, at in zip(NAMES, states, shared, starts, strict=True)
    ]
    evidence = [
        replace(row(*ids, cost=cost), where=f"line {at}") for at, (ids, cost) in enumerate(rows)
    ]
    found = matched(evidence, calls, until=until)
    settled = [step.call.call_id for step in found.settle]
    voided = [step.call.call_id for step in found.void]
    acted = settled + voided
    assert len(acted) == len(set(acted))
    by_id = {each.call_id: each for each in calls}
    assert all(by_id[name].state == "unconfirmed" for name in acted)
    for step in found.settle:
        names = {step.call.call_id, step.call.request_id}
        (only,) = [each for each in evidence if names & {*each.ids}]
        assert only.where == step.where
        assert step.usage.nano == int(only.cost_usd * 10**9)  # type: ignore[operator]
        # No other call has any of the row's names.
        assert not [
            each
            for each in calls
            if each is not step.call and {each.call_id, each.request_id} & {*only.ids}
        ]
    for void in found.void:
        assert until is not None
        assert void.call.resolved_wall is not None
        assert void.call.resolved_wall < until * SECOND
        assert not any({void.call.call_id, void.call.request_id} & {*e.ids} for e in evidence)
    # The order of the rows changes nothing but the order of what is said.
    again = matched(evidence[::-1], calls, until=until)
    assert {step.call.call_id for step in again.settle} == {*settled}
    assert {step.call.call_id for step in again.void} == {*voided}


# Files


def export(tmp_path: Path, text: str, name: str = "usage.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "header",
    [
        "request_id,model,input_tokens,output_tokens,cached_input_tokens,service_tier,cost_usd",
        "x-request-id,Model,prompt_tokens,completion_tokens,cached_tokens,Service Tier,cost",
        "id,model_name,Prompt Tokens,Completion Tokens,input_cached_tokens,service_tier,Amount",
    ],
)
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_columns_go_by_any_of_their_names(tmp_path: Path, header: str, delimiter: str) -> None:
    text = f"{header}\na1,gpt-4o-mini,90,7,10,default,$0.0004\n".replace(",", delimiter)
    rows, problems = read_export(export(tmp_path, f"\ufeff{text}"))
    assert problems == []
    assert rows == [
        Evidence("usage.csv line 2", ("a1",), Decimal("0.0004"), "gpt-4o-mini", 90, 7, 10, 0,
                 "default")
    ]  # fmt: skip


def test_fields_of_a_json_line_are_found_where_they_are_nested(tmp_path: Path) -> None:
    line = (
        '{"id": "outer", "response": {"request_id": "a1", "body": {"id": "chatcmpl-1",'
        ' "model": "gpt-4o-mini", "usage": {"prompt_tokens": 90, "completion_tokens": 7,'
        ' "prompt_tokens_details": {"cached_tokens": 10}}}}}'
    )
    rows, problems = read_export(export(tmp_path, f"{line}\n\n", "usage.jsonl"))
    assert problems == []
    assert rows[0].ids == ("a1", "outer")
    assert (rows[0].input_tokens, rows[0].output_tokens) == (90, 7)
    assert rows[0].cached_input_tokens == 10
    assert rows[0].cost_usd is None


def test_anthropics_cached_tokens_are_counted_beside_its_input(tmp_path: Path) -> None:
    text = (
        "request_id,input_tokens,output_tokens,cache_read_input_tokens,"
        "cache_creation_input_tokens\na1,100,7,30,20\n"
    )
    (found,), _ = read_export(export(tmp_path, text))
    assert (found.input_tokens, found.cached_input_tokens, found.cache_write_tokens) == (
        150,
        30,
        20,
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a1,lots,7,", "'lots' is not a number"),
        ("a1,1.5,7,", "no count of tokens"),
        ("a1,-1,7,", "no count of tokens"),
        ("a1,1,7,-0.2", "no cost"),
        ("a1,1,7,NaN", "not a number"),
        ("a1,1,7,0.1,more", "more fields than the header"),
    ],
)
def test_row_that_cannot_be_read_is_named_and_the_others_count(
    tmp_path: Path, line: str, words: str
) -> None:
    text = f"request_id,input_tokens,output_tokens,cost\n{line}\nb1,1,7,0.1\n"
    rows, problems = read_export(export(tmp_path, text))
    assert [each.ids for each in rows] == [("b1",)]
    assert problems[0].subject == "usage.csv line 2"
    assert words in problems[0].why


def test_other_currency_is_not_taken_for_dollars(tmp_path: Path) -> None:
    rows, problems = read_export(export(tmp_path, "id,cost,currency\na,1,eur\nb,1,usd\n"))
    assert [each.ids for each in rows] == [("b",)]
    assert "'eur'" in problems[0].why


def test_line_that_is_not_json_is_named(tmp_path: Path) -> None:
    rows, problems = read_export(export(tmp_path, '{"id": "a"}\n{"id": \n[1]\n', "u.jsonl"))
    assert [each.ids for each in rows] == [("a",)]
    assert [each.subject for each in problems] == ["u.jsonl line 2", "u.jsonl line 3"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("day,model,cost\n2026-11-24,gpt-4o-mini,3\n", "which call a row is"),
        ("", "no rows"),
        ("request_id,cost\n", "no rows"),
    ],
)
def test_file_that_names_no_calls_is_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        read_export(export(tmp_path, text))


def test_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot read"):
        read_export(tmp_path / "none.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="UTF-8"):
        read_export(tmp_path / "binary.csv")
