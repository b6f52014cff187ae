"""What a response was billed for, whole and streamed: read as it is, or not at all."""

import itertools
import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.blocks.wire.dialects.openai.responses import OpenAIResponses
from prefect_governor.blocks.wire.requests.plans import Billed
from tests.unit.blocks.wire.dialects.openai.plans import response_plan as plan

DIALECT = OpenAIResponses()


def usage(inputs: int = 10, outputs: int = 5, **more: Any) -> dict[str, Any]:
    return {"input_tokens": inputs, "output_tokens": outputs, **more}


def response(**fields: Any) -> dict[str, Any]:
    return {"id": "resp_1", "object": "response", "status": "completed", "output": [], **fields}


def read(**fields: Any) -> Billed | None:
    return DIALECT.read(json.dumps(response(**fields)).encode())


def test_usage_is_read_with_its_cached_written_and_thought_tokens() -> None:
    found = read(
        service_tier="priority",
        usage=usage(
            100, 50, total_tokens=150,
            input_tokens_details={"cached_tokens": 40, "cache_write_tokens": 10},
            output_tokens_details={"reasoning_tokens": 30},
        ),
    )  # fmt: skip
    assert found is not None
    parts = found.parts
    assert (parts.input_tokens, parts.output_tokens) == (100, 50)
    assert (parts.cached_input_tokens, parts.cache_write_tokens, parts.reasoning_tokens) == (
        40, 10, 30,
    )  # fmt: skip
    assert found.service_tier == "priority"
    assert not found.cut


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"usage": None},
        {"usage": usage(0, 5)},
        {"usage": usage(-1, 5)},
        {"usage": {"input_tokens": 10}},
        {"usage": {"input_tokens": True, "output_tokens": 1}},
        {"usage": usage(), "status": "in_progress"},
        {"usage": usage(), "status": "queued"},
    ],
)
def test_reply_whose_bill_cannot_be_trusted_is_none(fields: dict[str, Any]) -> None:
    assert read(**fields) is None


def test_answer_that_stopped_at_its_limit_is_billed_and_said_to_be_cut() -> None:
    found = read(
        status="incomplete", incomplete_details={"reason": "max_output_tokens"}, usage=usage()
    )
    assert found is not None and found.cut
    filtered = read(
        status="incomplete", incomplete_details={"reason": "content_filter"}, usage=usage()
    )
    assert filtered is not None and not filtered.cut


def test_broken_replies_are_none() -> None:
    for body in (b"", b"{", b"[]", b"null", b"[" * 100_000):
        assert DIALECT.read(body) is None


# The stream


def event(kind: str, **fields: Any) -> bytes:
    data = {"type": kind, **fields}
    return f"event: {kind}\ndata: {json.dumps(data)}\n\n".encode()


def run(pieces: Iterable[bytes]) -> tuple[bytes, list[Billed | None]]:
    reader = DIALECT.stream(plan(stream=True))
    shown, after = b"", []
    for piece in pieces:
        shown += reader.feed(piece)
        after.append(reader.finished())
    return shown + reader.flush(), [*after, reader.finished()]


STARTED = event("response.created", response=response(status="in_progress", usage=None))
DELTA = event("response.output_text.delta", delta='say "response.completed"')


@pytest.mark.parametrize("kind", ["completed", "incomplete", "failed"])
def test_stream_settles_on_the_event_that_ends_it_and_not_before(kind: str) -> None:
    end = event(f"response.{kind}", response=response(status=kind, usage=usage()))
    shown, after = run([STARTED, DELTA, end])
    assert shown == STARTED + DELTA + end
    assert after[:2] == [None, None]
    assert after[2] is not None and after[2].parts.input_tokens == 10


@pytest.mark.parametrize(
    "end",
    [
        b"",
        event("response.completed", response=response(usage=None)),
        event("response.failed", response=response(status="failed", usage=None)),
        event("error", message="response.completed"),
        event("response.output_item.done", response=response(usage=usage())),
        b"data: [DONE]\n\n",
        b'data: {"type": "response.completed", "response": {"usage": \n\n',
    ],
)
def test_stream_without_its_end_or_its_usage_is_never_settled(end: bytes) -> None:
    shown, after = run([STARTED, DELTA, end])
    assert shown == STARTED + DELTA + end
    assert after == [None] * len(after)


@given(st.data())
def test_stream_is_read_the_same_however_it_is_cut(data: st.DataObject) -> None:
    whole = STARTED + DELTA + event("response.completed", response=response(usage=usage()))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(whole)), max_size=8)))
    edges = [0, *cuts, len(whole)]
    shown, after = run([whole[a:b] for a, b in itertools.pairwise(edges)])
    assert shown == whole
    assert after[-1] is not None
