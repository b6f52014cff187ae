"""Anthropic's messages: the bound, and what the reply was billed for."""

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.blocks.errors import NotGoverned
from prefect_governor.blocks.records.accepted import Accepted
from prefect_governor.blocks.wire.dialects import dialect_of, is_free
from prefect_governor.blocks.wire.dialects.anthropic.messages import AnthropicMessages
from prefect_governor.blocks.wire.requests.plans import Billed, CallPlan
from tests.unit.blocks.wire.dialects.exchange import fed, planned
from tests.unit.prices import priced

DIALECT = AnthropicMessages()
CACHED = {"type": "text", "text": "long", "cache_control": {"type": "ephemeral", "ttl": "1h"}}


def plan(model: str = "claude-sonnet-4-5", **fields: Any) -> CallPlan:
    body = {
        "model": model,
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "What is it?"}],
        **fields,
    }
    return planned(DIALECT, body, model=model)


def usage(**counts: Any) -> dict[str, Any]:
    return {"input_tokens": 10, "output_tokens": 5, **counts}


def read(counts: Any, **more: Any) -> Billed | None:
    return DIALECT.read(json.dumps({"type": "message", "usage": counts, **more}).encode())


def events(*, delta: dict[str, Any] | None, start: Any = None, stop: bool = True) -> list[bytes]:
    start = usage(output_tokens=1) if start is None else start
    data: list[dict[str, Any]] = [
        {"type": "message_start", "message": {"id": "m", "usage": start}},
        {"type": "ping"},
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "é"}},
    ]
    if delta is not None:
        reason = {"stop_reason": "end_turn"}
        data.append({"type": "message_delta", "delta": reason, "usage": delta})
    if stop:
        data.append({"type": "message_stop"})
    return [f"event: {each['type']}\ndata: {json.dumps(each)}\n\n".encode() for each in data]


def test_paths_that_end_so_are_known_and_what_counts_tokens_is_free() -> None:
    assert isinstance(dialect_of("POST", "/v1/messages"), AnthropicMessages)
    assert isinstance(dialect_of("POST", "/anthropic/v1/messages/"), AnthropicMessages)
    assert is_free("POST", "/v1/messages/count_tokens")
    assert is_free("GET", "/v1/messages")
    assert not is_free("POST", "/v1/messages")
    for path in ("/v1/messages/batches", "/v1/complete", "/messages", "/v1/files"):
        assert not is_free("POST", path)
        with pytest.raises(NotGoverned, match=path):
            dialect_of("POST", path)


# The bound


def test_bound_is_the_bytes_and_the_max_tokens() -> None:
    made = plan(system="Be brief.")
    assert len(made.body) < made.input_tokens < len(made.body) + 100
    assert (made.output_tokens, made.output_limit) == (100, 100)
    assert json.loads(made.body)["system"] == "Be brief."


def test_cache_that_is_asked_for_is_bounded_at_the_dearest_write() -> None:
    price = priced("claude-sonnet-4-5")
    plain, cached = plan(), plan(system=[CACHED])
    assert not plain.cache_writes and cached.cache_writes
    assert cached.bound(price).nano == round(cached.input_tokens * 6000 + 100 * 15000)
    assert plan(cache_control={"type": "ephemeral"}).cache_writes
    assert not plan(system='Say {"cache_control": 1}').cache_writes


def test_region_left_to_the_workspace_is_bounded_at_the_dearer_one() -> None:
    price = priced("claude-sonnet-4-6")
    left, world = plan("claude-sonnet-4-6"), plan("claude-sonnet-4-6", inference_geo="global")
    here = plan("claude-sonnet-4-6", inference_geo="us")
    assert "inference_geo" not in json.loads(left.body)
    assert left.bound(price).nano == pytest.approx(1.1 * left.input_tokens * 3000 + 1650000)
    assert here.service_tier == left.service_tier == "us"
    assert world.bound(price).nano == world.input_tokens * 3000 + 1500000
    assert plan().service_tier == "default"


@pytest.mark.parametrize("tier", ["auto", "standard_only"])
def test_service_tiers_that_cost_the_same_are_let_through(tier: str) -> None:
    assert json.loads(plan(service_tier=tier).body)["service_tier"] == tier


def test_thoughts_are_within_max_tokens_and_fitting_leaves_them_room() -> None:
    made = plan(thinking={"type": "enabled", "budget_tokens": 60})
    assert (made.output_tokens, made.least_output_tokens) == (100, 61)
    assert plan(thinking={"type": "adaptive"}).least_output_tokens == 1
    assert plan(stream=True).least_output_tokens == 1


def test_fitted_plan_is_sent_with_the_smaller_limit() -> None:
    made = DIALECT.refit(plan(), 40)
    assert json.loads(made.body)["max_tokens"] == made.output_tokens == made.output_limit == 40


def test_instructions_that_the_provider_adds_are_part_of_the_bound() -> None:
    bare = plan().input_tokens
    assert plan(tools=[{"name": "f", "input_schema": {}}]).input_tokens > bare + 530
    schema = {"format": {"type": "json_schema", "schema": {"type": "object"}}}
    assert plan(output_config=schema).input_tokens > bare + 1000
    assert plan(output_config={"effort": "low"}).input_tokens < bare + 100


# Replies


def test_input_is_the_sum_of_what_was_fresh_read_and_written() -> None:
    billed = read(usage(cache_read_input_tokens=300, cache_creation_input_tokens=40))
    assert billed is not None
    parts = billed.parts
    assert (parts.input_tokens, parts.output_tokens) == (350, 5)
    assert (parts.cached_input_tokens, parts.cache_write_tokens) == (300, 40)


@pytest.mark.parametrize(
    ("lives", "nano"),
    [
        # 10 fresh at 3,000 nano-dollars, 40 written for minutes at 3,750, for an hour at 6,000.
        ({"ephemeral_5m_input_tokens": 40, "ephemeral_1h_input_tokens": 0}, 30000 + 150000),
        ({"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 40}, 30000 + 240000),
        ({"ephemeral_5m_input_tokens": 30, "ephemeral_1h_input_tokens": 10}, 30000 + 172500),
        # It does not add up, or is not there: never understated.
        ({"ephemeral_5m_input_tokens": 41, "ephemeral_1h_input_tokens": 0}, 30000 + 240000),
        (None, 30000 + 240000),
    ],
)
def test_what_was_written_to_a_cache_costs_what_its_life_does(lives: Any, nano: int) -> None:
    billed = read(usage(output_tokens=0, cache_creation_input_tokens=40, cache_creation=lives))
    assert billed is not None
    assert billed.usage(priced("claude-sonnet-4-5"), plan()).nano == nano


@pytest.mark.parametrize(
    ("region", "factor"), [("us", "1.1"), ("global", "1"), ("not_available", "1"), (None, "1.1")]
)
def test_region_of_the_reply_is_what_is_settled(region: str | None, factor: str) -> None:
    billed = read(usage(inference_geo=region))
    assert billed is not None
    made = plan("claude-sonnet-4-6")
    nano = billed.usage(priced("claude-sonnet-4-6"), made).nano
    assert nano == Decimal(factor) * (10 * 3000 + 5 * 15000)


@pytest.mark.parametrize(
    "counts",
    [
        None,
        [],
        {},
        {"input_tokens": 10},
        {"output_tokens": 10},
        {"input_tokens": "10", "output_tokens": 5},
        {"input_tokens": -1, "output_tokens": 5},
        {"input_tokens": True, "output_tokens": 5},
        {"input_tokens": 0, "output_tokens": 5},
        usage(speed="fast"),
        usage(server_tool_use={"code_execution_requests": 2}),
    ],
)
def test_usage_that_cannot_be_is_none_at_all(counts: Any) -> None:
    assert read(counts) is None


def test_input_that_was_all_in_a_cache_is_a_usage() -> None:
    billed = read(usage(input_tokens=0, cache_read_input_tokens=7, server_tool_use=None))
    assert billed is not None and billed.parts.input_tokens == 7


@pytest.mark.parametrize(
    ("reason", "cut"),
    [("end_turn", False), ("max_tokens", True), ("model_context_window_exceeded", True)],
)
def test_answer_that_stopped_at_its_limit_says_so(reason: str, cut: bool) -> None:
    billed = read(usage(), stop_reason=reason)
    assert billed is not None and billed.cut is cut


# Streams


@given(size=st.integers(1, 60), crlf=st.booleans())
def test_usage_is_found_wherever_the_stream_is_cut(size: int, crlf: bool) -> None:
    whole = b"".join(events(delta={"output_tokens": 9}))
    whole = whole.replace(b"\n", b"\r\n") if crlf else whole
    reader = DIALECT.stream(plan(stream=True))
    assert fed(reader, whole, size) == whole
    billed = reader.finished()
    assert billed is not None
    assert (billed.parts.input_tokens, billed.parts.output_tokens) == (10, 9)


def test_end_of_the_answer_is_shown_with_the_end_of_the_stream() -> None:
    *first, delta, stop = events(delta={"output_tokens": 9})
    reader = DIALECT.stream(plan(stream=True))
    assert reader.feed(b"".join(first)) == b"".join(first)
    assert reader.feed(delta) == b"" and reader.finished() is None
    assert reader.feed(stop) == delta + stop and reader.finished() is not None
    cut = DIALECT.stream(plan(stream=True))
    cut.feed(b"".join([*first, delta]))
    assert cut.flush() == delta and cut.finished() is None
    *first, delta, stop = events(delta={})
    bare = DIALECT.stream(plan(stream=True))
    assert bare.feed(b"".join([*first, delta, stop])) == b"".join(first)
    assert bare.flush() == delta + stop and bare.finished() is None


def test_counts_of_the_delta_replace_those_of_the_start() -> None:
    reader = DIALECT.stream(plan(stream=True))
    delta = {"input_tokens": 12, "output_tokens": 9, "cache_read_input_tokens": None}
    start = usage(cache_read_input_tokens=30, inference_geo="us")
    reader.feed(b"".join(events(start=start, delta=delta)))
    billed = reader.finished()
    assert billed is not None and billed.service_tier == "us"
    assert (billed.parts.input_tokens, billed.parts.cached_input_tokens) == (42, 30)


@pytest.mark.parametrize(
    "cut",
    [
        events(delta={"output_tokens": 9}, stop=False),
        # The start's count of output is of its first words only.
        events(delta=None),
        events(delta={"output_tokens": 9}, start={}),
        [*events(delta=None, stop=False), b'data: {"type": "error", "error": {}}\n\n'],
    ],
)
def test_stream_without_its_end_or_its_usage_confirms_nothing(cut: list[bytes]) -> None:
    reader = DIALECT.stream(plan(stream=True))
    reader.feed(b"".join(cut))
    reader.flush()
    assert reader.finished() is None


# Vertex AI

VERTEX = "/v1/projects/p/locations/global/publishers/anthropic/models/claude-haiku-4-5@20251001"


@pytest.mark.parametrize(("verb", "streamed"), [("rawPredict", False), ("streamRawPredict", True)])
def test_at_vertex_the_path_names_the_model_and_whether_it_streams(
    verb: str, streamed: bool
) -> None:
    path = f"{VERTEX}:{verb}"
    assert isinstance(dialect_of("POST", path), AnthropicMessages)
    body = {
        "anthropic_version": "vertex-2023-10-16",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": "What is it?"}],
    }
    asked = DIALECT.open(json.dumps(body).encode(), path=path)
    assert (asked.model, asked.streamed) == ("claude-haiku-4-5@20251001", streamed)
    made = planned(DIALECT, body, model=f"vertex_ai/{asked.model}", path=path)
    assert made.streamed is streamed
    assert made.least_output_tokens == 1
    assert "model" not in json.loads(made.body)


def test_other_publishers_of_vertexs_are_no_messages_and_its_count_of_tokens_is_free() -> None:
    with pytest.raises(NotGoverned):
        dialect_of("POST", VERTEX.replace("anthropic", "mistralai") + ":rawPredict")
    assert is_free("POST", VERTEX.rpartition("/")[0] + "/count-tokens:rawPredict")
    assert not is_free("POST", f"{VERTEX}:rawPredict")


def test_window_that_the_body_widens_bounds_what_nobody_sees() -> None:
    part = {"type": "document", "source": {"type": "url", "url": "https://x.test/y.pdf"}}
    body: Any = {"max_tokens": 100, "messages": [{"role": "user", "content": [part]}]}
    price = priced("vertex_ai/claude-haiku-4-5@20251001")
    assert price.context_tokens == 200_000

    def inputs(**more: Any) -> int:
        asked = DIALECT.open(json.dumps({**body, **more}).encode(), path=f"{VERTEX}:rawPredict")
        asked = replace(asked, accepted=Accepted(unseen=True))
        return DIALECT.plan(asked, price=price, encoding=None).input_tokens

    assert (inputs(), inputs(anthropic_beta=["context-1m-2025-08-07"])) == (200_000, 1_000_000)
