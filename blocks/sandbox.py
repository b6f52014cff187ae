"""The Sandbox block: runs programs that nobody has read, such as a model's, apart from the host."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar, Literal

from prefect.blocks.core import Block
from pydantic import ConfigDict, Field, field_validator

from prefect_governor.blocks.claims.slots import Slot
from prefect_governor.blocks.context.scope import current_scope
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.sandboxes.bounds import SandboxBounds
from prefect_governor.blocks.sandboxes.bubblewrap.runtime import BubblewrapRuntime
from prefect_governor.blocks.sandboxes.docker.runtime import shared
from prefect_governor.blocks.sandboxes.folder import workspace_bounds
from prefect_governor.blocks.sandboxes.keyless import KeylessCell
from prefect_governor.blocks.sandboxes.places import places
from prefect_governor.blocks.sandboxes.results import SandboxResult
from prefect_governor.blocks.sandboxes.runtime import Cell, SandboxRuntime
from prefect_governor.blocks.terms.document import DOCUMENTATION_URL, DocumentTerms
from prefect_governor.blocks.terms.form import empty_is_none, plain
from prefect_governor.blocks.work.runtime import Runtime
from prefect_governor.blocks.workspaces.held import HeldWorkspace

# Opens a cell on a folder; see `Sandbox.together`.
OpenCell = Callable[..., AbstractAsyncContextManager[Cell]]
RuntimeName = Literal["auto", "docker", "bubblewrap"]

# What deployments/sandbox builds.
IMAGE = "prefect-governor-sandbox"


class Sandbox(SandboxBounds, DocumentTerms, Block):
    """Runs programs apart from the host: no network, a read-only root, no capabilities, no root
    user, a bounded workspace, and bounds on memory, CPU, processes, open files, output and time. A
    program that goes beyond one ends, alone, with a reason that names it.

    In containers where a Docker engine answers and has the image, else by bubblewrap where that
    works, else not at all. Under a governor that has a limit on its tag (`Limit(tag="sandbox",
    counts="tasks", max_concurrent=…)`) each sandbox takes a slot of it; otherwise as many are at
    once, in a process, as memory and cores hold.

    Example:
        ```python
        from prefect_governor import Sandbox

        result = await Sandbox(memory_mib=128, seconds=10).python("print(6 * 7)")
        print(result.stdout, result.reason)
        ```
    """

    block_type_name: ClassVar[str] = "Governor Sandbox"
    block_type_slug: ClassVar[str] = "governor-sandbox"
    block_class: ClassVar[str] = "Sandbox"

    _block_type_name = block_type_name
    _block_type_slug = block_type_slug
    _documentation_url = DOCUMENTATION_URL
    _description: ClassVar[str] = "Where programs of a model run, and what they may use at most."
    # The UI offers it to be pasted, with the block's name in place of BLOCK_NAME.
    _code_example: ClassVar[str] = """\
        ```python
        import asyncio

        from prefect_governor import Sandbox

        sandbox = Sandbox.load("BLOCK_NAME")
        print(asyncio.run(sandbox.python("print(6 * 7)")).stdout)
        ```
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=False)

    runtime: RuntimeName = Field(
        default="auto",
        title="Runtime",
        description=(
            "'docker', 'bubblewrap', or 'auto': Docker where an engine answers and has the image,"
            " else bubblewrap. Where neither works no code is run."
        ),
    )
    image: str = Field(
        default=IMAGE,
        min_length=1,
        title="Image",
        description="Of containers. It must be there: nothing is pulled.",
    )
    host: str | None = Field(
        default=None,
        title="Engine",
        description=(
            "Address of the container engine, Podman's too. Empty: DOCKER_HOST, or Docker's own."
        ),
        json_schema_extra=plain,
    )
    container_runtime: str | None = Field(
        default=None,
        title="Container runtime",
        description="As the engine names it, such as 'runsc' for gVisor. Empty: the engine's own.",
        json_schema_extra=plain,
    )
    limit: str = Field(
        default="sandbox",
        min_length=1,
        title="Limit",
        description=(
            "Tag of the governor's limit (with counts 'tasks') that each sandbox takes a slot of."
            " Where there is none: as many at once as memory and cores hold."
        ),
    )

    _empty = field_validator("host", "container_runtime", mode="before")(empty_is_none)

    @property
    def bounds(self) -> SandboxBounds:
        """What each sandbox may use."""
        values = {name: getattr(self, name) for name in SandboxBounds.model_fields}
        return SandboxBounds.model_validate(values)

    async def chosen(self) -> SandboxRuntime:
        """The runtime that it takes here, proved by running a program, once in a process.

        Raises:
            ConfigurationError: none works: why, and what mends it.
        """
        return await choose(Wanted(self.runtime, self.image, self.host, self.container_runtime))

    @asynccontextmanager
    async def cell(self, folder: Path | str) -> AsyncIterator[Cell]:
        """A sandbox for one item: `async with sandbox.cell(folder) as cell`, then `await
        cell.run([...])` as often as wanted. Its workspace begins as a copy of `folder`, which is
        brought up to date after each program. Gone, with all that it ran, when left.

        Raises:
            ConfigurationError: no runtime works here, or `folder` does not fit the workspace.
            QueueTimeout: it waited too long for a slot of the governor's limit.
            CallRefused: the governor admits nothing more.
        """
        async with self.together(1) as opened, opened(Path(folder)) as cell:
            yield cell

    @asynccontextmanager
    async def together(self, sandboxes: int) -> AsyncIterator[OpenCell]:
        """Room for so many sandboxes that are there at once, for one item: taken as one, so that
        nobody holds some of what it needs and waits for the rest. Under a governor's limit it is
        one slot. What it is entered as opens a cell: `async with opened(folder, named, bounds) as
        cell`, where `named` are variables that its programs get beside theirs, as they are, and
        `bounds` other bounds than the Block's.

        Raises:
            ConfigurationError: as `cell`.
            QueueTimeout: as `cell`.
            CallRefused: as `cell`.
        """
        runtime = await self.chosen()
        async with self._slot(sandboxes):

            @asynccontextmanager
            async def opened(
                folder: Path,
                named: Mapping[str, str] = MappingProxyType({}),
                bounds: SandboxBounds | None = None,
            ) -> AsyncIterator[Cell]:
                async with runtime.cell(folder, bounds or self.bounds) as cell:
                    yield KeylessCell(cell, named)

            yield opened

    async def run(
        self,
        argv: Sequence[str],
        *,
        folder: Path | str | None = None,
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
        seconds: float | None = None,
    ) -> SandboxResult:
        """Run one program in a sandbox of its own.

        Args:
            argv: the program and its arguments; no shell reads them.
            folder: what its workspace begins as and is copied back to. Default: an empty one, which
                is gone afterwards.
            stdin: what it reads.
            environment: variables beside `PATH`, `HOME` and `TMPDIR`. It sees no other. A secret
                that this process knows is taken out of it, as of `argv` and `stdin`.
            seconds: its wall time, where it is to have less than the Block says.

        Raises:
            ConfigurationError: as `cell`, and for a program that cannot be started.
            QueueTimeout: as `cell`.
            CallRefused: as `cell`.
        """
        if folder is None:
            own = HeldWorkspace(
                "program",
                whose=lambda: ("sandboxes", None),
                bounds=workspace_bounds(self.bounds),
            )
            async with own as made:
                return await self.run(
                    argv, folder=made, stdin=stdin, environment=environment, seconds=seconds
                )
        async with self.cell(folder) as cell:
            return await cell.run(argv, stdin=stdin, environment=environment, seconds=seconds)

    async def python(
        self,
        code: str,
        *,
        folder: Path | str | None = None,
        environment: Mapping[str, str] | None = None,
        seconds: float | None = None,
    ) -> SandboxResult:
        """Run Python code in a sandbox of its own; the arguments and errors are those of `run`."""
        return await self.run(
            ["python3", "-"],
            folder=folder,
            stdin=code.encode(),
            environment=environment,
            seconds=seconds,
        )

    def _slot(self, sandboxes: int) -> AbstractAsyncContextManager[object]:
        here = current_scope.get()
        governor = None if here is None else here.governor
        if isinstance(governor, Runtime) and governor.task_limits((self.limit,)):
            return Slot.of_limit(lambda: governor, self.limit)
        return places().place(self.bounds, sandboxes)


@dataclass(frozen=True)
class Wanted:
    """A runtime as a Sandbox names it; of containers also their image, the engine's address and
    what runs them."""

    runtime: RuntimeName = "auto"
    image: str = ""
    host: str | None = None
    container_runtime: str | None = None

    def candidates(self) -> tuple[SandboxRuntime, ...]:
        """The runtimes that would do, the first one first."""
        known: tuple[SandboxRuntime, ...] = (
            shared(self.image, self.host, self.container_runtime),
            BubblewrapRuntime(),
        )
        return tuple(each for each in known if self.runtime in ("auto", each.name))


# What has run a program of ours in this process, by what was wanted.
_proved: dict[tuple[int, Wanted], SandboxRuntime] = {}
# What is being found out: None where whoever did so was cancelled.
_proving: "dict[tuple[int, Wanted], Future[SandboxRuntime | None]]" = {}


async def choose(wanted: Wanted) -> SandboxRuntime:
    """The first runtime that works here, found out once in a process, however many ask at once.
    What dead owners left is swept then.

    Raises ConfigurationError: none does; one line says why of each, and what mends it. Nothing is
    ever run without one.
    """
    key = (os.getpid(), wanted)
    mine: Future[SandboxRuntime | None] = Future()
    while (found := _proved.get(key)) is None:
        others = _proving.setdefault(key, mine)
        if others is mine:
            found = await _proved_here(key, mine)
        # Whoever stops waiting stops nobody else.
        elif (found := await asyncio.shield(asyncio.wrap_future(others))) is None:
            continue
        return found
    return found


async def _proved_here(
    key: tuple[int, Wanted], told: "Future[SandboxRuntime | None]"
) -> SandboxRuntime:
    try:
        # It may have been found out since this one looked.
        found = _proved.get(key) or await _first_that_works(key[1])
    except BaseException as error:
        del _proving[key]
        if isinstance(error, Exception):
            told.set_exception(error)
        else:
            told.set_result(None)
        raise
    _proved[key] = found
    del _proving[key]
    told.set_result(found)
    return found


async def _first_that_works(wanted: Wanted) -> SandboxRuntime:
    why = []
    for runtime in wanted.candidates():
        refusal = await runtime.refusal()
        if refusal is None:
            await runtime.sweep()
            return runtime
        why.append(f"{runtime.name}: {refusal}")
    raise ConfigurationError(
        "no sandbox can be made here, so no code is run; " + ("; ".join(why) or "no runtime")
    )
