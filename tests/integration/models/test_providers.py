"""Every provider of the tested list: one call is one request, one reservation and its bill."""

import asyncio
import gc
import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import anthropic
import httpx
import httpx2
import pytest

from prefect_governor import Governor, NotBounded, NotGoverned
from prefect_governor.blocks.models.clients import aclose_clients
from prefect_governor.blocks.models.completion import acompletion_under, completion_under
from prefect_governor.blocks.models.providers import TESTED_PROVIDERS
from prefect_governor.blocks.prices.prices import Price
from prefect_governor.blocks.records.budgets import AccountState
from prefect_governor.blocks.records.calls import CallRecord, CallState
from prefect_governor.blocks.terms.price import PriceOverride
from prefect_governor.blocks.wire.httpx2_bridge import Bridge
from prefect_governor.blocks.wire.transport import GovernedTransport
from prefect_governor.blocks.work.ledgers import account_state
from prefect_governor.blocks.work.runtime import Runtime
from tests.provider.process import ProviderProcess
from tests.unit.fakes import FakeGoverning, FakeProvider
from tests.waiting import until

HELLO: Any = [{"role": "user", "content": "hello there"}]
KEY = "sk-test-0123456789abcdef"
CLAUDE = "claude-sonnet-4-5"
# What its own SDK does not warn of.
CURRENT = "claude-sonnet-4-6"
STATES: tuple[CallState, ...] = ("reserved", "spent", "released", "unconfirmed")
PNG = "iVBORw0KGgo" * 4000

pytestmark = [
    pytest.mark.usefixtures("home"),
    # LiteLLM's own models warn as pydantic builds them.
    pytest.mark.filterwarnings(
        "ignore:Item 'summary' on TypedDict:UserWarning",
        "ignore:Pydantic serializer warnings:UserWarning",
        "ignore:Accessing the 'model_:DeprecationWarning",
    ),
]


@dataclass(frozen=True)
class Case:
    """A provider's model, where its API stands below the provider's root, and what the provider
    bills for it, in USD a token; `given`: the file has no such price, a person gave it."""

    model: str
    base: str
    input: str
    output: str
    given: bool = False

    @property
    def bare(self) -> str:
        return self.model.partition("/")[2]


CASES = {
    each.model.partition("/")[0]: each
    for each in (
        Case("openai/gpt-4o-mini", "/v1", "0.00000015", "0.0000006"),
        Case("anthropic/claude-sonnet-4-5", "", "0.000003", "0.000015"),
        Case("gemini/gemini-2.5-flash-lite", "/v1beta", "0.0000001", "0.0000004"),
        Case("ollama/llama3.1", "", "0", "0"),
        Case("ollama_chat/gemma-of-mine", "", "0", "0"),
        Case("groq/openai/gpt-oss-20b", "/v1", "0.000000075", "0.0000003"),
        Case("mistral/mistral-small-latest", "/v1", "0.00000015", "0.0000006"),
        Case("deepseek/deepseek-chat", "/v1", "0.00000028", "0.00000042"),
        Case("together_ai/mistralai/Mixtral-8x7B-Instruct-v0.1", "/v1", "0.0000006", "0.0000006"),
        Case("openrouter/openai/gpt-4o", "/v1", "0.0000025", "0.00001", given=True),
        Case("xai/grok-of-mine", "/v1", "0.0000003", "0.0000005", given=True),
        Case("hosted_vllm/served-of-mine", "/v1", "0.0000055", "0.0000000055", given=True),
        Case("lm_studio/local-of-mine", "/v1", "0.0000000055", "0.0000001", given=True),
    )
}


PRICES = {
    case.bare: {"input": case.input, "output": case.output}
    for case in CASES.values()
    if case.bare != CLAUDE
}


@pytest.fixture
def provider(provider_process: ProviderProcess) -> ProviderProcess:
    """The provider with the prices of all cases, and nothing on its bill."""
    provider_process.settled_stats()
    provider_process.renew(prices=PRICES)
    return provider_process


def root(provider: ProviderProcess) -> str:
    return provider.api_base.removesuffix("/v1")


@pytest.fixture
def governor() -> Governor:
    return Governor.local("providers", max_usd=5)


@pytest.fixture
def runtime(governor: Governor) -> Runtime:
    def price(case: Case) -> Price:
        million = Decimal(10**6)
        return PriceOverride(
            input_usd_per_million_tokens=Decimal(case.input) * million,
            output_usd_per_million_tokens=Decimal(case.output) * million,
        ).price()

    given = {case.model: price(case) for case in CASES.values() if case.given}
    return governor.runtime.narrowed(prices=given)


def calls(governor: Governor) -> list[CallRecord]:
    """Every reservation that was ever made."""
    runtime = governor.runtime
    return runtime.desk.store.read_calls(STATES, account=runtime.accounts_[0].key)


def figures(governor: Governor) -> AccountState:
    return account_state(governor.runtime.accounts_[0])


def assert_spent_is_the_bill(
    governor: Governor, provider: ProviderProcess, *, requests: int = 1
) -> None:
    stats = provider.settled_stats()
    assert (stats["requests"], stats["internal_errors"]) == (requests, 0)
    assert [call.state for call in calls(governor)] == ["spent"] * requests
    state = figures(governor)
    assert (state.spent_nano, state.unconfirmed_nano) == (stats["billed_nano"], 0)
    assert state.spent_tokens == stats["input_tokens"] + stats["output_tokens"] > 0
    assert state.reserved_nano == 0


def ask(runtime: Runtime, case: Case, provider: ProviderProcess, how: str, **more: Any) -> Any:
    """One call in one of four ways; what was answered, a stream as the list of its chunks."""
    stream = "streamed" in how
    arguments: Any = {
        "max_tokens": 30, "api_base": root(provider) + case.base, "api_key": KEY,
        "stream": stream, **more,
    }  # fmt: skip
    messages = arguments.pop("messages", HELLO)
    if "async" not in how:
        reply = completion_under(runtime, case.model, messages, **arguments)
        return list(reply) if stream else reply

    async def asking() -> Any:
        try:
            reply = await acompletion_under(runtime, case.model, messages, **arguments)
            return [chunk async for chunk in reply] if stream else reply
        finally:
            await aclose_clients()

    return asyncio.run(asking())


def test_every_provider_of_the_list_has_its_case() -> None:
    assert CASES.keys() == TESTED_PROVIDERS - {"offline"}


@pytest.mark.parametrize("how", ["plain", "streamed", "async plain", "async streamed"])
@pytest.mark.parametrize("name", CASES)
def test_one_call_is_one_request_one_reservation_and_its_bill(
    name: str, how: str, governor: Governor, runtime: Runtime, provider: ProviderProcess
) -> None:
    answer = ask(runtime, CASES[name], provider, how)
    if "streamed" in how:
        said = "".join(each.choices[0].delta.content or "" for each in answer if each.choices)
    else:
        said = answer.choices[0].message.content
    assert said.strip()
    assert_spent_is_the_bill(governor, provider)
    (call,) = calls(governor)
    assert call.attribution.model == CASES[name].model


FAULTS = (
    "error_500", "error_500_billed", "disconnect_before_billing", "disconnect_after_billing",
    "malformed_json", "cut_stream", "drop_stream", "no_usage",
)  # fmt: skip


@pytest.mark.parametrize("how", ["plain", "streamed", "async plain", "async streamed"])
@pytest.mark.parametrize("name", ["anthropic", "gemini"])
def test_fault_is_one_request_and_never_understated(
    name: str, how: str, governor: Governor, runtime: Runtime, provider: ProviderProcess
) -> None:
    provider.configure(faults={"at": dict(enumerate(FAULTS, start=1))})
    for fault in FAULTS:
        try:
            ask(runtime, CASES[name], provider, how)
        except Exception as error:
            assert not isinstance(error, NotGoverned), fault
    stats = provider.settled_stats()
    assert {kind for kind, count in stats["faults"].items() if count} == set(FAULTS)
    assert stats["requests"] == len(calls(governor)) == len(FAULTS)
    # LiteLLM leaves a stream open in which it found no JSON: it is resolved once it is collected.
    until(lambda: gc.collect() >= 0 and not figures(governor).reserved_nano)
    state = figures(governor)
    assert state.spent_nano + state.unconfirmed_nano >= stats["billed_nano"] > 0
    assert state.unconfirmed_nano > 0


def test_throttled_call_waits_and_goes_again_in_one_place(
    governor: Governor, runtime: Runtime, provider: ProviderProcess
) -> None:
    provider.configure(faults={"at": {1: "error_429"}})
    assert ask(runtime, CASES["anthropic"], provider, "plain").choices
    stats = provider.settled_stats()
    assert (stats["requests"], stats["billed_calls"]) == (2, 1)
    assert sorted(call.state for call in calls(governor)) == ["released", "spent"]
    assert figures(governor).spent_nano == stats["billed_nano"]


# What only Anthropic bills


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("life", ["5m", "1h"])
def test_cache_that_is_read_and_written_is_settled_at_its_price(
    life: str, stream: bool, governor: Governor, provider: ProviderProcess
) -> None:
    provider.configure(cached_fraction=0.4, written_fraction=0.5)
    control = {"type": "ephemeral", "ttl": life}
    system = [{"type": "text", "text": "Be brief. " * 100, "cache_control": control}]
    with client(governor, provider) as sdk:
        told(sdk, system=system, stream=stream)
    stats = provider.settled_stats()
    assert stats["cached_tokens"] > 0
    # More than all of it fresh would have been, less the cache's reads: it was written.
    fresh = stats["input_tokens"] - stats["cached_tokens"]
    floor = fresh * 3000 + stats["cached_tokens"] * 300 + stats["output_tokens"] * 15000
    assert stats["billed_nano"] > floor
    assert_spent_is_the_bill(governor, provider)


@pytest.mark.parametrize("stream", [False, True])
def test_dearer_region_that_the_workspace_chose_is_settled_at_its_price(
    stream: bool, governor: Governor, provider: ProviderProcess
) -> None:
    provider.configure(auto_tier="us")
    with client(governor, provider) as sdk:
        told(sdk, model="claude-sonnet-4-6", stream=stream)
        told(sdk, model="claude-sonnet-4-6", stream=stream, extra_body={"inference_geo": "global"})
    assert_spent_is_the_bill(governor, provider, requests=2)


# Anthropic's own SDK


def client(governor: Governor, provider: ProviderProcess) -> anthropic.Anthropic:
    return anthropic.Anthropic(
        api_key=KEY,
        base_url=root(provider),
        http_client=governor.http_client("httpx2"),
        max_retries=0,
    )


def told(sdk: anthropic.Anthropic, *, stream: bool = False, **more: Any) -> str:
    asked: Any = {"model": CURRENT, "max_tokens": 30, "messages": HELLO, **more}
    if stream:
        with sdk.messages.stream(**asked) as events:
            return "".join(events.text_stream)
    return str(sdk.messages.create(**asked).content[0].text)


@pytest.mark.parametrize("stream", [False, True])
def test_anthropics_sdk_spends_what_is_billed(
    stream: bool, governor: Governor, provider: ProviderProcess
) -> None:
    with client(governor, provider) as sdk:
        assert all([told(sdk, stream=stream) for _ in range(3)])
        raw = sdk.messages.create(model=CURRENT, max_tokens=30, messages=HELLO, stream=True)
        assert [event.type for event in raw][-1] == "message_stop"
    assert_spent_is_the_bill(governor, provider, requests=4)


@pytest.mark.parametrize("stream", [False, True])
async def test_anthropics_async_sdk_too(
    stream: bool, governor: Governor, provider: ProviderProcess
) -> None:
    async with anthropic.AsyncAnthropic(
        api_key=KEY,
        base_url=root(provider),
        http_client=governor.async_http_client("httpx2"),
        max_retries=0,
    ) as sdk:

        async def one() -> str:
            if not stream:
                reply = await sdk.messages.create(model=CURRENT, max_tokens=30, messages=HELLO)
                return str(reply.content[0].text)  # type: ignore[union-attr]
            async with sdk.messages.stream(model=CURRENT, max_tokens=30, messages=HELLO) as events:
                return "".join([text async for text in events.text_stream])

        assert all(await asyncio.gather(*(one() for _ in range(5))))
    assert_spent_is_the_bill(governor, provider, requests=5)


def test_image_is_within_its_bound_and_a_pdf_is_refused(
    governor: Governor, provider: ProviderProcess
) -> None:
    provider.configure(image_tokens=1590)
    picture = {"type": "base64", "media_type": "image/png", "data": PNG}
    paper = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
    with client(governor, provider) as sdk:
        parts = [{"type": "image", "source": picture}, {"type": "text", "text": "What is it?"}]
        told(sdk, messages=[{"role": "user", "content": parts}])
        with pytest.raises(anthropic.APIConnectionError) as raised:
            document = [{"type": "document", "source": paper}]
            told(sdk, messages=[{"role": "user", "content": document}])
    assert isinstance(raised.value.__cause__, NotBounded)
    assert_spent_is_the_bill(governor, provider)
    (call,) = calls(governor)
    assert call.usage is not None
    assert 1590 < call.usage.input_tokens <= call.bound.input_tokens < 2000


def test_picture_in_a_chat_is_within_its_bound(
    governor: Governor, runtime: Runtime, provider: ProviderProcess
) -> None:
    provider.configure(image_tokens=1445)
    case = Case("openai/gpt-4o", "/v1", "", "")
    parts = [
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}},
        {"type": "text", "text": "What is it?"},
    ]
    ask(runtime, case, provider, "plain", messages=[{"role": "user", "content": parts}])
    assert_spent_is_the_bill(governor, provider)
    (call,) = calls(governor)
    assert call.usage is not None
    assert 1445 < call.usage.input_tokens <= call.bound.input_tokens < 1700


def test_counting_tokens_is_neither_admitted_nor_held_back() -> None:
    governing = FakeGoverning()
    upstream = FakeProvider([httpx.Response(200, json={"input_tokens": 9})])
    http = httpx2.Client(transport=Bridge(GovernedTransport(upstream, governing)))
    with anthropic.Anthropic(api_key=KEY, http_client=http, max_retries=0) as sdk:
        counted = sdk.messages.count_tokens(model=CURRENT, messages=HELLO)
    assert counted.input_tokens == 9
    assert len(upstream.requests) == 1 and not governing.desk.demands


# Ollama's own API


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("path", "said"), [("/api/chat", {"messages": HELLO}), ("/api/generate", {"prompt": "hello"})]
)
def test_ollamas_own_paths_are_counted_at_no_price(
    path: str, said: dict[str, Any], stream: bool, governor: Governor, provider: ProviderProcess
) -> None:
    body = {"model": "llama3.1", "stream": stream, "options": {"num_predict": 9}, **said}
    with governor.http_client() as http:
        reply = http.post(root(provider) + path, json=body)
    assert json.loads(reply.text.splitlines()[-1])["done"] is True
    assert_spent_is_the_bill(governor, provider)
    (call,) = calls(governor)
    assert (call.bound.nano, call.attribution.model) == (0, "ollama/llama3.1")


# Off the list


@pytest.fixture
def elsewhere(provider: ProviderProcess) -> Callable[..., Any]:
    """A call of a provider that is not on the list, but sends as it should."""
    case = Case("nebius/gpt-4o-mini", "/v1", "", "")

    def asked(governor: Governor, **more: Any) -> Any:
        price = PriceOverride(
            input_usd_per_million_tokens=Decimal("0.15"),
            output_usd_per_million_tokens=Decimal("0.6"),
        ).price()
        runtime = governor.runtime.narrowed(prices={case.model: price})
        return ask(runtime, case, provider, "plain", **more)

    return asked


def test_untested_provider_is_refused_before_anything_is_sent(
    governor: Governor, provider: ProviderProcess, elsewhere: Callable[..., Any]
) -> None:
    with pytest.raises(NotGoverned, match="allow_untested_provider"):
        elsewhere(governor)
    with pytest.raises(NotGoverned, match="allow_untested_provider"):
        elsewhere(governor, allow_untested_provider=False)
    assert provider.settled_stats()["requests"] == 0


def test_untested_provider_that_is_accepted_is_governed_where_it_sends_through_us(
    governor: Governor, provider: ProviderProcess, elsewhere: Callable[..., Any]
) -> None:
    elsewhere(governor, allow_untested_provider=True)
    assert_spent_is_the_bill(governor, provider)
