"""The integration tests' server and provider serve here; without the packages nothing is run."""

import importlib.util

import pytest

from tests.integration.conftest import client, provider_process, server, upstream

__all__ = ["client", "provider_process", "server", "upstream"]

COMMAND = "./run --group engines pytest -n 0 -m engines"
PACKAGES = {"dask": ("prefect_dask", "distributed"), "ray": ("prefect_ray", "ray"), "ours": ()}


@pytest.fixture(autouse=True)
def on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray is asked to be of one machine, on its loopback address, and to tell nobody of it."""
    monkeypatch.setenv("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")


@pytest.fixture
def engine(request: pytest.FixtureRequest) -> str:
    """An engine's name; the test is skipped where it is not installed."""
    name: str = request.param
    for package in PACKAGES[name]:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed; the one command that runs this: {COMMAND}")
    return name
