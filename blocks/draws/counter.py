"""The counter of one ceiling of a budget's window, at Prefect's API.

Every draw raises two limits in one step of the server's: the one that all machines share, whose
limit is the ceiling, and one that is this machine's alone. So the server itself keeps what each
machine has drawn, and a reply that is lost is looked up: nothing is asked for twice.
"""

import re
import uuid

from prefect_governor.blocks.draws.counters import Counters, Told
from prefect_governor.blocks.draws.plan import MOST_UNITS, limit_of, unit_of
from prefect_governor.blocks.errors import GovernorError
from prefect_governor.blocks.leases.limit_server import ServerAway, ServerLimit
from prefect_governor.blocks.ledger.decision.purse import PurseKey


class CounterLost(GovernorError):
    """The counter is not the one that was drawn from: nothing more is drawn."""


class SwitchedOff(CounterLost):
    """It is there, and does not count."""


class Counter:
    """See above.

    Args:
        machine: this machine's own name among those that draw.
    """

    def __init__(self, counters: Counters, key: PurseKey, meter: str, machine: str) -> None:
        self._counters = counters
        self._key = key
        self._meter = meter
        self._machine = machine
        self._told: Told | None = None
        self._own_id: str | None = None

    @property
    def variable(self) -> str:
        """The Variable that says which it is."""
        return variable_name(self._key, self._meter)

    @property
    def unit(self) -> int:
        """What one slot is; 1 before it is known."""
        return 1 if self._told is None else self._told.unit

    def look(self, budget: str, ceiling: int, *, drawn: bool) -> int:
        """The units that all machines have drawn, under the limit that the ceiling says; what is
        not there yet is made. `drawn` says whether this machine has drawn before.

        Raises CounterLost, ServerAway.
        """
        if self._told is None:
            self._told = self._find(budget, ceiling, drawn=drawn)
        active = self.active()
        if self._own_id is None:
            self._own_id = self._find_own(drawn=drawn)
        return active if self._follow(ceiling) else self.active()

    def active(self) -> int:
        """The units that all machines have drawn. Raises CounterLost, ServerAway."""
        told = self._known
        found = self._found = self._counters.read(told.counter)
        if found is None or str(found.id) != told.id:
            raise CounterLost(
                f"Prefect's limit {told.counter!r}, which counts what is drawn of budget"
                f" {told.budget!r} (window {told.window}), was"
                f" {'deleted' if found is None else 'made anew'}: nothing more is drawn in this"
                " window. What each machine has drawn already may be spent. Wait for the next"
                " window; or, where what was spent may be forgotten: `prefect variable delete"
                f" {self.variable}`, and start anew"
            )
        if found.active is False:
            raise SwitchedOff(
                f"Prefect's limit {told.counter!r}, which counts what is drawn of budget"
                f" {told.budget!r}, is switched off: nothing is drawn until it is on again:"
                f" `prefect gcl enable {told.counter}`"
            )
        return found.active_slots or 0

    def own(self) -> int:
        """The units that this machine has drawn, as the server counts. Raises CounterLost where
        that is not to be had, ServerAway."""
        name = self._own_name
        found = self._counters.read(name)
        if found is None or (self._own_id is not None and str(found.id) != self._own_id):
            raise CounterLost(_own_lost(name))
        return found.active_slots or 0

    def rise(self, units: int) -> bool:
        """Draw. False where so much is not left. Raises CounterLost, ServerAway: nobody knows then
        whether it was drawn."""
        told = self._known
        ids = self._counters.rise([told.counter, self._own_name], units)
        if ids is not None and ids != [told.id, self._own_id]:
            raise CounterLost(f"{told.counter!r} was made anew while it was drawn from")
        return ids is not None

    def fall(self, units: int) -> None:
        """Give back. Raises ServerAway: nobody knows then whether it arrived."""
        self._counters.fall([self._known.counter, self._own_name], units)

    @property
    def _known(self) -> Told:
        assert self._told is not None
        return self._told

    @property
    def _own_name(self) -> str:
        return own_name(self._known.counter, self._machine)

    def _follow(self, ceiling: int) -> bool:
        """Make the limit what the ceiling says. True where it was."""
        limit = limit_of(ceiling, self.unit)
        assert self._found is not None
        if self._found.limit == limit:
            return True
        self._counters.update(self._known.counter, limit)
        return False

    _found: ServerLimit | None = None

    def _find_own(self, *, drawn: bool) -> str:
        name = self._own_name
        own = self._counters.read(name)
        if own is None:
            if drawn:
                raise CounterLost(_own_lost(name))
            self._counters.create(name, MOST_UNITS)
            own = self._counters.read(name)
        if own is None:
            raise ServerAway("Prefect's server made no limit", undone=True)
        return str(own.id)

    def _find(self, budget: str, ceiling: int, *, drawn: bool) -> Told:
        """The counter that the Variable names; made where there is none yet. Whoever makes the
        Variable is right: a counter that none names was never drawn from."""
        try:
            told = self._counters.told(self.variable)
        except ValueError as error:
            raise CounterLost(str(error)) from None
        if told is not None:
            return told
        if drawn:
            raise CounterLost(
                f"the Variable {self.variable!r}, which names the counter of what this machine has"
                f" drawn of budget {budget!r}, was deleted: nothing more is drawn here in this"
                " window"
            )
        name = counter_name(budget, self._key[1], self._meter)
        unit = unit_of(ceiling)
        self._counters.create(name, limit_of(ceiling, unit))
        made = self._counters.read(name)
        if made is None:
            raise ServerAway("Prefect's server made no limit", undone=True)
        told = Told(name, str(made.id), unit, budget, self._key[1], self._meter)
        if self._counters.tell(self.variable, told):
            return told
        self._counters.delete(name)
        first = self._counters.told(self.variable)
        if first is None:
            raise ServerAway("the Variable of the counter is gone again", undone=True)
        return first


def variable_name(key: PurseKey, meter: str) -> str:
    """The Variable that says which counter a budget's window is drawn from."""
    return f"prefect_governor_draws_{uuid.uuid5(uuid.NAMESPACE_OID, repr((*key, meter))).hex}"


def counter_name(budget: str, window: str, meter: str) -> str:
    """A new counter's name: one that nobody has had."""
    kind = {"nano": "usd", "tokens": "tokens"}[meter]
    text = f"governor-draws:{budget}:{window}:{kind}:{uuid.uuid4().hex[:8]}"
    return re.sub(r"[/%&<>]", "-", text)


def own_name(counter: str, machine: str) -> str:
    """A machine's own limit beside a counter."""
    return f"{counter}:{machine}"


def _own_lost(name: str) -> str:
    return (
        f"Prefect's limit {name!r}, which counts what this machine has drawn, was deleted: nothing"
        " more is drawn here in this window"
    )
