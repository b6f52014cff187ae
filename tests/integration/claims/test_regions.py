"""The how-to of a governor a region: each region has its own cap, and all of them one ceiling."""

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from prefect_governor import Budget, Governor, OverBudget, governor_error
from tests import ROOT
from tests.integration.models.warned import QUIET
from tests.provider.process import ProviderProcess
from tests.waiting import until

pytestmark = [pytest.mark.usefixtures("server", "put_out_of_work"), QUIET]

PAGE = ROOT / "docs" / "how-to" / "operations" / "regions.md"
CALLS = 30
AFFORDED = 40


@pytest.fixture
def regions(
    upstream: ProviderProcess, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, ProviderProcess]]:
    """Two providers, each of which refuses what is one too many there."""
    with ProviderProcess() as other:
        found = {"eu": upstream, "us": other}
        for region, provider in found.items():
            monkeypatch.setenv(f"LLM_{region.upper()}_URL", provider.api_base)
        yield found


@pytest.fixture
def page(regions: dict[str, ProviderProcess]) -> dict[str, Any]:
    """What the code of the page defines, after it ran."""
    names: dict[str, Any] = {"__name__": "example_regions"}
    (code,) = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    exec(compile(code, PAGE.name, "exec"), names)
    assert [type(each) for each in names["answers"]] == [str, str]
    for region, provider in regions.items():
        provider.settled_stats()
        provider.renew(latency_seconds=1.0, limits={"max_concurrent": names["REGIONS"][region]})
    return names


def questions() -> list[tuple[str, str]]:
    return [(region, f"call {at}: who pays?") for at in range(CALLS) for region in ("eu", "us")]


def test_each_region_has_its_cap_and_all_of_them_one_ceiling(
    page: dict[str, Any], regions: dict[str, ProviderProcess]
) -> None:
    everywhere: Any = Budget.load("models-everywhere")
    before = everywhere.state()
    # What the page's two calls came to says what one does.
    ceiling = before.spent_nano + AFFORDED * before.spent_nano // 2
    Budget(max_usd=f"{ceiling / 10**9:.9f}", window="month").save(
        "models-everywhere", overwrite=True
    )
    # Running governors follow an edit within seconds.
    until(lambda: everywhere.state().ceiling_nano == ceiling)
    ends = asyncio.run(page["ask_all"](questions()))
    stats = {region: provider.settled_stats() for region, provider in regions.items()}
    for region, cap in page["REGIONS"].items():
        assert 1 < stats[region]["max_open"] <= cap
        assert stats[region]["throttled"] == 0
    refused = [each for each in ends if not isinstance(each, str)]
    assert refused and all(isinstance(governor_error(each), OverBudget) for each in refused)
    bill = sum(each["billed_nano"] for each in stats.values())
    after = everywhere.state()
    assert after.spent_nano - before.spent_nano == bill
    assert after.spent_nano <= ceiling
    assert after.spent_nano >= 0.95 * ceiling
    by_region = [_spent(region) for region in regions]
    assert sum(by_region) == after.spent_nano
    assert min(by_region) > 0


async def test_without_governors_each_region_is_throttled(
    page: dict[str, Any], regions: dict[str, ProviderProcess]
) -> None:
    """The control: the same calls, held back by nobody."""
    body = {"model": "gpt-4o-mini", "max_tokens": 50}
    async with httpx.AsyncClient(timeout=60) as client:
        await asyncio.gather(
            *(
                client.post(
                    f"{regions[region].api_base}/chat/completions",
                    json={**body, "messages": [{"role": "user", "content": text}]},
                    headers={"authorization": "Bearer sk-test"},
                )
                for region, text in questions()
            )
        )
    for provider in regions.values():
        assert provider.settled_stats()["throttled"] > 0


def _spent(region: str) -> int:
    governor: Any = Governor.load(f"llm-{region}")
    return int(governor.budget.state().spent_nano)
