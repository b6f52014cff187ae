"""What is read out of a file."""

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from prefect_governor.flows.items.documents.formats.kinds import Kind


@dataclass(frozen=True)
class Extracted:
    """What a reader took out of a document.

    Attributes:
        text: all that it says, as plain text or Markdown.
        notes: what a person should know of how it was read, a line each.
        pages: the line on which each page begins; empty without pages.
    """

    text: str
    notes: tuple[str, ...] = ()
    pages: tuple[int, ...] = ()


@dataclass(frozen=True)
class Document:
    """An item's text. `pages` holds the line on which each page begins; empty without pages.
    `notes` are what a person should know of how it was read, a line each."""

    key: str
    text: str
    kind: Kind = "text"
    pages: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    def page_of(self, line: int) -> int | None:
        """The page, from 1, that a line, from 1, stands on."""
        return bisect_right(self.pages, line) or None


def in_a_line(text: object, *, most: int = 300) -> str:
    """What a file says of itself, for people: in a line, nothing that a terminal would obey."""
    line = " ".join(str(text).split())[:most]
    return "".join(each if each.isprintable() else "\ufffd" for each in line)


def named(names: Iterable[str], *, most: int = 10) -> str:
    """Names in a line for people; of more than `most` the first, and how many more."""
    given = list(names)
    more = f" and {len(given) - most} more" if len(given) > most else ""
    return ", ".join(given[:most]) + more
