"""One program in a cell: started, watched, ended at its bounds."""

import asyncio
import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.sandboxes import reasons
from prefect_governor.blocks.sandboxes.bounds import SandboxBounds
from prefect_governor.blocks.sandboxes.bubblewrap import arguments, processes
from prefect_governor.blocks.sandboxes.bubblewrap.cgroups import Group
from prefect_governor.blocks.sandboxes.bubblewrap.host import Host
from prefect_governor.blocks.sandboxes.bubblewrap.launch import (
    Command,
    Launched,
    bubblewrap_options,
    memory_file,
)
from prefect_governor.blocks.sandboxes.bubblewrap.processes import Summed
from prefect_governor.blocks.sandboxes.ending import to_the_end
from prefect_governor.blocks.sandboxes.output import Output
from prefect_governor.blocks.sandboxes.results import Bound, SandboxResult
from prefect_governor.blocks.sandboxes.runtime import Heard, Input

# How often what it holds is looked at: the kernel holds it to its bounds meanwhile where a cgroup
# counts, and where none does it takes so long to be found beyond them.
LOOK_SECONDS = 0.02
# How long the kernel may take to let go of a group whose processes have all ended.
_GROUP_SECONDS = 5.0
# How long the rest of a program's output may take to be read, which is in pipes when it has ended.
_REST_SECONDS = 5.0
# 128 and the signal, as shells tell it: SIGXCPU, SIGXFSZ.
_OUT_OF_CPU, _FILE_TOO_LARGE = 152, 153


class Program:
    """Runs one program beside a keeper's workspace.

    Args:
        held: the folder, as seen from here, of the file system that it may write to.
    """

    def __init__(self, host: Host, bounds: SandboxBounds, keeper_pid: int, held: Path) -> None:
        self._host, self._bounds = host, bounds
        self._keeper, self._held = keeper_pid, held
        self._group: Group | None = None
        self._summed = Summed(bounds)

    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: Input = b"",
        heard: Heard | None = None,
        environment: Mapping[str, str] | None = None,
        seconds: float | None = None,
    ) -> SandboxResult:
        """See `Cell.run`; the host's folder is left as it is."""
        given = min(self._bounds.seconds, seconds or self._bounds.seconds)
        try:
            with ExitStack() as stack:
                self._group = self._make_group()
                launched = await self._start(stack, argv, environment or {})
            try:
                output = Output(self._bounds.output_kib * 1024, heard)
                return await self._watched(launched, argv, stdin, output, given)
            finally:
                await to_the_end(self._end(launched))
        finally:
            if self._group is not None:
                await to_the_end(_removed(self._group))

    def _make_group(self) -> Group | None:
        if self._host.hierarchy is None:
            return None
        return Group(self._host.hierarchy, self._bounds)

    async def _start(
        self, stack: ExitStack, argv: Sequence[str], environment: Mapping[str, str]
    ) -> Launched:
        counted = self._group is not None

        def command(status: int) -> Command:
            seccomp = memory_file(stack, self._host.filter_program(counted=counted))
            told = arguments.program(
                environment=arguments.environment(environment), status=status, seccomp=seccomp
            )
            options = memory_file(stack, bubblewrap_options(told))
            argv_here = [
                *(self._host.prlimit, *processes.limits(self._bounds, counted=counted), "--"),
                *arguments.enter(self._host.nsenter, self._keeper, options, argv),
            ]
            return Command(argv_here, (seccomp, options))

        launched = await Launched.start(command, self._host.account, gate=True, entered=True)
        try:
            if self._group is not None:
                self._group.enter(launched.process.pid)
        except BaseException:
            launched.kill()
            await to_the_end(launched.process.wait())
            raise
        return launched

    async def _watched(
        self,
        launched: Launched,
        argv: Sequence[str],
        stdin: Input,
        output: Output,
        seconds: float,
    ) -> SandboxResult:
        process = launched.process
        assert process.stdout is not None and process.stderr is not None
        began = self._host.clock()
        launched.go()
        reading = [
            asyncio.ensure_future(output.read_out(process.stdout)),
            asyncio.ensure_future(output.read_err(process.stderr)),
        ]
        feeding = asyncio.ensure_future(_feed(process.stdin, stdin))
        looking = asyncio.ensure_future(self._look(launched))
        ending = asyncio.ensure_future(launched.exit_code())
        flood = asyncio.ensure_future(output.over.wait())
        bound: Bound | None = None
        try:
            await asyncio.wait(
                {looking, ending, flood}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED
            )
            if looking.done():
                bound = looking.result()
            elif not ending.done() and not flood.done():
                bound = "time"
            took = self._host.clock() - began
        finally:
            await to_the_end(self._end(launched))
            for task in (looking, feeding, flood):
                task.cancel()
        # What was printed before the end is in pipes, and there to be read.
        await asyncio.wait(reading, timeout=_REST_SECONDS)
        if bound is None and output.over.is_set():
            bound = "output"
        status = await ending
        return self._result(argv, status, bound, output, took, seconds)

    async def _end(self, launched: Launched) -> None:
        await launched.end(bool if self._group is None else self._group.kill)

    async def _look(self, launched: Launched) -> Bound | None:
        """The bound that it is found beyond; where it is found beyond none, this has no end."""
        first = await launched.first()
        while True:
            bound = None
            if self._group is not None:
                bound = self._group.over()
            elif first is not None:
                bound = self._summed.over(first)
            if bound is not None:
                return bound
            await asyncio.sleep(LOOK_SECONDS)

    def _result(
        self,
        argv: Sequence[str],
        status: int | None,
        bound: Bound | None,
        output: Output,
        took: float,
        seconds: float,
    ) -> SandboxResult:
        stdout, stderr = output.texts()
        ended = bound is not None
        if self._group is not None and bound in (None, "time"):
            bound = self._group.over() or bound
        why: str | None = None
        if bound is None and status is None:
            if stderr.startswith(f"bwrap: execvp {argv[0]}: "):
                raise ConfigurationError(
                    f"{argv[0]!r} cannot be started in the sandbox ({_last(stderr)}): its programs"
                    " are those of this machine's /usr"
                )
            raise ConfigurationError(f"the sandbox could not be made: {_last(stderr)}")
        if bound is None and status != 0:
            bound = reasons.said(stderr)
            if status == _OUT_OF_CPU:
                bound, why = "time", f"more than {seconds:g} s of CPU time"
            elif status == _FILE_TOO_LARGE:
                bound = "workspace"
        if bound is not None:
            why = why or self._why(bound, seconds)
        peak = self._summed.peak_bytes() if self._group is None else self._group.peak_bytes()
        return SandboxResult(
            None if ended else status,
            stdout,
            stderr,
            seconds=took,
            peak_memory_bytes=peak,
            bound=bound,
            reason=why,
        )

    def _why(self, bound: Bound, seconds: float) -> str:
        if bound == "workspace":
            with suppress(OSError):
                if os.statvfs(self._held).f_ffree == 0:
                    return reasons.files_reason(self._bounds)
        return reasons.reason(bound, self._bounds, seconds=seconds)


async def _feed(stream: asyncio.StreamWriter | None, data: Input) -> None:
    """Give a program its input. One that does not read it to its end has ended it."""
    assert stream is not None
    with suppress(BrokenPipeError, ConnectionResetError):
        if isinstance(data, bytes):
            stream.write(data)
            await stream.drain()
        else:
            async for piece in data:
                stream.write(piece)
                await stream.drain()
        stream.close()
        await stream.wait_closed()


async def _removed(group: Group, clock: Callable[[], float] = time.monotonic) -> None:
    """Remove a group. What is left of it the next sweep removes."""
    until = clock() + _GROUP_SECONDS
    while not group.remove() and clock() < until:
        group.kill()
        await asyncio.sleep(LOOK_SECONDS)


def _last(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it ended without a word"
