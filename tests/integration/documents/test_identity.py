"""Two machines that share a block and not its ledger are refused at start (P8)."""

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import VariableCreate
from pydantic import SecretStr

from prefect_governor import Budget, ConfigurationError, Governor, Limit
from prefect_governor.blocks.documents.documents import Root
from prefect_governor.blocks.documents.identity import Place, claim, ledger_of, variable_name
from prefect_governor.blocks.governor import load_governor
from prefect_governor.blocks.machine.home import state_folder
from prefect_governor.blocks.work.ledgers import home_of
from prefect_governor.blocks.work.registry import desk_of_name, stop_all
from tests.integration.governing import NANO, document_of, edit, loaded_as
from tests.postgres import PASSWORD, PostgresServer
from tests.waiting import until
from tests.warm import WarmParent

pytestmark = pytest.mark.usefixtures("server", "put_out_of_work")

Machine = Callable[..., "subprocess.CompletedProcess[str]"]

# A flow of another machine: the same Prefect API, a PREFECT_HOME of its own.
PROGRAM = """
from prefect_governor import Governor
from prefect_governor.blocks.governor import load_governor
runtime = load_governor({name!r}).runtime
print(runtime.desk.store.ledger_id)
"""


@pytest.fixture
def machine(tmp_path: Path, warm: WarmParent) -> Machine:
    """Loads a governor as another machine does, with a home of its own."""

    def run(name: str, home: str = "other", **environment: str) -> Any:
        return subprocess.run(
            warm.command("-c", PROGRAM.format(name=name)),
            env={**os.environ, "PREFECT_HOME": str(tmp_path / home), **environment},
            capture_output=True,
            text=True,
        )

    return run


def test_machine_with_another_ledger_is_refused_with_both_ways_out(
    name: str, client: SyncPrefectClient, machine: Machine, warm: WarmParent
) -> None:
    Governor(budget=Budget(max_usd=1)).save(name)
    own = load_governor(name).runtime.desk.store.ledger_id
    variable = variable_name(str(document_of(load_governor(name))))
    told = client.read_variable_by_name(variable)
    assert told is not None
    assert isinstance(told.value, dict)
    assert told.value["ledger"] == own
    assert told.value["home"] == str(state_folder())

    refused = machine(name)
    assert refused.returncode != 0
    (message,) = (each for each in refused.stderr.splitlines() if "ConfigurationError: " in each)
    for part in ("same PREFECT_HOME", "ledger_url", "Kubernetes", own[:8], str(state_folder())):
        assert part in message
    assert f"prefect variable delete {variable}" in message
    assert str(told.value["host"]) in message

    # The old ledger is gone for good: what the message says is what helps.
    subprocess.run(
        warm.command("-m", "prefect", "variable", "delete", variable),
        check=True,
        capture_output=True,
        stdin=subprocess.DEVNULL,
    )
    moved = machine(name)
    assert moved.returncode == 0, moved.stderr
    assert moved.stdout.strip() != own
    stop_all()
    with pytest.raises(ConfigurationError, match="Two ledgers would be two ceilings"):
        _ = loaded_as(Governor, name).runtime


def test_machines_that_share_a_ledger_url_share_one_ceiling(
    name: str, machine: Machine, postgres_server: PostgresServer
) -> None:
    """What a Kubernetes user sets: each pod has a PREFECT_HOME of its own."""
    url = postgres_server.schema_url()
    Governor(budget=Budget(max_usd=1), ledger_url=SecretStr(url)).save(name)
    pods = [machine(name, home) for home in ("pod-a", "pod-b")]
    assert [each.returncode for each in pods] == [0, 0], pods[0].stderr + pods[1].stderr
    assert pods[0].stdout == pods[1].stdout
    governor = load_governor(name)
    assert governor.runtime.desk.store.ledger_id == pods[0].stdout.strip()
    with governor.reserve(max_usd="0.25") as spend:
        spend.settle("0.25")
    state = governor.budget.state()
    assert (state.spent_nano, state.ceiling_nano) == (NANO // 4, NANO)
    # The environment's says the same for a governor that names none.
    Governor(budget=Budget(max_usd=1)).save(f"{name}-plain")
    plain = machine(f"{name}-plain", "pod-c", PREFECT_GOVERNOR_LEDGER_URL=url)
    assert plain.stdout == pods[0].stdout, plain.stderr
    refused = machine(f"{name}-plain", "pod-d")
    assert refused.returncode != 0
    assert PASSWORD not in refused.stderr
    assert "postgresql://127.0.0.1" in refused.stderr


def test_processes_of_one_home_share_the_ledger(name: str, machine: Machine) -> None:
    Governor(budget=Budget(max_usd=1)).save(name)
    first, second = machine(name), machine(name)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    assert first.stdout == second.stdout


def test_budget_that_two_governors_share_has_one_ledger(name: str, machine: Machine) -> None:
    """Each governor's own document is new to its machine; their common parent is not."""
    Budget(max_usd=1).save(f"{name}-team")
    for each in ("a", "b"):
        Governor(budget=Budget(max_usd=1, parent=f"{name}-team")).save(f"{name}-{each}")
    _ = load_governor(f"{name}-a").runtime
    refused = machine(f"{name}-b")
    assert refused.returncode != 0
    assert f"Budget '{name}-team'" in refused.stderr
    with pytest.raises(subprocess.CalledProcessError):
        refused.check_returncode()


def test_parent_with_another_ledger_is_not_followed(
    name: str, machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    Budget(max_usd=1).save(f"{name}-far")
    Governor(budget=Budget(max_usd=1, parent=f"{name}-far")).save(f"{name}-there")
    assert machine(f"{name}-there").returncode == 0
    Governor(budget=Budget(max_usd=1)).save(name)
    governor = loaded_as(Governor, name)
    runtime = governor.runtime
    edit(document_of(governor), budget={"max_usd": 1, "parent": f"{name}-far"})
    until(lambda: "Two ledgers would be two ceilings" in caplog.text)
    assert [each.name for each in runtime.accounts_] == [name]


def test_of_two_that_claim_at_once_the_second_is_compared(
    name: str, client: SyncPrefectClient
) -> None:
    root = Root(str(uuid4()), "Budget", name)
    here, there = (Place(uuid4().hex, f"/home/{each}", each) for each in ("here", "there"))
    claim([root], here)
    claim([root], here)
    with pytest.raises(ConfigurationError, match=r"host 'here' at /home/here.*on host 'there'"):
        claim([root], there)
    assert ledger_of(root.document_id) == here.ledger
    names = [each.name for each in client.read_variables(limit=200)]
    assert names.count(variable_name(root.document_id)) == 1


@pytest.mark.parametrize("value", ["edited by hand", 7, {"other": 1}])
def test_variable_that_was_edited_is_refused_with_its_name(
    name: str, client: SyncPrefectClient, value: Any
) -> None:
    root = Root(str(uuid4()), "Governor", name)
    variable = variable_name(root.document_id)
    client.create_variable(VariableCreate(name=variable, value=value))
    with pytest.raises(ConfigurationError, match=f"prefect variable delete {variable}"):
        claim([root], Place(uuid4().hex, "/home"))


def test_variable_that_a_person_wrote_as_text_is_read(name: str, client: SyncPrefectClient) -> None:
    root, place = Root(str(uuid4()), "Governor", name), Place(uuid4().hex, "/home")
    text = json.dumps({"ledger": place.ledger})
    client.create_variable(VariableCreate(name=variable_name(root.document_id), value=text))
    claim([root], place)


def test_budget_by_itself_is_not_read_from_another_ledger(name: str, machine: Machine) -> None:
    Budget(max_usd=1).save(f"{name}-team")
    Governor(budget=Budget(parent=f"{name}-team")).save(name)
    assert loaded_as(Budget, f"{name}-team").state().spent_nano == 0
    assert machine(name).returncode == 0
    for wrong in (loaded_as(Budget, f"{name}-team").state, lambda: desk_of_name(f"{name}-team")):
        with pytest.raises(ConfigurationError, match="PREFECT_GOVERNOR_LEDGER_URL"):
            wrong()


def test_password_of_the_ledger_is_no_part_of_where_it_is() -> None:
    shown = home_of("postgresql://user:very-secret@db.internal:6432/governor?sslmode=require")
    assert shown == "postgresql://db.internal:6432/governor"


def test_limits_of_a_governor_without_a_budget_of_its_own_have_one_ledger(
    name: str, machine: Machine
) -> None:
    """Its caps are counted in the ledger too: two ledgers would be two caps."""
    Budget(max_usd=1).save(f"{name}-team")
    limits = [Limit(tag="llm", requests_per_minute=5)]
    Governor(budget=Budget(parent=f"{name}-team"), limits=limits).save(name)
    runtime = load_governor(name).runtime
    assert ledger_of(str(document_of(load_governor(name)))) == runtime.desk.store.ledger_id
