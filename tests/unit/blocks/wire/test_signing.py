"""A request that AWS's signature covers is sent with one that holds, whatever its body became."""

import json
import time
from typing import Any

import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from prefect_governor.blocks.context.scope import Scope, scope
from prefect_governor.blocks.errors import CallRefused, NotBounded
from prefect_governor.blocks.wire.replies.secrets import Secrets
from prefect_governor.blocks.wire.signing import signing_with
from prefect_governor.blocks.wire.transport import GovernedAsyncTransport, GovernedTransport
from tests.provider.config import AwsKey
from tests.provider.families.chat import ApiError
from tests.provider.rules.signatures import check_signature
from tests.provider.wire import Request
from tests.unit.fakes import FakeDesk, FakeGoverning, FakeProvider

MODEL = "us.anthropic.claude-haiku-4-5-20251001-v1%3A0"
URL = f"https://bedrock-runtime.eu-west-1.amazonaws.com/model/{MODEL}/converse"
KEY, SECRET, TOKEN = "AKIAUNITTEST00000001", "unit-secret/with+signs", "session-token-of-a-role"
REPLY = {
    "output": {"message": {"role": "assistant", "content": [{"text": "words"}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 9, "outputTokens": 3, "totalTokens": 12},
}


def body(**config: Any) -> bytes:
    # Spaces and escapes: what is measured is written otherwise.
    said = {"messages": [{"role": "user", "content": [{"text": "Wer zahlt: über 5 €?"}]}]}
    return json.dumps({**said, "inferenceConfig": config}, indent=1).encode()


def signed(content: bytes, *, at: str | None = None) -> httpx.Request:
    """As a client signs; `at` sets the clock that it has."""
    headers = {"Content-Type": "application/json"}
    request = AWSRequest(method="POST", url=URL, data=content, headers=headers)
    SigV4Auth(Credentials(KEY, SECRET, TOKEN), "bedrock", "eu-west-1").add_auth(request)
    return httpx.Request("POST", URL, content=content, headers=dict(request.headers))


def assert_holds(sent: httpx.Request) -> None:
    headers = {name.lower(): value for name, value in sent.headers.items()}
    path = sent.url.raw_path.decode()
    check_signature(
        Request("POST", path, headers, sent.content),
        {KEY: AwsKey(secret=SECRET, token=TOKEN)},
        now=time.time(),
    )


def send(
    request: httpx.Request, governing: FakeGoverning, *replies: httpx.Response, credentials: Any
) -> list[httpx.Request]:
    """What reaches the provider."""
    provider = FakeProvider(list(replies) or [httpx.Response(200, json=REPLY)])
    transport = GovernedTransport(provider)
    with scope(Scope(governing)), signing_with(credentials):
        transport.handle_request(request)
    return provider.requests


CREDENTIALS = Credentials(KEY, SECRET, TOKEN)


def test_the_judge_tells_a_signature_that_holds_from_one_that_does_not() -> None:
    request = signed(body(maxTokens=50))
    assert_holds(request)
    other = httpx.Request("POST", URL, content=body(maxTokens=51), headers=request.headers)
    with pytest.raises(ApiError):
        assert_holds(other)


def test_models_own_limit_is_written_in_and_the_request_is_signed_anew() -> None:
    request = signed(body())
    (sent,) = send(request, FakeGoverning(), credentials=CREDENTIALS)
    assert json.loads(sent.content)["inferenceConfig"]["maxTokens"] == 64_000
    assert sent.headers["authorization"] != request.headers["authorization"]
    assert_holds(sent)


async def test_so_it_is_where_it_is_awaited() -> None:
    provider = FakeProvider([httpx.Response(200, json=REPLY)])
    with scope(Scope(FakeGoverning())), signing_with(CREDENTIALS):
        await GovernedAsyncTransport(provider).handle_async_request(signed(body()))
    assert_holds(provider.requests[0])


def test_request_that_goes_again_has_a_signature_of_its_own() -> None:
    throttled = httpx.Response(429, json={"message": "slow"}, headers={"retry-after-ms": "1"})
    first, second = send(
        signed(body(maxTokens=50)),
        FakeGoverning(),
        throttled,
        httpx.Response(200, json=REPLY),
        credentials=CREDENTIALS,
    )
    assert_holds(first)
    assert_holds(second)


def test_fitted_request_is_signed_for_the_smaller_limit() -> None:
    poor = FakeGoverning(FakeDesk(ceiling_nano=4_000_000))
    (sent,) = send(signed(body()), poor, credentials=CREDENTIALS)
    assert 1 <= json.loads(sent.content)["inferenceConfig"]["maxTokens"] < 64_000
    assert_holds(sent)


def test_request_of_ones_own_client_goes_with_the_bytes_that_it_signed() -> None:
    request = signed(body(maxTokens=50))
    (sent,) = send(request, FakeGoverning(), credentials=None)
    assert sent.content == request.content
    assert sent.headers["authorization"] == request.headers["authorization"]
    assert_holds(sent)


@pytest.mark.parametrize(
    "content",
    [
        body(),
        b'{"messages": [{"role": "user", "content": []}],'
        b' "inferenceConfig": {"maxTokens": 9, "maxTokens": 90}}',
    ],
    ids=["no limit", "a key twice"],
)
def test_what_would_break_its_signature_is_refused_before_it_is_sent(content: bytes) -> None:
    governing = FakeGoverning()
    with pytest.raises(NotBounded, match="signed"):
        send(signed(content), governing, credentials=None)
    assert not governing.desk.demands


def test_signed_request_is_not_fitted_where_nobody_can_sign_it_again() -> None:
    poor = FakeGoverning(FakeDesk(ceiling_nano=4_000_000))
    with pytest.raises(CallRefused):
        send(signed(body(maxTokens=60_000)), poor, credentials=None)


def test_bearer_key_is_never_signed() -> None:
    request = httpx.Request("POST", URL, content=body(), headers={"authorization": "Bearer key"})
    (sent,) = send(request, FakeGoverning(), credentials=CREDENTIALS)
    assert sent.headers["authorization"] == "Bearer key"


def test_secrets_of_aws_are_cleaned_out_of_what_it_answers_and_tell_its_keys_apart() -> None:
    one, other = signed(body(maxTokens=50)), signed(body(maxTokens=51))
    assert Secrets(one).fingerprint == Secrets(other).fingerprint != ""
    signature = one.headers["authorization"].rpartition("=")[2]
    quoted = f"token {TOKEN}, key {KEY}, signature {signature}".encode()
    assert Secrets(one).out_of(quoted) == b"token [redacted], key [redacted], signature [redacted]"
