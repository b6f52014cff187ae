"""Bedrock's runtime: its paths, its checks, its event streams, its signatures."""

import base64
import json
import time
from typing import Any

import httpx
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.eventstream import EventStreamBuffer

from tests.provider.config import AwsKey
from tests.provider.families.chat import ApiError
from tests.provider.process import ProviderProcess
from tests.provider.rules.signatures import check_signature
from tests.provider.wire import Request

MODEL = "anthropic.claude-sonnet-4-5-20250929-v1:0"
PRICES = {
    MODEL: {
        "input": "0.000003", "output": "0.000015", "cached_input": "0.0000003",
        "cache_write": "0.00000375", "cache_write_long": "0.000006",
    }
}  # fmt: skip
HELLO = [{"role": "user", "content": [{"text": "hello there"}]}]
KEY, SECRET = "AKIAJUDGE00000000001", "judge/secret"


@pytest.fixture
def bedrock(judge: ProviderProcess) -> ProviderProcess:
    judge.renew(prices=PRICES, aws_keys={KEY: {"secret": SECRET}})
    return judge


def converse(**fields: Any) -> dict[str, Any]:
    return {"messages": HELLO, "inferenceConfig": {"maxTokens": 40}, **fields}


def invoke(**fields: Any) -> dict[str, Any]:
    asked = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 40, **fields}
    return {"messages": [{"role": "user", "content": "hello there"}], **asked}


def url(provider: ProviderProcess, verb: str, model: str = MODEL) -> str:
    root = provider.api_base.removesuffix("/v1")
    return f"{root}/model/{model.replace(':', '%3A')}/{verb}"


def post(provider: ProviderProcess, verb: str, body: dict[str, Any], **more: Any) -> httpx.Response:
    return httpx.post(url(provider, verb, **more), json=body)


def test_usage_is_what_is_billed_with_its_caches(bedrock: ProviderProcess) -> None:
    bedrock.configure(cached_fraction=0.25, written_fraction=0.5)
    system = [{"text": "Be brief. " * 40}, {"cachePoint": {"type": "default", "ttl": "1h"}}]
    usage = post(bedrock, "converse", converse(system=system)).json()["usage"]
    read, written = usage["cacheReadInputTokens"], usage["cacheWriteInputTokens"]
    assert read and usage["cacheDetails"] == [{"ttl": "1h", "inputTokens": written}]
    stats = bedrock.settled_stats()
    assert usage["inputTokens"] + read + written == stats["input_tokens"]
    nano = usage["inputTokens"] * 3000 + read * 300 + written * 6000
    assert stats["billed_nano"] == nano + usage["outputTokens"] * 15000


@pytest.mark.parametrize("kind", ["converse", "invoke"])
def test_stream_is_read_by_botocore_and_says_what_the_whole_reply_does(
    kind: str, bedrock: ProviderProcess
) -> None:
    body = converse() if kind == "converse" else invoke()
    verb = {"converse": "converse-stream", "invoke": "invoke-with-response-stream"}[kind]
    reply = post(bedrock, verb, body)
    assert reply.headers["content-type"] == "application/vnd.amazon.eventstream"
    buffer = EventStreamBuffer()
    buffer.add_data(reply.content)
    events = [(each.headers[":event-type"], json.loads(each.payload)) for each in buffer]
    whole = post(bedrock, kind, body).json()
    if kind == "converse":
        text = "".join(
            data["delta"]["text"] for name, data in events if name == "contentBlockDelta"
        )
        assert [name for name, _ in events[-2:]] == ["messageStop", "metadata"]
        assert text == whole["output"]["message"]["content"][0]["text"]
        assert events[-1][1]["usage"] == whole["usage"]
    else:
        inner = [json.loads(base64.b64decode(data["bytes"])) for _, data in events]
        assert [each["type"] for each in inner[-2:]] == ["message_delta", "message_stop"]
        assert inner[-2]["usage"]["output_tokens"] == whole["usage"]["output_tokens"]


@pytest.mark.parametrize(
    ("verb", "body", "status", "kind"),
    [
        ("converse", converse(unknown=1), 400, "ValidationException"),
        ("converse", converse(inferenceConfig={"max_tokens": 5}), 400, "ValidationException"),
        ("converse", converse(inferenceConfig={"maxTokens": 0}), 400, "ValidationException"),
        ("converse", converse(messages=[]), 400, "ValidationException"),
        ("converse", {"messages": [{"role": "assistant", "content": []}]}, 400,
         "ValidationException"),
        ("converse", converse(messages=[{"role": "user", "content": [{"type": "text"}]}]), 400,
         "ValidationException"),
        ("invoke", invoke(model="x"), 400, "ValidationException"),
        ("invoke", invoke(anthropic_version="newest"), 400, "ValidationException"),
        ("unheard-of", converse(), 404, "ResourceNotFoundException"),
    ],
)  # fmt: skip
def test_what_bedrock_would_refuse_is_refused_in_its_own_form(
    verb: str, body: dict[str, Any], status: int, kind: str, bedrock: ProviderProcess
) -> None:
    reply = post(bedrock, verb, body)
    assert (reply.status_code, reply.headers["x-amzn-errortype"]) == (status, kind)
    assert reply.json().keys() == {"message"}
    assert bedrock.settled_stats()["billed_nano"] == 0


def test_throttling_and_models_errors_have_their_names(bedrock: ProviderProcess) -> None:
    bedrock.configure(faults={"at": {1: "error_429"}}, script={"": {"status": 424, "text": "no"}})
    kinds = [post(bedrock, "converse", converse()).headers["x-amzn-errortype"] for _ in range(2)]
    assert kinds == ["ThrottlingException", "ModelErrorException"]
    assert post(bedrock, "converse", converse(), model="x.y").status_code == 404


def signed(provider: ProviderProcess, secret: str, **more: Any) -> httpx.Response:
    content = json.dumps(converse()).encode()
    where = url(provider, "converse")
    request = AWSRequest(
        method="POST", url=where, data=content, headers={"Content-Type": "application/json"}
    )
    SigV4Auth(Credentials(KEY, secret), "bedrock", "us-east-1").add_auth(request)
    return httpx.post(where, content=content, headers={**dict(request.headers), **more})


def test_signature_of_botocores_holds_and_no_other(bedrock: ProviderProcess) -> None:
    assert signed(bedrock, SECRET).status_code == 200
    for refused in (
        signed(bedrock, "another secret"),
        signed(bedrock, SECRET, **{"content-type": "text/plain"}),
        signed(bedrock, SECRET, **{"x-amz-security-token": "unsigned"}),
    ):
        assert refused.status_code == 403
        assert refused.headers["x-amzn-errortype"] == "InvalidSignatureException"
    assert bedrock.settled_stats()["billed_calls"] == 1


def test_signature_is_too_old_after_five_minutes() -> None:
    content = json.dumps(converse()).encode()
    address = f"http://localhost/model/{MODEL.replace(':', '%3A')}/converse"
    request = AWSRequest(method="POST", url=address, data=content)
    SigV4Auth(Credentials(KEY, SECRET), "bedrock", "us-east-1").add_auth(request)
    headers = {name.lower(): str(value) for name, value in request.headers.items()}
    headers["host"] = "localhost"
    sent = Request("POST", address.removeprefix("http://localhost"), headers, content)
    keys = {KEY: AwsKey(secret=SECRET)}
    check_signature(sent, keys, now=time.time())
    with pytest.raises(ApiError, match="expired"):
        check_signature(sent, keys, now=time.time() + 400)
