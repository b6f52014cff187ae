"""How much a machine draws of a budget, and when it gives back. Pure: no I/O, no clock.

The counter counts in units, so that any ceiling fits what Prefect's database can hold. Amounts are
nano-dollars or tokens (int).
"""

from dataclasses import dataclass

# The most that a limit and its slots can be: a column of 32 bits, on PostgreSQL.
MOST_UNITS = 2**31 - 1
# A ceiling is so many units at least, where it is so much: a part in a million is lost to rounding,
# and it may be raised two hundred times over.
FEWEST_UNITS = 10**6
# Of what is left, so much is drawn ahead: one part in sixteen, so that all machines together hold
# little that is not spent, and less as the money runs out.
PARTS = 16


def unit_of(ceiling: int) -> int:
    """What one unit of a counter is, for a ceiling as it is when the counter is made."""
    unit = 1
    while ceiling // (unit * 10) >= FEWEST_UNITS:
        unit *= 10
    return unit


def limit_of(ceiling: int, unit: int) -> int:
    """The counter's limit. Never 0, at which Prefect gives nothing back: a machine knows the
    ceiling itself, and spends nothing under one that is less than a unit."""
    return min(MOST_UNITS, max(1, ceiling // unit))


@dataclass(frozen=True, slots=True)
class View:
    """A budget's window, of one ceiling, as the machine and Prefect's API have it.

    Attributes:
        ceiling: what the document says.
        granted: what this machine has drawn.
        used: of it, what is spent, unconfirmed, reserved or set aside.
        wanted: how much more the call needs that lacks most.
        busy: calls were made or waited lately.
        unit: of the counter.
        active: the counter's units that machines have drawn.
    """

    ceiling: int
    granted: int
    used: int
    wanted: int
    busy: bool
    unit: int
    active: int

    @property
    def spare(self) -> int:
        """What is drawn and not used; negative where more was billed than was drawn."""
        return self.granted - self.used

    @property
    def free(self) -> int:
        """The units that are left to draw."""
        return max(0, limit_of(self.ceiling, self.unit) - self.active)


@dataclass(frozen=True, slots=True)
class Step:
    """What to do next, in units: at most one of both."""

    draw: int = 0
    give_back: int = 0


def step(view: View) -> Step:
    """What to do next.

    Draws what a waiting call lacks, and ahead of demand while there is any. Gives all back that is
    spare once there is none; at once where others drew more than a lowered ceiling allows.
    """
    over = view.active - limit_of(view.ceiling, view.unit)
    spare = max(0, view.spare) // view.unit
    if over > 0:
        return Step(give_back=min(spare, over))
    if not view.busy:
        return Step(give_back=spare)
    lacks = -(-max(view.wanted, -view.spare, 0) // view.unit)
    ahead = view.free // PARTS
    if lacks:
        # A part of what a call needs helps nobody, and is kept from who needs less.
        return Step(draw=max(lacks, ahead) if lacks <= view.free else 0)
    return Step(draw=ahead - spare) if 2 * spare < ahead else Step()


@dataclass(frozen=True, slots=True)
class Landed:
    """What a machine knows of its draws, in the meter's unit.

    Attributes:
        granted: what was drawn and not given back.
        returning: what was given back, and may not have arrived.
        asked: what was asked for, and may not have been drawn.
        foreign: what the server counts beyond all of that: another drew it under this machine's
            name, or a ledger of before it was drawn was put back.
    """

    granted: int
    returning: int
    asked: int
    foreign: int = 0


def landed(own: int, unit: int, known: Landed) -> Landed:
    """What is known once it was read what the server counts for the machine, `own` units.

    A draw whose reply was lost shows as more than was known, and as no more than was asked for.
    What is being given back is counted until it arrives; as nobody knows when, it is neither spent
    nor given back again.
    """
    counted = own * unit
    if counted <= known.granted:
        return Landed(known.granted, 0, known.asked)
    drawn = max(0, counted - known.returning - known.granted)
    taken = min(drawn, known.asked)
    return Landed(known.granted + taken, known.returning, known.asked - taken, drawn - taken)
