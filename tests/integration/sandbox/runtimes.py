"""The runtimes that the table of hostile programs is run against."""

import asyncio
from collections.abc import Callable

from prefect_governor.blocks.sandboxes.bubblewrap.runtime import BubblewrapRuntime
from prefect_governor.blocks.sandboxes.docker.runtime import DockerRuntime
from prefect_governor.blocks.sandboxes.runtime import SandboxRuntime
from tests.engine import IMAGE, NoEngine, shared, skip_loudly


class Absent(DockerRuntime):
    """An engine that cannot be had here."""

    def __init__(self, why: str) -> None:
        super().__init__(IMAGE)
        self._why = why

    async def refusal(self) -> str | None:
        return self._why


def _docker() -> SandboxRuntime:
    try:
        return DockerRuntime(IMAGE, shared().host, warm=0)
    except NoEngine as error:
        return Absent(str(error))


RUNTIMES: dict[str, Callable[[], SandboxRuntime]] = {
    "bubblewrap": BubblewrapRuntime,
    # As for a user whose machine lets nobody make a cgroup.
    "bubblewrap without cgroups": lambda: BubblewrapRuntime(counted=False),
    "docker": _docker,
}
# Those that CI runs the whole table against.
SHORT = ("bubblewrap",)


def runtime_named(name: str) -> SandboxRuntime:
    """One that works here; a loud skip where it does not."""
    runtime = RUNTIMES[name]()
    refusal = asyncio.run(runtime.refusal())
    if refusal is not None:
        skip_loudly(f"NOT TESTED, no sandbox: {name}: {refusal}")
    return runtime


def rest(runtime: SandboxRuntime) -> None:
    """Let go what is only kept for the next cell: the connections to an engine."""
    if isinstance(runtime, DockerRuntime):
        runtime.engine.close()
