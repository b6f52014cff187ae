"""One sandbox: a workspace that is kept while programs run beside it, one after another."""

import asyncio
import os
import subprocess
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.sandboxes.bounds import SandboxBounds
from prefect_governor.blocks.sandboxes.bubblewrap import arguments
from prefect_governor.blocks.sandboxes.bubblewrap.host import Host
from prefect_governor.blocks.sandboxes.bubblewrap.launch import (
    Command,
    Launched,
    bubblewrap_options,
    memory_file,
    plain,
)
from prefect_governor.blocks.sandboxes.bubblewrap.program import Program
from prefect_governor.blocks.sandboxes.ending import to_the_end
from prefect_governor.blocks.sandboxes.folder import (
    PACKING_SECONDS,
    Brought,
    bring_back,
    does_not_fit,
    taken_along,
    with_files,
)
from prefect_governor.blocks.sandboxes.programs import check_program
from prefect_governor.blocks.sandboxes.results import SandboxResult
from prefect_governor.blocks.sandboxes.runtime import Heard, Input


class BubblewrapCell:
    """See `Cell`. Its programs run one at a time."""

    def __init__(self, host: Host, folder: Path, bounds: SandboxBounds, keeper_pid: int) -> None:
        self._host, self._folder, self._bounds = host, folder, bounds
        self._keeper = keeper_pid
        self._one = asyncio.Lock()

    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: Input = b"",
        heard: Heard | None = None,
        environment: Mapping[str, str] | None = None,
        seconds: float | None = None,
    ) -> SandboxResult:
        """See `Cell.run`."""
        check_program(argv, environment or {})
        async with self._one:
            held = Path(f"/proc/{self._keeper}/root{arguments.HELD}")
            program = Program(self._host, self._bounds, self._keeper, held)
            result = await program.run(
                argv, stdin=stdin, heard=heard, environment=environment, seconds=seconds
            )
            brought = await to_the_end(asyncio.to_thread(self._bring_back))
            return with_files(result, brought, self._bounds)

    async def fill(self) -> None:
        """Copy the host's folder in."""
        if any(self._folder.iterdir()):
            await to_the_end(asyncio.to_thread(self._fill))

    def _fill(self) -> None:
        with self._tar("-x", "-f", "-", writes=True) as process:
            assert process.stdin is not None
            with suppress(BrokenPipeError), process.stdin as stdin:
                for chunk in taken_along(self._folder, self._bounds):
                    stdin.write(chunk)
            if process.wait():
                raise does_not_fit(self._folder, self._bounds)

    def _bring_back(self) -> Brought:
        if self._untouched() and not any(self._folder.iterdir()):
            return Brought()
        with self._tar("-c", "-f", "-", ".", writes=False) as process:
            assert process.stdout is not None
            return bring_back(self._folder, process.stdout, self._bounds)

    def _untouched(self) -> bool:
        """Whether there is nothing in what programs may write to: most print, and leave no file."""
        held = os.statvfs(f"/proc/{self._keeper}/root{arguments.HELD}")
        return held.f_files - held.f_ffree == arguments.OWN_INODES

    @contextmanager
    def _tar(self, *argv: str, writes: bool) -> Iterator["subprocess.Popen[bytes]"]:
        """`tar` in a sandbox as its programs are in; killed after its time. When left its pipe is
        closed, at which it ends: bubblewrap is not to be killed in the instant of starting."""
        with ExitStack() as stack:
            seccomp = memory_file(stack, self._host.filter_program(counted=False))
            told = arguments.program(
                environment=arguments.environment(None),
                status=None,
                seccomp=seccomp,
                read_only=not writes,
            )
            options = memory_file(stack, bubblewrap_options(told))
            process = subprocess.Popen(
                arguments.enter(self._host.nsenter, self._keeper, options, ["tar", *argv]),
                stdin=subprocess.PIPE if writes else subprocess.DEVNULL,
                stdout=subprocess.DEVNULL if writes else subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                pass_fds=(seccomp, options),
                cwd="/",
                env=plain(),
                **self._host.account.arguments,
            )
        timer = threading.Timer(PACKING_SECONDS, process.kill)
        timer.start()
        try:
            yield process
        finally:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    with suppress(BrokenPipeError):
                        pipe.close()
            process.wait()
            timer.cancel()


@asynccontextmanager
async def open_cell(
    host: Host, folder: Path, bounds: SandboxBounds
) -> AsyncIterator[BubblewrapCell]:
    """A cell, with its keeper, gone when left.

    Raises ConfigurationError: it cannot be made here, or `folder` does not fit it.
    """
    keeper = await Launched.start(
        lambda status: Command(arguments.keeper(host.bwrap, bounds, status=status)), host.account
    )
    try:
        assert keeper.process.stdout is not None and keeper.process.stderr is not None
        kept = await keeper.process.stdout.readline()
        first = await keeper.first()
        if kept != b"kept\n" or first is None:
            said = (await keeper.process.stderr.read()).decode(errors="replace").strip()
            raise ConfigurationError(
                f"bubblewrap cannot make a sandbox here: {said.splitlines()[-1] if said else '?'}"
            )
        cell = BubblewrapCell(host, folder, bounds, first)
        await cell.fill()
        yield cell
    finally:
        await to_the_end(keeper.end())
