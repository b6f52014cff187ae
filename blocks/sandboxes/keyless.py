"""Programs in a sandbox are given no secret of this process."""

from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field

from prefect_governor.blocks.sandboxes.results import SandboxResult
from prefect_governor.blocks.sandboxes.runtime import Cell, Heard, Input
from prefect_governor.blocks.secrets.exits import scrubbed_value


@dataclass(frozen=True, slots=True)
class KeylessCell:
    """A cell whose programs find none in their arguments, their environment or their input. Files
    of the workspace are as they were given.

    Attributes:
        named: variables that a person named for these programs, given as they are.
    """

    inner: Cell
    named: Mapping[str, str] = field(default_factory=dict, repr=False)

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
        words, variables = scrubbed_value(([*argv], dict(environment or {})))
        read = scrubbed_value(stdin) if isinstance(stdin, bytes) else _each(stdin)
        return await self.inner.run(
            words, stdin=read, heard=heard, environment={**variables, **self.named}, seconds=seconds
        )


async def _each(pieces: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """A secret that two pieces share is not seen: whoever speaks to a program gives whole lines."""
    async for piece in pieces:
        yield scrubbed_value(piece)
