"""What an agent really retrieved, and the citations in an answer that stand on it. Pure.

A citation is written `[source:12-18]`, or `[source:12]` for one line.
"""

import re
import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

_CITATION = re.compile(r"\[((?=[^\[\]\n]*[^\W\d_])[^\[\]\n]+?):(\d{1,9})(?:\s*[-–]\s*(\d{1,9}))?\]")  # noqa: RUF001


@dataclass(frozen=True, slots=True, order=True)
class Citation:
    """Lines `first` to `last` (from 1, both included) of a source."""

    source: str
    first: int
    last: int

    def __str__(self) -> str:
        lines = f"{self.first}" if self.first == self.last else f"{self.first}-{self.last}"
        return f"[{self.source}:{lines}]"


@dataclass(frozen=True, slots=True)
class Checked:
    """A text with the citations that hold, and those that were taken out of it."""

    text: str
    kept: tuple[Citation, ...]
    removed: tuple[str, ...]


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


def citations_in(text: str) -> list[Citation]:
    """Each once, in the order in which they stand."""
    found = (
        Citation(match[1].strip(), int(match[2]), int(match[3] or match[2]))
        for match in _CITATION.finditer(text)
    )
    return list(dict.fromkeys(found))


def check_citations(text: str, evidence: Evidence) -> Checked:
    """Take out of a text each citation that matches nothing that was retrieved."""
    kept: dict[Citation, None] = {}
    removed: dict[str, None] = {}

    def judged(match: "re.Match[str]") -> str:
        citation = Citation(match[1].strip(), int(match[2]), int(match[3] or match[2]))
        if evidence.holds(citation):
            kept[citation] = None
            return str(citation)
        removed[match[0]] = None
        return ""

    checked = _CITATION.sub(judged, text)
    # What a removed one leaves behind: a blank before a mark, two blanks.
    checked = re.sub(r"[ \t]+([.,;:!?])", r"\1", checked) if removed else checked
    checked = re.sub(r"(?<=\S)[ \t]{2,}(?=\S)", " ", checked) if removed else checked
    return Checked(checked, tuple(kept), tuple(removed))


def merged(evidences: Iterable[Evidence]) -> Evidence:
    """All that several agents were shown."""
    found = Evidence()
    for each in evidences:
        found.update(each)
    return found
