"""Amazon Bedrock, signed and by a key of its own: requests = reservations, bill = settled, and no
signature that does not hold."""

import asyncio
import logging
from typing import Any

import pytest

from prefect_governor import ConfigurationError, Governor, NotBounded, NotGoverned
from prefect_governor.blocks.models.clients import aclose_clients
from tests.integration.models.bill import assert_spent_is_the_bill, calls, figures
from tests.integration.models.cases import CASES, HELLO, PRICES, root
from tests.integration.models.warned import QUIET
from tests.provider.process import ProviderProcess

pytestmark = [pytest.mark.usefixtures("home", "aws"), QUIET]

ACCESS, SECRET, TOKEN = "AKIAGOVERNOR00000001", "governors/own+secret", "a-session-of-a-role"
CONVERSE = CASES["bedrock"].model
# LiteLLM knows it by InvokeModel.
INVOKE = "bedrock/anthropic.claude-3-5-haiku-20241022-v1:0"
HAIKU = {
    "input": "0.0000008", "output": "0.000004", "cached_input": "0.00000008",
    "cache_write": "0.000001",
}  # fmt: skip


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch, provider: ProviderProcess) -> None:
    """The credentials of a session, and a provider that knows them."""
    for name in ("AWS_PROFILE", "AWS_BEARER_TOKEN_BEDROCK", "AWS_REGION_NAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    provider.configure(
        prices={**PRICES, INVOKE.partition("/")[2]: HAIKU},
        aws_keys={ACCESS: {"secret": SECRET, "token": TOKEN}, "AKIAOTHER": {"secret": "other"}},
    )


def ask(
    governor: Governor, provider: ProviderProcess, model: str, how: str = "plain", **more: Any
) -> str:
    """What is said, in one of four ways."""
    arguments: Any = {"api_base": root(provider), "stream": "streamed" in how, **more}

    def said(chunks: list[Any]) -> str:
        return "".join(each.choices[0].delta.content or "" for each in chunks if each.choices)

    if "async" not in how:
        reply = governor.completion(model, HELLO, **arguments)
        return said(list(reply)) if "streamed" in how else reply.choices[0].message.content

    async def asking() -> str:
        try:
            reply = await governor.acompletion(model, HELLO, **arguments)
            if "streamed" in how:
                return said([chunk async for chunk in reply])
            return str(reply.choices[0].message.content)
        finally:
            await aclose_clients()

    return asyncio.run(asking())


@pytest.mark.parametrize("how", ["plain", "streamed", "async plain", "async streamed"])
@pytest.mark.parametrize("model", [CONVERSE, INVOKE])
def test_signed_call_without_a_limit_holds_at_the_provider_and_is_settled_at_its_bill(
    model: str, how: str, governor: Governor, provider: ProviderProcess
) -> None:
    assert ask(governor, provider, model, how).strip()
    assert_spent_is_the_bill(governor, provider)
    (call,) = calls(governor)
    (seen,) = provider.log()
    # The model's own limit was written in after LiteLLM had signed.
    assert call.bound.output_tokens == seen["max_output"] == (8192 if model == INVOKE else 64_000)
    assert call.attribution.model == model


def test_what_is_cached_and_written_is_settled_at_its_bill(
    governor: Governor, provider: ProviderProcess
) -> None:
    caches = {"cached_input": "0.00000011", "cache_write": "0.000001375",
              "cache_write_long": "0.0000022"}  # fmt: skip
    bare = CASES["bedrock"].bare
    provider.configure(
        prices={bare: {**PRICES[bare], **caches}},
        cached_fraction=0.25,
        written_fraction=0.5,
    )
    control = {"type": "ephemeral"}
    text = {"type": "text", "text": "Be brief. " * 600, "cache_control": control}
    messages = [{"role": "system", "content": [text]}, *HELLO]
    reply = governor.completion(CONVERSE, messages, api_base=root(provider), max_tokens=30)
    assert reply.choices
    assert_spent_is_the_bill(governor, provider)
    (call,) = calls(governor)
    assert call.usage is not None and call.usage.cached_input_tokens > 0
    assert provider.log()[0]["written"] > 0
    assert call.usage.nano <= call.bound.nano


def test_credentials_of_the_call_come_before_those_of_the_environment(
    governor: Governor, provider: ProviderProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION"):
        monkeypatch.delenv(name)
    ask(
        governor, provider, CONVERSE, aws_access_key_id="AKIAOTHER",
        aws_secret_access_key="other", aws_region_name="us-west-2",
    )  # fmt: skip
    assert_spent_is_the_bill(governor, provider)


def test_throttled_call_waits_and_is_signed_again(
    governor: Governor, provider: ProviderProcess
) -> None:
    provider.configure(faults={"at": {1: "error_429"}})
    assert ask(governor, provider, CONVERSE, max_tokens=30)
    stats = provider.settled_stats()
    assert (stats["requests"], stats["billed_calls"]) == (2, 1)
    assert sorted(call.state for call in calls(governor)) == ["released", "spent"]


def test_model_that_failed_as_it_answered_stays_charged(
    governor: Governor, provider: ProviderProcess
) -> None:
    provider.configure(script={"": {"status": 424, "text": "the model failed"}})
    with pytest.raises(Exception, match="the model failed"):
        ask(governor, provider, CONVERSE, max_tokens=30)
    assert figures(governor).unconfirmed_nano > 0


@pytest.mark.parametrize(
    ("missing", "told"),
    [
        (("AWS_REGION",), "AWS_REGION"),
        (("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), "AWS_BEARER_TOKEN_BEDROCK"),
    ],
)
def test_call_without_a_region_or_credentials_is_told_so_before_anything_is_sent(
    missing: tuple[str, ...],
    told: str,
    governor: Governor,
    provider: ProviderProcess,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in missing:
        monkeypatch.delenv(name)
    for how in ("plain", "async plain"):
        with pytest.raises(ConfigurationError, match=told):
            ask(governor, provider, CONVERSE, how)
    assert provider.settled_stats()["requests"] == 0
    assert not calls(governor)


def test_secrets_are_in_no_error_and_no_log(
    governor: Governor, provider: ProviderProcess, caplog: pytest.LogCaptureFixture
) -> None:
    provider.configure(aws_keys={ACCESS: {"secret": "of somebody else", "token": TOKEN}})
    caplog.set_level(logging.DEBUG, logger="prefect_governor")
    with pytest.raises(Exception, match="signature") as raised:
        ask(governor, provider, CONVERSE, max_tokens=30)
    assert not any(secret in str(raised.value) + caplog.text for secret in (SECRET, TOKEN))
    assert [call.state for call in calls(governor)] == ["released"]


def test_client_that_brings_its_own_credentials_is_refused(
    governor: Governor, provider: ProviderProcess
) -> None:
    with pytest.raises(NotGoverned, match="aws_access_key_id"):
        ask(governor, provider, CONVERSE, aws_bedrock_client=object())


@pytest.mark.parametrize("stream", [False, True])
def test_anthropics_own_client_of_bedrock_goes_as_it_signed(
    stream: bool, governor: Governor, provider: ProviderProcess
) -> None:
    import anthropic

    with governor.http_client("httpx2") as http:
        client = anthropic.AnthropicBedrock(
            base_url=root(provider), http_client=http, max_retries=0
        )
        asked: Any = {"model": INVOKE.partition("/")[2], "messages": HELLO, "max_tokens": 30}
        if stream:
            with client.messages.stream(**asked) as answer:
                assert answer.get_final_text().strip()
        else:
            assert client.messages.create(**asked).content
    assert_spent_is_the_bill(governor, provider)


def test_request_that_sets_no_limit_and_was_signed_elsewhere_is_refused(
    governor: Governor, provider: ProviderProcess
) -> None:
    import httpx
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    where = f"{root(provider)}/model/{CASES['bedrock'].bare.replace(':', '%3A')}/converse"
    body = b'{"messages": [{"role": "user", "content": [{"text": "hi"}]}]}'
    request = AWSRequest(method="POST", url=where, data=body)
    SigV4Auth(Credentials(ACCESS, SECRET, TOKEN), "bedrock", "eu-west-1").add_auth(request)
    with governor.http_client(raise_refusals=True) as http, pytest.raises(NotBounded, match="sign"):
        http.post(where, content=body, headers=dict(request.headers))
    with governor.http_client() as http:
        told = http.post(where, content=body, headers=dict(request.headers))
    assert isinstance(told, httpx.Response) and told.status_code == 400
    assert told.json()["__type"] == "NotBounded"
    assert provider.settled_stats()["requests"] == 0
