"""Prefect's global concurrency limits as counters, and the Variables that say which they are."""

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from prefect.client.schemas.actions import VariableCreate
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound, PrefectHTTPStatusError

from prefect_governor.blocks.leases.limit_server import ServerLimit
from prefect_governor.blocks.leases.prefect_limits import PrefectLimits, asked

# Prefect's answers to a rise that has no room: others are in the way, or the limit is less.
_NO_ROOM = (422, 423)
TAGS = ["prefect-governor"]


@dataclass(frozen=True, slots=True)
class Told:
    """What a Variable says of the counter of a budget's window, once for all machines.

    Attributes:
        counter: the global concurrency limit, by name; `id` is the one that was made.
        unit: what one slot is, in nano-dollars or tokens.
        budget, window, meter: what it counts, for people.
    """

    counter: str
    id: str
    unit: int
    budget: str
    window: str
    meter: str


class Counters(Protocol):
    """What is asked of Prefect's API; `PrefectCounters` is the real one. Whatever it is asked, it
    may raise ServerAway."""

    def read(self, name: str) -> ServerLimit | None: ...

    def create(self, name: str, slots: int) -> None: ...

    def update(self, name: str, slots: int) -> None: ...

    def delete(self, name: str) -> None: ...

    def rise(self, names: Sequence[str], units: int) -> list[str] | None:
        """Take units of all of them or of none: the ids of those that were asked for; None where
        one has no room."""

    def fall(self, names: Sequence[str], units: int) -> None:
        """Give units back to all of them."""

    def told(self, variable: str) -> Told | None:
        """What a Variable says; raises ValueError for one that is none of ours."""

    def tell(self, variable: str, told: Told) -> bool:
        """Make a Variable. False where it was there."""


class PrefectCounters(PrefectLimits):
    """See `Counters`. Used by one thread; connects when first used."""

    def __init__(self) -> None:
        super().__init__(patient=False)

    def delete(self, name: str) -> None:
        with asked(), suppress(ObjectNotFound):
            self._client.delete_global_concurrency_limit_by_name(name)

    def rise(self, names: Sequence[str], units: int) -> list[str] | None:
        with asked():
            try:
                response = self._client.increment_concurrency_slots(
                    names=list(names), slots=units, mode="concurrency"
                )
            except PrefectHTTPStatusError as error:
                if error.response.status_code in _NO_ROOM:
                    return None
                raise
        found = {str(each["name"]): str(each["id"]) for each in response.json()}
        return [found.get(name, "") for name in names]

    def fall(self, names: Sequence[str], units: int) -> None:
        with asked():
            # How long they were held is not known, and nobody waits by it.
            self._client.release_concurrency_slots(
                names=list(names), slots=units, occupancy_seconds=float(units)
            )

    def told(self, variable: str) -> Told | None:
        with asked():
            found = self._client.read_variable_by_name(variable)
        if found is None:
            return None
        value: Any = json.loads(found.value) if isinstance(found.value, str) else found.value
        try:
            return Told(**value)
        except TypeError as error:
            raise ValueError(f"the Variable {variable!r} is none of ours: {error}") from None

    def tell(self, variable: str, told: Told) -> bool:
        with asked():
            try:
                self._client.create_variable(
                    VariableCreate(name=variable, value=asdict(told), tags=TAGS)
                )
            except ObjectAlreadyExists:
                return False
        return True
