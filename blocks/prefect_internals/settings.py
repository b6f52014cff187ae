"""Settings of Prefect: those that it reads once, when it is imported, and where its server keeps
its leases. Imports nothing of Prefect itself."""

import sys
from typing import Any

from prefect_governor.blocks.prefect_internals.names import find, has_module

_DURABLE = "prefect.server.concurrency.lease_storage.filesystem"


def read_again() -> None:
    """Have Prefect read the environment anew, for every thread of this process."""
    if "prefect.context" not in sys.modules:
        return
    refresh: Any = find(
        "prefect.context",
        "refresh_global_settings_context",
        instead="what this process runs goes by the settings that Prefect was imported with: set"
        " PREFECT_API_URL before that",
    )
    if refresh is not None:
        refresh()


def durable_lease_storage() -> str | None:
    """For PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE: one that outlives the server, None where this
    version has none. Prefect's default is memory."""
    known = has_module(_DURABLE, instead="leases are lost with a server that is started again")
    return _DURABLE if known else None
