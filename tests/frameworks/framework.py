"""A framework's programs. Imports nothing but the standard library: the worker reads it too."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

PLAIN, GOVERNED = "  # plain", "  # governed"
CALLS = 200
# Before a line that the governed form does not have, where nothing stands in its place.
WITHOUT = "(without) "


@dataclass(frozen=True)
class Program:
    """A program in two forms in one text.

    Lines that end in `# plain` stand in the program as its documentation has it, those that end in
    `# governed` in the one with a governor, all others in both; a block that moves into a `with`
    is marked on the `with` alone (`forms`). In the second form `governor` is there.

    name: what tells it from the framework's others ("chat, async").
    page: where its documentation has it.
    packages: what is installed, the newest where nothing else is said.
    hosts: those that it speaks to; everything else is no host that it can reach.
    prices: what the provider bills, USD a token, by model.
    environment: variables, besides the keys that `worker` sets.
    provider: more of the provider's config (`tests/provider/__init__.py`).
    varies: a text in it after which the number of the run is written, where the framework answers
        what it was asked before by itself.
    at_once: how many of it may run in the threads of one process.
    calls: how many are made on money for half of them.
    one_loop: its `asyncio.run` shares a loop with those before, see `one_loop`.
    package: whose version is shown, where it is not the framework's.
    notes: what a reader of the page should know, a sentence.
    """

    name: str
    page: str
    packages: tuple[str, ...]
    hosts: tuple[str, ...]
    text: str
    prices: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    provider: Mapping[str, Any] = field(default_factory=dict)
    governor: Mapping[str, Any] = field(default_factory=dict)
    varies: str | None = None
    at_once: int = 8
    calls: int = CALLS
    one_loop: bool = False
    package: str = ""
    notes: str = ""

    def form(self, *, governed: bool) -> str:
        """The program as it is run."""
        left_out = PLAIN if governed else GOVERNED
        lines: list[str] = []
        for line in textwrap.dedent(self.text).strip("\n").splitlines():
            if not line.endswith(left_out):
                lines.append(line.removesuffix(PLAIN).removesuffix(GOVERNED))
        return _indented("\n".join(lines) + "\n", governed=governed)

    def changes(self) -> list[str]:
        """The lines of the governed form that are not so in the plain one, indentation aside."""
        plain, governed = (
            [line.strip() for line in self.form(governed=each).splitlines()]
            for each in (False, True)
        )
        found: list[str] = []
        matcher = difflib.SequenceMatcher(None, plain, governed, autojunk=False)
        for kind, i1, i2, j1, j2 in matcher.get_opcodes():
            if kind != "equal":
                gone = max(0, (i2 - i1) - (j2 - j1))
                found += governed[j1:j2] + [f"{WITHOUT}{line}" for line in plain[i1 : i1 + gone]]
        return found


# Opens and closes what stands in a `with` of the governed form alone.
_WITH = "with governor:"
_END = "# end"


def _indented(text: str, *, governed: bool) -> str:
    """With what stands between `with governor:` at the margin and `# end` moved into it."""
    if _END not in text.splitlines():
        return text
    lines: list[str] = []
    inside = False
    for line in text.splitlines():
        if line == _END:
            inside = False
        else:
            lines.append(f"    {line}" if inside and line else line)
            inside = inside or (governed and line == _WITH)
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Framework:
    """A row of the table, one or several programs. `package` is whose version is shown."""

    title: str
    package: str
    programs: tuple[Program, ...]


def frameworks() -> dict[str, Framework]:
    """Every framework of `programs/`, by the name of its file."""
    from tests.frameworks import programs

    found: dict[str, Framework] = {}
    for room in pkgutil.iter_modules(programs.__path__, f"{programs.__name__}."):
        package = importlib.import_module(room.name)
        for each in pkgutil.iter_modules(package.__path__, f"{room.name}."):
            module = importlib.import_module(each.name)
            found[each.name.rpartition(".")[2]] = module.FRAMEWORK
    return found
