"""What a person finds: the blocks registered and prefect.yaml deployed, by Prefect's command line,
a worker, and a browser at one of the UIs."""

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client

from prefect_governor.flows.server.background import ServerInfo
from tests import ROOT
from tests.integration.workers import reaching, worker_of
from tests.provider.process import ProviderProcess
from tests.ui.browser import browser
from tests.ui.drive.person import UIS, Person

POOL = "governed"


def _prefect(*words: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "prefect", *words], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="package")
def deployed(server: ServerInfo) -> dict[str, UUID]:
    """The deployments of prefect.yaml by their names, made as the how-to has it."""
    _prefect("block", "register", "-m", "prefect_governor.blocks")
    with get_client(sync_client=True) as client:
        if not any(pool.name == POOL for pool in client.read_work_pools()):
            _prefect("work-pool", "create", POOL, "--type", "process")
        _prefect("--no-prompt", "deploy", "--all")
        return {each.name: each.id for each in client.read_deployments()}


@pytest.fixture(scope="package")
def worker(
    deployed: dict[str, UUID],
    provider_process: ProviderProcess,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[None]:
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", POOL]
    folder: Path = tmp_path_factory.mktemp("worker")
    with worker_of(command, folder, variables=reaching(provider_process)):
        yield


@pytest.fixture
def provider(provider_process: ProviderProcess) -> ProviderProcess:
    """What the worker's runs ask, as new."""
    provider_process.settled_stats()
    provider_process.renew()
    return provider_process


@pytest.fixture
def client(server: ServerInfo) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as opened:
        yield opened


@pytest.fixture(params=UIS)
async def person(
    request: pytest.FixtureRequest, server: ServerInfo, client: SyncPrefectClient
) -> AsyncIterator[Person]:
    """One at each of the UIs."""
    async with browser(width=1300, height=1000) as context:
        page = await context.new_page()
        yield UIS[request.param](page, server, client)
