"""Calls that are over, and what is kept of them in the end. Plain values: no I/O, no clock.

Money is nano-dollars (int), tokens are ints, instants are nanoseconds of the wall's clock.
"""

from dataclasses import dataclass

from prefect_governor.blocks.records.calls import Attribution, CallState, Usage


@dataclass(frozen=True, slots=True)
class OldCall:
    """A call that was resolved. `run_id` is the run that may be gone on with what is kept of it."""

    call_id: str
    created_wall: int
    run_id: str | None


@dataclass(frozen=True, slots=True)
class EndedCall:
    """All that a sum keeps of a call. `accounts` are (account, label) of what it drew on, leaf
    first; `usage` None for one that was not spent."""

    call_id: str
    state: CallState
    created_wall: int
    accounts: tuple[tuple[str, str], ...]
    usage: Usage | None
    who: Attribution


@dataclass(frozen=True, slots=True)
class CallSum:
    """Spent calls of one quarter of an hour that have all of this in common.

    Attributes:
        key: a digest of what they have in common: a sum of the same key is added to.
        start_wall: when the quarter began.
        accounts: (account, label) of what they drew on, leaf first; none of a single run's own.
        who: `flow`, `deployment`, `task`, `tags`, `model`, `user` and `label`; the rest is empty.
        calls: how many.
        usage: what they came to, together.
    """

    key: str
    start_wall: int
    accounts: tuple[tuple[str, str], ...]
    who: Attribution
    calls: int
    usage: Usage


@dataclass(frozen=True, slots=True)
class LedgerSize:
    """What a ledger takes on its disk, in bytes, and how much of that is free for more."""

    bytes: int
    free_bytes: int
