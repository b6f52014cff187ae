"""One sandbox: a container, and another one where the first was lost, for one item alone."""

import asyncio
import threading
from collections.abc import AsyncIterable, Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from json import dumps
from pathlib import Path
from time import monotonic
from typing import Any

from prefect_governor.blocks.errors import ConfigurationError, GovernorError, SandboxLost
from prefect_governor.blocks.sandboxes.bounds import SandboxBounds
from prefect_governor.blocks.sandboxes.docker.container import Container
from prefect_governor.blocks.sandboxes.docker.frames import (
    DATA,
    PACK,
    REPORT,
    RUN,
    UNPACK,
    ChannelClosed,
    ChannelSilent,
    Feed,
    read_report,
)
from prefect_governor.blocks.sandboxes.docker.hardening import ENVIRONMENT
from prefect_governor.blocks.sandboxes.docker.heard import Heard
from prefect_governor.blocks.sandboxes.docker.threads import Abandoned, in_thread, on_this_loop
from prefect_governor.blocks.sandboxes.docker.verdict import verdict
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
from prefect_governor.blocks.sandboxes.reasons import reason
from prefect_governor.blocks.sandboxes.results import Bound, SandboxResult
from prefect_governor.blocks.sandboxes.runtime import Heard as Hear
from prefect_governor.blocks.sandboxes.runtime import Input

# How much later than its bound the end of a program is waited for, in seconds: its first process
# has to come to it, on whatever cores the programs left it.
GRACE_SECONDS = 15.0
_KIB = 1024


@dataclass(frozen=True, slots=True)
class Order:
    """A program to run."""

    argv: Sequence[str]
    stdin: bytes | Feed
    hear: Hear | None
    environment: Mapping[str, str]
    seconds: float


class DockerCell:
    """See `Cell`. Its programs run one at a time.

    Args:
        take: gives a container that nobody else has had; blocks.
        threads: where what blocks is done.
    """

    def __init__(
        self,
        folder: Path,
        bounds: SandboxBounds,
        *,
        take: Callable[[SandboxBounds], Container],
        threads: Executor,
    ) -> None:
        self._folder, self._bounds = folder, bounds
        self._take, self._threads = take, threads
        self._one = asyncio.Lock()
        self._holding = threading.Lock()
        self._container: Container | None = None
        self._closed = False

    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: Input = b"",
        heard: Hear | None = None,
        environment: Mapping[str, str] | None = None,
        seconds: float | None = None,
    ) -> SandboxResult:
        """See `Cell.run`."""
        check_program(argv, environment or {})
        most = self._bounds.seconds
        hear = None if heard is None else on_this_loop(heard)
        order = Order(argv, b"", hear, environment or {}, min(most, seconds or most))
        async with self._one:
            if isinstance(stdin, bytes):
                order = replace(order, stdin=stdin)
                return await in_thread(self._threads, partial(self._run, order))
            # It has a thread of its own while it is spoken to: others wait for the shared ones.
            with ThreadPoolExecutor(1) as own, Feed() as feed:
                feeding = asyncio.ensure_future(_fed(feed, stdin))
                try:
                    order = replace(order, stdin=feed)
                    return await in_thread(own, partial(self._run, order))
                finally:
                    feeding.cancel()
                    await asyncio.wait([feeding])

    async def open(self) -> None:
        """Have a container with a copy of the folder. Raises ConfigurationError, SandboxLost."""
        await in_thread(self._threads, self._open)

    async def close(self) -> None:
        """Remove it; done to its end, whoever is cancelled."""
        await to_the_end(self._close())

    async def _close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._threads, self.end)

    def end(self) -> None:
        """Remove the container, in any thread; once and again to no harm."""
        with self._holding:
            self._closed = True
        self._discard()

    def _open(self, abandoned: Abandoned) -> Container:
        container = self._take(self._bounds)
        with self._holding:
            if not self._closed:
                self._container = container
        if self._container is not container:
            container.remove()
            raise ConfigurationError("the sandbox was left, and runs no program any more")
        try:
            self._fill(container, abandoned)
        except BaseException:
            self._discard()
            raise
        return container

    def _fill(self, container: Container, abandoned: Abandoned) -> None:
        if not any(self._folder.iterdir()):
            return
        try:
            chunks = taken_along(self._folder, self._bounds)
            report = container.channel.report(
                UNPACK, chunks, seconds=PACKING_SECONDS, abandoned=abandoned
            )
        except (ChannelClosed, ChannelSilent) as error:
            raise SandboxLost(
                f"a sandbox was lost while its workspace was filled: {error}"
            ) from None
        if report.get("status") != 0:
            raise does_not_fit(self._folder, self._bounds)

    def _run(self, order: Order, abandoned: Abandoned) -> SandboxResult:
        container = self._container or self._open(abandoned)
        heard = Heard(self._bounds.output_kib * _KIB, order.hear)
        began = monotonic()
        try:
            report = self._program(container, order, heard, abandoned)
        except ChannelSilent:
            self._discard()
            return self._ended("time", heard, order, monotonic() - began)
        except ChannelClosed:
            memory = self._out_of_memory(container)
            self._discard()
            if not memory:
                raise SandboxLost(
                    "the sandbox's container ended in the midst of a program: it was removed, or"
                    " its engine stopped; the item can be run again"
                ) from None
            return self._ended("memory", heard, order, monotonic() - began)
        except BaseException:
            self._discard()
            raise
        found = verdict(report, heard.stderr, self._bounds, seconds=order.seconds)
        result = SandboxResult(
            exit=found.exit,
            stdout=heard.stdout,
            stderr=heard.stderr,
            seconds=found.seconds,
            peak_memory_bytes=found.peak_memory_bytes,
            bound=found.bound,
            reason=found.reason,
        )
        return with_files(result, self._bring_back(container, abandoned), self._bounds)

    def _program(
        self, container: Container, order: Order, heard: Heard, abandoned: Abandoned
    ) -> Any:
        """The report of a program that has ended."""
        told = {
            "argv": list(order.argv),
            "environment": {**ENVIRONMENT, **order.environment},
            "seconds": order.seconds,
            "output_bytes": self._bounds.output_kib * _KIB,
            "spoken_to": isinstance(order.stdin, Feed),
        }
        feed = order.stdin if isinstance(order.stdin, Feed) else None
        report: Any = {}
        for kind, payload in container.channel.ask(
            RUN,
            dumps(told).encode(),
            None if isinstance(order.stdin, Feed) else [order.stdin],
            feed=feed,
            seconds=order.seconds + GRACE_SECONDS,
            abandoned=abandoned,
        ):
            if kind == REPORT:
                report = read_report(payload)
            else:
                heard.take(kind, payload)
        if "cannot" in report:
            raise ConfigurationError(
                f"{order.argv[0]!r} cannot be started in the sandbox: {report['cannot']}"
            )
        if "failed" in report:
            raise ChannelClosed(report["failed"])
        return report

    def _bring_back(self, container: Container, abandoned: Abandoned) -> Brought:
        """Copy the workspace to the host's folder. Where it cannot be read to its end, the
        container goes: the next program begins with what the folder has."""
        whole = False

        def archive() -> Iterator[bytes]:
            nonlocal whole
            answer = container.channel.ask(PACK, seconds=PACKING_SECONDS, abandoned=abandoned)
            for kind, payload in answer:
                if kind == DATA:
                    yield payload
            whole = True

        try:
            return bring_back(self._folder, archive(), self._bounds)
        except (ChannelClosed, ChannelSilent) as error:
            return Brought(refused=(f"the workspace: {error}",))
        finally:
            if not whole:
                self._discard()

    def _out_of_memory(self, container: Container) -> bool:
        with suppress(GovernorError):
            return container.ran_out_of_memory()
        return False

    def _ended(self, bound: Bound, heard: Heard, order: Order, seconds: float) -> SandboxResult:
        """Of a program that took its sandbox with it."""
        return SandboxResult(
            exit=None,
            stdout=heard.stdout,
            stderr=heard.stderr,
            seconds=seconds,
            bound=bound,
            reason=reason(bound, self._bounds, seconds=order.seconds),
        )

    def _discard(self) -> None:
        with self._holding:
            container, self._container = self._container, None
        if container is not None:
            container.remove()


async def _fed(feed: Feed, pieces: AsyncIterable[bytes]) -> None:
    async for each in pieces:
        feed.put(each)
    feed.end()
