"""The integration tests' server and provider serve here; without the packages nothing is run."""

import importlib.util

import pytest

from tests.integration.conftest import client, provider_process, server, upstream

__all__ = ["client", "provider_process", "server", "upstream"]

COMMAND = "./run --group engines pytest -n 0 -m engines"
PACKAGES = {"dask": ("prefect_dask", "distributed"), "ray": ("prefect_ray", "ray"), "ours": ()}


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray tells nobody how it is used."""
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> str:
    """An engine's name; the test is skipped where it is not installed."""
    name: str = request.param
    for package in PACKAGES[name]:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed; the one command that runs this: {COMMAND}")
    return name
