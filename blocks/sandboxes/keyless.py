"""Programs in a sandbox are given no secret of this process."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prefect_governor.blocks.sandboxes.results import SandboxResult
from prefect_governor.blocks.sandboxes.runtime import Cell
from prefect_governor.blocks.secrets.exits import scrubbed_value


@dataclass(frozen=True, slots=True)
class KeylessCell:
    """A cell whose programs find none in their arguments, their environment or their input. Files
    of the workspace are as they were given."""

    inner: Cell

    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: bytes = b"",
        environment: Mapping[str, str] | None = None,
        seconds: float | None = None,
    ) -> SandboxResult:
        """See `Cell.run`."""
        words, read, variables = scrubbed_value(([*argv], stdin, dict(environment or {})))
        return await self.inner.run(words, stdin=read, environment=variables, seconds=seconds)
