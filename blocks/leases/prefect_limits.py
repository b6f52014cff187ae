"""Prefect's global concurrency limits, spoken to through its own client."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import (
    GlobalConcurrencyLimitCreate,
    GlobalConcurrencyLimitUpdate,
)
from prefect.client.schemas.responses import GlobalConcurrencyLimitResponse
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound, PrefectHTTPStatusError
from prefect.settings import (
    PREFECT_API_REQUEST_TIMEOUT,
    PREFECT_CLIENT_MAX_RETRIES,
    temporary_settings,
)

from prefect_governor.blocks.leases.limit_server import ServerAway

# How long one answer is waited for, in seconds. Prefect's own patience is 60 s, five times over.
TIMEOUT_SECONDS = 5.0

_NO_ROOM = 423
_GONE = (404, 410)
# What Prefect's client would ask again about, after 2 s even where it may not ask again.
_BUSY = (408, 429, 502, 503, 504)


@contextmanager
def impatient() -> Iterator[None]:
    """Inside, Prefect's clients answer or fail soon: the keeper's tick is the retry."""
    impatience: dict[Any, Any] = {
        PREFECT_CLIENT_MAX_RETRIES: 0,
        PREFECT_API_REQUEST_TIMEOUT: TIMEOUT_SECONDS,
    }
    with temporary_settings(impatience):
        yield


class PrefectLimits:
    """See `limit_server.LimitServer`. Used by one thread; connects when first used.

    Args:
        patient: False for one who asks again anyway: a busy server is then ServerAway at once.
    """

    def __init__(self, *, patient: bool = True) -> None:
        self._patient = patient
        self._opened: SyncPrefectClient | None = None

    @property
    def _client(self) -> SyncPrefectClient:
        if self._opened is None:
            settings = None if self._patient else {"event_hooks": {"response": [_refuse_to_wait]}}
            self._opened = get_client(httpx_settings=settings, sync_client=True)
        return self._opened

    def read(self, name: str) -> GlobalConcurrencyLimitResponse | None:
        with asked():
            try:
                return self._client.read_global_concurrency_limit_by_name(name)
            except ObjectNotFound:
                return None

    def create(self, name: str, slots: int) -> None:
        with asked():
            try:
                self._client.create_global_concurrency_limit(
                    GlobalConcurrencyLimitCreate(name=name, limit=slots)
                )
            except ObjectAlreadyExists:
                pass
            except PrefectHTTPStatusError as error:
                if error.response.status_code != 409:
                    raise

    def update(self, name: str, slots: int) -> None:
        with asked():
            self._client.update_global_concurrency_limit(
                name, GlobalConcurrencyLimitUpdate(limit=slots)
            )

    def acquire(self, name: str, slots: int, seconds: float) -> str | None:
        with asked():
            try:
                response = self._client.increment_concurrency_slots_with_lease(
                    names=[name], slots=slots, mode="concurrency", lease_duration=seconds
                )
            except PrefectHTTPStatusError as error:
                if error.response.status_code == _NO_ROOM:
                    return None
                raise
        found = response.json()
        if [limit["name"] for limit in found["limits"]] != [name]:
            # Prefect leases on those that exist of the limits asked for, and says nothing.
            self.release(found["lease_id"])
            return None
        return str(found["lease_id"])

    def renew(self, lease_id: str, seconds: float) -> bool:
        with asked():
            try:
                self._client.renew_concurrency_lease(uuid.UUID(lease_id), lease_duration=seconds)
            except ObjectNotFound:
                return False
            except PrefectHTTPStatusError as error:
                if error.response.status_code in _GONE:
                    return False
                raise
        return True

    def release(self, lease_id: str) -> None:
        with asked(), suppress(ObjectNotFound):
            self._client.release_concurrency_slots_with_lease(uuid.UUID(lease_id))

    def give_back(self, name: str, slots: int) -> None:
        with asked():
            # How long they were held is not known: a second each tells those who wait the least.
            self._client.release_concurrency_slots(
                names=[name], slots=slots, occupancy_seconds=float(slots)
            )


@contextmanager
def asked() -> Iterator[None]:
    """Around a request: where the server does not answer, ServerAway."""
    try:
        yield
    except httpx.TransportError as error:
        undone = isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout))
        raise ServerAway(f"Prefect's server does not answer: {error!r}", undone=undone) from error


def _refuse_to_wait(response: httpx.Response) -> None:
    if response.status_code in _BUSY:
        # It rolls back what it had no turn for.
        undone = response.status_code in (429, 503)
        raise ServerAway(f"Prefect's server is busy ({response.status_code})", undone=undone)
