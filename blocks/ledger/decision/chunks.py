"""Who works on which part of a piece of work: chunks that processes claim.

A claim is a row, and belongs to a process that is there: what one that died had claimed is free
again, and nobody waits longer for it than a death takes to be known.
"""

from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from itertools import islice

from prefect_governor.blocks.ledger.decision.store import Rows
from prefect_governor.blocks.records.chunks import Chunk


def free(
    chunks: Iterable[Chunk], *, numbers: Iterable[int], attempt: str, living: Collection[str]
) -> Iterator[int]:
    """Of these chunks those that nobody works on and that this attempt has not done, in order.
    Pure."""
    known = {chunk.number: chunk for chunk in chunks}
    for number in numbers:
        chunk = known.get(number)
        if chunk is None or is_free(chunk, attempt=attempt, living=living):
            yield number


def is_free(chunk: Chunk, *, attempt: str, living: Collection[str]) -> bool:
    """Whether a chunk that was claimed may be claimed anew: an earlier attempt has done it, or its
    process is gone. One that an earlier attempt still works on is waited for. Pure."""
    return chunk.attempt != attempt if chunk.done else chunk.owner not in living


def claim(
    rows: Rows, work: str, *, numbers: Iterable[int], attempt: str, owner: str, most: int = 1
) -> list[int]:
    """Claim the first of these chunks that are free for a process, up to `most` of them. Whoever
    had one before may have finished some of its items."""
    living = _living(rows) | {owner}
    open_ones = free(rows.chunks(work), numbers=numbers, attempt=attempt, living=living)
    claimed = list(islice(open_ones, most))
    for number in claimed:
        rows.put_chunk(Chunk(work, number, owner, attempt))
    return claimed


def finish(rows: Rows, work: str, number: int, *, owner: str) -> bool:
    """Each item of a chunk has its outcome. False where the chunk is another's by now: nothing
    changes then."""
    for chunk in rows.chunks(work):
        if chunk.number == number and chunk.owner == owner:
            rows.put_chunk(replace(chunk, done=True))
            return True
    return False


def has_free(rows: Rows, work: str, *, numbers: Iterable[int], attempt: str) -> bool:
    """Whether a process that came now would find a chunk to claim."""
    open_ones = free(rows.chunks(work), numbers=numbers, attempt=attempt, living=_living(rows))
    return next(open_ones, None) is not None


def _living(rows: Rows) -> set[str]:
    """Every process that the ledger has not taken leave of."""
    return {row.owner for row in rows.owners()}
