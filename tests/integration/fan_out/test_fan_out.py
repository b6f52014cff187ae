"""A fan-out end to end: a real Prefect server, a real provider that keeps its own bill."""

import json
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect import flow
from pydantic import BaseModel

from prefect_governor import Budget, Governor, Limit, Report, fan_out
from prefect_governor.blocks.errors import ConfigurationError, RunFailed
from prefect_governor.flows.run.control import Control, current_control
from tests.integration.conftest import Corpus
from tests.provider.process import ProviderProcess

MODEL = "openai/gpt-4o-mini"

pytestmark = pytest.mark.usefixtures("server")


class Finding(BaseModel):
    title: str
    severity: int


def ask(items: list[Path], **options: Any) -> Report:
    settings = {"ask": "What is this about?", "model": MODEL, "max_output_tokens": 24, **options}
    report = fan_out(items, **settings)
    assert isinstance(report, Report)
    return report


def nano(amount: Decimal) -> int:
    return int(amount * 10**9)


def bill_of_one(upstream: ProviderProcess, item: Path) -> int:
    """What the provider bills for one of many equal items, in nano-dollars."""
    ask([item])
    billed = int(upstream.settled_stats()["billed_nano"])
    upstream.renew()
    return billed


def test_spent_equals_the_bill_and_the_cap_holds(
    upstream: ProviderProcess, corpus: Corpus, tmp_path: Path
) -> None:
    upstream.configure(latency_seconds=0.2, output_tokens=[5, 20])
    out = tmp_path / "out.jsonl"
    token = current_control.set(Control(out=out))
    try:
        report = ask(corpus(120), max_concurrent=30, max_usd="1")
    finally:
        current_control.reset(token)
    stats = upstream.settled_stats()
    assert report.outcome == "complete"
    assert len(report.items) == stats["requests"] == 120
    assert nano(report.budget.spent_usd) == stats["billed_nano"]
    assert nano(sum((item.usd for item in report.items), Decimal(0))) == stats["billed_nano"]
    assert 25 <= stats["max_open"] <= 30
    assert report.limits.max_in_flight == stats["max_open"]
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["key"] for line in lines] == [item.key for item in report.items]
    assert lines == [item.to_json() for item in report.items]


def test_ceiling_holds_while_the_provider_counts_more_than_we_do(
    upstream: ProviderProcess, corpus: Corpus
) -> None:
    items = corpus(160, words=400)
    one = bill_of_one(upstream, items[0])
    upstream.renew(latency_seconds=0.3, output_tokens="max", token_factor=1.4)
    ceiling = Decimal(one * len(items) // 3) / 10**9
    report = ask(items, max_concurrent=40, max_usd=str(ceiling))
    stats = upstream.settled_stats()
    assert stats["billed_nano"] <= nano(ceiling)
    assert stats["billed_nano"] >= 0.95 * nano(ceiling)
    assert report.outcome == "partial"
    states = Counter(item.state for item in report.items)
    assert sum(states.values()) == len(items)
    assert set(states) == {"succeeded", "over_budget"}
    refused = next(item for item in report.items if item.state == "over_budget")
    assert refused.reason is not None
    assert "ceiling" in refused.reason


def test_faults_leave_no_item_without_an_outcome_and_never_understate(
    upstream: ProviderProcess, corpus: Corpus
) -> None:
    faults = {
        "error_500": 0.10,
        "disconnect_before_billing": 0.03,
        "disconnect_after_billing": 0.02,
        "hang": 0.03,
        "no_usage": 0.02,
        "cut_stream": 0.02,
        "seed": 7,
    }
    upstream.configure(output_tokens=10, faults=faults)
    report = ask(corpus(200), max_concurrent=40, max_usd="1", timeout_seconds=2)
    stats = upstream.settled_stats()
    print("faults:", {kind: stats["faults"][kind] for kind in faults if kind != "seed"})
    assert all(stats["faults"][kind] for kind in faults if kind != "seed")
    assert len(report.items) == 200
    assert all(item.state == "succeeded" or item.reason for item in report.items)
    charged = nano(report.budget.spent_usd + report.budget.unconfirmed_usd)
    assert charged >= stats["billed_nano"]
    assert report.budget.reserved_usd == 0
    assert sum(item.state == "succeeded" for item in report.items) >= 190


def test_schema_gives_typed_results_after_one_repair(
    upstream: ProviderProcess, tmp_path: Path
) -> None:
    good, bad = '{"title": "leak", "severity": 2}', '{"title": 7}'
    upstream.configure(
        script=[
            {"match": "does not validate", "reply": good},
            {"match": "first", "reply": good},
            {"match": "second", "reply": f"```json\n{bad}\n```"},
        ]
    )
    paths = [tmp_path / "a.txt", tmp_path / "b.txt"]
    paths[0].write_text("the first")
    paths[1].write_text("the second")
    report = ask(paths, schema=Finding)
    assert [item.result for item in report.items] == [{"title": "leak", "severity": 2}] * 2
    assert [item.calls for item in report.items] == [1, 2]


def test_model_without_structured_output_answers_by_a_tool(
    upstream: ProviderProcess, tmp_path: Path
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("the first")
    report = ask([path], schema=Finding, model="openai/gpt-3.5-turbo")
    (item,) = report.items
    assert item.state == "succeeded", item.reason
    assert Finding.model_validate(item.result)
    assert item.calls == upstream.settled_stats()["requests"] == 1
    assert nano(report.budget.spent_usd) == upstream.settled_stats()["billed_nano"]


def test_words_around_a_value_cost_no_repair(upstream: ProviderProcess, tmp_path: Path) -> None:
    reply = "<think>Hm {</think>Sure! ```JSON {'title': 'leak', 'severity': 2,}``` Hope it helps"
    upstream.configure(script=[{"match": "first", "reply": reply}])
    path = tmp_path / "a.txt"
    path.write_text("the first")
    report = ask(
        [path], schema={**Finding.model_json_schema(), "requird": ["title"]}, max_output_tokens=99
    )
    assert [item.result for item in report.items] == [{"title": "leak", "severity": 2}]
    assert upstream.settled_stats()["requests"] == 1
    assert any("'requird' is no keyword" in note for note in report.notes)


def test_answer_that_never_validates_fails_its_own_item_only(
    upstream: ProviderProcess, tmp_path: Path
) -> None:
    upstream.configure(
        script=[
            {"match": "hopeless|does not validate", "reply": "not JSON at all"},
            {"match": "fine", "reply": '{"title": "x", "severity": 1}'},
        ]
    )
    paths = [tmp_path / "a.txt", tmp_path / "b.txt"]
    paths[0].write_text("fine")
    paths[1].write_text("hopeless")
    report = ask(paths, schema=Finding.model_json_schema())
    assert [item.state for item in report.items] == ["succeeded", "failed"]
    assert "does not validate" in str(report.items[1].reason)
    assert upstream.settled_stats()["requests"] == 3


def test_unreadable_file_is_a_failed_item_with_its_reason(
    upstream: ProviderProcess, tmp_path: Path
) -> None:
    good, binary = tmp_path / "good.txt", tmp_path / "broken.pdf"
    good.write_text("fine")
    binary.write_bytes(b"%PDF-1.7 and then nothing of use \x00\x01")
    report = ask([good, binary])
    assert [item.state for item in report.items] == ["succeeded", "failed"]
    assert report.items[1].reason
    assert upstream.settled_stats()["requests"] == 1


def test_text_too_long_for_the_model_is_read_in_parts(
    upstream: ProviderProcess, tmp_path: Path
) -> None:
    # gpt-4o-mini reads 128,000 tokens; this has about 200,000.
    path = tmp_path / "long.txt"
    path.write_text("\n".join(f"line {at} says something else" for at in range(32_000)))
    upstream.configure(output_tokens=10, context_tokens=128_000)
    report = ask([path])
    assert report.outcome == "complete"
    parts = upstream.settled_stats()["requests"] - 1
    assert parts >= 2
    last = [record["tag"] for record in upstream.log()]
    assert len(last) == parts + 1


@pytest.mark.parametrize("status", [400, 403, 404])
def test_what_would_fail_again_is_not_retried(
    upstream: ProviderProcess, tmp_path: Path, status: int
) -> None:
    upstream.configure(script={"": {"status": status, "text": "no"}})
    path = tmp_path / "a.txt"
    path.write_text("text")
    with pytest.raises(RunFailed) as failed:
        ask([path])
    assert upstream.settled_stats()["requests"] == 1
    assert failed.value.report.items[0].state == "failed"
    assert failed.value.report.budget.unconfirmed_usd == 0


def test_dead_key_stops_the_run_instead_of_failing_every_item(
    upstream: ProviderProcess, corpus: Corpus
) -> None:
    upstream.configure(keys=["another"], latency_seconds=0.2)
    with pytest.raises(RunFailed) as failed:
        ask(corpus(60), max_concurrent=5)
    report = failed.value.report
    assert upstream.settled_stats()["requests"] <= 5
    assert Counter(item.state for item in report.items)["not_started"] >= 55
    assert "key" in str(report.reason)
    assert "sk-test" not in json.dumps(report.to_json())


def test_throttling_is_waited_out_and_nothing_is_charged_for_it(
    upstream: ProviderProcess, corpus: Corpus
) -> None:
    upstream.configure(faults={"error_429": 0.1, "seed": 3, "retry_after_seconds": 1})
    report = ask(corpus(40), max_concurrent=10)
    stats = upstream.settled_stats()
    assert stats["faults"]["error_429"]
    assert report.outcome == "complete"
    assert report.budget.unconfirmed_usd == 0
    assert nano(report.budget.spent_usd) == stats["billed_nano"]
    assert report.limits.throttled


def test_rate_is_kept(upstream: ProviderProcess, corpus: Corpus) -> None:
    limits = {"requests_per_minute": 30, "kind": "sliding"}
    upstream.configure(limits=limits, output_tokens=5)
    control = Control()
    control.watch = lambda now: control.stop.set() if now.done >= 30 else None
    token = current_control.set(control)
    try:
        report = ask(corpus(40), requests_per_minute=30, max_concurrent=20)
    finally:
        current_control.reset(token)
    stats = upstream.settled_stats()
    assert stats["requests"] == 30
    assert stats["throttled"] == 0
    assert Counter(item.state for item in report.items) == {"succeeded": 30, "not_started": 10}


def test_same_run_again_pays_only_for_what_is_missing(
    upstream: ProviderProcess, corpus: Corpus
) -> None:
    from prefect.client.orchestration import get_client

    items = corpus(12)
    upstream.configure(script={"item-0003": [{"status": 400, "text": "no"}, "answered"]})
    first = ask(items)
    assert Counter(item.state for item in first.items) == {"succeeded": 11, "failed": 1}
    with get_client(sync_client=True) as client:
        run = client.read_flow_run(UUID(first.run_id))
    from prefect.flow_engine import run_flow

    second: Any = run_flow(
        fan_out,
        flow_run=run,
        parameters={"items": items, "ask": "What is this about?", "model": MODEL,
                    "max_output_tokens": 24},
    )  # fmt: skip
    assert second.outcome == "complete"
    assert upstream.settled_stats()["requests"] == 13
    assert [item.result for item in second.items[:3]] == [item.result for item in first.items[:3]]
    assert nano(second.budget.spent_usd) == upstream.settled_stats()["billed_nano"]


def test_flows_own_retry_pays_only_for_what_is_missing(
    upstream: ProviderProcess, corpus: Corpus
) -> None:
    upstream.configure(script={"item-0001": [{"status": 400, "text": "no"}, "answered"]})
    again = fan_out.with_options(retries=1, retry_delay_seconds=0)
    state = again(
        corpus(6), ask="What is this about?", model=MODEL, min_success=1.0, return_state=True
    )
    assert state.is_completed(), state
    assert upstream.settled_stats()["requests"] == 7


def test_parent_that_runs_again_pays_for_nothing_twice(
    upstream: ProviderProcess, corpus: Corpus
) -> None:
    items = corpus(5)
    attempts: list[Report] = []

    @flow(retries=1, retry_delay_seconds=0)
    def parent() -> str:
        attempts.append(ask(items))
        if len(attempts) == 1:
            raise ValueError("after the fan-out")
        return "done"

    assert parent(return_state=True).is_completed()
    assert upstream.settled_stats()["requests"] == 5
    first, second = attempts
    assert [each.result for each in first.items] == [each.result for each in second.items]
    assert second.budget.spent_usd == first.budget.spent_usd


def test_more_texts_than_prefect_takes_as_parameters(upstream: ProviderProcess) -> None:
    items = [{"key": f"t-{at}", "text": f"{at} " + "word " * 4000} for at in range(30)]
    report = fan_out(items, ask="What is this?", model=MODEL, max_output_tokens=24)
    assert [item.key for item in report.items] == [item["key"] for item in items]
    assert report.outcome == "complete"


def test_limits_for_other_tags_do_not_narrow_the_run(
    upstream: ProviderProcess, corpus: Corpus
) -> None:
    Governor(
        budget=Budget(max_usd=1),
        limits=[Limit(tag="gpu", max_concurrent=1), Limit(tag="llm", max_concurrent=20)],
    ).save("two-tags", overwrite=True)
    upstream.configure(latency_seconds=0.5)
    report = ask(corpus(60), governor="two-tags")
    assert report.limits.cap == 20
    assert 15 <= upstream.settled_stats()["max_open"] <= 20


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"ask": " "}, "ask is empty"),
        ({"max_usd": "-1"}, "negative"),
        ({"max_usd": "nan"}, "finite"),
        ({"max_usd": float("inf")}, "finite"),
        ({"max_concurrent": 0}, "max_concurrent"),
        ({"min_success": 1.5}, "min_success"),
        ({"schema": {"type": "nonsense"}}, "schema"),
        ({"governor": "nobody"}, "nobody"),
        ({"model": "openai/a-model-nobody-priced"}, "price"),
        ({"model": "block:nobody"}, "nobody"),
    ],
)
def test_bad_input_is_refused_before_anything_is_spent(
    upstream: ProviderProcess, corpus: Corpus, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        ask(corpus(2), **options)
    assert upstream.settled_stats()["requests"] == 0
