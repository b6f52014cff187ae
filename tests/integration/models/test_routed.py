"""OpenRouter's routes: whoever answers, within the bound and settled by its own word."""

from typing import Any

import httpx
import pytest

from prefect_governor import Governor, NotPriced
from prefect_governor.blocks.models.completion import completion_under
from prefect_governor.blocks.money.usd import NANO
from tests.integration.models.bill import assert_spent_is_the_bill, calls, figures
from tests.integration.models.cases import HELLO, KEY
from tests.integration.models.warned import QUIET
from tests.provider.process import ProviderProcess

pytestmark = [pytest.mark.usefixtures("home"), QUIET]

MINI, LLAMA = "openai/gpt-4o-mini", "meta-llama/llama-9"
# The vendor's own price, one that is less, and one that is ten times as much.
ROUTES = {
    MINI: [
        {"input": "0.00000015", "output": "0.0000006"},
        {"input": "0.00000011", "output": "0.00000041"},
        {"input": "0.0000015", "output": "0.000006"},
    ],
    "openai/gpt-4o": [{"input": "0.0000025", "output": "0.00001"}],
    LLAMA: [
        {"input": "0.00000000333", "output": "0.0000000777"},
        {"input": "0.0000003", "output": "0.0000009"},
    ],
}
MOST: dict[str, Any] = {"max_price": {"prompt": 0.2, "completion": 0.5}}


@pytest.fixture
def router(provider: ProviderProcess) -> ProviderProcess:
    provider.renew(routes=ROUTES)
    return provider


def ask(governor: Governor, router: ProviderProcess, model: str, **more: Any) -> Any:
    arguments: dict[str, Any] = {
        "max_tokens": 30, "api_base": router.api_base, "api_key": KEY, **more
    }  # fmt: skip
    reply = completion_under(governor.runtime, f"openrouter/{model}", HELLO, **arguments)
    return list(reply) if more.get("stream") else reply


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("model", "body"),
    [
        (MINI, {}),
        (MINI, {"models": ["openai/gpt-4o"]}),
        (MINI, {"provider": {"sort": "price", "order": ["azure"], "allow_fallbacks": True}}),
        (MINI, {"transforms": ["middle-out"]}),
        (MINI, {"provider": {"max_price": {"prompt": 9, "completion": 9}}}),
        (LLAMA, {"provider": MOST}),
        (LLAMA, {"models": [MINI], "provider": MOST}),
    ],
)
def test_whoever_answers_is_within_the_bound_and_settled_by_its_own_word(
    model: str, body: dict[str, Any], stream: bool, governor: Governor, router: ProviderProcess
) -> None:
    ask(governor, router, model, stream=stream, extra_body=body)
    assert_spent_is_the_bill(governor, router)
    (call,) = calls(governor)
    assert call.usage is not None
    assert 0 < call.usage.nano <= call.bound.nano


def test_control_what_names_no_most_is_billed_ten_times_the_vendors_price(
    governor: Governor, router: ProviderProcess
) -> None:
    body = {"model": MINI, "messages": HELLO, "max_tokens": 30}
    httpx.post(f"{router.api_base}/chat/completions", json=body).raise_for_status()
    bare = router.settled_stats()["billed_nano"]
    ask(governor, router, MINI)
    assert router.settled_stats()["billed_nano"] == bare + figures(governor).spent_nano
    assert bare == 10 * figures(governor).spent_nano


def test_a_client_that_says_whose_models_they_are_is_routed_and_believed(
    governor: Governor, router: ProviderProcess
) -> None:
    body = {"model": MINI, "messages": HELLO, "max_tokens": 30}
    with governor.http_client(provider="openrouter") as http:
        http.post(f"{router.api_base}/chat/completions", json=body).raise_for_status()
    assert_spent_is_the_bill(governor, router)


def test_a_most_that_nobody_takes_is_answered_by_the_router_and_costs_nothing(
    governor: Governor, router: ProviderProcess
) -> None:
    low = {"max_price": {"prompt": 0.001, "completion": 0.001}}
    with pytest.raises(Exception, match="No endpoints found"):
        ask(governor, router, MINI, extra_body={"provider": low})
    assert [call.state for call in calls(governor)] == ["released"]
    assert (figures(governor).spent_nano, router.settled_stats()["billed_nano"]) == (0, 0)


def test_a_model_without_a_price_is_refused_before_it_is_sent_and_the_advice_works(
    governor: Governor, router: ProviderProcess
) -> None:
    with pytest.raises(NotPriced, match="max_price") as refused:
        ask(governor, router, LLAMA)
    assert router.settled_stats()["requests"] == 0
    advised: dict[str, Any] = {}
    exec(str(refused.value).split("OpenRouter holds: ")[1].replace("…", "0.5"), advised)
    ask(governor, router, LLAMA, extra_body={"provider": advised["provider"]})
    assert_spent_is_the_bill(governor, router)


def test_without_its_word_a_call_stays_charged_at_its_bound(
    governor: Governor, router: ProviderProcess
) -> None:
    router.configure(faults={"at": {1: "no_usage"}})
    ask(governor, router, MINI)
    state = figures(governor)
    assert state.unconfirmed_nano >= router.settled_stats()["billed_nano"] > 0
    assert state.spent_nano == 0
    assert state.unconfirmed_nano < NANO
