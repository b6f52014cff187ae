"""Who works on which part of a piece of work: chunks that processes claim, one at a time.

A claim is a row, and belongs to a process that is there: what one that died had claimed is free
again, and nobody waits longer for it than a death takes to be known.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from prefect_governor.blocks.ledger.decision.store import Rows
from prefect_governor.blocks.records.chunks import Chunk


@dataclass(frozen=True, slots=True)
class Claimed:
    """A chunk that is the caller's now. `again` says that somebody had claimed it before: of its
    items some may be finished."""

    number: int
    again: bool


def first_free(
    chunks: Iterable[Chunk], *, count: int, attempt: str, living: Collection[str]
) -> int | None:
    """The lowest number of `count` chunks that nobody works on and that this attempt has not done;
    None where there is none. Pure."""
    known = {chunk.number: chunk for chunk in chunks}
    for number in range(count):
        chunk = known.get(number)
        if chunk is None or is_free(chunk, attempt=attempt, living=living):
            return number
    return None


def is_free(chunk: Chunk, *, attempt: str, living: Collection[str]) -> bool:
    """Whether a chunk that was claimed may be claimed anew: an earlier attempt has done it, or its
    process is gone. One that an earlier attempt still works on is waited for. Pure."""
    return chunk.attempt != attempt if chunk.done else chunk.owner not in living


def claim(rows: Rows, work: str, *, count: int, attempt: str, owner: str) -> Claimed | None:
    """Claim the first chunk that is free for a process; None where none is."""
    chunks = rows.chunks(work)
    number = first_free(chunks, count=count, attempt=attempt, living=_living(rows) | {owner})
    if number is None:
        return None
    rows.put_chunk(Chunk(work, number, owner, attempt))
    return Claimed(number, any(chunk.number == number for chunk in chunks))


def finish(rows: Rows, work: str, number: int, *, owner: str) -> bool:
    """Each item of a chunk has its outcome. False where the chunk is another's by now: nothing
    changes then."""
    for chunk in rows.chunks(work):
        if chunk.number == number and chunk.owner == owner:
            rows.put_chunk(replace(chunk, done=True))
            return True
    return False


def has_free(rows: Rows, work: str, *, count: int, attempt: str) -> bool:
    """Whether a process that came now would find a chunk to claim."""
    found = first_free(rows.chunks(work), count=count, attempt=attempt, living=_living(rows))
    return found is not None


def _living(rows: Rows) -> set[str]:
    """Every process that the ledger has not taken leave of."""
    return {row.owner for row in rows.owners()}
