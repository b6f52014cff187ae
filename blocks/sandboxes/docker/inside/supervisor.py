"""What runs in a container as its first process (PID 1): it starts the programs, counts what they
use, ends them, and ends itself when whoever made the container is gone.

It is told what to do over its standard input, and answers over its standard output; `frames.py` is
the other side. When its input ends, which the kernel sees to however the other side dies, so does
it, and the kernel kills all that the container runs.

It is of the same user as the programs, which therefore could trace it or write to its memory: it
forbids that to all (PR_SET_DUMPABLE). The kernel lets no process of the container kill its first.
Beside the engine's filter of system calls it sets the one that it is given, by machine, as its
argument: what one of them refuses is refused, to all that it starts too.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import resource
import select
import signal
import struct
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from prefect_governor.blocks.sandboxes.docker.inside.kernel import (
    KILLED,
    REFUSED,
    WORKSPACE,
    attract_the_oom_killer,
    counter,
    full,
    open_up,
    peak,
    protect,
)

HEADER = struct.Struct(">cI")
CHUNK = 65536
# How often it looks whether a bound was met that ends nobody by itself, in seconds.
LOOK = 0.1


def read_exactly(size: int) -> bytes:
    found = b""
    while len(found) < size:
        more = os.read(0, min(size - len(found), CHUNK))
        if not more:
            # Whoever made us is gone.
            os._exit(0)
        found += more
    return found


def receive() -> tuple[bytes, bytes]:
    kind, size = HEADER.unpack(read_exactly(HEADER.size))
    return kind, read_exactly(size)


def send(kind: bytes, payload: bytes = b"") -> None:
    rest = memoryview(HEADER.pack(kind, len(payload)) + payload)
    while rest:
        rest = rest[os.write(1, rest) :]


def spawn(
    argv: Sequence[str], environment: Mapping[str, str], folder: str, streams: Sequence[int]
) -> int:
    """Start a program on three streams. Raises OSError where it cannot be."""
    heard, said = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setsid()
            attract_the_oom_killer()
            for number, stream in enumerate(streams):
                os.dup2(stream, number)
            for number in (signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTERM):
                signal.signal(number, signal.SIG_DFL)
            os.chdir(folder)
            os.execvpe(argv[0], list(argv), environment)
        except BaseException as error:
            number = error.errno if isinstance(error, OSError) and error.errno else errno.EINVAL
            os.write(said, str(number).encode())
        finally:
            os._exit(127)
    os.close(said)
    try:
        told = os.read(heard, 16)
    finally:
        os.close(heard)
    if told:
        os.waitpid(pid, 0)
        raise OSError(int(told), os.strerror(int(told)))
    return pid


def end_all() -> None:
    """Kill and reap whatever runs beside us; the kernel kills all of them at once, so that nothing
    can be started meanwhile."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)
    while True:
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def pipes() -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """The ends of three pipes: ours and the program's."""
    inward, outward, errors = os.pipe(), os.pipe(), os.pipe()
    ours = (inward[1], outward[0], errors[0])
    for each in ours:
        os.set_blocking(each, False)
    return ours, (inward[0], outward[1], errors[1])


class Program:
    """One program, from its start to the end of all that it started."""

    def __init__(self, order: Mapping[str, Any], data: bytes) -> None:
        self.output_left: int = order["output_bytes"]
        self.killed, self.refused = counter(KILLED), counter(REFUSED)
        self.data = memoryview(data)
        # Whether more may come while it runs, and whether its input is open.
        self.more: bool = order["spoken_to"]
        self.feeding = True
        self.ended: str | None = None
        self.status: int | None = None
        (self.stdin, self.stdout, self.stderr), theirs = pipes()
        self.began = time.monotonic()
        self.deadline = self.began + order["seconds"]
        try:
            self.pid = spawn(order["argv"], order["environment"], WORKSPACE, theirs)
        except BaseException:
            for each in (self.stdin, self.stdout, self.stderr):
                os.close(each)
            raise
        finally:
            for each in theirs:
                os.close(each)

    def run(self, children: int) -> dict[str, object]:
        poll = select.poll()
        poll.register(0, select.POLLIN if self.more else 0)
        poll.register(children, select.POLLIN)
        poll.register(self.stdout, select.POLLIN)
        poll.register(self.stderr, select.POLLIN)
        self.offer(poll)
        while self.ended is None and self.status is None:
            left = self.deadline - time.monotonic()
            if left <= 0:
                self.ended = "time"
                break
            for stream, event in poll.poll(min(left, LOOK) * 1000):
                if stream == 0 and self.more and event & select.POLLIN:
                    self.hear(*receive())
                    poll.modify(0, select.POLLIN if self.more else 0)
                    self.offer(poll)
                elif stream == 0:
                    # Nothing is sent while a program runs: its end has come.
                    os._exit(0)
                elif stream == children:
                    drain(children)
                elif stream != self.stdin:
                    if not self.relay(stream):
                        poll.unregister(stream)
                elif self.feeding:
                    self.feed(poll)
            self.look()
        end_all()
        seconds = time.monotonic() - self.began
        # All that could write is gone: each ends with what it holds.
        for stream in (self.stdout, self.stderr):
            while self.relay(stream):
                pass
            os.close(stream)
        if self.feeding:
            os.close(self.stdin)
        self.look_at_counters()
        return {
            "status": self.status,
            "ended": self.ended,
            "full": full(),
            "peak": peak(),
            "seconds": seconds,
        }

    def hear(self, kind: bytes, payload: bytes) -> None:
        """Take what is said to it while it runs; the last is that there is no more."""
        self.more = kind == b"D"
        if self.feeding:
            self.data = memoryview(bytes(self.data) + payload)

    def offer(self, poll: select.poll) -> None:
        """Wait until it reads, where there is something for it; close its input where there will be
        nothing any more."""
        if not self.feeding:
            return
        if self.data:
            poll.register(self.stdin, select.POLLOUT)
            return
        with contextlib.suppress(KeyError):
            poll.unregister(self.stdin)
        if not self.more:
            self.close()

    def close(self) -> None:
        os.close(self.stdin)
        self.feeding = False

    def feed(self, poll: select.poll) -> None:
        try:
            self.data = self.data[os.write(self.stdin, self.data[:CHUNK]) :]
        except BlockingIOError:
            return
        except OSError:
            # It has closed its input: what else there is is nobody's.
            poll.unregister(self.stdin)
            self.close()
            return
        self.offer(poll)

    def relay(self, stream: int) -> bool:
        """Whether there may be more to come of a stream."""
        try:
            found = os.read(stream, CHUNK)
        except BlockingIOError:
            return False
        if not found:
            return False
        taken = found[: self.output_left]
        self.output_left -= len(taken)
        if taken:
            send(b"o" if stream == self.stdout else b"e", taken)
        if len(taken) < len(found):
            self.ended = self.ended or "output"
            return False
        return True

    def look(self) -> None:
        """Reap what has ended, and see whether a bound was met."""
        while self.status is None:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                break
            if pid == 0:
                break
            if pid == self.pid:
                self.status = status
        self.look_at_counters()

    def look_at_counters(self) -> None:
        if self.ended is None and counter(KILLED) > self.killed:
            self.ended = "memory"
        if self.ended is None and counter(REFUSED) > self.refused:
            self.ended = "processes"


def drain(stream: int) -> None:
    with contextlib.suppress(BlockingIOError):
        while os.read(stream, CHUNK):
            pass


def told_of_children() -> int:
    """A stream that is written to whenever a child ends."""
    heard, said = os.pipe()
    os.set_blocking(heard, False)
    os.set_blocking(said, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(said, warn_on_full_buffer=False)
    return heard


def received_data() -> bytes:
    found = bytearray()
    while True:
        kind, payload = receive()
        if kind != b"D":
            return bytes(found)
        found += payload


def run(payload: bytes, children: int) -> dict[str, object]:
    try:
        order = json.loads(payload)
        program = Program(order, b"" if order["spoken_to"] else received_data())
    except OSError as error:
        end_all()
        return {"cannot": error.strerror or str(error)}
    return program.run(children)


def unpack(_: bytes) -> dict[str, object]:
    """Fill the workspace from the archive that follows."""
    reading, writing = os.pipe()
    nothing = os.open("/dev/null", os.O_RDWR)
    argv = ["tar", "-C", WORKSPACE, "-x", "-f", "-", "--no-same-owner"]
    pid = spawn(argv, dict(os.environ), "/", (reading, nothing, nothing))
    os.close(reading)
    os.close(nothing)
    while True:
        kind, payload = receive()
        if kind != b"D":
            break
        left = memoryview(payload)
        with contextlib.suppress(BrokenPipeError):
            while left:
                left = left[os.write(writing, left) :]
    os.close(writing)
    return {"status": os.waitpid(pid, 0)[1]}


def pack(_: bytes) -> dict[str, object]:
    """Send the workspace as an archive."""
    open_up(WORKSPACE)
    heard, said = os.pipe()
    nothing = os.open("/dev/null", os.O_RDWR)
    argv = ["tar", "-C", WORKSPACE, "-c", "-f", "-", "--ignore-failed-read", "."]
    pid = spawn(argv, dict(os.environ), "/", (nothing, said, nothing))
    os.close(said)
    os.close(nothing)
    while True:
        found = os.read(heard, CHUNK)
        if not found:
            break
        send(b"D", found)
    os.close(heard)
    return {"status": os.waitpid(pid, 0)[1]}


def main() -> None:
    if os.getpid() != 1:
        # `end_all` would kill whatever this user runs.
        sys.exit("this is the first process of a sandbox's container, and nothing else")
    protect(json.loads(sys.argv[2]))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    os.chdir("/")
    children = told_of_children()
    work: dict[bytes, Callable[[bytes], dict[str, object]]] = {
        b"R": lambda payload: run(payload, children),
        b"U": unpack,
        b"P": pack,
        b"N": lambda _: {},
    }
    while True:
        kind, payload = receive()
        if kind in (b"D", b"E"):
            # It came too late for a program that has ended.
            continue
        if kind not in work:
            os._exit(3)
        try:
            report = work[kind](payload)
        except OSError as error:
            report = {"failed": error.strerror or str(error)}
        send(b"X", json.dumps(report).encode())
