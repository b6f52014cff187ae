"""An answer from excerpts: passages that a search found, quoted as they stand. Pure.

A document whose key is `source:first-last` is an excerpt of a source: those lines of it. Where all
documents of a request are, a search has chosen them for what is asked; so they are quoted whole, in
their order, each paragraph with the lines that hold it: `[source:first-last]`.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from prefect_governor.blocks.offline.passages import paragraphs_of

_KEY = re.compile(r"^(?P<source>.+):(?P<first>[1-9]\d{0,8})-(?P<last>[1-9]\d{0,8})$")


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The lines of a source from `first` on."""

    source: str
    first: int
    text: str

    @classmethod
    def of(cls, key: str, text: str) -> "Excerpt | None":
        """None for what is no excerpt by its key."""
        match = _KEY.match(key)
        if match is None:
            return None
        return cls(match["source"], int(match["first"]), text)

    def bullets(self) -> Iterator[str]:
        """A line for each paragraph: its place, and what stands there."""
        before = self.first - 1
        for each in paragraphs_of(self.text, self.source):
            yield f'- [{self.source}:{before + each.first}-{before + each.last}] "{each.text}"'


def bullets_of(excerpts: Sequence[Excerpt]) -> list[str]:
    """The lines of an answer, those of the first excerpt first."""
    return [bullet for excerpt in excerpts for bullet in excerpt.bullets()]
