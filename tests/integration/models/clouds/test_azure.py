"""Azure OpenAI as teams use it: deployments of any name, through LiteLLM and OpenAI's clients."""

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import httpx
import openai
import pytest

from prefect_governor import ConfigurationError, Governor, NotPriced
from prefect_governor.blocks.errors import governor_error
from prefect_governor.blocks.models.clients import aclose_clients
from tests.integration.models.bill import assert_spent_is_the_bill, calls, figures
from tests.integration.models.cases import HELLO, KEY, root
from tests.integration.models.warned import QUIET
from tests.provider.process import ProviderProcess
from tests.waiting import until

pytestmark = [pytest.mark.usefixtures("home"), QUIET]

CHAT, EMBEDS, REASONS = "our-chat", "our-index", "our-thinker"
# A deployment's name, the model that its replies name, and what a data zone bills for it.
DEPLOYED = {
    CHAT: {
        "model": "gpt-4o-mini-2024-07-18",
        "price": {"input": "0.000000165", "output": "0.00000066"},
    },
    EMBEDS: {
        "model": "text-embedding-3-small",
        "price": {"input": "0.000000022", "output": "0"},
    },
    REASONS: {
        "model": "gpt-5-mini-2025-08-07",
        "price": {
            "input": "0.000000275", "output": "0.0000022",
            "tiers": {"priority": {"input": "0.0000005", "output": "0.000004"}},
        },
    },
}  # fmt: skip
BASE_MODELS = {
    f"azure/{CHAT}": {"base_model": "azure/gpt-4o-mini"},
    EMBEDS: {"base_model": "text-embedding-3-small"},
    f"azure/{REASONS}": {"base_model": "azure/us/gpt-5-mini"},
}
VERSIONS = ["2024-10-21", "2025-10-01-preview", "v1"]


@pytest.fixture
def azure(provider: ProviderProcess) -> ProviderProcess:
    provider.renew(deployments=DEPLOYED)
    return provider


@pytest.fixture
def governor() -> Governor:
    return Governor.local("azure", max_usd=5, prices=BASE_MODELS)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AZURE_API_KEY", "AZURE_OPENAI_API_KEY", "AZURE_API_BASE", "AZURE_API_VERSION"):
        monkeypatch.delenv(name, raising=False)


def in_a_loop(made: Callable[[], Any]) -> Any:
    async def run() -> Any:
        try:
            reply = await made()
            return [each async for each in reply] if hasattr(reply, "__aiter__") else reply
        finally:
            await aclose_clients()

    return asyncio.run(run())


# Through LiteLLM


@pytest.mark.parametrize("version", VERSIONS)
def test_deployment_of_any_name_is_settled_at_its_bill(
    version: str, governor: Governor, azure: ProviderProcess
) -> None:
    reach: Any = {"api_base": root(azure), "api_key": KEY, "api_version": version}
    asked = {**reach, "max_tokens": 30}
    assert governor.completion(f"azure/{CHAT}", HELLO, **asked).choices
    assert list(governor.completion(f"azure/{CHAT}", HELLO, stream=True, **asked))
    # A model that reasons takes `max_tokens` by another name alone, which its base model tells.
    assert in_a_loop(lambda: governor.acompletion(f"azure/{REASONS}", HELLO, **asked)).choices
    assert in_a_loop(lambda: governor.acompletion(f"azure/{CHAT}", HELLO, stream=True, **asked))
    assert len(governor.embedding(f"azure/{EMBEDS}", ["a", "b"], **reach).data) == 2
    responding = {**reach, "max_output_tokens": 30, "model": f"azure/{CHAT}"}
    if version == "2024-10-21":
        responding.pop("api_version")
    assert governor.responses("hi", **responding).output
    assert in_a_loop(lambda: governor.aresponses("hi", stream=True, **responding))
    assert_spent_is_the_bill(governor, azure, requests=7)
    models = {call.attribution.model for call in calls(governor)}
    assert models == {f"azure/{name}" for name in DEPLOYED}


def test_variables_that_litellm_knows_reach_it(
    governor: Governor, azure: ProviderProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    azure.configure(keys=[KEY])
    model = f"azure/{CHAT}"
    with pytest.raises(ConfigurationError, match="AZURE_API_BASE"):
        governor.completion(model, HELLO, max_tokens=30, api_key=KEY)
    monkeypatch.setenv("AZURE_API_BASE", f"{root(azure)}/openai/v1/")
    with pytest.raises(ConfigurationError, match="AZURE_API_KEY or AZURE_AD_TOKEN"):
        governor.completion(model, HELLO, max_tokens=30)
    monkeypatch.setenv("AZURE_AD_TOKEN", KEY)
    assert governor.completion(model, HELLO, max_tokens=30).choices
    monkeypatch.setenv("AZURE_API_BASE", root(azure))
    assert governor.completion(model, HELLO, max_tokens=30).choices
    monkeypatch.delenv("AZURE_AD_TOKEN")
    monkeypatch.setenv("AZURE_API_KEY", KEY)
    assert governor.completion(model, HELLO, max_tokens=30).choices
    asked: Any = {"max_tokens": 30, "azure_ad_token_provider": lambda: KEY}
    for version in ("2024-10-21", "v1"):
        monkeypatch.setenv("AZURE_API_VERSION", version)
        assert governor.completion(model, HELLO, **asked).choices
        assert in_a_loop(lambda: governor.acompletion(model, HELLO, **asked)).choices
    assert_spent_is_the_bill(governor, azure, requests=7)


def test_call_may_say_which_model_is_behind_a_name_and_the_advice_to_do_so_works(
    azure: ProviderProcess,
) -> None:
    plain = Governor.local("azure", max_usd=5)
    asked: Any = {"max_tokens": 30, "api_base": root(azure), "api_key": KEY}
    with pytest.raises(NotPriced, match="base_model") as refused:
        plain.completion(f"azure/{CHAT}", HELLO, **asked)
    assert 'base_model="azure/…" to completion' in str(refused.value)
    plain.completion(f"azure/{CHAT}", HELLO, base_model="azure/gpt-4o-mini", **asked)
    advised = {f"azure/{CHAT}": {"base_model": "azure/gpt-4o-mini"}}
    with plain.http_client(prices=advised) as http:
        body = {"messages": HELLO, "max_tokens": 30}
        path = f"/openai/deployments/{CHAT}/chat/completions?api-version=2024-10-21"
        http.post(root(azure) + path, json=body, headers={"api-key": KEY}).raise_for_status()
    assert_spent_is_the_bill(plain, azure, requests=2)
    for name in ("azure/eu/gpt-4o", "azure/", "azure/responses/x"):
        with pytest.raises(ConfigurationError, match="names no deployment"):
            plain.completion(name, HELLO, **asked)


FAULTS = (
    "error_500_billed",
    "disconnect_after_billing",
    "malformed_json",
    "cut_stream",
    "no_usage",
)


@pytest.mark.parametrize("how", ["plain", "streamed"])
def test_faults_are_one_request_each_and_never_understated(
    how: str, governor: Governor, azure: ProviderProcess
) -> None:
    azure.configure(faults={"at": dict(enumerate(FAULTS, start=1))})
    asked: Any = {"max_tokens": 30, "api_base": root(azure), "api_key": KEY}
    for _ in FAULTS:
        try:
            reply = governor.completion(f"azure/{CHAT}", HELLO, stream=how == "streamed", **asked)
            list(reply if how == "streamed" else ())
        except Exception as error:
            assert governor_error(error) is None
    stats = azure.settled_stats()
    assert {kind for kind, count in stats["faults"].items() if count} == set(FAULTS)
    assert stats["requests"] == len(calls(governor)) == len(FAULTS)
    until(lambda: gc.collect() >= 0 and not figures(governor).reserved_nano)
    state = figures(governor)
    assert state.spent_nano + state.unconfirmed_nano >= stats["billed_nano"] > 0


# OpenAI's own clients


def dated(azure: ProviderProcess, http: httpx.Client) -> openai.OpenAI:
    return openai.AzureOpenAI(
        api_key=KEY, azure_endpoint=root(azure), api_version="2025-04-01-preview",
        http_client=http, max_retries=0,
    )  # fmt: skip


def undated(azure: ProviderProcess, http: httpx.Client) -> openai.OpenAI:
    base = f"{root(azure)}/openai/v1/"
    return openai.OpenAI(api_key=KEY, base_url=base, http_client=http, max_retries=0)


@pytest.mark.parametrize("client", [dated, undated])
@pytest.mark.parametrize("asynchronous_filter", [False, True])
def test_sdk_spends_what_is_billed(
    client: Callable[..., openai.OpenAI],
    asynchronous_filter: bool,
    governor: Governor,
    azure: ProviderProcess,
) -> None:
    azure.configure(asynchronous_filter=asynchronous_filter)
    whose = "azure" if client is undated else None
    with client(azure, governor.http_client(provider=whose)) as sdk:
        chat = sdk.chat.completions.create
        assert chat(model=CHAT, messages=HELLO, max_tokens=30).choices
        chunks = list(chat(model=CHAT, messages=HELLO, max_tokens=30, stream=True))
        assert "".join((each.choices[0].delta and each.choices[0].delta.content) or ""
                       for each in chunks if each.choices).strip()  # fmt: skip
        # The filter's word on the prompt comes first, and is passed on.
        assert not chunks[0].choices and chunks[0].model_extra
        assert sdk.responses.create(model=CHAT, input="hi", max_output_tokens=30).output
        assert list(sdk.responses.create(model=CHAT, input="hi", stream=True))
        assert len(sdk.embeddings.create(model=EMBEDS, input=["a", "b"]).data) == 2
    assert_spent_is_the_bill(governor, azure, requests=5)


async def test_async_sdk_spends_what_is_billed(governor: Governor, azure: ProviderProcess) -> None:
    async with openai.AsyncAzureOpenAI(
        api_key=KEY, azure_endpoint=root(azure), api_version="2024-10-21", max_retries=0,
        http_client=governor.async_http_client(),
    ) as sdk:  # fmt: skip
        ask = sdk.chat.completions.create
        replies = await asyncio.gather(
            *(ask(model=CHAT, messages=HELLO, max_tokens=30) for _ in range(4))
        )
    assert all(reply.choices for reply in replies)
    assert_spent_is_the_bill(governor, azure, requests=4)


# What Azure alone does


@pytest.mark.parametrize("states_usage", [True, False])
@pytest.mark.parametrize("way", ["litellm", "sdk"])
def test_filtered_prompt_is_billed_and_stays_charged(
    way: str, states_usage: bool, governor: Governor, azure: ProviderProcess
) -> None:
    reply = {"status": 400, "filtered": True, "states_usage": states_usage}
    azure.configure(script={"hello": reply})
    with pytest.raises(Exception, match="content management policy") as raised:
        if way == "litellm":
            governor.completion(
                f"azure/{CHAT}", HELLO, max_tokens=30, api_base=root(azure), api_key=KEY
            )
        else:
            with dated(azure, governor.http_client()) as sdk:
                sdk.chat.completions.create(model=CHAT, messages=HELLO, max_tokens=30)
    assert getattr(raised.value, "status_code", None) == 400
    stats, state = azure.settled_stats(), figures(governor)
    assert (stats["requests"], stats["billed_calls"]) == (1, 1)
    if states_usage:
        assert (state.spent_nano, state.unconfirmed_nano) == (stats["billed_nano"], 0)
    else:
        assert state.spent_nano == 0
        assert state.unconfirmed_nano >= stats["billed_nano"] > 0


def test_deployment_that_is_another_model_than_was_said_is_charged_in_full_and_loudly(
    azure: ProviderProcess, caplog: pytest.LogCaptureFixture
) -> None:
    dear = {"model": "gpt-4o-2024-08-06", "price": {"input": "0.00000275", "output": "0.000011"}}
    azure.configure(deployments={"misnamed": dear})
    prices = {"azure/misnamed": {"base_model": "azure/gpt-4o-mini"}}
    wrong = Governor.local("azure", max_usd=5, prices=prices)
    wrong.completion("azure/misnamed", HELLO, max_tokens=30, api_base=root(azure), api_key=KEY)
    assert_spent_is_the_bill(wrong, azure)
    (call,) = calls(wrong)
    assert call.usage is not None
    assert call.usage.nano > call.bound.nano
    assert "answers as 'gpt-4o-2024-08-06'" in caplog.text
