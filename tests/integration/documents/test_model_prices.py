"""Prices that people save: a Model block's, a Governor's, for every way to call the model."""

from typing import Any

import pytest
from prefect import flow, task
from pydantic import SecretStr

from prefect_governor import (
    Budget,
    GovernedTaskRunner,
    Governor,
    Model,
    NotPriced,
    completion,
    fan_out,
    governed,
)
from prefect_governor.blocks.terms.price import PriceOverride
from prefect_governor.blocks.work import following, registry
from tests.integration.governing import loaded_as
from tests.provider.process import ProviderProcess
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("server", "put_out_of_work")

PRICE = PriceOverride(input_usd_per_million_tokens=3, output_usd_per_million_tokens=5)

TWICE = PriceOverride(input_usd_per_million_tokens=6, output_usd_per_million_tokens=10)


@pytest.fixture
def model(name: str, upstream: ProviderProcess) -> str:
    """A model that nobody but the provider knows a price of."""
    upstream.renew(prices={name: {"input": "0.000003", "output": "0.000005"}})
    return f"openai/{name}"


def ask(upstream: ProviderProcess, model: str) -> None:
    completion(
        model, [{"role": "user", "content": "hello"}], max_tokens=9, api_base=upstream.api_base
    )


def spent(name: str) -> int:
    return loaded_as(Governor, name).budget.state().spent_nano


def team(name: str, **fields: Any) -> None:
    Governor(budget=Budget(max_usd=1), **fields).save(name, overwrite=True)


def test_a_saved_model_block_prices_every_call_of_its_model(
    name: str, model: str, upstream: ProviderProcess
) -> None:
    team(name)
    Model(name=model, price=PRICE, api_key=SecretStr("sk-no-matter")).save(f"{name}-model")

    @task
    @governed(name)
    def by_decorator() -> None:
        ask(upstream, model)

    @task
    def by_runner() -> None:
        ask(upstream, model)

    @flow(task_runner=GovernedTaskRunner(name))
    def both() -> None:
        by_decorator()
        by_runner.submit().result()

    both()
    stats = upstream.settled_stats()
    assert stats["requests"] == 2
    assert spent(name) == stats["billed_nano"] > 0


def test_a_price_that_is_saved_while_a_process_runs_is_followed(
    name: str, model: str, upstream: ProviderProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "LOOKS_BETWEEN_MODELS", 1)
    team(name)
    with loaded_as(Governor, name):
        with pytest.raises(NotPriced, match="Model block"):
            ask(upstream, model)
        Model(name=model, price=PRICE).save(f"{name}-model")
        until(lambda: _is_priced(name, model))
        ask(upstream, model)
        # A governor's own word comes before it, and is followed as its ceiling is.
        twice: Any = {
            model: {"input_usd_per_million_tokens": 6, "output_usd_per_million_tokens": 9}
        }
        team(name, prices=twice)
        until(lambda: _is_priced(name, model, 6))
    assert spent(name) == upstream.settled_stats()["billed_nano"] > 0


def _is_priced(name: str, model: str, dollars: int = 3) -> bool:
    runtime = registry.loaded(Governor, name).runtime
    price = runtime.price_of(model, host="127.0.0.1")
    return price is not None and price.input * 10**6 == dollars


def test_a_governors_prices_are_known_to_a_run_under_it(
    name: str, model: str, upstream: ProviderProcess
) -> None:
    team(name, prices={model: PRICE})
    report = fan_out(["one", "two"], ask="What?", model=model, governor=name, max_output_tokens=30)
    assert report.outcome == "complete"
    assert spent(name) == upstream.settled_stats()["billed_nano"] > 0


def test_the_block_of_a_deployment_says_which_model_is_behind_its_name(
    name: str, upstream: ProviderProcess
) -> None:
    price = {"input": "0.000000165", "output": "0.00000066"}
    upstream.configure(
        deployments={"our-chat": {"model": "gpt-4o-mini-2024-07-18", "price": price}}
    )
    Model(
        name="azure/our-chat",
        api_base=upstream.url,
        api_key=SecretStr("sk-of-azure-0123"),
        price=PriceOverride(base_model="azure/gpt-4o-mini"),
    ).save(f"{name}-model")
    team(name)
    report = fan_out(
        ["one", "two"], ask="What?", model=f"block:{name}-model", governor=name,
        max_output_tokens=30,
    )  # fmt: skip
    assert report.outcome == "complete"
    assert spent(name) == upstream.settled_stats()["billed_nano"] > 0


def test_a_run_on_ones_own_server_is_free_and_has_an_estimate(
    name: str, upstream: ProviderProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    upstream.renew(prices={"served": {"input": "0", "output": "0"}})
    monkeypatch.setenv("LM_STUDIO_API_BASE", upstream.api_base)
    Governor.model_validate({"budget": {"max_usd": 1}, "prices": {"lm_studio/*": "free"}}).save(
        name
    )
    report = fan_out(
        ["one", "two"], ask="What?", model="lm_studio/served", governor=name, max_output_tokens=30,
        max_cost_multiple=3,
    )  # fmt: skip
    assert (report.outcome, spent(name)) == ("complete", 0)
    assert upstream.settled_stats()["billed_calls"] == 2
