"""An item's outcome is what its answer came to: cut, filtered, refused, empty, given up, invalid.

The provider ends its answers as each family's API does. What was paid for is kept: gone on with, a
run hands it out again, and asks it anew where it is told to.
"""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from prefect_governor import Model, Report, fan_out
from prefect_governor.blocks.errors import ConfigurationError, RunFailed
from prefect_governor.flows.run.control import Control, current_control
from tests.integration.governing import MODEL
from tests.integration.models.cases import CASES, KEY, PRICES, root
from tests.provider.process import ProviderProcess

pytestmark = pytest.mark.usefixtures("server")

SCHEMA = {
    "type": "object",
    "properties": {"title": {"type": "string"}},
    "required": ["title"],
    "additionalProperties": False,
}
GOOD = '{"title": "x"}'


def ask(items: Any, **options: Any) -> Report:
    """The report of a run, whatever it came to."""
    settings = {"ask": "What?", "model": MODEL, "max_output_tokens": 24, **options}
    try:
        report = fan_out(items, **settings)
    except RunFailed as failed:
        report = failed.report
    assert isinstance(report, Report)
    return report


def go_on(first: Report, items: Any, *, retry_failed: bool = False, **options: Any) -> Report:
    token = current_control.set(Control(kept_as=first.run_id, retry_failed=retry_failed))
    try:
        return ask(items, **options)
    finally:
        current_control.reset(token)


def texts(*keys: str) -> list[dict[str, str]]:
    return [{"key": key, "text": f"the text of {key}: nothing much"} for key in keys]


# By provider: what it answers, the kind that this is, and a word of its remedy.
ENDINGS: dict[str, list[tuple[dict[str, Any], str, str]]] = {
    "openai": [
        ({"text": "half an answ", "finish_reason": "length"}, "cut", "--max-output-tokens"),
        ({"text": "x", "finish_reason": "content_filter"}, "filtered", "--model"),
        ({"refusal": "I cannot."}, "refused", "--model"),
        ({"text": " \n"}, "empty", "--retry-failed"),
        ({"text": "x", "finish_reason": "error"}, "broken", "--retry-failed"),
    ],
    # LiteLLM calls these a natural end.
    "deepseek": [
        ({"text": "x", "finish_reason": "insufficient_system_resource"}, "broken", "anew")
    ],
    "mistral": [({"text": "x", "finish_reason": "model_length"}, "cut", "longer context")],
    "anthropic": [
        ({"text": "x", "finish_reason": "length"}, "cut", "--max-output-tokens"),
        ({"refusal": "no"}, "refused", "question"),
        ({"text": "x", "finish_reason": "model_context_window_exceeded"}, "cut", "split the item"),
        ({"text": ""}, "empty", "--retry-failed"),
    ],
    "bedrock": [
        ({"text": "x", "finish_reason": "length"}, "cut", "--max-output-tokens"),
        ({"text": "x", "finish_reason": "content_filtered"}, "filtered", "--model"),
        ({"text": "x", "finish_reason": "malformed_tool_use"}, "broken", "anew"),
    ],
    "gemini": [
        ({"text": "x", "finish_reason": "MAX_TOKENS"}, "cut", "--max-output-tokens"),
        ({"text": "", "finish_reason": "SAFETY"}, "filtered", "--model"),
        ({"text": "", "finish_reason": "RECITATION"}, "filtered", "--model"),
        ({"blocked": "PROHIBITED_CONTENT"}, "filtered", "PROHIBITED_CONTENT"),
        ({"text": "x", "finish_reason": "MALFORMED_FUNCTION_CALL"}, "broken", "anew"),
    ],
    "ollama": [({"text": "x", "finish_reason": "length"}, "cut", "--max-output-tokens")],
}


@pytest.mark.parametrize("provider", ENDINGS)
def test_an_answer_that_did_not_end_well_fails_its_item_with_the_remedy(
    upstream: ProviderProcess, provider: str, name: str
) -> None:
    case, endings = CASES[provider], ENDINGS[provider]
    script = {f"of item-{at}:": reply for at, (reply, _, _) in enumerate(endings)}
    upstream.renew(prices=PRICES, script=script)
    Model(name=case.model, api_base=f"{root(upstream)}{case.base}", api_key=SecretStr(KEY)).save(
        name
    )
    report = ask(texts(*(f"item-{at}" for at in range(len(endings)))), model=f"block:{name}")
    for item, (_, kind, remedy) in zip(report.items, endings, strict=True):
        assert (item.state, item.result) == ("failed", None), item
        assert item.reason is not None and item.reason.startswith(f"{kind}: "), item.reason
        assert remedy in item.reason
        # Asked once: it is no failure that a retry mends, and it is paid for.
        assert item.calls == 1
    assert upstream.settled_stats()["requests"] == len(endings)
    assert report.budget.unconfirmed_usd == 0


def test_a_repair_is_not_paid_for_where_the_cap_broke_the_json(upstream: ProviderProcess) -> None:
    upstream.configure(
        script=[
            {"match": "does not validate", "reply": GOOD},
            {"match": "of long:", "reply": '{"title": "' + "word " * 90 + '"}'},
            {"match": "of odd:", "reply": "no JSON"},
        ]
    )
    report = ask(texts("long", "odd"), schema=SCHEMA)
    cut, odd = report.items
    assert (cut.state, cut.calls) == ("failed", 1)
    assert str(cut.reason).startswith("cut: ")
    assert "--max-output-tokens" in str(cut.reason)
    assert (odd.state, odd.calls) == ("succeeded", 2)
    # Taken as it is, it is still no JSON, and a repair would end at the same cap.
    again = go_on(report, texts("long"), schema=SCHEMA, accept=["cut"])
    assert str(again.items[0].reason).startswith("cut: ")
    assert upstream.settled_stats()["requests"] == 3


def test_an_answer_that_was_cut_is_taken_where_a_person_says_so(upstream: ProviderProcess) -> None:
    upstream.configure(script={"": {"text": "half an answ", "finish_reason": "length"}})
    first = ask(texts("a", "b"))
    assert [item.state for item in first.items] == ["failed", "failed"]
    taken = go_on(first, texts("a", "b"), accept="cut")
    assert [item.state for item in taken.items] == ["succeeded", "succeeded"]
    assert {item.result for item in taken.items} == {"half an answ"}
    assert all("cut: the answer stopped at the cap of 24" in str(i.reason) for i in taken.items)
    upstream.configure(script={"": {"refusal": "I cannot."}})
    refusal = ask(texts("c"), accept=["refused"]).items[0]
    assert (refusal.state, refusal.result) == ("succeeded", "I cannot.")
    # What is kept as cut is no success where such are not taken.
    left = go_on(first, texts("a", "b"))
    assert [item.state for item in left.items] == ["failed", "failed"]
    assert upstream.settled_stats()["requests"] == 3


def test_what_cannot_be_taken_is_refused_by_name(upstream: ProviderProcess) -> None:
    for kind in ("wrong", "empty", 7):
        with pytest.raises(ConfigurationError, match="accept takes cut, filtered, refused"):
            fan_out(texts("a"), ask="What?", model=MODEL, accept=[kind])
    assert upstream.settled_stats()["requests"] == 0


def test_bad_answers_are_handed_out_again_for_nothing_and_asked_anew_where_told_to(
    upstream: ProviderProcess,
) -> None:
    bad: dict[str, Any] = {
        "cut": {"text": "half", "finish_reason": "length"},
        "filtered": {"text": "", "finish_reason": "content_filter"},
        "refused": {"refusal": "I cannot."},
        "empty": {"text": ""},
        "schema": "no JSON",
    }
    upstream.configure(
        script=[
            {"match": "does not validate", "reply": "no JSON either"},
            *({"match": f"of {kind}:", "reply": [reply, GOOD]} for kind, reply in bad.items()),
            {"match": "of fine:", "reply": GOOD},
        ]
    )
    items = texts("fine", *bad)
    first = ask(items, schema=SCHEMA)
    assert [item.state for item in first.items] == ["succeeded", *["failed"] * len(bad)]
    for item in first.items[1:]:
        assert str(item.reason).startswith(f"{item.key}: ")
    # One of them was asked twice, for the repair.
    paid = upstream.settled_stats()["requests"]
    assert paid == len(items) + 1
    second = go_on(first, items, schema=SCHEMA)
    assert [(i.state, i.reason) for i in second.items] == [(i.state, i.reason) for i in first.items]
    assert upstream.settled_stats()["requests"] == paid
    third = go_on(first, items, schema=SCHEMA, retry_failed=True)
    assert third.outcome == "complete"
    assert upstream.settled_stats()["requests"] == paid + len(bad)
    # What was paid for last is what is kept.
    fourth = go_on(first, items, schema=SCHEMA)
    assert [item.result for item in fourth.items] == [item.result for item in third.items]
    assert upstream.settled_stats()["requests"] == paid + len(bad)
    assert int(fourth.budget.spent_usd * 10**9) == upstream.settled_stats()["billed_nano"]


def test_raising_the_cap_asks_those_that_were_cut_and_nobody_else(
    upstream: ProviderProcess,
) -> None:
    upstream.configure(script={"of long:": "word " * 60, "of short:": "one word"})
    items = texts("short", "long")
    first = ask(items)
    assert [item.state for item in first.items] == ["succeeded", "failed"]
    second = go_on(first, items, retry_failed=True, max_output_tokens=200)
    assert [item.state for item in second.items] == ["succeeded", "succeeded"]
    assert upstream.settled_stats()["requests"] == 3
    # A run that is told of another cap and nothing more asks all of it: its answers may differ.
    go_on(first, items, max_output_tokens=100)
    assert upstream.settled_stats()["requests"] == 5


def test_what_shapes_an_answer_is_in_its_name(
    upstream: ProviderProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream.configure(script={"": GOOD})
    first = ask(texts("a"))
    go_on(first, texts("a"))
    assert upstream.settled_stats()["requests"] == 1
    changes: list[dict[str, Any]] = [
        {"model": "openai/gpt-4o"}, {"max_output_tokens": 25}, {"schema": SCHEMA}, {"ask": "Who?"}
    ]  # fmt: skip
    for paid, change in enumerate(changes, start=2):
        go_on(first, texts("a"), **change)
        assert upstream.settled_stats()["requests"] == paid, change
    # A wording of our own, as that of a next release.
    monkeypatch.setattr("prefect_governor.flows.subagent.subagent.VERSION", "of the next release")
    monkeypatch.setattr("prefect_governor.flows.subagent.prompt._SYSTEM", "Answer.")
    go_on(first, texts("a"))
    assert upstream.settled_stats()["requests"] == len(changes) + 2


def test_another_server_is_another_model(
    upstream: ProviderProcess, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    upstream.configure(script={"": "this one's"})
    Model(name=MODEL, max_output_tokens=24).save(name)
    first = ask(texts("a"), model=f"block:{name}")
    with ProviderProcess(script={"": "the other's"}) as other:
        # By a variable, and by the block.
        monkeypatch.setenv("OPENAI_API_BASE", other.api_base)
        monkeypatch.setenv("OPENAI_BASE_URL", other.api_base)
        second = go_on(first, texts("a"), model=f"block:{name}")
        assert second.items[0].result == "the other's"
        Model(name=MODEL, max_output_tokens=24, api_base=upstream.api_base).save(
            name, overwrite=True
        )
        third = go_on(first, texts("a"), model=f"block:{name}")
        assert third.items[0].result == "this one's"
        assert (upstream.settled_stats()["requests"], other.settled_stats()["requests"]) == (1, 1)


def test_a_part_that_was_cut_makes_no_whole_answer(
    upstream: ProviderProcess, tmp_path: Path
) -> None:
    path = tmp_path / "long.txt"
    path.write_text("\n".join(f"line {at} says something else" for at in range(32_000)))
    upstream.configure(
        context_tokens=128_000,
        script=[
            {"match": "part 2 of", "reply": {"text": "half", "finish_reason": "length"}},
            {"match": "", "reply": "whole"},
        ],
    )
    report = ask([path])
    assert str(report.items[0].reason).startswith("cut: ")
    assert upstream.settled_stats()["requests"] == 2
