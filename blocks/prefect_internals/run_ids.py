"""The ids of task runs, which Prefect makes in the order of their submission."""

from collections.abc import Callable
from uuid import UUID, uuid4

from prefect_governor.blocks.prefect_internals.names import find

# UUIDs of version 7.
new_run_id: Callable[[], UUID] = (
    find("prefect._internal.uuid7", "uuid7", instead="task runs get random ids, without an order")
    or uuid4
)
