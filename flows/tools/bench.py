"""What the tools of one item work on: its workspace, and a sandbox for each program. They have
their turns: one at a time, in the order in which they were asked for."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import TracebackType

from typing_extensions import Self

from prefect_governor.blocks.errors import ConfigurationError, ItemFailed
from prefect_governor.blocks.sandboxes.results import SandboxResult
from prefect_governor.blocks.sandboxes.runtime import Cell
from prefect_governor.blocks.workspaces.workspace import Workspace
from prefect_governor.flows.agent.corpus import Corpus
from prefect_governor.flows.items.documents.formats.document import Document
from prefect_governor.flows.items.documents.formats.kinds import COMPOUND, SUFFIXES, ZIPPED
from prefect_governor.flows.items.documents.workers import read_document
from prefect_governor.flows.items.encodings import decoded
from prefect_governor.flows.items.item import Item
from prefect_governor.flows.tools.snapshots import Snapshots

# Makes the sandbox on a folder.
MakeCell = Callable[[Path], AbstractAsyncContextManager[Cell]]

# An agent whose programs met so many bounds will meet the next: each costs the time that it takes.
MOST_RUNAWAYS = 3
# Files that are told by name where another was asked for.
_MOST_NAMES = 20
_EXTRACTED = frozenset(
    suffix for suffix, kind in SUFFIXES.items() if kind in ZIPPED | COMPOUND | {"pdf"}
)
# Compiled files would stand among the outputs.
_ENVIRONMENT = {"PYTHONDONTWRITEBYTECODE": "1"}


class Bench:
    """Left, nothing of what it ran runs on.

    Args:
        workspace: the item's.
        make_cell: makes a sandbox; None where nothing may be run.
        apart: a folder of it whose files are searched elsewhere.

    Attributes:
        programs: how many have run.
        runaways: the bounds that ended programs, in people's words.
    """

    def __init__(
        self, workspace: Workspace, make_cell: MakeCell | None, *, apart: str | None = None
    ) -> None:
        self.workspace = workspace
        self._apart = apart
        self.programs = 0
        self.runaways: list[str] = []
        self._make_cell = make_cell
        self._corpus: Corpus | None = None
        self._behind: int | None = None
        self.turn = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        # What was left behind, as it came too late, has ended once it gives back its turn.
        async with self.turn:
            pass

    @property
    def notes(self) -> list[str]:
        """What is to be said of an answer whose agent worked here."""
        return [f"a program was ended: {each}" for each in dict.fromkeys(self.runaways)]

    async def run(self, argv: Sequence[str], stdin: bytes = b"") -> SandboxResult:
        """Run a program in a sandbox of its own on the workspace: none is held, nor a place for
        one, while the model is asked; and whoever goes on with the item finds all that there is.

        Raises ItemFailed, with the last bound that was met, for an agent whose programs keep
        meeting theirs; ConfigurationError where the program cannot be started at all.
        """
        if self._make_cell is None:
            raise ConfigurationError("these tools run no programs: add python or shell")
        async with self._make_cell(self.workspace.root) as cell:
            result = await cell.run(argv, stdin=stdin, environment=_ENVIRONMENT)
        self._corpus = None
        self.programs += 1
        if result.reason is not None:
            self.runaways.append(result.reason)
            self.check_runaways()
        return result

    def check_runaways(self) -> None:
        """Raises ItemFailed for the last of too many."""
        if len(self.runaways) >= MOST_RUNAWAYS:
            raise ItemFailed(
                f"{self.runaways[-1]}; {len(self.runaways)} of its programs were ended so: give the"
                " Sandbox block more, or ask for less"
            )

    def return_to(self, programs: int, runaways: Sequence[str]) -> None:
        """What an earlier attempt was told stands: so many programs have run. Their files are there
        once it has caught up."""
        self.programs, self.runaways = programs, list(runaways)
        self._behind = programs or None

    def catch_up(self, snapshots: Snapshots) -> None:
        """Have the files of the programs that an earlier attempt ran. Blocking."""
        if self._behind is not None:
            snapshots.restore(self.workspace, self._behind)
            self._behind, self._corpus = None, None

    def file(self, name: str) -> Corpus:
        """One file as it is now. Raises LookupError that says what there is."""
        names = self.workspace.names()
        if name not in names:
            near = [each for each in names if each.endswith(f"/{name}")]
            if len(near) != 1:
                shown = ", ".join(names[:_MOST_NAMES]) + (", …" if names[_MOST_NAMES:] else "")
                raise LookupError(f"there is no file {name!r}; there are: {shown or 'none'}")
            name = near[0]
        return self._read([name])

    def files(self) -> Corpus:
        """All files as they are now, but for those apart."""
        if self._corpus is None:
            apart = None if self._apart is None else f"{self._apart}/"
            names = self.workspace.names()
            self._corpus = self._read([n for n in names if not (apart and n.startswith(apart))])
        return self._corpus

    def _read(self, names: Sequence[str]) -> Corpus:
        return Corpus([Item(key=name, source=name) for name in names], read=self._document)

    def _document(self, item: Item) -> Document:
        try:
            data = self.workspace.read(item.key)
        except (OSError, ValueError) as error:
            raise ItemFailed(f"the file cannot be read: {error}") from None
        suffix = Path(item.key).suffix.lower()
        if suffix in _EXTRACTED:
            return read_document(item.key, data, suffix=suffix)
        # Of whatever else the lines are those that programs count.
        return Document(item.key, decoded(data).text)
