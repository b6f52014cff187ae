"""A provider that quotes the key of a request does not get it into anybody's errors."""

import json
import re
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.blocks.context.scope import Scope, scope
from prefect_governor.blocks.secrets.scrubber import REDACTED
from prefect_governor.blocks.wire.replies.secrets import Secrets
from prefect_governor.blocks.wire.transport import GovernedAsyncTransport, GovernedTransport
from tests.unit.blocks.wire.transports import URL
from tests.unit.fakes import FakeGoverning, FakeProvider, chat_events, chat_request, event_stream

# Keys that no pattern knows.
KEY = "abcDEF123"
HEADERS = [
    {"Authorization": f"Bearer {KEY}"},
    {"authorization": KEY},
    {"X-Api-Key": KEY},
    {"api-key": f" {KEY} "},
    {"x-goog-api-key": KEY},
]


def refusal(status: int) -> httpx.Response:
    return httpx.Response(
        status,
        headers={"x-refused": f"key {KEY}", "content-type": "application/json"},
        json={"error": {"message": f"Incorrect API key provided: {KEY}. {KEY}!"}},
        extensions={"reason_phrase": f"No {KEY}".encode()},
    )


async def answered(
    kind: str, reply: httpx.Response, headers: dict[str, str], method: str = "POST", **fields: Any
) -> httpx.Response:
    provider = FakeProvider([reply])
    body = json.dumps(chat_request(**fields)).encode() if method == "POST" else None
    with scope(Scope(FakeGoverning())):
        if kind == "async":
            transport = GovernedAsyncTransport(provider)
            async with httpx.AsyncClient(transport=transport) as client:
                return await client.request(method, URL, content=body, headers=headers)
        with httpx.Client(transport=GovernedTransport(provider)) as blocking:
            return blocking.request(method, URL, content=body, headers=headers)


def assert_clean(reply: httpx.Response) -> None:
    assert KEY not in reply.text
    assert REDACTED in reply.text
    assert KEY not in str(reply.headers)
    with pytest.raises(httpx.HTTPStatusError) as raised:
        reply.raise_for_status()
    assert KEY not in str(raised.value)
    assert int(reply.headers["content-length"]) == len(reply.content)


@pytest.mark.parametrize("headers", HEADERS)
@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_key_that_is_echoed_is_not_handed_out(kind: str, headers: dict[str, str]) -> None:
    assert_clean(await answered(kind, refusal(401), headers))


@pytest.mark.parametrize("status", [400, 403, 404, 499, 500, 503])
async def test_every_error_is_cleaned_and_of_a_stream_too(status: int) -> None:
    assert_clean(await answered("async", refusal(status), HEADERS[0]))
    assert_clean(await answered("sync", refusal(status), HEADERS[0], stream=True))


async def test_spent_quota_is_cleaned_and_still_known() -> None:
    reply = httpx.Response(429, json={"error": {"code": "insufficient_quota", "message": KEY}})
    got = await answered("sync", reply, HEADERS[0])
    assert got.json() == {"error": {"code": "insufficient_quota", "message": "[redacted]"}}


async def test_what_costs_nothing_is_cleaned_too() -> None:
    assert_clean(await answered("async", refusal(401), HEADERS[0], "GET"))
    fine = await answered("async", httpx.Response(200, json={"data": [KEY]}), HEADERS[0], "GET")
    assert fine.json() == {"data": [KEY]}


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_error_within_a_stream_is_cleaned_however_it_is_cut(kind: str) -> None:
    told = b'data: {"error": {"message": "bad key ' + KEY.encode() + b'"}}\n\n'
    words, *_ = chat_events(text="hello")
    for cut in range(1, len(told)):
        reply = event_stream([words, told[:cut], told[cut:]])
        got = await answered(kind, reply, HEADERS[0], stream=True)
        assert KEY not in got.text
        assert "hello" in got.text


async def test_error_that_comes_as_a_200_is_cleaned() -> None:
    reply = httpx.Response(200, json={"error": {"message": f"no {KEY}"}})
    got = await answered("sync", reply, HEADERS[0])
    assert got.json() == {"error": {"message": "no [redacted]"}}


async def test_word_of_an_answer_that_is_also_the_key_stays() -> None:
    events = chat_events(text="ollama runs ollama")
    got = await answered(
        "async", event_stream(events), {"authorization": "Bearer ollama"}, stream=True
    )
    assert got.text.count("ollama") == 2


async def test_reply_that_says_that_there_was_no_error_stays() -> None:
    said = {"error": None, "output": [KEY], "status": "completed"}
    got = await answered("sync", httpx.Response(200, json=said), HEADERS[0])
    assert got.json() == said


async def test_word_in_an_error_that_is_also_the_key_stays() -> None:
    for word in ("ollama", "lm-studio", "not-needed", "sk-1234"):
        told = {"error": {"message": f"{word} has no such model"}}
        got = await answered("sync", httpx.Response(404, json=told), {"x-api-key": word})
        assert got.json() == told


@pytest.mark.parametrize("name", ["key", "api-key", "access_token", "sig"])
def test_key_in_the_query_is_a_secret_as_one_in_a_header(name: str) -> None:
    key = "AIza/Sy+Dd9 x"
    request = httpx.Request("POST", URL, params={name: key, "alt": "sse"})
    told = f"{request.url}: {key} is not valid; sse".encode()
    left = Secrets(request).out_of_body(told, status=400)
    assert key.encode() not in left and b"AIza" not in left
    assert left.endswith(b"sse")
    assert (
        Secrets(request).fingerprint
        == Secrets(httpx.Request("POST", URL, headers={"x-goog-api-key": key})).fingerprint
    )


def cleaned(key: str, data: bytes) -> bytes:
    return Secrets(httpx.Request("POST", URL, headers={"x-api-key": key})).out_of(data)


@given(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=60).filter(
        lambda key: re.fullmatch("[a-z_-]+", key) is None
    )
)
def test_no_key_survives_as_it_stands_or_as_json_writes_it(key: str) -> None:
    body = json.dumps({"message": f"key: {key}"}).encode()
    slashes = body.replace(b"/", rb"\/")
    for written in (key.encode(), body, slashes):
        assert REDACTED.encode() in cleaned(key, written)
        left = cleaned(key, written).replace(REDACTED.encode(), b"")
        assert key.encode() not in left


def test_placeholder_too_short_to_be_a_key_is_left_alone() -> None:
    assert cleaned("x", b"next x") == b"next x"


def test_reply_to_a_request_without_a_key_is_left_alone() -> None:
    assert Secrets(httpx.Request("GET", URL)).out_of(b"as it is") == b"as it is"
