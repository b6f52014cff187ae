"""What changed between what was told last and what a run came to. Pure."""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from prefect_governor.flows.report.model import ItemReport, Report, json_value

# What is remembered of a source that was told of, in the place of its answer's name.
UNANSWERED = ""
GONE = "gone"


@dataclass(frozen=True)
class Changes:
    """Items by what became of them since they were told of last, each in one of these, in input
    order.

    Attributes:
        new: answered, and never told of before.
        changed: asked anew for this digest, or with another answer than was told.
        kept: as they were told, for nothing.
        unanswered: without an answer this time; their reason says why.
        removed: keys that are told of and in the sources no more.
        first: nothing was told before.
    """

    new: tuple[ItemReport, ...]
    changed: tuple[ItemReport, ...]
    kept: tuple[ItemReport, ...]
    unanswered: tuple[ItemReport, ...]
    removed: tuple[str, ...]
    first: bool

    @property
    def any(self) -> bool:
        """Whether there is anything to tell."""
        return bool(self.new or self.changed or self.unanswered or self.removed)

    def headline(self) -> str:
        """One line of counts: "2 new, 1 changed, 40 as before, 1 removed"."""
        parts = [f"{len(self.new):,} new", f"{len(self.changed):,} changed"]
        parts.append(f"{len(self.kept):,} as before")
        if self.unanswered:
            parts.append(f"{len(self.unanswered):,} without an answer")
        parts.append(f"{len(self.removed):,} removed")
        return ", ".join(parts)


def compare(told: Mapping[str, str], report: Report, *, present: Collection[str]) -> Changes:
    """`told` is what is remembered by key; `present` are the keys that the sources hold now, those
    that the run did not get to and those that cannot be read included."""
    new, changed, kept, unanswered = [], [], [], []
    for item in report.items:
        before = told.get(item.key, UNANSWERED)
        if item.state != "succeeded":
            unanswered.append(item)
        elif before in (UNANSWERED, GONE):
            new.append(item)
        elif item.calls or answer_name(item) != before:
            changed.append(item)
        else:
            kept.append(item)
    here = {*present, *(item.key for item in report.items)}
    removed = sorted(key for key, answer in told.items() if answer != GONE and key not in here)
    return Changes(
        tuple(new), tuple(changed), tuple(kept), tuple(unanswered), tuple(removed), not told
    )


def remembered(told: Mapping[str, str], changes: Changes) -> dict[str, str]:
    """What is to be remembered that was not: the next digest is told against it. An answer stands
    until there is another."""
    now = {item.key: answer_name(item) for item in (*changes.new, *changes.changed)}
    now |= {item.key: told.get(item.key, UNANSWERED) for item in changes.unanswered}
    now |= dict.fromkeys(changes.removed, GONE)
    return {key: answer for key, answer in now.items() if told.get(key) != answer}


def answer_name(item: ItemReport) -> str:
    """Names an item's answer: the same for the same."""
    plain = json.dumps(json_value(item.result), sort_keys=True)
    return hashlib.sha256(plain.encode()).hexdigest()
