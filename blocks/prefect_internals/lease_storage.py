"""Where Prefect's server keeps its leases. Imports nothing of Prefect."""

from importlib.util import find_spec
from pathlib import Path

from prefect_governor.blocks.prefect_internals.names import missing

_DURABLE = "prefect.server.concurrency.lease_storage.filesystem"


def durable_lease_storage() -> str | None:
    """For PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE: one that outlives the server, None where this
    version has none. Prefect's default is memory."""
    spec = find_spec("prefect")
    parts = _DURABLE.split(".")[1:]
    for folder in (spec and spec.submodule_search_locations) or ():
        if Path(folder, *parts).with_suffix(".py").exists():
            return _DURABLE
    missing(_DURABLE, instead="leases are lost with a server that is started again")
    return None
