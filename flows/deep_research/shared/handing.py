"""The run's side of a research in shards: its tasks are handed out, and what they came to comes
back. The plan, the lead and the synthesis stay here."""

import contextvars
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from prefect.logging import get_logger
from typing_extensions import Self

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.figures.figures import LimitFigures
from prefect_governor.blocks.machine.answers import Answer
from prefect_governor.blocks.machine.private import make_folder
from prefect_governor.blocks.machine.stops import STOPPED
from prefect_governor.flows.deep_research.conductor import Hands, Name, OwnHands
from prefect_governor.flows.deep_research.finding import Finding, Reference
from prefect_governor.flows.deep_research.plan.plan import PlanTask
from prefect_governor.flows.deep_research.shared.handed import Handed, Handing
from prefect_governor.flows.deep_research.study import Study
from prefect_governor.flows.report.model import ItemReport
from prefect_governor.flows.report.states import Ending
from prefect_governor.flows.run.flow import ThisRun
from prefect_governor.flows.run.underway import Run
from prefect_governor.flows.shards.asked import Asked
from prefect_governor.flows.shards.crew import LOOK_SECONDS, Crew
from prefect_governor.flows.shards.deployed import check_deployment
from prefect_governor.flows.shards.launching import Launcher
from prefect_governor.flows.shards.places import launcher_of
from prefect_governor.flows.shards.plan import RESEARCH, Plan, order
from prefect_governor.flows.shards.planning import end_plan, new_folder, plan_of

_logger = get_logger("prefect_governor.flows")


class Shards:
    """Tasks go to shards, which a thread looks after. See `conductor.Hands`."""

    def __init__(self, study: Study, plan: Plan, launcher: Launcher) -> None:
        self._study = study
        self._plan = plan
        self._crew = Crew(study, plan, launcher, numbers=self._numbers)
        self._handing = Handing(plan.folder)
        # What is under way, by its place in the plan; what the ledger keeps its findings under.
        self._waiting: dict[int, Answer[Ending]] = {}
        # What was told and is not answered yet: a ledger that is away does not lose it.
        self._came: dict[int, ItemReport] = {}
        self._lock = threading.Lock()
        self._names: dict[str, Name] = {}
        self._over = threading.Event()
        context = contextvars.copy_context()
        self._thread = threading.Thread(
            target=lambda: context.run(self._look_on), name="prefect-governor-crew", daemon=True
        )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.over()
        with self._crew:
            if error is not None:
                raise error
            self._crew.wait_for_all()

    def begin(
        self,
        task: PlanTask,
        name: Name,
        inputs: Mapping[str, Name],
        given: Mapping[str, Any],
    ) -> Run:
        study = self._study
        number = list(study.tasks).index(task.id)
        answer: Answer[Ending] = Answer()
        self._names[task.id] = name
        with self._lock:
            self._waiting[number] = answer
        data = task.model_dump(mode="json")
        self._handing.add(Handed(number, data, dict(inputs), name, study.allocations.get(task.id)))
        return answer

    def knows(self, task_id: str, name: Name, finding: Finding) -> None:
        if (task_id, name) not in self._study.records:
            # It was found under another one, which shards do not look for.
            self._study.keep_now(task_id, name, finding.to_record())

    def over(self) -> None:
        if not self._over.is_set():
            self._over.set()
            self._thread.join()
            # What a full disk did not take is tried once more, in vain.
            with suppress(OSError):
                self._handing.close()
            order(self._plan.folder, over=True)

    def limits(self) -> LimitFigures:
        return self._crew.limits()

    def notes(self) -> Sequence[str]:
        return self._crew.notes()

    def _numbers(self) -> list[int]:
        with self._lock:
            return sorted(self._waiting)

    def _look_on(self) -> None:
        control = self._study.control
        while not self._over.wait(LOOK_SECONDS):
            try:
                # Before what they told is read: one that has ended has told all.
                self._crew.look_after()
                alone = control.stop.is_set() and not self._crew.running
                self._listen()
            except Exception as error:
                _logger.warning("the shards of the run cannot be looked after: %s", error)
                if isinstance(error, ConfigurationError):
                    control.reason = str(error)
                    control.stop.set(control.reason)
                continue
            if alone:
                why = control.stop.reason or STOPPED
                self._answer(dict.fromkeys(self._numbers(), Ending("not_started", why)))

    def _listen(self) -> None:
        """What came since, each task once."""
        waiting = set(self._numbers())
        for number, report in self._crew.reports():
            if number in waiting:
                self._came[number] = report
        if self._came:
            self._crew.came()
        for number, report in list(self._came.items()):
            self._answer({number: self._ending(report)})
            del self._came[number]

    def _ending(self, report: ItemReport) -> Ending:
        study, task_id = self._study, report.key
        study.attempts[task_id] = report.attempts
        if report.seconds is not None:
            study.took[task_id] = report.seconds
        if report.state != "succeeded":
            return Ending(report.state, report.reason)
        kept = study.runtime.desk.store.read_items(study.kept_as, [task_id])
        finding = Finding.of_record(kept[task_id, self._names[task_id]])
        study.take_over(finding)
        return Ending("succeeded", result=Reference.to(finding, study.folder).to_json())

    def _answer(self, endings: Mapping[int, Ending]) -> None:
        for number, ending in endings.items():
            with self._lock:
                answer = self._waiting.pop(number)
            answer.set_result(ending)


@contextmanager
def hands_of(
    study: Study, here: ThisRun, asked: Asked | None, *, total: int, results: Path
) -> Iterator[Hands]:
    """Who works on the tasks of a research. Raises ConfigurationError."""
    count = None if asked is None else asked.shards(lambda: total)
    if asked is None or count is None:
        yield OwnHands(study)
        return
    if asked.deployment is not None:
        check_can_leave(study)
        check_deployment(asked.deployment, RESEARCH)
    plan = plan_of(
        study,
        here,
        folder=make_folder(new_folder(study.kept_as)),
        work=f"{study.kept_as}/tasks",
        shards=count,
        results=results,
        flow=RESEARCH,
    )
    plan.save()
    with Shards(study, plan, launcher_of(plan, asked)) as shards:
        yield shards
    end_plan(study, plan)


def check_can_leave(study: Study) -> None:
    """Raises ConfigurationError where agents leave what this machine would not see."""
    kit = study.inquiry.kit
    if kit.runs_programs or kit.web is not None:
        raise ConfigurationError(
            "what agents leave in their workspaces, and the pages that they read, stay on the"
            " machines of a work pool: run python, shell and the web here, with processes=N in"
            " place of shards"
        )
