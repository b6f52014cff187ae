"""Where the items of a run are worked on: here, in processes of this machine, or by a work pool."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from prefect_governor.blocks.bypass.passed import passed_notes
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.limits.derived import Pace
from prefect_governor.blocks.limits.items import item_starts
from prefect_governor.blocks.wire.retries import retry_notes
from prefect_governor.flows.run.flow import ThisRun
from prefect_governor.flows.run.job import Job
from prefect_governor.flows.run.watch import Watched
from prefect_governor.flows.shards.asked import Asked
from prefect_governor.flows.shards.deployed import DeployedShards, check_deployment
from prefect_governor.flows.shards.feed import ChunkFeed, Shard
from prefect_governor.flows.shards.launching import Launcher, LocalProcesses
from prefect_governor.flows.shards.plan import FAN_OUT, Plan
from prefect_governor.flows.shards.planning import Part, end_plan, make_plan
from prefect_governor.flows.shards.spread import Spread
from prefect_governor.flows.shards.told import Told
from prefect_governor.flows.subagent.here import Here, Place


@contextmanager
def place_of(job: Job, here: ThisRun, asked: Asked | None, *, results: Path) -> Iterator[Place]:
    """Where a run's items are to be worked on, ready to begin. Raises ConfigurationError."""
    count = None if asked is None else asked.shards(lambda: _total(job))
    if asked is None or count is None:
        yield Here(job)
        return
    if asked.deployment is not None:
        _check_files(job)
        check_deployment(asked.deployment, FAN_OUT)
    plan = make_plan(job, here, shards=count, results=results)
    with Spread(job, plan, launcher_of(plan, asked)) as spread:
        yield spread
    end_plan(job, plan)


def launcher_of(plan: Plan, asked: Asked) -> Launcher:
    """What starts the shards."""
    if asked.deployment is None:
        return LocalProcesses(plan)
    return DeployedShards(plan, asked.deployment)


def shard_of(job: Job, part: Part) -> tuple[Here, Shard]:
    """A shard's own: the items come as it claims them, and what they came to goes to its run.

    Raises ConfigurationError where its ledger is not its run's.
    """
    desk = job.runtime.desk
    part.check(desk.store.ledger_id)
    plan = part.plan
    feed = ChunkFeed(plan, desk)
    place = Here(job, feed=feed, of=plan.shards)
    shard = Shard(
        plan,
        part.number,
        desk=desk,
        feed=feed,
        control=job.control,
        figures=lambda: told_of(job, fell_back=job.fell_back, pace=place.pace()),
    )
    return place, shard


def told_of(run: Watched, *, fell_back: int = 0, pace: Pace | None = None) -> Told:
    """What this process alone knows of a run."""
    stats = run.runtime.desk.stats(run.kept_as)
    held = dict(stats.held_seconds)
    memory = item_starts().figures()
    if memory.held_seconds > 0:
        held["memory"] = memory.held_seconds
    return Told(
        in_flight=stats.in_flight,
        max_in_flight=stats.max_in_flight,
        throttled=stats.throttled,
        calls=stats.calls,
        waiting_for=stats.waiting_for or memory.waiting_for,
        held_seconds=held,
        fell_back=fell_back,
        upstreams=run.runtime.upstreams,
        paced_calls=0 if pace is None else pace.calls,
        paced_seconds=0.0 if pace is None else pace.seconds,
        owner=run.runtime.desk.process.id,
        late_seconds=0.0 if pace is None else pace.late_seconds,
        notes=(*retry_notes(run.kept_as), *passed_notes(run.kept_as)),
    )


def _check_files(job: Job) -> None:
    """Raises ConfigurationError where items leave files on machines that this one does not see."""
    if job.request.whole_folders:
        raise ConfigurationError(
            "what items leave in their workspaces stays on the machines of a work pool: run tools"
            " on files (python, shell, read, search) here, with processes=N in place of shards"
        )


def _total(job: Job) -> int:
    """How many items there are: all of them are gone through where they are many."""
    return sum(1 for _ in job.request.every_item())
