"""What an agent really retrieved, and the citations in an answer that stand on it. Pure."""

import re
import threading
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from prefect_governor.flows.agent.citations import Citation, cited_in


@dataclass(frozen=True, slots=True)
class Checked:
    """A text with the citations that hold, those that were taken out of it, as they were written,
    and those that were narrowed to the lines that were shown."""

    text: str
    kept: tuple[Citation, ...]
    removed: tuple[str, ...]
    narrowed: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What was done to it, in people's words; nothing where all held."""
        notes = []
        if self.removed:
            notes.append(
                "citations of what was never retrieved were removed: " + ", ".join(self.removed[:5])
            )
        if self.narrowed:
            notes.append(
                "citations were narrowed to what was retrieved: " + ", ".join(self.narrowed[:5])
            )
        return tuple(notes)


@dataclass
class Evidence:
    """Line ranges that were shown to an agent, by source; merged where they touch."""

    _ranges: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    # Tools that show lines run at the same time, in threads.
    _adding: threading.Lock = field(default_factory=threading.Lock, compare=False, repr=False)

    def add(self, source: str, first: int, last: int) -> None:
        """Lines `first` to `last` were shown."""
        if first > last:
            return
        with self._adding:
            joined: list[tuple[int, int]] = []
            for one in sorted([*self._ranges.get(source, ()), (first, last)]):
                if joined and one[0] <= joined[-1][1] + 1:
                    joined[-1] = (joined[-1][0], max(joined[-1][1], one[1]))
                else:
                    joined.append(one)
            self._ranges[source] = joined

    def update(self, other: "Evidence") -> None:
        """All that another agent was shown as well."""
        for source, ranges in other._ranges.items():
            for first, last in ranges:
                self.add(source, first, last)

    def holds(self, citation: Citation) -> bool:
        """Whether every line of a citation was shown."""
        return any(
            first <= citation.first <= citation.last <= last
            for first, last in self._ranges.get(citation.source, ())
        )

    def within(self, citation: Citation) -> list[Citation]:
        """What of a citation was shown: itself, parts of it, or nothing."""
        return [
            Citation(citation.source, max(first, citation.first), min(last, citation.last))
            for first, last in self._ranges.get(citation.source, ())
            if first <= citation.last and citation.first <= last and citation.first <= citation.last
        ]

    @property
    def sources(self) -> tuple[str, ...]:
        """All of which anything was shown."""
        return tuple(self._ranges)

    def to_json(self) -> dict[str, list[list[int]]]:
        """By source, in its order: lists of [first, last]."""
        return {
            source: [[first, last] for first, last in self._ranges[source]]
            for source in sorted(self._ranges)
        }

    @classmethod
    def of_json(cls, data: Mapping[str, Sequence[Sequence[int]]]) -> "Evidence":
        found = cls()
        for source, ranges in data.items():
            for first, last in ranges:
                found.add(source, int(first), int(last))
        return found


def citations_in(text: str, known: Collection[str] = ()) -> list[Citation]:
    """Each once, in the order in which they stand. `known` as `cited_in` has it."""
    return list(dict.fromkeys(each for place in cited_in(text, known) for each in place.citations))


def check_citations(text: str, evidence: Evidence) -> Checked:
    """Take out of a text each citation that matches nothing that was retrieved, and narrow those
    that reach beyond what was. What is left is written as it was asked for."""
    kept: dict[Citation, None] = {}
    removed: dict[str, None] = {}
    narrowed: dict[str, None] = {}
    parts: list[str] = []
    at = 0
    for place in cited_in(text, evidence.sources):
        held: dict[Citation, None] = {}
        for citation in place.citations:
            shown = evidence.within(citation)
            held.update(dict.fromkeys(shown))
            if not shown:
                removed[str(citation) if len(place.citations) > 1 else place.written] = None
            elif shown != [citation]:
                narrowed[f"{citation} to {' '.join(str(each) for each in shown)}"] = None
        if not place.citations:
            removed[place.written] = None
        kept.update(held)
        parts += [text[at : place.start], " ".join(str(each) for each in held)]
        at = place.end
    checked = "".join([*parts, text[at:]])
    if removed:
        # What a removed one leaves behind: a blank before a mark, two blanks.
        checked = re.sub(r"[ \t]+([.,;:!?]|$)", r"\1", checked)
        checked = re.sub(r"(?<=\S)[ \t]{2,}(?=\S)", " ", checked)
    return Checked(checked, tuple(kept), tuple(removed), tuple(narrowed))


def merged(evidences: Iterable[Evidence]) -> Evidence:
    """All that several agents were shown."""
    found = Evidence()
    for each in evidences:
        found.update(each)
    return found
