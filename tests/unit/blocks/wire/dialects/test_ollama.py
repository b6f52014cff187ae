"""Ollama's own API: what is asked for costs nothing, and its counts are read all the same."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.blocks.prices.prices import load_price
from prefect_governor.blocks.wire.dialects import dialect_of, is_free
from prefect_governor.blocks.wire.dialects.ollama import Ollama
from prefect_governor.blocks.wire.requests.plans import CallPlan
from tests.unit.blocks.wire.dialects.exchange import fed, planned
from tests.unit.prices import priced


def ollama(**fields: Any) -> CallPlan:
    body = {"model": "any", "prompt": "x", "options": {"num_predict": 20}, **fields}
    return planned(Ollama(), body, model="ollama/any")


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate", "/proxy/api/chat"])
def test_ollamas_paths_are_known(path: str) -> None:
    assert isinstance(dialect_of("POST", path), Ollama)
    assert is_free("POST", "/api/show")


def test_model_of_ones_own_machine_costs_nothing_unless_a_price_says_so() -> None:
    price = priced("ollama/nobody-knows-it")
    made = ollama()
    assert made.bound(price).nano == 0
    assert made.bound(price).tokens > 20
    assert load_price("nobody-knows-it") is None


def test_ollama_streams_unless_it_is_told_not_to() -> None:
    assert ollama().streamed and ollama().least_output_tokens == 1
    whole = ollama(stream=False)
    assert not whole.streamed and whole.least_output_tokens == 1
    assert json.loads(Ollama().refit(whole, 6).body)["options"]["num_predict"] == 6


def test_counts_of_a_whole_reply() -> None:
    reply = {"done": True, "done_reason": "length", "prompt_eval_count": 7, "eval_count": 20}
    billed = Ollama().read(json.dumps(reply).encode())
    assert billed is not None
    assert (billed.parts.input_tokens, billed.parts.output_tokens, billed.cut) == (7, 20, True)
    assert Ollama().read(json.dumps({**reply, "done": False}).encode()) is None
    assert Ollama().read(json.dumps({**reply, "prompt_eval_count": None}).encode()) is None


@given(size=st.integers(1, 70), ended=st.booleans())
def test_lines_are_read_wherever_the_stream_is_cut(size: int, ended: bool) -> None:
    lines = [
        {"response": "one", "done": False},
        {"response": "", "done": True, "prompt_eval_count": 7, "eval_count": 3},
    ]
    whole = b"\n".join(json.dumps(each).encode() for each in lines) + (b"\n" if ended else b"")
    reader = Ollama().stream(ollama())
    assert fed(reader, whole, size) == whole
    billed = reader.finished()
    assert billed is not None and billed.parts.output_tokens == 3


def test_lines_without_the_last_one_confirm_nothing() -> None:
    reader = Ollama().stream(ollama())
    fed(reader, b'{"response": "one", "done": false}\n{"response": "t', 9)
    assert reader.finished() is None
