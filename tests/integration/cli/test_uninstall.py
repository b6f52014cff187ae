"""`prefect-governor uninstall` on a server of its own: what it takes, and what it never does."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelled, Running

from prefect_governor.flows.server.background import BackgroundServer
from tests.integration.cli.commands import ended
from tests.integration.conftest import keep_to_a_port_of_its_own
from tests.integration.databases import Databases
from tests.warm import WarmParent

SLUGS = ("governor", "governor-budget", "governor-model", "governor-sandbox")


@flow
def nightly() -> None:
    """What is under way."""


@pytest.fixture
def home(tmp_path: Path, databases: Databases) -> Path:
    """A home without a server, and a file to ask about."""
    (tmp_path / "a.txt").write_text("The ledger is a file.")
    home = tmp_path / "home"
    keep_to_a_port_of_its_own(BackgroundServer(home / "governor"))
    return home


@pytest.fixture
def prefect_governor(
    home: Path, tmp_path: Path, warm: WarmParent, databases: Databases
) -> Callable[..., tuple[int, str, str]]:
    """Runs a command there, with nobody at its standard input."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PREFECT_API")
    }

    def call(*words: str, **variables: str) -> tuple[int, str, str]:
        process = subprocess.Popen(
            warm.command("-m", "prefect_governor.flows.cli", *words),
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            cwd=tmp_path, env=environment | {"PREFECT_HOME": str(home)} | variables,
        )  # fmt: skip
        stdout, stderr = ended(process)
        return process.returncode, stdout, stderr

    return call


def test_it_takes_what_was_put_into_prefect_and_leaves_the_ledger(
    home: Path, prefect_governor: Callable[..., tuple[int, str, str]], databases: Databases
) -> None:
    with databases.begin(home):
        status, stdout, stderr = prefect_governor("init", "team", "--model", "offline/extract",
                                                  "--source", "a.txt", "--json")  # fmt: skip
    assert status == 0, stderr
    api = json.loads(stdout)["things"][0]["url"].partition("/blocks/")[0] + "/api"
    ledger = home / "governor" / "ledger.sqlite"
    ledger.write_bytes(b"what was spent")
    with temporary_settings({PREFECT_API_URL: api}), get_client(sync_client=True) as client:
        for name in ("somebody-elses", "governor:team:all"):
            client.create_global_concurrency_limit(_limit(name))

        refused = prefect_governor("uninstall")
        assert refused[0] == 2
        assert "give --yes" in refused[2]
        assert "Governor team" in refused[2]
        assert client.read_block_type_by_slug("governor")

        # A server that is configured is another's.
        status, stdout, stderr = prefect_governor("uninstall", "--yes", PREFECT_API_URL=api)
        assert status == 0, stderr
        assert "Governor team" in stdout
        assert f"stays: the background server {api.removesuffix('/api')}" in stdout
        for slug in SLUGS:
            with pytest.raises(ObjectNotFound):
                client.read_block_type_by_slug(slug)
        left = [each.name for each in client.read_global_concurrency_limits()]
        assert left == ["somebody-elses"]

        # What is under way would go on without its server.
        run = client.create_flow_run(nightly, name="the-one", state=Running())
        refused = prefect_governor("uninstall", "--yes")
        assert refused[0] == 2
        assert "1 flow run under way, such as the-one" in refused[2]
        assert BackgroundServer(home / "governor").running() is not None
        client.set_flow_run_state(run.id, Cancelled())

    taken = json.loads(prefect_governor("uninstall", "--yes", "--json")[1])
    assert taken["limits"] == taken["block_types"] == []
    assert taken["server"] == api.removesuffix("/api")
    assert BackgroundServer(home / "governor").running() is None
    assert ledger.read_bytes() == b"what was spent"


def _limit(name: str) -> Any:
    from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate

    return GlobalConcurrencyLimitCreate(name=name, limit=3)
