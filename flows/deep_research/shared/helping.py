"""A shard of a research: it claims tasks that were handed out, and works on them as the run would
itself."""

import time
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

from prefect.futures import PrefectFuture
from prefect.logging import get_logger

from prefect_governor.blocks.claims.task_slots import let_go
from prefect_governor.blocks.errors import ConfigurationError, LedgerUnavailable
from prefect_governor.blocks.figures.figures import limit_figures
from prefect_governor.blocks.ledger.decision import chunks
from prefect_governor.blocks.prefect_internals.waiting import result_of
from prefect_governor.flows.deep_research.agents import research_agent
from prefect_governor.flows.deep_research.conductor import OwnHands
from prefect_governor.flows.deep_research.finding import Finding, Reference
from prefect_governor.flows.deep_research.outcomes import figures_of
from prefect_governor.flows.deep_research.plan.plan import PlanTask
from prefect_governor.flows.deep_research.report import ResearchReport
from prefect_governor.flows.deep_research.shared.handed import Handed, Reading
from prefect_governor.flows.deep_research.study import Study, current_study
from prefect_governor.flows.report.model import ItemReport
from prefect_governor.flows.report.publish import make_report
from prefect_governor.flows.report.states import Ending, read_endings
from prefect_governor.flows.run.counted import counted_under
from prefect_governor.flows.run.job import TAG
from prefect_governor.flows.run.underway import CANCELLED, UnderWay
from prefect_governor.flows.run.window import room_for, share_of
from prefect_governor.flows.shards.feed import Shard
from prefect_governor.flows.shards.places import told_of
from prefect_governor.flows.shards.planning import Part

_logger = get_logger("prefect_governor.flows")

# How often it is looked for what was handed out, in seconds.
LOOK_SECONDS = 0.2
# How often one asks the ledger that has room for what is not new: somebody may have died with it,
# in seconds.
ASK_SECONDS = 2.0


def helped(study: Study, part: Part) -> tuple[ResearchReport, BaseException | None]:
    """What came of a shard's part of the tasks, and what it was left by. Raises
    ConfigurationError where it is no part of its run."""
    token = current_study.set(study)
    try:
        with let_go():
            items, left_by = _help_out(study, part)
    finally:
        current_study.reset(token)
    base = make_report(
        items,
        run_id=study.run_id,
        stopped=study.control.interrupted,
        figures=figures_of(study, OwnHands(study)),
    )
    return ResearchReport(**dict(base), question=study.inquiry.question), left_by


def _help_out(study: Study, part: Part) -> tuple[list[ItemReport], BaseException | None]:
    desk = study.runtime.desk
    part.check(desk.store.ledger_id)
    helping = _Helping(study, part)
    shard = Shard(
        part.plan,
        part.number,
        desk=desk,
        feed=helping,
        control=study.control,
        figures=lambda: told_of(study),
    )
    with shard:
        helping.shard = shard
        left_by = study.control.conducted(helping.conduct)
    return helping.reports, left_by


class _Helping:
    """See `shards.feed.Feeding`: a task is a chunk of its own."""

    def __init__(self, study: Study, part: Part) -> None:
        self._study = study
        self._plan = part.plan
        self._reading = Reading(part.plan.folder)
        self._under_way: UnderWay[int, PrefectFuture[Any]] = UnderWay()
        self._known: list[int] = []
        self._more = False
        self._claimed: dict[int, Handed] = {}
        self._finishing: list[Future[bool]] = []
        self._asked = 0.0
        cap = share_of(_cap(study), part.plan.shards)
        self._size = room_for(cap)
        self.shard: Shard | None = None
        self.reports: list[ItemReport] = []

    def conduct(self) -> None:
        control, plan = self._study.control, self._plan
        while True:
            stopped = control.stop.is_set()
            if not stopped:
                self._claim()
            if not len(self._under_way) and (stopped or plan.is_over()):
                for each in self._finishing:
                    # Whoever claims such a task again finds what it found.
                    with suppress(LedgerUnavailable):
                        each.result()
                return
            if len(self._under_way):
                self._take(self._under_way.wait())
            else:
                control.stop.wait(LOOK_SECONDS)
            if control.abort.is_set():
                self._take(self._under_way.cancel())
                return

    def number_of(self, position: int) -> int:
        return position

    def ended_at(self, number: int) -> None:
        plan = self._plan
        self._finishing.append(
            self._study.runtime.desk.write(
                lambda batch: chunks.finish(batch.rows, plan.work, number, owner=batch.owner)
            )
        )

    def _claim(self) -> None:
        room = self._size - len(self._under_way)
        if room <= 0:
            return
        with suppress(OSError):
            self._reading.look()
        known = sorted({*self._reading.tasks} - {*self._claimed})
        fresh = self._more or known != self._known
        if not known or not (fresh or time.monotonic() - self._asked >= ASK_SECONDS):
            return
        plan, self._asked = self._plan, time.monotonic()
        asked = self._study.runtime.desk.write(
            lambda batch: chunks.claim(
                batch.rows,
                plan.work,
                numbers=known,
                attempt=plan.attempt,
                owner=batch.owner,
                most=room,
            )
        )
        try:
            claimed = asked.result()
        except LedgerUnavailable as error:
            _logger.warning("no tasks come while the ledger is away: %s", error)
            return
        for number in claimed:
            self._begin(self._reading.tasks[number])
        # Where there was no room for all, others may be free.
        self._more = len(claimed) == room
        self._known = [number for number in known if number not in claimed]

    def _begin(self, handed: Handed) -> None:
        study, number = self._study, handed.number
        self._claimed[number] = handed
        task = PlanTask.model_validate(handed.task)
        study.tasks[task.id] = task
        if handed.allocation is not None:
            study.allocations[task.id] = handed.allocation
        kept = study.runtime.desk.store.read_items(study.kept_as, [task.id, *handed.inputs])
        study.records = {**study.records, **kept}
        inputs = {
            name: Finding.of_record(kept[name, answer]) for name, answer in handed.inputs.items()
        }
        if study.input_hash(task, inputs) != handed.answer:
            raise ConfigurationError(
                "this shard's corpus, tools or model are not those of its run, so that it would"
                " answer something else: give every machine the same files under the same path,"
                " and the same release"
            )
        if study.kept_finding(task.id, handed.answer) is not None:
            # Whoever had it before had found it.
            self._tell(number, Ending("succeeded"))
            return
        given = {
            name: Reference.to(found, study.folder).to_json() for name, found in inputs.items()
        }
        with counted_under(study.runtime, kept_as=study.kept_as):
            self._under_way.add(number, research_agent.submit(key=task.id, inputs=given))

    def _take(self, ended: "list[tuple[int, PrefectFuture[Any]]]") -> None:
        if not ended:
            return
        endings = result_of(read_endings([future.state for _, future in ended]))
        for (number, _), ending in zip(ended, endings, strict=True):
            if self._study.control.abort.is_set() and ending.state != "succeeded":
                ending = Ending("failed", CANCELLED)
            self._tell(number, ending)

    def _tell(self, number: int, ending: Ending) -> None:
        study, task_id = self._study, self._claimed[number].task["id"]
        began = study.began.get(task_id)
        seconds = None
        if began is not None:
            seconds = round(max(0.0, time.monotonic() - began - study.waited.get(task_id, 0.0)), 3)
        report = ItemReport(
            key=task_id,
            state=ending.state,
            reason=ending.reason,
            attempts=study.attempts.get(task_id, 1),
            seconds=seconds,
        )
        self.reports.append(report)
        assert self.shard is not None
        self.shard.put({number: report})


def _cap(study: Study) -> int | None:
    return limit_figures(study.runtime, study.kept_as, tags=(TAG,), models=study.models).cap
