"""Prefect's global concurrency limits, spoken to through its own client."""

import uuid
from contextlib import suppress

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.client.schemas.responses import GlobalConcurrencyLimitResponse
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound, PrefectHTTPStatusError

_NO_ROOM = 423
_GONE = (404, 410)


class PrefectLimits:
    """See `keeper.LimitServer`. Used by one thread; connects when first used."""

    def __init__(self) -> None:
        self._opened: SyncPrefectClient | None = None

    @property
    def _client(self) -> SyncPrefectClient:
        if self._opened is None:
            self._opened = get_client(sync_client=True)
        return self._opened

    def read(self, name: str) -> GlobalConcurrencyLimitResponse | None:
        try:
            return self._client.read_global_concurrency_limit_by_name(name)
        except ObjectNotFound:
            return None

    def create(self, name: str, slots: int) -> None:
        try:
            self._client.create_global_concurrency_limit(
                GlobalConcurrencyLimitCreate(name=name, limit=slots)
            )
        except ObjectAlreadyExists:
            pass
        except PrefectHTTPStatusError as error:
            if error.response.status_code != 409:
                raise

    def acquire(self, name: str, slots: int, seconds: float) -> str | None:
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
        with suppress(ObjectNotFound):
            self._client.release_concurrency_slots_with_lease(uuid.UUID(lease_id))
