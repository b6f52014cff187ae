"""A part of a piece of work that several processes share."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk that some process has claimed.

    `work` names what it is a part of, `number` counts its parts from 0. `owner` is the process that
    claimed it, as the ledger knows it. `attempt` is the run that it was claimed for: a run that is
    gone on with goes through all chunks again. `done` says that each of its items has its outcome.
    """

    work: str
    number: int
    owner: str
    attempt: str
    done: bool = False
