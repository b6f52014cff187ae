"""The items of sources that are too many to be held: read anew each time they are gone through."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from prefect_governor.flows.items.item import Item
from prefect_governor.flows.items.reading import Reading
from prefect_governor.flows.items.skipped import Skipped
from prefect_governor.flows.items.sources import iter_sources

# Rows that are held at once, and characters in them; of more, each is read when its turn comes.
MOST_HELD_ROWS = 10_000
MOST_HELD_CHARACTERS = 32 * 2**20


@dataclass(frozen=True)
class SourceStream:
    """Items that are there again whenever they are gone through. `files` are those among them that
    are files. What is skipped was told when they were checked."""

    read: Callable[[list[Skipped], list[str]], Iterator[Item]]
    files: tuple[str, ...]

    def __iter__(self) -> Iterator[Item]:
        return self.read([], [])


def checked_sources(
    sources: Sequence[str],
    *,
    cwd: Path | str | None = None,
    skipped: list[Skipped],
    said: list[str],
    whole_folders: bool,
    reading: Reading,
    most_held: int | None = None,
) -> "list[Item] | SourceStream":
    """The items of `sources`, every one of which is read and checked; a stream of them where there
    are more than MOST_HELD_ROWS rows, or more than `most_held` characters in them (default:
    MOST_HELD_CHARACTERS). Raises ConfigurationError as `resolve_sources`."""

    def read(left_out: list[Skipped], notes: list[str]) -> Iterator[Item]:
        return iter_sources(
            sources,
            cwd=cwd,
            skipped=left_out,
            said=notes,
            whole_folders=whole_folders,
            reading=reading,
        )

    most = MOST_HELD_CHARACTERS if most_held is None else most_held
    held: list[Item] | None = []
    size, rows, files = 0, 0, []
    for item in read(skipped, said):
        size += len(item.text or "")
        rows += item.text is not None
        if item.source is not None:
            files.append(item.source)
        if size > most or rows > MOST_HELD_ROWS:
            held = None
        if held is not None:
            held.append(item)
    return SourceStream(read, tuple(files)) if held is None else held
