"""A broken setup: how it is broken, what the doctor is to say of it, how it is mended."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from prefect_governor.flows.cli.doctor import Finding
from prefect_governor.flows.cli.doctor.finding import Mark

# Breaks something, yields what the doctor's line is to be about, and mends it by hand: as the form
# in the UI does, where no command does.
Breaks = Callable[..., Iterator[str]]


@dataclass(frozen=True)
class Setup:
    """`mark` and a piece of the text are the doctor's; `mend` is a piece of its command, or of what
    it says in words where `by_command` is false."""

    breaks: Breaks
    mark: Mark
    text: str
    mend: str
    by_command: bool

    @property
    def id(self) -> str:
        return self.breaks.__name__


def setup(
    mark: Mark, text: str, *, command: str = "", words: str = ""
) -> Callable[[Breaks], Setup]:
    """Makes a setup of a function that breaks something."""

    def make(breaks: Breaks) -> Setup:
        return Setup(breaks, mark, text, command or words, bool(command))

    return make


def about(findings: list[Finding], what: str) -> list[Finding]:
    return [each for each in findings if each.about == what]


def wrong(findings: list[Finding]) -> list[Finding]:
    return [each for each in findings if each.mark != "ok"]
