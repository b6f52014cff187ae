"""What a status means for money, by the word of whose host it is."""

import httpx
import pytest

from prefect_governor.blocks.context.scope import Scope, scope
from prefect_governor.blocks.wire.replies.statuses import WORDS, outcome_of_status
from tests.unit.blocks.wire.transports import MakeWire
from tests.unit.fakes import chat_reply, chat_request

OPENAI = "https://api.openai.com/v1/chat/completions"
AZURE = "https://ours.openai.azure.com/openai/deployments/gpt-4o-mini/chat/completions"
GEMINI = "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions"
FILTERED = {"error": {"code": "content_filter", "message": "filtered", "status": 400}}


@pytest.mark.parametrize("status", [301, 400, 401, 402, 403, 404, 413, 422, 429, 451])
def test_refusal_is_provably_not_billed(status: int) -> None:
    assert outcome_of_status(status) == "void"


@pytest.mark.parametrize("status", [101, 200, 204, 408, 409, 499, 500, 502, 503, 504, 529])
def test_answer_that_may_follow_a_billed_call_stays_charged(status: int) -> None:
    assert outcome_of_status(status) == "unconfirm"


@pytest.mark.parametrize("provider", [None, "openai", "anthropic", "openrouter", "unheard-of"])
def test_whoever_says_nothing_is_read_carefully(provider: str | None) -> None:
    for status in range(100, 600):
        assert outcome_of_status(status, provider) == outcome_of_status(status)


def test_every_word_says_something_and_where_it_stands() -> None:
    for provider, word in WORDS.items():
        assert not word.billed & word.not_billed
        for status in word.billed:
            assert outcome_of_status(status, provider) == "unconfirm"
        for status in word.not_billed:
            assert outcome_of_status(status, provider) == "void"
        host, _, path = word.page.partition("/")
        assert "." in host and path


@pytest.mark.parametrize(
    ("url", "model", "reply", "outcome"),
    [
        (OPENAI, "gpt-4o-mini", httpx.Response(400, json=FILTERED), "void"),
        (AZURE, "gpt-4o-mini", httpx.Response(400, json=FILTERED), "unconfirm"),
        (AZURE, "gpt-4o-mini", httpx.Response(401, json={"error": {}}), "void"),
        # What it says was used is what it bills.
        (
            AZURE,
            "gpt-4o-mini",
            httpx.Response(400, json={**FILTERED, **chat_reply(7, 0)}),
            "settle",
        ),
        (OPENAI, "gpt-4o-mini", httpx.Response(400, json={**FILTERED, **chat_reply()}), "void"),
        (GEMINI, "gemini-2.5-flash-lite", httpx.Response(400, json=[FILTERED]), "void"),
        (GEMINI, "gemini-2.5-flash-lite", httpx.Response(503, json=[{"error": {}}]), "void"),
        (OPENAI, "gpt-4o-mini", httpx.Response(503, json={"error": {}}), "unconfirm"),
    ],
)
async def test_host_decides_whose_word_it_is(
    wire: MakeWire, url: str, model: str, reply: httpx.Response, outcome: str
) -> None:
    made = wire(reply)
    with scope(Scope(made.governing)):
        got = await made.post(chat_request(model=model), url=url)
    assert got.status_code == reply.status_code
    assert made.desk.outcomes == [outcome]


async def test_a_gateway_is_not_whom_it_speaks_like(wire: MakeWire) -> None:
    made = wire(httpx.Response(503))
    with scope(Scope(made.governing)):
        await made.post(url="https://gemini.example.org/v1/chat/completions")
    assert made.desk.outcomes == ["unconfirm"]
