"""API clients that the engine finds in its context, so that it opens none of its own for a task."""

from contextlib import AbstractAsyncContextManager, AbstractContextManager, nullcontext
from typing import Any

from prefect_governor.blocks.prefect_internals.names import find

ONE_EACH = (
    "each task opens an API client of its own, and what its run is part of is found out for each"
    " of its events"
)
_async_var: Any = find("prefect.context", "AsyncClientContext.__var__", instead=ONE_EACH)
_sync_var: Any = find("prefect.context", "SyncClientContext.__var__", instead=ONE_EACH)


def async_client() -> AbstractAsyncContextManager[Any]:
    """Opens an API client for the running loop; gives what `share_async` takes."""
    if _async_var is None:
        return nullcontext()
    from prefect.context import AsyncClientContext

    return AsyncClientContext()


def share_async(client: Any) -> None:
    """Make an open client that of the code that runs in this context."""
    if _async_var is not None:
        _async_var.set(client)


def sync_client() -> AbstractContextManager[Any]:
    """Opens an API client for threads; gives what `share_sync` takes."""
    if _sync_var is None:
        return nullcontext()
    from prefect.context import SyncClientContext

    return SyncClientContext()


def share_sync(client: Any) -> None:
    """Make an open client that of the code that runs in this context."""
    if _sync_var is not None:
        _sync_var.set(client)


def has_sync() -> bool:
    """Whether the code that runs in this context has a client already, or can be given none."""
    return _sync_var is None or _sync_var.get(None) is not None
