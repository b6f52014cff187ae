"""A text that is too long is refused before it is counted, and what is counted holds no loop."""

import asyncio
import time

import pytest

from prefect_governor.blocks.errors import ItemFailed
from prefect_governor.blocks.models.choice import ModelChoice
from prefect_governor.blocks.prices.prices import Price
from prefect_governor.blocks.prices.tokens import count_tokens
from prefect_governor.flows.items.parts import MAX_PARTS, parts_beside, parts_of
from tests.unit.prices import PRICE

MODEL = "openai/gpt-4o-mini"
LINE = "2026-11-30T17:00:00.123Z INFO worker-17 request 8f3a2c1e took 0.0231 s, status 200\n"


def chosen(context: int = 128_000) -> ModelChoice:
    price = Price(PRICE.standard, context_tokens=context)
    return ModelChoice(MODEL, "test", max_output_tokens=1_024, prices={MODEL: price})


def test_a_log_of_12_mb_is_refused_in_milliseconds_with_what_would_help() -> None:
    text = LINE * (12_000_000 // len(LINE))
    # The tokenizer is read once.
    assert count_tokens("text", "o200k_base") == 1
    began = time.process_time()
    with pytest.raises(ItemFailed) as caught:
        parts_of(chosen(), text)
    # To count it whole takes some 3 s.
    assert time.process_time() - began < 0.5
    said = str(caught.value)
    assert MODEL in said
    assert "cut it into smaller files" in said
    assert "\n" not in said


def test_what_only_a_count_can_tell_is_refused_all_the_same() -> None:
    room = 8_000 - 1_024 - 2_000
    text = "word " * (room * MAX_PARTS * 5 // 6)
    with pytest.raises(ItemFailed, match=f"over the {MAX_PARTS} parts"):
        parts_of(chosen(8_000), text)


def test_a_text_of_few_tokens_and_many_bytes_is_not_refused_by_its_bytes() -> None:
    text = " " * 500_000
    assert "".join(parts_of(chosen(), text)) == text


def test_counting_a_long_text_lets_the_loop_go_on() -> None:
    text = LINE * (150_000 // len(LINE))

    async def looked() -> tuple[float, list[str]]:
        longest = 0.0
        splitting = asyncio.create_task(parts_beside(chosen(16_000), text))
        while not splitting.done():
            before = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - before)
        return longest, await splitting

    began = time.process_time()
    longest, parts = asyncio.run(looked())
    assert "".join(parts) == text
    assert len(parts) > 1
    # On the loop it would be all of it.
    assert longest < (time.process_time() - began) / 3
