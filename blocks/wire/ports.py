"""What an exchange needs of a transport: the doing, and what the transport was told."""

import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Protocol, TypeVar

import httpx

from prefect_governor.blocks.context.governing import Governing
from prefect_governor.blocks.records.accepted import Accepted
from prefect_governor.blocks.records.output import AS_ASKED, OutputTerms

T = TypeVar("T")


class IO(Protocol):
    """What differs between the transports. `tells`: see `sockets.tells`."""

    @property
    def tells(self) -> bool: ...

    async def body(self, request: httpx.Request) -> bytes: ...

    async def aside(self, work: Callable[[], T]) -> T:
        """Do what takes long, in the context of now, while whatever else there is goes on."""

    async def send(self, request: httpx.Request) -> httpx.Response: ...

    async def read(self, response: httpx.Response) -> bytes: ...

    def chunks(self, response: httpx.Response) -> AsyncIterator[bytes]: ...

    async def close(self, response: httpx.Response) -> None: ...

    async def briefly(self, response: httpx.Response, reading: Coroutine[Any, Any, None]) -> None:
        """Read on for a moment, and no longer."""

    async def wait(self, future: "Future[T]") -> T: ...

    async def sleep(self, seconds: float) -> None: ...

    def stream(
        self, chunks: AsyncGenerator[bytes, None], close: Callable[[], Coroutine[Any, Any, None]]
    ) -> httpx.AsyncByteStream | httpx.SyncByteStream: ...


class Unbilled:
    """A transport that answers by itself, over no network: nobody bills its calls, wherever they
    say that they go."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What a transport was told of its calls. `governing` None: the governor of the context.
    `base_model` is the model behind a deployment's name, `output` what an answer may hold;
    `nominal`: see `Unbilled`."""

    governing: Governing | None = None
    provider: str | None = None
    tags: tuple[str, ...] = ()
    accepted: Accepted = field(default_factory=Accepted)
    base_model: str | None = None
    output: OutputTerms = AS_ASKED
    nominal: bool = False
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = lambda: datetime.now(timezone.utc)


def run_blocking(steps: "Coroutine[Any, Any, T]") -> T:
    """Runs a coroutine over a blocking IO: it never suspends, so one step is all of it."""
    try:
        steps.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    steps.close()
    raise RuntimeError("a blocking exchange was suspended")
