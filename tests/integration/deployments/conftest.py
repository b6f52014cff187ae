"""The project's deployments on a server, and a process worker that runs them."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import psutil
import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.objects import State
from prefect.exceptions import ObjectAlreadyExists

from tests import ROOT
from tests.integration.workers import reaching, worker_of
from tests.provider.process import ProviderProcess
from tests.waiting import A_LOOK_AT_THE_SERVER, until
from tests.warm import WarmParent

DEPLOYMENTS = ROOT / "deployments"


def prefect_file(kind: str) -> Path:
    """What is deployed on a work pool of a kind."""
    return ROOT / "prefect.yaml" if kind == "process" else DEPLOYMENTS / kind / "prefect.yaml"


def pool_name(kind: str) -> str:
    return "governed" if kind == "process" else f"governed-{kind}"


@pytest.fixture(scope="package")
def deploy(server: object, warm: WarmParent) -> Callable[[str], str]:
    """Makes the work pool of a kind, as its how-to says, and all deployments on it, once; the
    pool's name."""
    made: set[str] = set()

    def make(kind: str) -> str:
        name = pool_name(kind)
        if kind in made:
            return name
        template = DEPLOYMENTS / kind / "job-template.json"
        given = json.loads(template.read_text()) if template.exists() else {}
        # Tests of other rooms may have made it on the same server.
        with get_client(sync_client=True) as client, suppress(ObjectAlreadyExists):
            client.create_work_pool(WorkPoolCreate(name=name, type=kind, base_job_template=given))
        words = ("-m", "prefect", "--no-prompt", "deploy", "--all")
        done = subprocess.run(
            warm.command(*words, "--prefect-file", str(prefect_file(kind))),
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        made.add(kind)
        return name

    return make


@pytest.fixture(scope="package")
def worker(
    deploy: Callable[[str], str],
    provider_process: ProviderProcess,
    warm: WarmParent,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[psutil.Process]:
    """A process worker on the pool of prefect.yaml."""
    command = warm.command("-m", "prefect", "worker", "start", "--pool", deploy("process"))
    with worker_of(
        command, tmp_path_factory.mktemp("worker"), variables=reaching(provider_process)
    ) as process:
        yield process


def ended(client: SyncPrefectClient, run_id: UUID, *, seconds: float = 180) -> "State[Any]":
    """How a flow run ended."""

    def is_final() -> bool:
        state = client.read_flow_run(run_id).state
        return state is not None and state.is_final()

    until(is_final, seconds=seconds, every=A_LOOK_AT_THE_SERVER)
    state = client.read_flow_run(run_id).state
    assert state is not None
    return state
