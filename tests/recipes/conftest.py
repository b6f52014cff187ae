"""A recipe is the code that stands under its heading in the docs, and is run as it stands."""

import importlib.util
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from prefect_governor import Budget, Governor, Limit
from prefect_governor.blocks.figures.figures import budget_figures
from prefect_governor.blocks.governor import resolve
from prefect_governor.blocks.work.ledgers import desk
from prefect_governor.flows.server.background import ServerInfo
from tests import ROOT
from tests.integration.conftest import provider_process, server, upstream
from tests.provider.process import ProviderProcess

__all__ = ["provider_process", "server", "upstream"]

PAGE = ROOT / "docs" / "how-to" / "agents-of-your-own.md"
COMMAND = "./run --group recipes pytest -n 0 -m recipes"
CAP = 3
_FENCE = re.compile(r"^```python recipe\n(.*?)^```", re.MULTILINE | re.DOTALL)


def recipes() -> dict[str, str]:
    """The code of each recipe, by its heading."""
    found = {}
    for section in PAGE.read_text(encoding="utf-8").split("\n## ")[1:]:
        heading, _, text = section.partition("\n")
        if codes := _FENCE.findall(text):
            (found[heading],) = codes
    return found


@dataclass(frozen=True)
class Counted:
    """What the ledger has of all calls so far."""

    spent_nano: int
    calls: int

    @classmethod
    def now(cls) -> "Counted":
        """Nothing may be held still."""
        figures = budget_figures(resolve("agents").runtime, None)
        assert figures.reserved_usd == figures.unconfirmed_usd == 0
        calls = sum(each.calls for each in desk().store.read_spend("model", {}).values())
        return cls(int(figures.spent_usd * 10**9), calls)


@dataclass(frozen=True)
class Recipe:
    """What a recipe defines, and the provider that answers it."""

    code: str
    names: dict[str, Any]
    provider: ProviderProcess
    before: Counted

    def assert_spent_is_the_bill(self, *, requests: int) -> None:
        """To the nano-dollar, a reservation for each request, and never over the cap, which was
        reached: several agents were at it at once."""
        stats = self.provider.settled_stats()
        now = Counted.now()
        assert stats["requests"] == requests == now.calls - self.before.calls
        assert now.spent_nano - self.before.spent_nano == stats["billed_nano"] > 0
        assert stats["max_open"] == CAP
        assert stats["throttled"] == 0


@pytest.fixture
def recipe(
    server: ServerInfo, upstream: ProviderProcess, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str, str], Recipe]:
    """`recipe(heading, package)` runs the code under a heading of the page. Without the package the
    test is skipped. The provider refuses what is over the cap, and lets its model use a tool."""

    def make(heading: str, package: str) -> Recipe:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed; the one command that runs this: {COMMAND}")
        monkeypatch.setenv("OPENAI_BASE_URL", upstream.api_base)
        upstream.configure(latency_seconds=0.2, limits={"max_concurrent": CAP})
        Governor(
            budget=Budget(max_usd="0.50", window="total"),
            limits=[Limit(tag="llm", max_concurrent=CAP)],
        ).save("agents", overwrite=True)
        code = recipes()[heading]
        names: dict[str, Any] = {"__name__": f"recipe_{package}"}
        exec(compile(code, f"{PAGE.name}: {heading}", "exec"), names)
        return Recipe(code, names, upstream, Counted.now())

    return make
