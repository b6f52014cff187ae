"""What a run would cost, told from its real inputs: never less than it can come to."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.blocks.model.choice import ModelChoice
from prefect_governor.blocks.model.prices import PriceOverride
from prefect_governor.flows.answers import Shape
from prefect_governor.flows.estimate import cost_multiple, forecast, prompt_tokens
from prefect_governor.flows.job import Request
from prefect_governor.flows.sources import Item

PRICE = PriceOverride(input_usd_per_million_tokens=1, output_usd_per_million_tokens=4).price()
MODEL = "openai/gpt-4o-mini"


def request(*texts: str, name: str = MODEL, **fields: Any) -> Request:
    items = tuple(Item(key=f"item-{at}", text=text) for at, text in enumerate(texts))
    model = ModelChoice(name, "test", max_output_tokens=100, prices={name: PRICE})
    return Request(ask="What is it?", items=items, model=model, **fields)


def test_counts_calls_tokens_and_the_most_it_can_cost() -> None:
    found = forecast(request("one two three", "four five six"))
    assert found.calls == 2
    assert found.output_tokens == 200
    overhead = prompt_tokens(request("x"))
    assert 2 * overhead < found.input_tokens < 2 * overhead + 40
    # Half as much again as is counted here, and every answer as long as it may be.
    least = Decimal(found.input_tokens * 1 + found.output_tokens * 4) / 10**6
    assert found.max_usd >= least
    assert found.max_usd <= 2 * least


def test_longer_texts_are_not_cheaper() -> None:
    short, long = forecast(request("word " * 10)), forecast(request("word " * 1000))
    assert long.input_tokens >= short.input_tokens + 900
    assert long.max_usd > short.max_usd


def test_item_that_cannot_be_read_is_named_and_costs_nothing(tmp_path: Path) -> None:
    broken = tmp_path / "broken.pdf"
    broken.write_bytes(b"%PDF-1.7 no")
    run = request("fine")
    run = Request(run.ask, (*run.items, Item(key="broken.pdf", source=str(broken))), run.model)
    found = forecast(run)
    assert found.calls == 1
    assert [key for key, _ in found.unreadable] == ["broken.pdf"]
    assert found.to_json()["unreadable"][0]["key"] == "broken.pdf"


def test_model_whose_tokenizer_is_not_known_is_counted_all_the_same() -> None:
    assert forecast(request("word " * 1000, name="groq/openai/gpt-oss-20b")).input_tokens > 900


def test_schema_is_part_of_every_call() -> None:
    shape = Shape({"type": "object", "properties": {f"field_{at}": {} for at in range(50)}})
    assert prompt_tokens(request("x", shape=shape)) > prompt_tokens(request("x")) + 150


def test_ceiling_is_what_the_run_would_have() -> None:
    assert forecast(request("x")).ceiling_usd == 1
    assert forecast(request("x", max_usd=Decimal("0.5"))).ceiling_usd == Decimal("0.5")
    assert forecast(request("x", governor="team")).ceiling_usd is None
    assert forecast(request("x", max_total_tokens=5)).ceiling_usd is None


@given(
    calls=st.integers(1, 500),
    prompt=st.integers(0, 5_000),
    documents=st.integers(0, 10**6),
    output=st.integers(0, 10**6),
)
def test_multiple_is_of_one_agent_that_is_told_the_question_once(
    calls: int, prompt: int, documents: int, output: int
) -> None:
    multiple = cost_multiple(
        PRICE,
        input_tokens=documents + calls * prompt,
        output_tokens=output,
        calls=calls,
        prompt_tokens=prompt,
    )
    alone = documents + prompt + 4 * output
    if alone:
        assert multiple == pytest.approx(
            (documents + calls * prompt + 4 * output) / alone, abs=0.01
        )
    assert multiple >= 1.0


def test_what_costs_nothing_is_no_multiple_of_nothing() -> None:
    free = PriceOverride(input_usd_per_million_tokens=0, output_usd_per_million_tokens=0).price()
    assert cost_multiple(free, input_tokens=9, output_tokens=9, calls=3, prompt_tokens=1) == 1.0
