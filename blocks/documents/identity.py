"""Which ledger a saved block's money stands in: told once, in a Prefect Variable (P8).

Two machines that share a block but not its ledger would have two ceilings. So the first process
that works under a document writes its ledger's id into a Variable of the same Prefect API, and a
process with another ledger is refused before it spends.
"""

import json
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import VariableCreate, VariableUpdate
from prefect.exceptions import ObjectAlreadyExists

from prefect_governor.blocks.documents.documents import Root
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.records.budgets import PREFECT_API

_PREFIX = "prefect_governor_ledger_"
# As many Variables as Prefect hands out at once.
_MOST = 200


@dataclass(frozen=True)
class Place:
    """A ledger as this process reaches it. `home` is its folder, or its database without a
    password."""

    ledger: str
    home: str
    host: str = socket.gethostname()


def variable_name(document_id: str) -> str:
    """The Variable that a document's ledger stands in."""
    return f"{_PREFIX}{document_id.replace('-', '_')}"


def claim(roots: Iterable[Root], place: Place) -> None:
    """Make `place` the ledger of these documents, or find that it is.

    Raises:
        ConfigurationError: one of them has another ledger. The message says where it is, and what
            to set.
    """
    with get_client(sync_client=True) as client:
        for root in roots:
            _compare(root, _told(client, root, place), place)


def ledger_of(document_id: str) -> str | None:
    """The id of the ledger that a document's money stands in, None where none was told yet."""
    with get_client(sync_client=True) as client:
        found = client.read_variable_by_name(variable_name(document_id))
    told = None if found is None else _read(found.value).get("ledger")
    return None if told is None else str(told)


def elsewhere(document_id: str, ledger: str | None) -> Place | None:
    """Where a document's money is counted, where that is not the ledger of an id. None where it is,
    and where none was told yet. A Variable that is none of ours names no ledger. Writes nothing."""
    with get_client(sync_client=True) as client:
        found = client.read_variable_by_name(variable_name(document_id))
    if found is None:
        return None
    told = _read(found.value)
    if ledger is not None and told.get("ledger") == ledger:
        return None
    return Place(*(str(told.get(field, "")) for field in ("ledger", "home", "host")))


def adopt(roots: Iterable[Root], place: Place) -> None:
    """Make `place` the ledger of these documents, whatever it was: the old one is lost."""
    with get_client(sync_client=True) as client:
        for root in roots:
            name = variable_name(root.document_id)
            if client.read_variable_by_name(name) is None:
                _told(client, root, place)
            else:
                client.update_variable(VariableUpdate(name=name, value=_value(place)))


def relocate(ledger: str, home: str) -> list[str]:
    """A ledger is somewhere else now, under its id: say so wherever it was told. Returns the names
    of the Variables."""
    changed: list[str] = []
    with get_client(sync_client=True) as client:
        for each in client.read_variables(limit=_MOST):
            told = _read(each.value)
            if not each.name.startswith(_PREFIX) or told.get("ledger") != ledger:
                continue
            value = told | {"home": home, "host": socket.gethostname()}
            client.update_variable(VariableUpdate(name=each.name, value=value))
            changed.append(each.name)
    return changed


def _told(client: SyncPrefectClient, root: Root, place: Place) -> dict[str, Any]:
    name = variable_name(root.document_id)
    found = client.read_variable_by_name(name)
    if found is None:
        value = _value(place)
        try:
            client.create_variable(
                VariableCreate(name=name, value=value, tags=["prefect-governor"])
            )
        except ObjectAlreadyExists:
            # Another process was first: its ledger counts.
            found = client.read_variable_by_name(name)
        else:
            return value
    return {} if found is None else _read(found.value)


def _value(place: Place) -> dict[str, Any]:
    return {
        "ledger": place.ledger,
        "host": place.host,
        "home": place.home,
        "since": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def _read(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, dict) else {}


def _compare(root: Root, told: dict[str, Any], place: Place) -> None:
    if told.get("ledger") == place.ledger:
        return
    name = variable_name(root.document_id)
    whose = f"{root.kind} {root.name!r}"
    if "ledger" not in told:
        raise ConfigurationError(
            f"the Variable {name!r}, which says where the ledger of {whose} is, is none of ours any"
            f" more, so nothing was started. If no other machine uses that block, `prefect variable"
            f" delete {name}`: the next process makes it anew"
        )
    there = f"host {told.get('host', '?')!r} at {told.get('home', '?')}"
    raise ConfigurationError(
        f"the money of {whose} is counted in the ledger {str(told['ledger'])[:8]} on {there} (since"
        f" {told.get('since', '?')}); this process, on host {place.host!r}, has the ledger"
        f" {place.ledger[:8]} at {place.home}. Two ledgers would be two ceilings, so nothing was"
        " started. On the same machine: use the same PREFECT_HOME. On several machines or pods"
        " (Kubernetes): set ledger_url of the Governor block, or PREFECT_GOVERNOR_LEDGER_URL, to"
        " one PostgreSQL that all of them reach; where they have no database in common, to"
        f" {PREFECT_API!r}, in the block. If the old ledger is gone for good, and what was"
        f" spent with it may be forgotten: `prefect variable delete {name}`"
    )
