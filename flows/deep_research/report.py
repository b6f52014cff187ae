"""The report of a research run, its plan's artifact and its answer's file."""

import hashlib
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.logging import get_logger
from pydantic import Field

from prefect_governor.blocks.machine.files import write_whole
from prefect_governor.blocks.machine.private import make_folder
from prefect_governor.blocks.prefect_internals.waiting import result_of
from prefect_governor.blocks.secrets.exits import scrubbed
from prefect_governor.flows.deep_research.plan.drawing import as_mermaid, as_svg
from prefect_governor.flows.deep_research.plan.plan import Plan, PlanTask
from prefect_governor.flows.deep_research.study import Study
from prefect_governor.flows.publications.writing import CONTENT, created_once
from prefect_governor.flows.report.artifact import artifact, artifact_changes
from prefect_governor.flows.report.keys import artifact_key
from prefect_governor.flows.report.markdown import code, escape
from prefect_governor.flows.report.model import Report, Words
from prefect_governor.flows.report.reasons import one_line
from prefect_governor.flows.report.shown.literal import literal
from prefect_governor.flows.report.shown.pictures import picture_fields

T = TypeVar("T")

_logger = get_logger("prefect_governor.report")


class ResearchReport(Report):
    """A report whose items are the plan's tasks, with the answer and what it cites.

    Attributes:
        question: what was asked.
        answer: in Markdown; None where the run ended before its first sub-question.
        citations: what the answer cites, `source:first-last` each.
        plan: the tasks as they ran, those that the lead added last.
        wall_seconds: how long the run took, plan and synthesis included.
    """

    question: Words
    answer: Words | None = None
    citations: list[str] = Field(default_factory=list)
    plan: list[dict[str, Any]] = Field(default_factory=list)
    wall_seconds: float | None = None

    def to_json(self) -> dict[str, Any]:
        """The object that `--json` prints, with `question`, `answer`, `citations` and `plan`."""
        return super().to_json() | {
            "question": self.question,
            "answer": self.answer,
            "citations": list(self.citations),
            "plan": list(self.plan),
        }

    def questions(self) -> dict[str, str]:
        """What each task was to find out."""
        return {str(task["id"]): str(task["objective"]) for task in self.plan}


def publish_plan(study: Study, plan: Plan, expected_multiple: float) -> UUID | None:
    """Keep the plan as artifacts of the run before it runs: a list with its graph, and a picture,
    whose id is returned.

    An API that refuses or does not answer costs a warning in the log, never the run.
    """
    listed = artifact(
        type="markdown",
        key=artifact_key("research", "plan"),
        description=f"{len(plan.tasks)} tasks",
        data=plan_text(study.inquiry.question, plan, expected_multiple),
        flow_run_id=UUID(study.run_id),
    )
    graph = _graph(study, plan.tasks, {})

    async def create() -> UUID:
        async with get_client() as client:
            await created_once(client, listed)
            return await created_once(client, graph, renewed=True)

    return _published(create)


def answer_artifact(study: Study, answer: str) -> ArtifactCreate:
    """The answer, to be published with the run's report."""
    return artifact(
        type="markdown",
        key=artifact_key("research", "answer"),
        description=literal(one_line(study.inquiry.question)),
        data=answer,
        flow_run_id=UUID(study.run_id),
        metadata_={CONTENT: hashlib.sha256(answer.encode(errors="replace")).hexdigest()[:32]},
    )


def publish_graph(
    study: Study, graph: UUID | None, tasks: Sequence[PlanTask], states: Mapping[str, str]
) -> None:
    """Draw the picture of `publish_plan` again as the graph ran: with what the lead added, each
    task in the colour of its outcome. What goes wrong is treated as there."""
    drawn = _graph(study, tasks, states)

    async def update() -> None:
        async with get_client() as client:
            if graph is None:
                await client.create_artifact(drawn)
                return
            changes = artifact_changes(data=drawn.data, description=drawn.description)
            await client.update_artifact(graph, changes)

    _published(update)


def _graph(study: Study, tasks: Sequence[PlanTask], states: Mapping[str, str]) -> ArtifactCreate:
    counts = Counter(states.values())
    told = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in counts.items())
    return artifact(
        **picture_fields(as_svg(tasks, states), title="What waits for what"),
        key=artifact_key("research", "graph"),
        description=f"What waited for what: {told}" if told else "What waits for what",
        flow_run_id=UUID(study.run_id),
    )


def _published(publish: Callable[[], Coroutine[Any, Any, T]]) -> T | None:
    """None where it could not be."""
    try:
        return result_of(publish())
    except Exception as error:
        _logger.warning("the plan or its graph could not be published: %r", error)
        return None


def plan_text(question: str, plan: Plan, expected_multiple: float) -> str:
    """The plan in Markdown."""
    lines = [
        f"# Plan: {escape(question)}",
        f"{len(plan.tasks)} tasks; about {expected_multiple:.1f} times the calls of one agent.",
        "| task | objective | after | writes |\n| --- | --- | --- | --- |\n"
        + "\n".join(
            f"| {code(task.id, in_table=True)} | {escape(task.objective)}"
            f" | {_codes(task.depends_on)} | {_codes(task.writes)} |"
            for task in plan.tasks
        ),
        f"```mermaid\n{as_mermaid(plan.tasks)}\n```",
    ]
    return "\n\n".join(lines) + "\n"


def _codes(names: Sequence[str]) -> str:
    return ", ".join(code(name, in_table=True) for name in names)


def write_answer(path: Path, text: str, *, spare: Path) -> tuple[Path, list[str]]:
    """Write the answer's file, whole or not at all, or `spare` where that cannot be. Which it is,
    and what is to be said of it. Raises OSError where neither can be."""
    text = scrubbed(text)
    text = text if text.endswith("\n") else f"{text}\n"
    try:
        make_folder(path.parent)
        write_whole(path, text)
    except OSError as error:
        if path == spare:
            raise
        write_whole(spare, text)
        return spare, [f"{path} could not be written ({error.strerror}): the answer is in {spare}"]
    return path, []
