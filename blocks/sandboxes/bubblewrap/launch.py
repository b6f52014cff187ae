"""A process that begins behind a gate, and the sandbox that it becomes."""

import asyncio
import json
import os
import signal
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from prefect_governor.blocks.sandboxes.bubblewrap.account import Account
from prefect_governor.blocks.sandboxes.bubblewrap.arguments import KEEPER_PATH
from prefect_governor.blocks.sandboxes.bubblewrap.orphans import marked
from prefect_governor.blocks.sandboxes.bubblewrap.processes import children
from prefect_governor.blocks.sandboxes.ending import to_the_end

# Until it is told to go on it is in no sandbox, and can be put into a cgroup, in which all that it
# starts is then as well. Where whoever is to tell it dies, it ends.
_GATE = ("/bin/sh", "-c", 'read -r go && exec "$@"', "sh")
# How long bubblewrap may take to say who its first process is.
_FIRST_SECONDS = 20.0
# How long it may take to reap its first process, and to end.
_REAP_SECONDS = 2.0


def plain() -> dict[str, str]:
    """The environment of bubblewrap itself, and of what starts it."""
    return {"PATH": KEEPER_PATH, **marked()}


def memory_file(stack: ExitStack, data: bytes) -> int:
    """A descriptor that `data` is read from, closed with `stack`."""
    file = os.memfd_create("prefect-governor")
    stack.callback(os.close, file)
    left = memoryview(data)
    while left:
        left = left[os.write(file, left) :]
    os.lseek(file, 0, os.SEEK_SET)
    return file


def bubblewrap_options(arguments: Iterable[str]) -> bytes:
    """Bubblewrap's options as `--args` reads them."""
    return b"".join(os.fsencode(each) + b"\0" for each in arguments)


@dataclass(frozen=True)
class Command:
    """A command, and the descriptors that it reads from."""

    argv: Sequence[str]
    descriptors: tuple[int, ...] = ()


class _Status(asyncio.Protocol):
    """What bubblewrap says on its `--json-status-fd`, as it says it."""

    def __init__(self) -> None:
        self._line = b""
        self.first: asyncio.Event = asyncio.Event()
        self.over: asyncio.Event = asyncio.Event()
        self.told: dict[str, int] = {}

    def data_received(self, data: bytes) -> None:
        *lines, self._line = (self._line + data).split(b"\n")
        for line in lines:
            with suppress(ValueError):
                self.told |= json.loads(line)
        if "child-pid" in self.told:
            self.first.set()
        if "exit-code" in self.told:
            self.over.set()

    def connection_lost(self, error: Exception | None) -> None:
        self.first.set()
        self.over.set()


class Launched:
    """A command of bubblewrap's: its process here, and the first process of its PID namespace,
    whose end is the end of all in it."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        status: _Status,
        *,
        gate: bool = False,
        entered: bool = False,
    ) -> None:
        self.process = process
        self._status, self._held_back, self._entered = status, gate, entered
        self._number: int | None = None
        self._first: int | None = None
        # Asked for an end by its number, a process is reaped behind the event loop's back.
        self._own = _opened(process.pid)

    @classmethod
    async def start(
        cls,
        command: Callable[[int], Command],
        account: Account,
        *,
        gate: bool = False,
        entered: bool = False,
    ) -> "Launched":
        """Start the command that is made for the descriptor of its `--json-status-fd`. `gate`: it
        waits for `go`. `entered`: it runs bubblewrap as its child, in a PID namespace that numbers
        processes otherwise. Who is cancelled meanwhile has it ended. Raises OSError."""
        starting = asyncio.ensure_future(cls._start(command, account, gate=gate, entered=entered))
        try:
            return await to_the_end(starting)
        except asyncio.CancelledError:
            if starting.done() and not starting.cancelled() and starting.exception() is None:
                await to_the_end(starting.result().end())
            raise

    @classmethod
    async def _start(
        cls, command: Callable[[int], Command], account: Account, *, gate: bool, entered: bool
    ) -> "Launched":
        reads, writes = os.pipe()
        try:
            loop = asyncio.get_running_loop()
            transport, told = await loop.connect_read_pipe(_Status, os.fdopen(reads, "rb", 0))
            try:
                made = command(writes)
                process = await asyncio.create_subprocess_exec(
                    *(_GATE if gate else ()),
                    *made.argv,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                    pass_fds=(writes, *made.descriptors),
                    cwd="/",
                    env=plain(),
                    **account.arguments,
                )
            except BaseException:
                transport.close()
                raise
        finally:
            os.close(writes)
        return cls(process, told, gate=gate, entered=entered)

    def go(self) -> None:
        """Open the gate."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"go\n")
        self._held_back = False

    async def first(self) -> int | None:
        """The number of its first process; None where it ended before there was one, or before it
        was seen."""
        await self._status.first.wait()
        if self._number is None and (number := self._status.told.get("child-pid")) is not None:
            self._number = _grandchild(self.process.pid) if self._entered else number
            if self._number is not None:
                self._first = _opened(self._number)
        return self._number

    async def exit_code(self) -> int | None:
        """What the program ended with; None where it was not let end. Waits for that."""
        await self._status.over.wait()
        return self._status.told.get("exit-code")

    def kill(self) -> None:
        """Kill its process here, whatever becomes of those that it started."""
        if self._own is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._own, signal.SIGKILL)

    async def end(self, others: Callable[[], object] = bool) -> None:
        """Kill all of it that still runs, and wait until nothing does. `others` kills what is left
        of one whose first process nobody was told of: bubblewrap's own child waits for ever where
        bubblewrap itself fails."""
        if self._held_back:
            self.kill()
        # Bubblewrap's own child, whom it has told of nothing yet, would wait for ever without it.
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.first(), _FIRST_SECONDS)
        first, self._first = self._first, None
        if first is not None:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(first, signal.SIGKILL)
            await _ended(first)
            os.close(first)
        # Killed before it has reaped its child it would leave that to this machine's first process,
        # which may do so late, or never.
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self.process.wait(), _REAP_SECONDS)
        self.kill()
        await self.process.wait()
        own, self._own = self._own, None
        if own is not None:
            os.close(own)
        if first is None:
            others()


def _grandchild(number: int) -> int | None:
    """The one process that the one child of this one has started; None where it has ended."""
    for child in children(number):
        for found in children(child):
            return found
    return None


def _opened(number: int) -> int | None:
    """A descriptor of a process; None for one that has ended, and is reaped, by now."""
    with suppress(OSError):
        return os.pidfd_open(number)
    return None


async def _ended(descriptor: int) -> None:
    """Wait for the end of a process."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
