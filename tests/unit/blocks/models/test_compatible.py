"""Whoever speaks OpenAI's chat dialect: at its own host, with its own key, at the map's price."""

import os
from typing import Any

import pytest

from prefect_governor.blocks.context.scope import Scope, scope
from prefect_governor.blocks.errors import ConfigurationError, NotGoverned
from prefect_governor.blocks.models.choice import BASE_VARIABLES, KEY_VARIABLES, ModelChoice
from prefect_governor.blocks.models.compatible import COMPATIBLE, OTHER_KEY_VARIABLES
from prefect_governor.blocks.models.completion import TESTED_PROVIDERS, acompletion
from prefect_governor.blocks.models.library.module import litellm
from prefect_governor.blocks.prices.places import provider_at
from prefect_governor.blocks.prices.prices import _entries, load_price
from tests.unit.blocks.models.network import Network, quiet
from tests.unit.fakes import FakeGoverning, chat_reply

pytestmark = quiet
MESSAGES = [{"role": "user", "content": "What is it?"}]
AT_HOME = sorted({*COMPATIBLE, "fireworks_ai", "minimax", "ovhcloud"})
# Other names of one platform, which serves them at one host.
SAME_HOST = {"qwen_ai_platform": "dashscope", "qwencloud": "dashscope"}
# Whom LiteLLM lists as speaking so, with prices, and who is not on our list.
OFF_THE_LIST = {
    **dict.fromkeys(
        ("abliteration", "aiand", "coralbricks", "empiriolabs", "inferenceapis", "openinfer",
         "refuseless", "streamlake", "wally", "zerogpu"),
        "new in LiteLLM 1.110, and not tried yet",
    ),
    **dict.fromkeys(
        ("clf_ai_gateway", "hostinger_router", "kyma", "opencode_go"),
        "a gateway, which may send a call on to somebody dearer",
    ),
    "ai21": "its models are sent under another name, `ai21_chat`, which has no prices",
    "aihubmix": "a gateway, which may send a call on to somebody dearer",
    "anyscale": "LiteLLM itself cannot reach it any more",
    "azure_ai": "an address of each customer's own",
    "github_copilot": "it asks for a key by itself, beside the call",
    "morph": "it does not take `max_tokens`, so an answer has no bound",
    "perplexity": "every model searches; its chat completions ended on 2026-09-27"
    " (docs.perplexity.ai/docs/agent-api/migrate-from-sonar)",
    "v0": "it does not take `max_tokens`, so an answer has no bound",
    "vercel_ai_gateway": "a gateway, which may send a call on to somebody dearer",
}  # fmt: skip


def listed_by_litellm() -> set[str]:
    from litellm.llms.openai_like.json_loader import JSONProviderRegistry

    return {
        *map(str, litellm().openai_compatible_providers),
        *JSONProviderRegistry.list_providers(),
    }


def test_whoever_litellm_has_a_price_of_is_on_the_list_or_it_is_said_why_not() -> None:
    priced = {
        str(entry.get("litellm_provider"))
        for name, entry in _entries().items()
        if entry.get("mode") == "chat" and load_price(name) is not None
    }
    listed = listed_by_litellm()
    assert (listed & priced) - TESTED_PROVIDERS == OFF_THE_LIST.keys()
    assert COMPATIBLE.keys() <= listed & priced


@pytest.mark.parametrize("provider", AT_HOME)
async def test_call_goes_to_its_own_host_with_its_own_key_and_is_billed_as_its(
    provider: str, network: Network, governing: FakeGoverning, monkeypatch: pytest.MonkeyPatch
) -> None:
    for each in BASE_VARIABLES.get(provider, (f"{provider.upper()}_API_BASE",)):
        monkeypatch.delenv(each, raising=False)
    monkeypatch.setenv(KEY_VARIABLES[provider], "sk-its-own")
    network.answer(chat_reply())
    with scope(Scope(governing)):
        await acompletion(f"{provider}/some-model", MESSAGES, max_tokens=20)
    (request,) = network.requests
    assert provider_at(request.url.host) == SAME_HOST.get(provider, provider)
    assert request.url.scheme == "https"
    assert request.headers["authorization"] == "Bearer sk-its-own"
    assert governing.desk.outcomes == ["settle"]


@pytest.mark.parametrize("provider", sorted(COMPATIBLE))
async def test_missing_key_is_said_by_its_variable_before_anything_is_sent(
    provider: str, network: Network, governing: FakeGoverning, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in (COMPATIBLE[provider], *OTHER_KEY_VARIABLES.get(provider, ())):
        monkeypatch.delenv(name, raising=False)
    with scope(Scope(governing)), pytest.raises(ConfigurationError, match=COMPATIBLE[provider]):
        await acompletion(f"{provider}/some-model", MESSAGES, max_tokens=20)
    assert not network.requests and not governing.desk.demands


@pytest.mark.parametrize("provider", sorted(OTHER_KEY_VARIABLES))
def test_every_variable_that_litellm_reads_a_key_from_is_a_key(
    provider: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    priced = next(
        name for name, entry in _entries().items()
        if entry.get("litellm_provider") == provider and entry.get("mode") == "chat"
        and name.startswith(provider) and load_price(name) is not None
    )  # fmt: skip
    variables = (KEY_VARIABLES[provider], *OTHER_KEY_VARIABLES[provider])
    for name in variables:
        monkeypatch.delenv(name, raising=False)
    for name in variables:
        with pytest.raises(ConfigurationError, match=KEY_VARIABLES[provider]):
            ModelChoice(priced, "as asked").check()
        monkeypatch.setenv(name, "sk-its-own")
        ModelChoice(priced, "as asked").check()
        assert litellm().get_llm_provider(model=priced)[2] == os.environ[name]
        monkeypatch.delenv(name)


async def test_message_of_an_untested_provider_says_what_is_not_proven(
    network: Network, governing: FakeGoverning
) -> None:
    asked: dict[str, Any] = {"model": "perplexity/sonar", "messages": MESSAGES, "max_tokens": 20}
    with scope(Scope(governing)), pytest.raises(NotGoverned) as refused:
        await acompletion(**asked)
    said = str(refused.value)
    assert "one request through the governor" in said and "what it bills" in said
    assert "allow_untested_provider=True" in said
    assert not network.requests
