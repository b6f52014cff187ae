"""Texts that show lines of sources, and what of those lines is left where a text is cut. Pure.

What an agent may cite is what it was really given. So a text that shows lines is never cut as mere
text: it is asked for as much of it as there is room for, and says itself which lines that shows.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from prefect_governor.blocks.offline.passages import lines_of
from prefect_governor.flows.agent.corpus import Extract
from prefect_governor.flows.agent.evidence import Evidence, citations_in


@dataclass(frozen=True, slots=True)
class Told:
    """A text as a model is given it, and the lines that it shows."""

    text: str
    lines: Evidence = field(default_factory=Evidence)


class Showing(ABC):
    """A text that shows lines."""

    @abstractmethod
    def within(self, most: int | None = None) -> Told:
        """As much of it as `most` characters hold (all of it by default), beside a line that says
        what was cut."""


def told(text: str, *, most: int) -> Told:
    """A text that shows no lines, as `Showing.within`."""
    if len(text) <= most:
        return Told(text)
    return Told(f"{text[:most]}\n… cut: {len(text) - most:,} characters more")


@dataclass(frozen=True)
class Excerpts(Showing):
    """Extracts of sources, with the number of each line. They are cut between lines; only a line
    that is too long by itself, where nothing else is shown, is cut inside. Those that are not
    `citable` are no sources, and show no lines that may be cited."""

    extracts: Sequence[Extract]
    # What is said where there are none.
    instead: str = ""
    citable: bool = True

    def within(self, most: int | None = None) -> Told:
        kept = list(self.extracts)
        note = ""
        if most is not None and len(_text(kept)) > most:
            kept = list(_fitting(kept, most))
            note = _what_was_cut(self.extracts, kept)
        lines = Evidence()
        for each in kept if self.citable else ():
            lines.add(each.source, each.first, each.last)
        return Told((_text(kept) or self.instead) + note, lines)


@dataclass(frozen=True)
class Citing(Showing):
    """What another agent wrote: it shows the lines that it cites. `shown` are those that its writer
    was shown. `rest` says where what is cut can be had."""

    text: str
    shown: Evidence
    rest: str = ""

    def within(self, most: int | None = None) -> Told:
        whole = most is None or len(self.text) <= most
        text = self.text if whole else self.text[:most]
        lines = Evidence()
        for citation in citations_in(text, self.shown.sources):
            for each in self.shown.within(citation):
                lines.add(each.source, each.first, each.last)
        if whole:
            return Told(text, lines)
        rest = self.rest or f"{len(self.text) - len(text):,} characters more"
        return Told(f"{text}\n… cut: {rest}", lines)


def _text(extracts: Sequence[Extract]) -> str:
    return "\n\n".join(_block(each) for each in extracts)


def _block(extract: Extract) -> str:
    return f"{_head(extract)}\n{extract.numbered()}"


def _head(extract: Extract) -> str:
    page = f", page {extract.page}" if extract.page else ""
    return f"[{extract.source}:{extract.first}-{extract.last}]{page}"


def _fitting(extracts: Sequence[Extract], most: int) -> Iterator[Extract]:
    room = most
    for at, extract in enumerate(extracts):
        size = len(_block(extract))
        if size > room:
            part = _beginning(extract, room, alone=at == 0)
            if part is not None:
                yield part
            return
        yield extract
        room -= size + len("\n\n")


def _beginning(extract: Extract, most: int, *, alone: bool) -> Extract | None:
    """The first lines of an extract that `most` characters hold; None where they hold not one."""
    lines = lines_of(extract.text)
    # A head for fewer lines is no longer.
    room = most - len(_head(extract))
    around = len(f"\n{extract.last}  ")
    count = 0
    for line in lines:
        room -= around + len(line)
        if room < 0:
            break
        count += 1
    if count:
        return replace(extract, last=extract.first + count - 1, text="\n".join(lines[:count]))
    if not alone:
        return None
    return replace(extract, last=extract.first, text=lines[0][: max(1, len(lines[0]) + room)])


def _what_was_cut(extracts: Sequence[Extract], kept: Sequence[Extract]) -> str:
    """Says it without a form that could be cited."""
    parts = []
    last, whole = kept[-1], extracts[len(kept) - 1]
    if len(last.text.split("\n")[-1]) < len(whole.text.split("\n")[last.last - last.first]):
        parts.append(f"the rest of line {last.last} of {last.source}")
    if last.last < whole.last:
        parts.append(f"lines {last.last + 1} to {whole.last} of {last.source}")
    if more := len(extracts) - len(kept):
        parts.append(f"{more} more {'passage' if more == 1 else 'passages'}")
    return f"\n… cut: {' and '.join(parts)}" if parts else ""
