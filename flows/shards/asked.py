"""Whether a run is shared by several processes, by how many, and where they run."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.limits.derived import CORE, CORES
from prefect_governor.blocks.limits.resources import cores, memory
from prefect_governor.flows.run.job import Request
from prefect_governor.flows.shards.cutting import (
    AUTO,
    PROCESS_BYTES,
    check_count,
    processes_for,
)

# Parameters of a flow that say who works on it.
SHARED = ("processes", "shards", "deployment")


@dataclass(frozen=True)
class Asked:
    """How a run is to be shared. `count` is None for as many processes as bring something, and
    `deployment` for those of this machine."""

    count: int | None
    deployment: str | None = None

    def shards(self, total: Callable[[], int]) -> int | None:
        """How many at the most, None for this process alone; `total` counts the items."""
        if self.count is not None:
            return self.count
        there = memory()
        free_bytes = None if there is None else there.free_bytes
        count = processes_for(total(), cores=cores(), free_bytes=free_bytes)
        return None if count == 1 else count

    def notes(self) -> list[str]:
        """What a person should know of it."""
        here = cores()
        if self.deployment is not None or self.count is None or self.count <= here:
            return []
        more = f"{self.count:,} processes on {here:,} core{'s' * (here != 1)}"
        each = f"each holds some {PROCESS_BYTES // 2**20} MiB"
        return [f"{more} take turns on them; {each}, and no more is done at once than by {here:,}"]


def core_notes(bottleneck: str | None, asked: Asked | None, *, here: int) -> list[str]:
    """What to do where cores hold a run back, of which there are so many here. Pure."""
    if bottleneck == CORE and here > 1 and asked is None:
        return [
            f"this process's core held the run back: --processes {here} (processes={here}) shares"
            f" it among the {here} that are here"
        ]
    if bottleneck not in (CORE, CORES):
        return []
    return [
        f"{bottleneck} held the run back, and all {here} that are here are at work: --shards N"
        " (shards=N) shares it with other machines"
    ]


def asked_for(*, shards: Any, deployment: str | None, processes: Any) -> Asked | None:
    """What the parameters of a run say; None where it is one process's.

    Raises ConfigurationError.
    """
    if processes is not None and (shards is not None or deployment is not None):
        raise ConfigurationError(
            "processes are of this machine, shards of a work pool: give one of them"
        )
    if (shards is None) != (deployment is None):
        raise ConfigurationError(
            "shards go with the deployment that runs them, such as shards=8,"
            " deployment='fan-out/shard': give both (for processes of this machine: processes=N)"
        )
    if isinstance(processes, str) and processes.strip() == AUTO:
        return Asked(None)
    count = check_count(processes, name="processes")
    if count is None:
        count = check_count(shards, name="shards")
        return None if count is None else Asked(count, str(deployment))
    return None if count == 1 else Asked(count)


def check_can_be_shared(request: Request, tools: Sequence[Any] | str) -> None:
    """Raises ConfigurationError for a run that other processes cannot read."""
    if request.is_read_once:
        raise ConfigurationError(
            "an iterator is read once, by this process: give a list, or name files (sources), to"
            " share a run among several"
        )
    check_can_be_imported(tools)


def check_can_be_imported(tools: Sequence[Any] | str, agent: Any = None) -> None:
    """Raises ConfigurationError for code that other processes cannot run."""
    found = [] if isinstance(tools, str) else [*tools]
    if any(not isinstance(each, str) for each in [*found, *([] if agent is None else [agent])]):
        what = (
            "an agent that is a function is" if callable(agent) else "tools that are functions are"
        )
        raise ConfigurationError(
            f"{what} code of this program, which its other processes cannot run: name it as"
            " 'package.module:name'"
        )
