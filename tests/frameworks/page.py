"""docs/frameworks.md: the table, and of each framework the lines that a governor changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from tests import ROOT
from tests.frameworks.framework import CALLS, WITHOUT, Framework, Program
from tests.frameworks.measured import Measured

PAGE = ROOT / "docs" / "frameworks.md"
HEAD = (ROOT / "tests" / "frameworks" / "head.md").read_text(encoding="utf-8")
COLUMNS = (
    "framework", "program", "version", "works", "lines", "held", "used", "reason visible", "tries",
    "cancel leaves",
)  # fmt: skip
_NANO = 10**9


def page(
    frameworks: Mapping[str, Framework], lines: Mapping[str, tuple[str, list[Measured]]]
) -> str:
    """The page, as text. `lines`: the day and what was measured, by framework."""
    days = sorted({day for day, _ in lines.values() if day}) or ["never"]
    said = days[0] if len(days) == 1 else f"{days[0]} to {days[-1]}"
    rows = [
        _row(frameworks[key].title, line)
        for key in sorted(lines, key=lambda key: frameworks[key].title.lower())
        for line in lines[key][1]
    ]
    count = sum(all(line.good for line in found) for _, found in lines.values())
    head = HEAD.format(
        days=said, calls=CALLS, paid_for=CALLS // 2, frameworks=len(lines), good=count
    )
    table = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS), *rows]
    sections = [
        _section(frameworks[key], lines[key][1])
        for key in sorted(lines, key=lambda key: frameworks[key].title.lower())
    ]
    return "\n".join([head, *table, "", *sections]).rstrip() + "\n"


def _row(title: str, line: Measured) -> str:
    if line.problem:
        cells = [title, line.name, line.version, f"no: {line.problem}"]
        return "| " + " | ".join([*cells, *[""] * (len(COLUMNS) - len(cells))]) + " |"
    cells = [
        title,
        line.name,
        line.version,
        "yes" if line.works else "no",
        str(len(line.changes)),
        f"{'yes' if line.billed_nano <= line.ceiling_nano else 'NO'}"
        f" (${_usd(line.billed_nano)} of ${_usd(line.ceiling_nano)})",
        f"{line.used:.0%}",
        "yes" if line.visible else "no",
        str(line.tries),
        _left(line),
    ]
    return "| " + " | ".join(cells) + " |"


def _left(line: Measured) -> str:
    if not line.cancelled:
        return "was not cancelled"
    return "nothing" if line.reserved_nano == 0 else f"${_usd(line.reserved_nano)}"


def _usd(nano: int) -> str:
    return f"{nano / _NANO:.4f}"


def _section(framework: Framework, lines: list[Measured]) -> str:
    programs = {each.name: each for each in framework.programs}
    parts = [f"## {framework.title}\n"]
    # Programs that change the same lines are shown once.
    shown: dict[tuple[str, ...], list[Program]] = {}
    for line in lines:
        if line.name in programs:
            program = programs[line.name]
            shown.setdefault(tuple(program.changes()), []).append(program)
    for changes, same in shown.items():
        names = ", ".join(f"[{each.name}]({each.page})" for each in same)
        notes = " ".join(dict.fromkeys(each.notes for each in same if each.notes))
        parts.append(f"{names}{': ' + notes if notes else ''}\n")
        parts.append(shown_lines(changes))
    return "\n".join(parts)


def shown_lines(changes: Iterable[str]) -> str:
    """As a difference: single arguments are no Python to format."""
    lines = [
        f"- {each.removeprefix(WITHOUT)}" if each.startswith(WITHOUT) else f"+ {each}"
        for each in changes
    ]
    return "\n".join(["```diff", *lines, "```", ""])


def write(
    frameworks: Mapping[str, Framework], lines: Mapping[str, tuple[str, list[Measured]]]
) -> None:
    PAGE.write_text(page(frameworks, lines), encoding="utf-8")
