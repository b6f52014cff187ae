"""Where Prefect's server keeps its leases. Imports nothing of Prefect."""

from prefect_governor.blocks.prefect_internals.names import has_module

_DURABLE = "prefect.server.concurrency.lease_storage.filesystem"


def durable_lease_storage() -> str | None:
    """For PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE: one that outlives the server, None where this
    version has none. Prefect's default is memory."""
    known = has_module(_DURABLE, instead="leases are lost with a server that is started again")
    return _DURABLE if known else None
