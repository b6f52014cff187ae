"""Every provider of the tested list: one call is one request, one reservation and its bill."""

import asyncio
import gc
import json
from collections.abc import Callable
from typing import Any

import pytest

from prefect_governor import Governor, NotGoverned
from prefect_governor.blocks.models.clients import aclose_clients
from prefect_governor.blocks.models.compatible import COMPATIBLE
from prefect_governor.blocks.models.completion import acompletion_under, completion_under
from prefect_governor.blocks.models.providers import TESTED_PROVIDERS
from prefect_governor.blocks.work.runtime import Runtime
from tests.integration.models.bill import assert_spent_is_the_bill, calls, figures
from tests.integration.models.cases import (
    CASES,
    HELLO,
    PNG,
    VERTEX_CLAUDE,
    Case,
    reached,
    root,
)
from tests.integration.models.warned import QUIET
from tests.provider.process import ProviderProcess
from tests.unit.prices import PRICE
from tests.waiting import until

pytestmark = [pytest.mark.usefixtures("home"), QUIET]


def ask(runtime: Runtime, case: Case, provider: ProviderProcess, how: str, **more: Any) -> Any:
    """One call in one of four ways; what was answered, a stream as the list of its chunks."""
    stream = "streamed" in how
    arguments: Any = {
        "max_tokens": 30, "stream": stream, **reached(case, provider), **more,
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


# Those that one client serves alike are asked in two ways, the others in all.
WAYS = [
    (name, how)
    for name in CASES
    for how in ("plain", "streamed", "async plain", "async streamed")
    if name not in COMPATIBLE or how in ("streamed", "async plain")
]


@pytest.mark.parametrize(("name", "how"), WAYS)
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
@pytest.mark.parametrize(
    "case",
    [
        CASES["anthropic"], CASES["bedrock"], CASES["gemini"], CASES["vertex_ai"], VERTEX_CLAUDE,
    ],
    ids=lambda case: case.model,
)  # fmt: skip
def test_fault_is_one_request_and_never_understated(
    case: Case, how: str, governor: Governor, runtime: Runtime, provider: ProviderProcess
) -> None:
    provider.configure(faults={"at": dict(enumerate(FAULTS, start=1))})
    for fault in FAULTS:
        try:
            ask(runtime, case, provider, how)
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
    case = Case("perplexity/gpt-4o-mini", "/v1", "", "")

    def asked(governor: Governor, **more: Any) -> Any:
        runtime = governor.runtime.narrowed(prices={case.model: PRICE})
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
