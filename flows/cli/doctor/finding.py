"""What the doctor finds."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Mark = Literal["ok", "warn", "fail"]
_ORDER: tuple[Mark, ...] = ("ok", "warn", "fail")


@dataclass(frozen=True)
class Finding:
    """One thing looked at.

    Attributes:
        about: what it is of, such as "server" or "budget 'team'".
        todo: what to do about it in words, None for nothing, or where `command` says it all.
        command: what mends it, for a shell; "…" stands where only a person knows what.
    """

    mark: Mark
    about: str
    text: str
    todo: str | None = None
    command: str | None = None

    @property
    def mend(self) -> str | None:
        """What to do, in words and as a command."""
        return ": ".join(each for each in (self.todo, self.command) if each) or None

    def __str__(self) -> str:
        line = f"{self.mark:<4} {self.about}: {self.text}"
        return line if self.mend is None else f"{line}\n{'':<4} -> {self.mend}"


def worst(findings: Iterable[Finding]) -> Mark:
    """The worst mark of them; "ok" where there are none."""
    return max((each.mark for each in findings), key=_ORDER.index, default="ok")


def as_object(findings: Iterable[Finding]) -> dict[str, Any]:
    """All of them as one JSON object."""
    found = list(findings)
    return {
        "outcome": worst(found),
        **{mark: sum(each.mark == mark for each in found) for mark in _ORDER},
        "findings": [asdict(each) for each in found],
    }
