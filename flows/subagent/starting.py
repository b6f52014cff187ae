"""The items of a fan-out as task runs: one each, or several that share one."""

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from functools import partial
from types import TracebackType
from typing import Any

from prefect import task
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext, TagsContext, TaskRunContext
from prefect.futures import PrefectFuture
from prefect.logging import get_run_logger
from prefect.states import Completed, Failed
from typing_extensions import Self

from prefect_governor.blocks.context.scope import current_scope
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.limits.items import held_inside, item_starts
from prefect_governor.blocks.machine.answers import Answer
from prefect_governor.blocks.work.runtime import Runtime
from prefect_governor.flows.handfuls.handful import Handful
from prefect_governor.flows.handfuls.sizes import name_of, size_after
from prefect_governor.flows.items.intake import Feed, Intake
from prefect_governor.flows.report.reasons import reason_of
from prefect_governor.flows.run.counted import counted_under
from prefect_governor.flows.run.job import TAG, Job, current_job
from prefect_governor.flows.run.underway import Run
from prefect_governor.flows.run.window import Window
from prefect_governor.flows.runner.tag_limits import TagLimits
from prefect_governor.flows.subagent.retrying import ONCE, RETRIES, retried
from prefect_governor.flows.subagent.subagent import answer_item, sub_agent

logger = logging.getLogger(__name__)


@task(name="sub-agent", task_run_name="{name}", tags=[TAG], **ONCE)
async def sub_agents(name: str, handful: Handful) -> "State[Any]":
    """Answer the run's question about each item of a handful. The state says how many succeeded;
    what became of each is in the report."""
    job = current_job.get()
    assert job is not None, "sub_agents run in a fan-out only"
    await handful.run()
    if (context := TaskRunContext.get()) is not None and handful.positions:
        # By now it is known which they were.
        places = numbers(job, handful.positions)
        context.task_run.name = name_of(places, size=len(places))
    return _state(job, handful)


class Starting:
    """Starts a run's items as they come. Left, what waits for more of them waits no longer.

    `of` processes share the run: each starts as many, so that together they make no more task runs
    than one would.
    """

    def __init__(self, job: Job, *, of: int = 1) -> None:
        self._job = job
        self._of = of
        self._asked = job.request.items_per_task
        self._begun_so_far = 0
        self._handful: Handful | None = None
        self._limited: bool | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._handful is not None:
            self._handful.close()

    def start(self, batch: Sequence[int], window: Window) -> Iterator[tuple[int, Run]]:
        """Start these items, by position, of the window; each with what tells of its end."""
        alone: list[int] = []
        for at, position in enumerate(batch):
            handful = self._handful
            outcome: Answer[Any] = Answer()
            if handful is None or not handful.expect(position, outcome):
                size = self._size()
                if size == 1:
                    self._handful = None
                    alone.append(position)
                    self._begun_so_far += 1
                    continue
                yield from self._alone(alone)
                alone = []
                handful = self._handful = self._begun(size, [*batch[at:], *window.coming(size)])
                handful.expect(position, outcome)
            self._begun_so_far += 1
            work = partial(_answer_item, self._job, position)
            begin = partial(handful.begin, work, outcome)
            yield position, outcome
            item_starts().begin(begin, outcome)
        yield from self._alone(alone)

    def _alone(self, positions: Sequence[int]) -> Iterator[tuple[int, Run]]:
        if positions:
            keys = [self._job.items[position].key for position in positions]
            with counted_under(self._job.runtime, kept_as=self._job.kept_as):
                futures = sub_agent.map(key=keys, position=list(positions))
            yield from zip(positions, futures, strict=True)

    def _begun(self, size: int, coming: Sequence[int]) -> Handful:
        """A handful's task run. Of an iterator nobody knows how many items there will be."""
        handful = Handful(size)
        known = list(coming[:1] if self._job.intake is not None else coming[:size])
        last = self._job.intake is None and len(coming) < size
        name = name_of(numbers(self._job, known), size=len(known) if last else size)
        with held_inside(), counted_under(self._job.runtime, kept_as=self._job.kept_as):
            future = sub_agents.submit(name=name, handful=handful)
        future.add_done_callback(lambda ended: handful.give_up(_why(ended)))
        return handful

    def _size(self) -> int:
        """How many items the next task run takes: one where it is task runs that are limited."""
        size = size_after(self._begun_so_far * self._of, self._asked)
        if size == 1 or counted_by(self._job):
            return 1
        if self._limited is None:
            self._limited = is_limited_by_prefect()
        return 1 if self._limited else size


def check_handfuls(job: Job) -> None:
    """Raises ConfigurationError where several items are to share a task run, and task runs are what
    is limited."""
    asked = job.request.items_per_task or 1
    if asked == 1:
        return
    counted = counted_by(job)
    where = f"the governor's limit {counted!r} counts task runs" if counted else None
    if where is None and is_limited_by_prefect():
        where = "a concurrency limit of Prefect's on a tag of this run counts task runs"
    if where is not None:
        raise ConfigurationError(
            f"items_per_task is {asked:,}, and {where}, of which each item is to be one there:"
            " leave items_per_task out, or limit calls instead"
        )


def counted_by(job: Job) -> str | None:
    """The limit that counts the sub-agents' task runs, of the run's governor or of the one that the
    flow was called under; None where none does."""
    run = FlowRunContext.get()
    flow_run = None if run is None else run.flow_run
    tags = tuple(sorted({*_task_tags(), *(flow_run.tags if flow_run else ())}))
    here = current_scope.get()
    for governing in (job.runtime, None if here is None else here.governor):
        if isinstance(governing, Runtime) and (limits := governing.task_limits(tags)):
            return limits[0]
    return None


def is_limited_by_prefect() -> bool:
    """Whether a tag of the sub-agents' task runs has a limit on Prefect's server, or nobody knows.
    One request."""
    return not TagLimits(logger=logger).none_exists(_task_tags())


def _task_tags() -> set[str]:
    return {TAG, *TagsContext.get().current_tags}


@contextmanager
def taking_in(job: Job, *, most: int, feed: Feed | None = None) -> Iterator[Feed | None]:
    """What the items come from that come one by one, until it is left: `feed`, or what reads them;
    None where all are known."""
    if feed is None and job.request.more is None:
        yield None
        return
    job.intake = feed or Intake(
        iter(job.request.more or ()),
        known=[item.key for item in job.items],
        most=most,
        whole_folders=job.request.whole_folders,
        reading=job.request.reading,
    )
    try:
        yield job.intake
    finally:
        job.intake.close()


def numbers(job: Job, positions: Sequence[int]) -> list[int]:
    """The places of items in the run, which are not a shard's own."""
    if job.intake is None:
        return list(positions)
    return [job.intake.number_of(position) for position in positions]


async def _answer_item(job: Job, position: int) -> Any:
    key = job.items[position].key

    def say(number: int, seconds: float, error: Exception) -> None:
        get_run_logger().info(
            "%s: attempt %d of %d failed (%s), the next one in %.1f s",
            key, number, RETRIES + 1, reason_of(error), seconds,
        )  # fmt: skip

    try:
        return await retried(
            lambda attempt: answer_item(job, position, attempt), stop=job.control.stop, say=say
        )
    except Exception as error:
        get_run_logger().error("%s: %s", key, reason_of(error))
        raise


def _state(job: Job, handful: Handful) -> "State[Any]":
    total, good = len(handful.positions), handful.succeeded
    if good == total:
        return Completed(message=f"{total:,} of {total:,} items succeeded")
    keyed = [f"{job.items[at].key}: {reason_of(why)}" for at, why in handful.failed.items()]
    more = total - good - len(keyed)
    said = "; ".join([*keyed, *([f"{more:,} more"] if more else [])])
    message = f"{good:,} of {total:,} items succeeded; {said}"
    return Completed(message=message, name="Partial") if good else Failed(message=message)


def _why(ended: "PrefectFuture[Any]") -> BaseException:
    """What a task run's items died of that had not ended when it did."""
    done = getattr(ended, "wrapped_future", None)
    if isinstance(done, Future) and done.done() and not done.cancelled():
        final = done.exception() or getattr(done.result(), "data", None)
        if isinstance(final, BaseException):
            return final
    return CancelledError()
