"""What Bedrock's replies say was billed: whole, in AWS's event streams, and where they break."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.blocks.wire.dialects.bedrock.converse import Converse
from prefect_governor.blocks.wire.dialects.bedrock.converse_replies import ConverseStream
from prefect_governor.blocks.wire.dialects.bedrock.invoke import InvokeStream
from prefect_governor.blocks.wire.requests.plans import StreamReader
from tests.provider.families.bedrock import event, message
from tests.unit.blocks.wire.dialects.exchange import fed

USAGE = {"inputTokens": 9, "outputTokens": 3, "totalTokens": 12}
DELTA = event("contentBlockDelta", contentBlockIndex=0, delta={"text": "words"})
STOP = event("messageStop", stopReason="max_tokens")
METADATA = event("metadata", usage=USAGE, metrics={"latencyMs": 1})
STREAM = event("messageStart", role="assistant") + DELTA + STOP + METADATA


def chunk(**data: Any) -> bytes:
    return event("chunk", bytes=base64.b64encode(json.dumps(data).encode()).decode(), p="ab")


START = {"type": "message_start", "message": {"usage": {"input_tokens": 9, "output_tokens": 1}}}
INVOKED = (
    chunk(**START)
    + chunk(type="content_block_delta", index=0, delta={"type": "text_delta", "text": "words"})
    + chunk(type="message_delta", delta={"stop_reason": "max_tokens"}, usage={"output_tokens": 3})
)
INVOKED_STOP = chunk(type="message_stop", **{"amazon-bedrock-invocationMetrics": {}})
READERS = {"converse": (ConverseStream, STREAM), "invoke": (InvokeStream, INVOKED + INVOKED_STOP)}


@given(size=st.integers(1, 400), name=st.sampled_from(sorted(READERS)))
def test_stream_in_any_pieces_is_shown_as_it_came_and_read(size: int, name: str) -> None:
    make, whole = READERS[name]
    reader: StreamReader = make()
    assert fed(reader, whole, size) == whole
    billed = reader.finished()
    assert billed is not None
    assert (billed.parts.input_tokens, billed.parts.output_tokens, billed.cut) == (9, 3, True)


@pytest.mark.parametrize("name", sorted(READERS))
def test_every_cut_of_a_stream_is_no_bill_and_loses_no_byte(name: str) -> None:
    make, whole = READERS[name]
    for end in range(0, len(whole), 7):
        reader = make()
        assert fed(reader, whole[:end], 50) == whole[:end]
        assert reader.finished() is None


@pytest.mark.parametrize(
    ("make", "before", "after"),
    [(ConverseStream, STREAM[: -len(METADATA)], METADATA), (InvokeStream, INVOKED, INVOKED_STOP)],
)
def test_reason_of_the_end_is_held_back_until_the_bill_is_there(
    make: type[StreamReader], before: bytes, after: bytes
) -> None:
    reader = make()
    shown = reader.feed(before)
    assert len(shown) < len(before)
    assert shown + reader.feed(after) == before + after


@pytest.mark.parametrize("name", sorted(READERS))
def test_checksum_that_does_not_hold_is_no_bill_and_the_bytes_pass(name: str) -> None:
    make, whole = READERS[name]
    broken = bytearray(whole)
    broken[len(whole) // 2] ^= 1
    reader = make()
    assert fed(reader, bytes(broken), 64) == bytes(broken)
    assert reader.finished() is None


@pytest.mark.parametrize("name", sorted(READERS))
def test_exception_in_a_stream_is_no_bill_whatever_comes_after_it(name: str) -> None:
    make, whole = READERS[name]
    said = message("modelStreamErrorException", b'{"message": "no"}', exception=True)
    reader = make()
    assert fed(reader, said + whole, 100) == said + whole
    assert reader.finished() is None


def test_metadata_without_a_usage_is_no_bill() -> None:
    reader = ConverseStream()
    whole = DELTA + STOP + event("metadata", metrics={"latencyMs": 1})
    assert fed(reader, whole, 100) == whole
    assert reader.finished() is None
    # Neither is one that comes before the answer's end.
    early = ConverseStream()
    early.feed(DELTA + METADATA)
    assert early.finished() is None


def read(**said: Any) -> Any:
    return Converse().read(json.dumps({"stopReason": "end_turn", **said}).encode())


def test_cached_and_written_tokens_are_parts_of_the_input() -> None:
    details = [{"ttl": "1h", "inputTokens": 4}, {"ttl": "5m", "inputTokens": 16}]
    usage = {**USAGE, "cacheReadInputTokens": 100, "cacheWriteInputTokens": 20}
    parts = read(usage={**usage, "cacheDetails": details}).parts
    assert (parts.input_tokens, parts.cached_input_tokens) == (129, 100)
    assert (parts.cache_write_tokens, parts.cache_write_short_tokens) == (20, 16)
    # What does not add up is billed as written for an hour.
    assert read(usage={**usage, "cacheDetails": details[:1]}).parts.cache_write_short_tokens == 0
    assert read(usage=usage).parts.cache_write_short_tokens == 0


def test_tier_of_the_reply_is_what_is_billed() -> None:
    assert read(usage=USAGE).service_tier is None
    assert read(usage=USAGE, serviceTier={"type": "flex"}).service_tier == "flex"


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"usage": None},
        {"usage": {"outputTokens": 3}},
        {"usage": {**USAGE, "inputTokens": -1}},
        {"usage": {**USAGE, "inputTokens": 0}},
        {"usage": {**USAGE, "outputTokens": True}},
        {"usage": USAGE, "performanceConfig": {"latency": "optimized"}},
    ],
)
def test_usage_that_cannot_be_is_not_believed(said: dict[str, Any]) -> None:
    assert read(**said) is None
