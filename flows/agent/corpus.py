"""The files that an agent may look into: searched by passage, read by line or page."""

import hashlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from prefect_governor.blocks.errors import ItemFailed
from prefect_governor.blocks.offline.passages import lines_of, paragraphs_of
from prefect_governor.blocks.offline.quotes import Passage
from prefect_governor.blocks.offline.ranking import Ranking
from prefect_governor.blocks.secrets.exits import scrubbed
from prefect_governor.flows.items.item import Item
from prefect_governor.flows.items.sources import Document, read_text, resolve_sources

# Lines around a passage that are shown with it.
_AROUND = 2
# The most lines that one read shows.
MOST_LINES = 400


@dataclass(frozen=True, slots=True)
class Extract:
    """Lines `first` to `last` (from 1, both included) of a source. `page` where it has pages."""

    source: str
    first: int
    last: int
    text: str
    page: int | None = None

    def numbered(self) -> str:
        """The text as agents are shown it: each line with its number."""
        lines = lines_of(self.text)
        width = len(str(self.last))
        return "\n".join(f"{self.first + at:>{width}}  {line}" for at, line in enumerate(lines))


@dataclass(frozen=True, slots=True)
class Source:
    """A text by its lines. `pages` holds the line on which each page begins, from 1; empty without
    pages."""

    name: str
    lines: tuple[str, ...]
    pages: tuple[int, ...] = ()

    def extract(self, first: int, last: int) -> Extract:
        """Lines `first` to `last`, as far as there are."""
        first, last = max(1, first), min(len(self.lines), last)
        page = sum(start <= first for start in self.pages) or None
        return Extract(self.name, first, last, "\n".join(self.lines[first - 1 : last]), page)

    def read(self, *, first: int = 1, last: int | None = None, page: int | None = None) -> Extract:
        """Lines, `MOST_LINES` at the most; or a page. Raises LookupError that says what there is,
        for a line or a page that is not."""
        if page is not None:
            if not 1 <= page <= len(self.pages):
                raise LookupError(f"{self.name!r} has {len(self.pages)} pages")
            first = self.pages[page - 1]
            rest = self.pages[page:]
            last = rest[0] - 1 if rest else len(self.lines)
        if first < 1 or first > len(self.lines):
            raise LookupError(f"{self.name!r} has {len(self.lines):,} lines")
        until = first + MOST_LINES - 1
        return self.extract(first, until if last is None else min(last, until))


class Corpus:
    """Texts by name, indexed once when first searched. Safe for many threads.

    `unreadable` holds the files that could not be read, with the reason. `read` gives the text of
    one.
    """

    def __init__(
        self, items: Sequence[Item], *, read: Callable[[Item], Document] = read_text
    ) -> None:
        self._sources: dict[str, Source] = {}
        self.unreadable: dict[str, str] = {}
        self._index: tuple[Ranking, list[str]] | None = None
        self._indexing = threading.Lock()
        self._digest: str | None = None
        for item in items:
            try:
                document = read(item)
            except ItemFailed as error:
                self.unreadable[item.key] = str(error)
                continue
            lines = tuple(lines_of(document.text))
            if scrubbed(document.text) is not document.text:
                # Line by line: what is cited stands where it stood.
                lines = tuple(scrubbed(line) for line in lines)
            self._sources[item.key] = Source(item.key, lines, document.pages)

    @classmethod
    def of(cls, sources: Sequence[str], *, folder: Path | str | None = None) -> "Corpus":
        """Files, folders and globs, as `fan-out` reads them. Raises ConfigurationError."""
        return cls(resolve_sources(list(sources), cwd=folder) if sources else [])

    def __len__(self) -> int:
        return len(self._sources)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._sources)

    @property
    def digest(self) -> str:
        """Names the whole of the corpus."""
        if self._digest is None:
            found = hashlib.sha256()
            for source in self._sources.values():
                found.update(f"{source.name}\n{len(source.lines)}\n".encode())
                found.update("\n".join(source.lines).encode("utf-8", "surrogatepass"))
            self._digest = found.hexdigest()
        return self._digest

    def whole(self, source: str) -> Extract:
        """All of a source. Raises KeyError."""
        known = self._sources[source]
        return known.extract(1, len(known.lines))

    def line(self, source: str, number: int) -> str:
        """One line of a source, from 1; empty for what is not there."""
        known = self._sources.get(source)
        if known is None or not 1 <= number <= len(known.lines):
            return ""
        return known.lines[number - 1]

    def search(
        self, query: str, *, within: Sequence[str] = (), most: int = 8, around: int = _AROUND
    ) -> list[Extract]:
        """The paragraphs that say most to a query (BM25 over stems), best first, each with so many
        lines `around` it; of sources whose names match one of the patterns `within`, where it is
        given.

        Those of one source that touch are shown as one, at the place of the better.
        """
        ranking, owners = self._ranking()
        scores = ranking.scores(query)
        order = sorted(range(len(scores)), key=lambda at: (-scores[at], at))
        found: list[tuple[str, int, int]] = []
        for at in order:
            if scores[at] <= 0 or len(found) >= most:
                break
            name, passage = owners[at], ranking.passages[at]
            if within and not any(_names(pattern, name) for pattern in within):
                continue
            first, last = passage.first - around, passage.last + around
            for place, (other, begin, end) in enumerate(found):
                if other == name and first <= end + 1 and begin <= last + 1:
                    found[place] = (name, min(first, begin), max(last, end))
                    break
            else:
                found.append((name, first, last))
        return [self._sources[name].extract(first, last) for name, first, last in found]

    def read(
        self, source: str, *, first: int = 1, last: int | None = None, page: int | None = None
    ) -> Extract:
        """Lines of a source, `MOST_LINES` at the most; or a page of it.

        Raises LookupError that says what there is, for a source, a line or a page that is not.
        """
        known = self._sources.get(source)
        if known is None:
            near = [name for name in self._sources if name.endswith(f"/{source}")]
            if len(near) != 1:
                why = self.unreadable.get(source, "there is no such source")
                raise LookupError(f"{source!r}: {why}; a search names those that there are")
            known = self._sources[near[0]]
        return known.read(first=first, last=last, page=page)

    def _ranking(self) -> tuple[Ranking, list[str]]:
        with self._indexing:
            if self._index is None:
                passages: list[Passage] = []
                owners: list[str] = []
                for source in self._sources.values():
                    of_this = _worth_showing(paragraphs_of("\n".join(source.lines), source.name))
                    passages += of_this
                    owners += [source.name] * len(of_this)
                self._index = Ranking(passages), owners
            return self._index


def _worth_showing(paragraphs: list[Passage]) -> list[Passage]:
    """Without headings, whose words count for all that stands below them, and without what has no
    word of its own, such as a date."""
    body = [
        each
        for each in paragraphs
        if each.kind not in ("title", "heading") and any(map(str.isalpha, each.text))
    ]
    return body or paragraphs


def _names(pattern: str, name: str) -> bool:
    return fnmatchcase(name, pattern) or name == pattern or Path(name).name == pattern
