"""What runs sandboxes on a machine: a container engine, bubblewrap."""

from collections.abc import AsyncIterable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

from prefect_governor.blocks.sandboxes.bounds import SandboxBounds
from prefect_governor.blocks.sandboxes.results import SandboxResult

# Where the workspace is in a sandbox; programs start there.
WORKSPACE = "/workspace"
# What a program reads: all of it, or piece by piece as it comes.
Input = bytes | AsyncIterable[bytes]
# Told of what a program prints, as it does, on the event loop that its run is awaited on.
Heard = Callable[[bytes], object]


class Cell(Protocol):
    """One sandbox, for one item: what its programs write stays there for its next program, and is
    seen by no other."""

    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: Input = b"",
        heard: Heard | None = None,
        environment: Mapping[str, str] | None = None,
        seconds: float | None = None,
    ) -> SandboxResult:
        """Run a program to its end, or to a bound, and bring the host's folder up to date.

        `seconds` is less than the bound's; `environment` is all that it gets beside `PATH`, `HOME`
        and `TMPDIR`. Nothing of it runs on when this returns or is cancelled.

        A program that is spoken to while it runs is given pieces as `stdin`, and what it prints on
        its standard output goes to `heard` in place of the result: up to the bound on output, in
        pieces that end anywhere.

        Raises ConfigurationError for a program that cannot be started at all.
        """
        ...


class SandboxRuntime(Protocol):
    """A way to run sandboxes on this machine."""

    name: str

    async def refusal(self) -> str | None:
        """Why it cannot run programs here, in one line, with what mends it; None where it can."""
        ...

    def cell(self, folder: Path, bounds: SandboxBounds) -> AbstractAsyncContextManager[Cell]:
        """A sandbox whose workspace begins as a copy of `folder`, and is copied back into it after
        each program, within the workspace's own rules; gone, with all that it ran, when left."""
        ...

    async def sweep(self) -> int:
        """Remove what owners that are dead left behind; how many there were."""
        ...
