"""The Docker work pool on a real engine: `./run pytest -m docker tests/integration/deployments`.

The image is what `./run deployments/worker/build --without-registry` has kept.
"""

import os
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prefect.blocks.system import Secret
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import FlowRun
from pydantic import SecretStr

from prefect_governor import Budget, Governor, Limit
from prefect_governor.blocks.ledger.decision.store import Spend
from prefect_governor.blocks.work.ledgers import LEDGER_URL, desk
from tests import ROOT
from tests.engine import DockerEngine, NoEngine, shared, skip_loudly
from tests.integration.conftest import Corpus
from tests.integration.deployments.conftest import ended
from tests.postgres import shared_server
from tests.provider.process import ProviderProcess
from tests.waiting import A_LOOK_AT_THE_SERVER, until
from tests.warm import WarmParent

MODEL = "openai/gpt-4o-mini"
GOVERNOR = "container-team"

# Left out of the whole suite, as all that kills is.
pytestmark = [
    pytest.mark.docker,
    pytest.mark.chaos,
    pytest.mark.usefixtures("server", "put_out_of_work"),
]


@pytest.fixture(scope="module")
def engine() -> DockerEngine:
    """One that has the image of the deployments."""
    build = [str(ROOT / "run"), str(ROOT / "deployments" / "worker" / "build"), "--kept"]
    try:
        found = shared()
    except NoEngine as error:
        skip_loudly(f"NOT TESTED, no Docker engine: {error}")
    done = subprocess.run(
        build, env={**os.environ, "DOCKER_HOST": found.host}, capture_output=True, text=True
    )
    if done.returncode:
        skip_loudly(f"NOT TESTED, no image of the deployments: {done.stderr.strip()[-300:]}")
    return found


@dataclass
class Pool:
    """The Docker work pool, with a worker, and a ledger on PostgreSQL that containers have from a
    Secret block."""

    client: SyncPrefectClient
    engine: DockerEngine
    ledger: str
    provider: ProviderProcess

    def start(self, name: str, folder: Path, /, *, env: Any = (), **given: Any) -> FlowRun:
        """A run of a deployment, in a container that sees `folder` and reaches the provider."""
        reached = {"OPENAI_API_BASE": self.provider.api_base, "OPENAI_API_KEY": "sk-test-docker"}
        return self.client.create_flow_run_from_deployment(
            self.client.read_deployment_by_name(f"{name}/{name}").id,
            parameters={"model": MODEL, "max_output_tokens": 60, **given},
            job_variables={
                "network_mode": "host",
                "image_pull_policy": "Never",
                "volumes": [f"{folder}:/data/docs:ro"],
                "env": {**reached, **dict(env)},
            },
        )

    def containers(self) -> list[str]:
        """Those that run."""
        return self.engine.docker("ps", "-q", "--no-trunc").split()

    def spends(self, run: FlowRun) -> dict[str | None, Spend]:
        return desk(self.ledger).store.read_spend("item", {"run_id": str(run.id)})


@pytest.fixture(scope="module")
def pool(
    deploy: Callable[[str], str],
    engine: DockerEngine,
    provider_process: ProviderProcess,
    warm: WarmParent,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Pool]:
    from prefect.client.orchestration import get_client

    ledger = shared_server().schema_url()
    Secret(value=SecretStr(ledger)).save("governor-ledger", overwrite=True)
    name = deploy("docker")
    log = tmp_path_factory.mktemp("worker") / "worker.log"
    with log.open("w") as file:
        process = subprocess.Popen(
            warm.command("-m", "prefect", "worker", "start", "--pool", name),
            stdout=file, stderr=file, cwd=ROOT,
            env={**os.environ, "DOCKER_HOST": engine.host, "PREFECT_WORKER_QUERY_SECONDS": "1"},
        )  # fmt: skip
    try:
        with get_client(sync_client=True) as client:
            yield Pool(client, engine, ledger, provider_process)
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        print(log.read_text()[-6000:])


@pytest.fixture
def governed(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A governor whose money stands in that ledger."""
    monkeypatch.setenv(LEDGER_URL, pool.ledger)
    Governor(
        budget=Budget(max_usd=1, window="day"), limits=[Limit(tag="llm", max_concurrent=3)]
    ).save(GOVERNOR, overwrite=True)


@pytest.mark.usefixtures("governed")
def test_a_deployment_runs_in_a_container_and_spends_what_is_billed(
    pool: Pool, upstream: ProviderProcess, corpus: Corpus
) -> None:
    folder = corpus(4)[0].parent
    run = pool.start("digest", folder, governor=GOVERNOR)
    state = ended(pool.client, run.id)
    assert state.is_completed(), state
    assert str(state.message).startswith("4 new, 0 changed, 0 as before, 0 removed")
    first = upstream.settled_stats()
    (folder / "item-0000.txt").write_text("it says something else now")
    # Another container, which has nothing of the first but the ledger.
    state = ended(pool.client, pool.start("digest", folder, governor=GOVERNOR).id)
    assert str(state.message).startswith("0 new, 1 changed, 3 as before, 0 removed")
    stats = upstream.settled_stats()
    assert (first["requests"], stats["requests"]) == (4, 5)
    spent = desk(pool.ledger).store.read_spend("model", {})
    print(f"billed {stats['billed_nano']} nano-dollars in {stats['requests']} calls")
    assert sum(each.spent_nano for each in spent.values()) == stats["billed_nano"]
    # A container ends after its run has, and is removed.
    until(lambda: not pool.containers(), every=A_LOOK_AT_THE_SERVER)


@pytest.mark.usefixtures("governed")
def test_a_container_with_a_ledger_of_its_own_is_told_what_to_set_and_spends_nothing(
    pool: Pool, upstream: ProviderProcess, corpus: Corpus
) -> None:
    folder = corpus(2)[0].parent
    assert ended(pool.client, pool.start("fan-out", folder, governor=GOVERNOR).id).is_completed()
    before = upstream.settled_stats()["requests"]
    alone = {LEDGER_URL: None}
    state = ended(pool.client, pool.start("fan-out", folder, env=alone, governor=GOVERNOR).id)
    print(state.message)
    assert state.is_failed()
    assert LEDGER_URL in str(state.message)
    assert "s3cret" not in str(state.message)
    assert upstream.settled_stats()["requests"] == before


@pytest.mark.usefixtures("governed")
def test_items_of_a_container_that_is_killed_are_taken_up_again_and_none_is_paid_twice(
    pool: Pool, upstream: ProviderProcess, corpus: Corpus
) -> None:
    cap, count = 3, 18
    folder = corpus(count)[0].parent
    upstream.configure(latency_seconds=0.7)
    run = pool.start("fan-out", folder, governor=GOVERNOR)
    store = desk(pool.ledger).store
    until(lambda: len(store.read_items(str(run.id))) >= count // 3, seconds=180, every=0.1)
    (container,) = pool.containers()
    pool.engine.docker("kill", container)
    finished = {key for key, _ in store.read_items(str(run.id))}
    assert count // 3 <= len(finished) < count
    assert ended(pool.client, run.id).is_crashed()
    before = upstream.settled_stats()["requests"]

    # What the UI's Retry button sends.
    answer = pool.client.request(
        "POST",
        "/flow_runs/{id}/set_state",
        path_params={"id": run.id},
        json={"state": {"type": "SCHEDULED", "name": "AwaitingRetry"}, "force": False},
    )
    assert answer.json()["status"] == "ACCEPT"

    def completed() -> bool:
        state = pool.client.read_flow_run(run.id).state
        return state is not None and state.is_completed()

    until(completed, seconds=180, every=A_LOOK_AT_THE_SERVER)
    stats = upstream.settled_stats()
    calls = pool.spends(run)
    print(
        f"{len(finished)} of {count} finished when the container was killed, {before} calls then,"
        f" {stats['requests']} in the end"
    )
    assert {calls[key].calls for key in finished} == {1}
    bodies = Counter(record["body_hash"] for record in upstream.log())
    # What was in flight at the kill was billed, and is asked once more; nothing else is.
    assert len(bodies) == count and sum(bodies.values()) - count <= cap
    spent = sum(each.spent_nano + each.unconfirmed_nano for each in calls.values())
    assert spent >= stats["billed_nano"]
