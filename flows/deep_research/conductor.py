"""Runs a plan: starts what may start, keeps what ended, and lets the lead change the rest."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any, Protocol, cast

from prefect.futures import PrefectFuture

from prefect_governor.blocks.bypass.passed import passed_notes
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.figures.figures import LimitFigures, item_figures, limit_figures
from prefect_governor.blocks.machine.stops import STOPPED
from prefect_governor.blocks.prefect_internals.waiting import result_of
from prefect_governor.blocks.wire.retries import retry_notes
from prefect_governor.flows.deep_research.agents import research_agent
from prefect_governor.flows.deep_research.finding import Finding, Reference
from prefect_governor.flows.deep_research.lead import checked_changes, lead_round
from prefect_governor.flows.deep_research.plan.plan import Plan, PlanTask
from prefect_governor.flows.deep_research.plan.scheduler import End, Ended, Schedule
from prefect_governor.flows.deep_research.prompts import round_messages
from prefect_governor.flows.deep_research.study import Study
from prefect_governor.flows.report.states import Ending, read_endings
from prefect_governor.flows.run.counted import counted_under
from prefect_governor.flows.run.job import TAG
from prefect_governor.flows.run.underway import CANCELLED, Run, UnderWay
from prefect_governor.flows.run.window import room_for

# The lead's round among the tasks that are under way.
_ROUND = ""


# What the ledger keeps a finding under, beside its task's id.
Name = str


class Hands(Protocol):
    """Who works on tasks."""

    def begin(
        self,
        task: PlanTask,
        name: Name,
        inputs: Mapping[str, Name],
        given: Mapping[str, Any],
    ) -> Run:
        """Start one; its finding is kept under `name`. Of what it depends on, `inputs` are names
        and `given` references, or futures that give them. What comes of it is a reference, or an
        `Ending` whose result is one."""

    def knows(self, task_id: str, name: Name, finding: Finding) -> None:
        """An earlier attempt found this."""

    def over(self) -> None:
        """Nothing more begins."""

    def limits(self) -> LimitFigures:
        """What held the run back."""

    def notes(self) -> Sequence[str]:
        """What its calls came by, for the report."""


class OwnHands:
    """This process."""

    def __init__(self, study: Study) -> None:
        self._study = study

    def begin(
        self,
        task: PlanTask,
        name: Name,
        inputs: Mapping[str, Name],
        given: Mapping[str, Any],
    ) -> Run:
        with counted_under(self._study.runtime, kept_as=self._study.kept_as):
            return research_agent.submit(key=task.id, inputs=dict(given))

    def knows(self, task_id: str, name: Name, finding: Finding) -> None:
        pass

    def over(self) -> None:
        pass

    def limits(self) -> LimitFigures:
        study = self._study
        return limit_figures(study.runtime, study.kept_as, tags=(TAG,), models=study.models)

    def notes(self) -> Sequence[str]:
        return (*retry_notes(self._study.kept_as), *passed_notes(self._study.kept_as))


class Conductor:
    """One plan under way.

    `told` is called with the ids of the tasks that have their outcome since. After `conduct`,
    `schedule.ended` holds the outcome of every task, `findings` those that succeeded, and `notes`
    what the lead changed or could not.
    """

    def __init__(
        self,
        study: Study,
        plan: Plan,
        hands: Hands,
        *,
        told: Callable[[Sequence[str]], None] = lambda ended: None,
    ) -> None:
        self.study = study
        self._plan = plan
        self._hands = hands
        self._told_of_ends = told
        self._ends_told = 0
        self.schedule = Schedule()
        self.findings: dict[str, Finding] = {}
        self.notes: list[str] = []
        self.seconds: dict[str, float] = {}
        self._results: dict[str, Any] = {}
        self._names: dict[str, Name] = {}
        self._under_way: UnderWay[str, Run] = UnderWay()
        self._came: list[tuple[str, Run]] = []
        self._round: int | None = None
        self._changes: list[Mapping[str, Any]] = []
        self._seen: set[str] = set()
        self._size = self._room()
        self._add(plan.tasks)
        self._replay_rounds()

    def conduct(self) -> None:
        """Until every task has its outcome."""
        control = self.study.control
        while True:
            if control.stop.is_set():
                self._stop()
            self._start()
            self._tell()
            self._consult()
            if self.schedule.over and self._round is None:
                return
            if len(self._under_way):
                self._came += self._under_way.wait()
            self._take(self._came)
            # Where this is left before, they are taken again.
            self._came = []
            if control.abort.is_set():
                self._abort()
                self._tell()
                return

    # Starting

    def _add(self, tasks: Sequence[PlanTask]) -> None:
        self.study.tasks.update({task.id: task for task in tasks})
        self.schedule.add(tasks)

    def _room(self) -> int:
        return room_for(self._hands.limits().cap)

    def _start(self) -> None:
        for task_id in self.schedule.ready():
            if len(self._under_way) >= self._size:
                return
            task = self.schedule.start(task_id)
            inputs = {name: self.findings[name] for name in self.schedule.inputs(task_id)}
            name = self._names[task_id] = self.study.input_hash(task, inputs)
            finding = self.study.kept_finding(task_id, name)
            if finding is not None:
                self.study.take_over(finding)
                self._hands.knows(task_id, name, finding)
                self._succeeded(task_id, finding)
                continue
            # Futures, not their results, are passed where they are there: the UI draws the arrows.
            given = {each: self._results[each] for each in inputs}
            names = {each: self._names[each] for each in inputs}
            self._under_way.add(task_id, self._hands.begin(task, name, names, given))

    def _succeeded(self, task_id: str, finding: Finding, future: Any = None) -> None:
        self.findings[task_id] = finding
        if future is None:
            future = Reference.to(finding, self.study.folder).to_json()
        self._results[task_id] = future
        self.schedule.finish(task_id, "succeeded")

    # Ending

    def _take(self, ended: list[tuple[str, Run]]) -> None:
        endings = _endings([future for _, future in ended])
        for (task_id, future), ending in zip(ended, endings, strict=True):
            if task_id == _ROUND:
                if self._round is not None:
                    self._round_ended(ending)
                continue
            if task_id in self.schedule.ended:
                continue
            self._time(task_id)
            if ending.state == "succeeded":
                with open(ending.result["file"], encoding="utf-8") as file:
                    finding = Finding.of_record(file.read())
                run = future if isinstance(future, PrefectFuture) else None
                self._succeeded(task_id, finding, run)
            elif self.study.control.abort.is_set():
                self.schedule.finish(task_id, *self._aborted(task_id))
            else:
                self.schedule.finish(task_id, ending.state, ending.reason)

    def _tell(self) -> None:
        """Of all that has its outcome since, whatever gave it."""
        ended = list(islice(self.schedule.ended, self._ends_told, None))
        if ended:
            self._ends_told += len(ended)
            for task_id in ended:
                self.study.give_back(task_id)
            self._told_of_ends(ended)

    def _time(self, task_id: str) -> None:
        """How long a task took, without its time in the queue."""
        began = self.study.began.get(task_id)
        if (took := self.study.took.get(task_id)) is not None:
            self.seconds[task_id] = took
        elif began is not None:
            worked = time.monotonic() - began - self.study.waited.get(task_id, 0.0)
            self.seconds[task_id] = round(max(0.0, worked), 3)

    def _stop(self) -> None:
        """Nothing more starts."""
        self.schedule.stop(self._stop_reason())

    def _stop_reason(self) -> str:
        return self.study.control.stop.reason or STOPPED

    def _abort(self) -> None:
        self._take(self._under_way.cancel())
        for task_id in self._under_way:
            if task_id != _ROUND:
                self.schedule.finish(task_id, "failed", CANCELLED)
        self._stop()
        # What an order to end took out of this one's hands.
        for task_id in self.schedule.running:
            self.schedule.finish(task_id, "failed", CANCELLED)
        self._round = None

    def _aborted(self, task_id: str) -> tuple[End, str]:
        """What became of a task that was cancelled: one that called nothing did not start."""
        of_run = {"run_id": self.study.kept_as}
        if item_figures(self.study.runtime, "item", of_run, [task_id]):
            return "failed", CANCELLED
        return "not_started", self._stop_reason()

    # The lead, while others work

    def _consult(self) -> None:
        """Show the lead what has ended since it last looked; others go on meanwhile."""
        inquiry = self.study.inquiry
        ended = [task_id for task_id in self.schedule.tasks_ended() if task_id not in self._seen]
        if (
            self._round is not None
            or not ended
            or len(self._changes) >= inquiry.max_rounds
            or self.study.control.stop.is_set()
            or len(self.schedule.tasks) == 1
        ):
            return
        snapshot = self._asked_before()
        if snapshot is None:
            snapshot = self.schedule.tasks_ended()
        elif not (self.schedule.over or all(name in self.schedule.ended for name in snapshot)):
            # The same is shown again, so that a reply that was paid for answers it.
            return
        snapshot = [name for name in snapshot if name in self.schedule.ended]
        self._seen.update(ended)
        self._round = len(self._changes) + 1
        self.study.keep_now(f"lead:asked-{self._round}", self._made_for(), json.dumps(snapshot))
        with counted_under(self.study.runtime, kept_as=self.study.kept_as):
            future = lead_round.submit(
                number=self._round,
                tasks=[task.model_dump(mode="json") for task in self.schedule.tasks],
                ended={task_id: self._told(task_id) for task_id in snapshot},
                most=self._most(),
            )
        self._under_way.add(_ROUND, future)

    def _told(self, task_id: str) -> list[str]:
        ended = self.schedule.ended[task_id]
        finding = self.findings.get(task_id)
        return [ended.state, (finding.answer if finding else ended.reason) or ""]

    def _round_ended(self, ending: Ending) -> None:
        assert self._round is not None
        number, self._round = self._round, None
        if ending.state != "succeeded":
            self.notes.append(f"the lead's round {number} changed nothing: {ending.reason}")
            self._change({"add": [], "cancel": []})
            return
        made_for = self._made_for()
        self._change(cast("dict[str, Any]", ending.result))
        self.study.keep_now(f"lead:round-{number}", made_for, json.dumps(self._changes[-1]))

    def _change(self, changes: Mapping[str, Any]) -> None:
        """Do it, and note what was done: a task that ran already is not cancelled, nor is it where
        the round is replayed before anything runs."""
        number = len(self._changes) + 1
        cancelled: list[str] = []
        added = [PlanTask.model_validate(each) for each in changes["add"]]
        self._add(added)
        if added:
            names = ", ".join(task.id for task in added)
            self.notes.append(f"the lead's round {number} added: {names}")
        for task_id in changes["cancel"]:
            if task_id not in self.schedule.ended and task_id in self.study.tasks:
                try:
                    self.schedule.cancel(task_id, f"the lead cancelled it in round {number}")
                except ValueError:
                    # It runs: what it finds is paid for, and may still be of use.
                    continue
                cancelled.append(task_id)
                self.notes.append(f"the lead's round {number} cancelled: {task_id}")
        self._changes.append({"add": changes["add"], "cancel": cancelled})

    def _most(self) -> int:
        """How many tasks the lead may still add."""
        return max(0, self.study.inquiry.max_tasks - len(self.schedule.tasks))

    def _replay_rounds(self) -> None:
        """Changes that an earlier attempt of this run has paid for are made at once, where they
        were made for the same and are what a lead may do."""
        while len(self._changes) < self.study.inquiry.max_rounds:
            number = len(self._changes) + 1
            record = self.study.kept(f"lead:round-{number}", self._made_for())
            if record is None:
                return
            try:
                changes = checked_changes(
                    json.loads(record), known=self.schedule.tasks, most=self._most()
                )
            except (ValueError, ConfigurationError) as problems:
                self.notes.append(
                    f"what an earlier attempt kept of the lead's round {number} cannot run, so the"
                    f" lead is asked again: {problems}"
                )
                return
            self._seen.update(self._asked_before() or [])
            self._change(changes)

    def _asked_before(self) -> list[str] | None:
        """What had ended when an earlier attempt asked for the next round; None where it did
        not."""
        record = self.study.kept(f"lead:asked-{len(self._changes) + 1}", self._made_for())
        if record is None:
            return None
        snapshot: list[str] = json.loads(record)
        return snapshot

    def _made_for(self) -> str:
        """Names what the lead's next round is for: all that shapes the run's answers, the plan, and
        the rounds before it."""
        inquiry = self.study.inquiry
        messages = round_messages(inquiry.question, self._plan.tasks, {}, most=inquiry.max_tasks)
        # More money for a task is no other plan.
        tasks = [task.model_dump(mode="json", exclude={"max_usd"}) for task in self._plan.tasks]
        return self.study.name_of(messages, tasks, self._changes)


def not_succeeded(ended: dict[str, Ended]) -> dict[str, str]:
    """Why a task has no finding, by task."""
    return {
        name: each.reason or each.state.replace("_", " ")
        for name, each in ended.items()
        if each.state != "succeeded"
    }


def ending_of(future: "PrefectFuture[Any]") -> Ending:
    """What became of a task; waits for it."""
    future.wait()
    return _endings([future])[0]


def _endings(runs: Sequence[Run]) -> list[Ending]:
    if not runs:
        return []
    # Others say themselves what became of a task.
    told = [run.state if isinstance(run, PrefectFuture) else run.result() for run in runs]
    read = iter(result_of(read_endings([each for each in told if not isinstance(each, Ending)])))
    return [each if isinstance(each, Ending) else next(read) for each in told]
