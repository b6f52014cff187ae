"""A reply that is kept for a replay holds no secret, and is handed out as it is kept."""

import json
from itertools import pairwise

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.blocks.context.scope import Scope, scope
from prefect_governor.blocks.records.calls import Reply
from prefect_governor.blocks.secrets.scrubber import REDACTED
from prefect_governor.blocks.wire.replies.event_stream import MEDIA_TYPE
from prefect_governor.blocks.wire.replies.secrets import Secrets
from tests.unit.blocks.wire.transports import URL, MakeWire, ok
from tests.unit.fakes import chat_events, chat_request, event_stream

KEY = "Wv3-77e1c0de"


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACME_API_KEY", KEY)


def secrets() -> Secrets:
    return Secrets(httpx.Request("POST", URL))


def events(*pieces: str) -> list[bytes]:
    """Of a stream whose answer is these, one in each."""
    made: list[bytes] = []
    for event in chat_events(text=" ".join("abcdefgh"[: len(pieces)])):
        at = len(made)
        if at < len(pieces):
            chunk = json.loads(event.removeprefix(b"data: "))
            chunk["choices"][0]["delta"]["content"] = pieces[at]
            event = b"data: " + json.dumps(chunk).encode() + b"\n\n"
        made.append(event)
    return made


async def test_kept_reply_holds_no_key_and_the_replay_is_the_same(wire: MakeWire) -> None:
    made = wire(ok(text=f"the key is {KEY}!"), ok())
    contents = []
    for _ in range(2):
        with scope(Scope(made.governing, run_id="run", item="a")):
            contents.append((await made.post()).content)
    assert contents[0] == contents[1]
    assert json.loads(contents[0])["choices"][0]["message"]["content"] == (
        f"the key is {REDACTED}!"
    )
    assert len(made.provider.requests) == 1
    (kept,) = made.desk.replies.values()
    assert KEY.encode() not in kept.body


async def test_kept_stream_holds_none_however_its_bytes_are_cut(wire: MakeWire) -> None:
    whole = b"".join(events("the key ", f"is {KEY}", "!"))
    cuts = range(whole.index(KEY.encode()) - 1, whole.index(KEY.encode()) + len(KEY) + 1)
    for cut in cuts:
        made = wire(event_stream([whole[:cut], whole[cut:]]), ok())
        with scope(Scope(made.governing, run_id="run", item="a")):
            got = (await made.post(chat_request(stream=True))).content
        (kept,) = made.desk.replies.values()
        assert kept.body == got.removesuffix(b"data: [DONE]\n\n") or kept.body == got
        assert KEY.encode() not in kept.body and REDACTED.encode() in kept.body
        assert made.desk.outcomes == ["settle"]


async def test_stream_that_brings_one_in_pieces_is_not_kept(wire: MakeWire) -> None:
    made = wire(event_stream(events("it is ", KEY[:5], KEY[5:9], KEY[9:])), ok())
    with scope(Scope(made.governing, run_id="run", item="a")):
        await made.post(chat_request(stream=True))
    assert made.desk.replies == {}
    assert made.desk.outcomes == ["settle"]


async def test_reply_that_holds_none_is_kept_byte_by_byte(wire: MakeWire) -> None:
    whole = b"".join(events("it ", "is ", "nothing"))
    made = wire(event_stream([whole]), ok())
    with scope(Scope(made.governing, run_id="run", item="a")):
        asked = chat_request(stream=True, stream_options={"include_usage": True})
        got = (await made.post(asked)).content
    (kept,) = made.desk.replies.values()
    assert isinstance(kept, Reply)
    assert got == whole and whole.startswith(kept.body)


async def test_what_is_not_kept_goes_to_its_caller_as_it_came(wire: MakeWire) -> None:
    made = wire(ok(text=f"the key is {KEY}!"))
    with scope(Scope(made.governing)):
        reply = await made.post()
    assert KEY in reply.text


def test_message_with_checksums_is_left_whole_and_told_of() -> None:
    message = b"\0\0\0\x10" + KEY.encode() + b"\x01\x02\x03\x04"
    assert MEDIA_TYPE == "application/vnd.amazon.eventstream"
    assert secrets().are_in(message)
    assert not secrets().are_in(message.replace(KEY.encode(), b"nothing"))


@given(cuts=st.sets(st.integers(1, len(KEY) - 1)), ndjson=st.booleans())
def test_key_in_whatever_pieces_is_found(cuts: set[int], ndjson: bool) -> None:
    ends = [0, *sorted(cuts), len(KEY)]
    pieces = [KEY[first:last] for first, last in pairwise(ends)]
    lines = [json.dumps({"delta": {"text": piece}, "at": at}) for at, piece in enumerate(pieces)]
    body = "\n".join(line if ndjson else f"data: {line}\n" for line in lines).encode()
    assert secrets().are_in(body)
    assert not secrets().are_in(body.replace(KEY[:1].encode(), b"_"))
