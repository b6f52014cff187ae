"""deployments/compose.yaml: whole, without a secret; its processes run with its own settings."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.settings import Settings
from prefect.utilities.importtools import import_object

from tests import ROOT
from tests.integration.conftest import Corpus
from tests.integration.deployments.stack import FILE, NotGiven, Stack, filled, services
from tests.postgres import PostgresServer, free_port
from tests.provider.process import ProviderProcess
from tests.waiting import A_LOOK_AT_THE_SERVER, until

PASSWORD = "aB3dE6gH9jK2mN5p"
GIVEN = {"GOVERNOR_DB_PASSWORD": PASSWORD, "OPENAI_API_KEY": "sk-test-compose"}
# Of the Compose specification, what a service here may have.
KNOWN = {
    "cap_drop", "command", "depends_on", "deploy", "environment", "healthcheck", "image",
    "logging", "ports", "pull_policy", "restart", "security_opt", "stop_grace_period", "volumes",
    "working_dir",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(services()))
def test_a_service_is_one_that_compose_takes_and_others_can_wait_for(name: str) -> None:
    every, service = services(), services()[name]
    assert {*service} <= KNOWN
    assert service["image"] and service["logging"]
    volumes = yaml.safe_load(FILE.read_text())["volumes"]
    for each in service.get("volumes", []):
        source = filled(each, GIVEN).split(":")[0]
        assert source in volumes or (FILE.parent / source).exists(), each
    for other, how in service.get("depends_on", {}).items():
        needed = {"service_healthy": "healthcheck", "service_completed_successfully": "command"}
        assert needed[how["condition"]] in every[other]
    ends = service["restart"] == "no"
    assert ends or "healthcheck" in service
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:")


def test_nothing_starts_without_the_password_and_it_stands_in_no_file() -> None:
    for service in services().values():
        values = {name: str(value) for name, value in service["environment"].items()}
        secret = {name for name in values if "PASSWORD" in name or name.endswith(("_KEY", "_URL"))}
        for name in secret - {"PREFECT_API_URL", "PREFECT_UI_API_URL"}:
            assert "${" in values[name], name
        if any("GOVERNOR_DB_PASSWORD" in value for value in values.values()):
            with pytest.raises(NotGiven, match="GOVERNOR_DB_PASSWORD"):
                [filled(value, {}) for value in values.values()]


def test_every_setting_is_one_that_prefect_has(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A name that Prefect does not know is ignored without a word."""
    stack = Stack(GIVEN, {}, tmp_path)
    for name in [each for each in os.environ if each.startswith("PREFECT_")]:
        monkeypatch.delenv(name)
    for service in ("server", "worker"):
        for name, value in stack.environment(service).items():
            monkeypatch.setenv(name, value)
    settings = Settings()
    database = settings.server.database
    assert (database.driver, database.host, database.port) == (
        "postgresql+asyncpg",
        "postgres",
        5432,
    )
    assert (database.user, database.name) == ("governor", "governor")
    assert database.password is not None
    assert database.password.get_secret_value() == PASSWORD
    storage = settings.server.concurrency.lease_storage
    assert storage.endswith(".filesystem")
    import_object(f"{storage}.ConcurrencyLeaseStorage")
    assert settings.worker.webserver.port == 8080
    assert settings.api.url == "http://server:4200/api"
    # Where those leases are must outlive a container.
    mounted = [each.split(":")[1] for each in services()["server"]["volumes"]]
    assert mounted == ["/home/governor"]
    image = (ROOT / "deployments" / "worker" / "Dockerfile").read_text()
    assert "PREFECT_HOME=/home/governor/.prefect" in image


@pytest.fixture
def stack(postgres_server: PostgresServer, tmp_path: Path) -> Stack:
    postgres_server.sql(
        f"CREATE ROLE governor LOGIN PASSWORD '{PASSWORD}'",
        "CREATE DATABASE governor OWNER governor",
    )
    at, port = postgres_server.port, free_port()
    moved = {
        "postgres:5432": f"127.0.0.1:{at}",
        "5432": str(at),
        "server:4200": f"127.0.0.1:{port}",
        "4200": str(port),
        "8080": str(free_port()),
        "postgres": "127.0.0.1",
    }
    return Stack(GIVEN, moved, tmp_path)


@contextmanager
def running(
    stack: Stack, service: str, *, cwd: Path, **more: str
) -> Iterator["subprocess.Popen[bytes]"]:
    """A process of a service, from when its check says that it is well."""
    with (stack.home / f"{service}.log").open("ab") as log:
        process = subprocess.Popen(
            stack.command(service),
            env={**stack.environment(service), **more}, cwd=cwd, stdout=log, stderr=log,
        )  # fmt: skip
    try:
        until(lambda: stack.is_healthy(service), seconds=180, every=1)
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        print((stack.home / f"{service}.log").read_text()[-3000:])


@pytest.mark.chaos
def test_the_stack_runs_a_deployment_and_a_killed_server_forgets_no_lease(
    stack: Stack, upstream: ProviderProcess, corpus: Corpus, tmp_path: Path
) -> None:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate

    from prefect_governor.blocks.work.ledgers import LEDGER_URL, desk

    folder = corpus(4)[0].parent
    data = tmp_path / "data"
    data.mkdir()
    shutil.copy(ROOT / "prefect.yaml", data)
    shutil.copytree(folder, data / "docs")
    address = stack.environment("worker")
    reached = {"OPENAI_API_BASE": upstream.api_base, "PREFECT_WORKER_QUERY_SECONDS": "1"}
    with ExitStack() as first:
        server = first.enter_context(running(stack, "server", cwd=data))
        made = subprocess.run(
            stack.command("deployments"), env=stack.environment("deployments"), cwd=data,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert made.returncode == 0, made.stdout + made.stderr
        with (
            SyncPrefectClient(address["PREFECT_API_URL"]) as client,
            running(stack, "worker", cwd=data, **reached),
        ):
            run = client.create_flow_run_from_deployment(
                client.read_deployment_by_name("fan-out/fan-out").id,
                parameters={"ask": "?", "sources": ["docs"], "model": "openai/gpt-4o-mini"},
            )

            def state() -> Any:
                return client.read_flow_run(run.id).state

            until(lambda: state().is_final(), seconds=180, every=A_LOOK_AT_THE_SERVER)
            assert state().is_completed(), state()
        client = first.enter_context(SyncPrefectClient(address["PREFECT_API_URL"]))
        client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name="held", limit=2))
        taken = client.increment_concurrency_slots_with_lease(["held"], 1, "concurrency", 300)
        lease = taken.json()["lease_id"]
        server.kill()
        server.wait()
    with (
        running(stack, "server", cwd=data),
        SyncPrefectClient(address["PREFECT_API_URL"]) as client,
    ):
        # In memory it would be gone: 410.
        assert client.renew_concurrency_lease(lease, 300).status_code == 204
        assert client.read_global_concurrency_limit_by_name("held").active_slots == 1
    stats = upstream.settled_stats()
    spent = desk(address[LEDGER_URL]).store.read_spend("item", {"run_id": str(run.id)})
    print(f"billed {stats['billed_nano']} nano-dollars in {stats['requests']} calls")
    assert stats["requests"] == 4
    assert sum(each.spent_nano for each in spent.values()) == stats["billed_nano"]
