"""The provider with every case's prices, and a governor of the calls that it bills."""

from decimal import Decimal

import pytest

from prefect_governor import Governor
from prefect_governor.blocks.prices.prices import Price
from prefect_governor.blocks.work.runtime import Runtime
from tests.integration.models.cases import CASES, PRICES, ROUTES, Case
from tests.provider.process import ProviderProcess
from tests.unit.prices import flat


@pytest.fixture
def provider(provider_process: ProviderProcess) -> ProviderProcess:
    """The provider with the prices of all cases, and nothing on its bill."""
    provider_process.settled_stats()
    provider_process.renew(prices=PRICES, routes=ROUTES)
    return provider_process


@pytest.fixture
def governor() -> Governor:
    return Governor.local("providers", max_usd=5)


@pytest.fixture
def runtime(governor: Governor) -> Runtime:
    def price(case: Case) -> Price:
        million = Decimal(10**6)
        return flat(str(Decimal(case.input) * million), str(Decimal(case.output) * million)).price()

    given = {case.model: price(case) for case in CASES.values() if case.given}
    return governor.runtime.narrowed(prices=given)
