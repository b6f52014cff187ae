"""The lead of a research run: its plan, its changes on the way, and the synthesis."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from prefect import task as prefect_task
from pydantic import TypeAdapter

from prefect_governor.blocks.errors import BadAnswer, ConfigurationError, OverBudget
from prefect_governor.flows.agent.evidence import check_citations, merged
from prefect_governor.flows.answers.found import json_of
from prefect_governor.flows.deep_research.finding import Finding
from prefect_governor.flows.deep_research.plan.plan import Plan, PlanTask, check_plan
from prefect_governor.flows.deep_research.prompts import (
    Message,
    plan_messages,
    repair_messages,
    round_messages,
    synthesis_messages,
)
from prefect_governor.flows.deep_research.study import (
    PLAN,
    SYNTHESIS,
    Study,
    current_study,
)
from prefect_governor.flows.report.reasons import one_line
from prefect_governor.flows.run.job import TAG
from prefect_governor.flows.subagent.asking import ask_model, ask_to_read
from prefect_governor.flows.subagent.retrying import RETRYING

T = TypeVar("T")

# Of what a lead said that cannot run, in characters.
_LONGEST_WORDS = 120
_IDS = TypeAdapter(list[str])
_JSON = {"type": "json_object"}


def _study() -> Study:
    study = current_study.get()
    assert study is not None, "the lead works in a research run only"
    return study


@prefect_task(name="lead", task_run_name="lead: plan", tags=[TAG], **RETRYING)
async def lead_plan() -> list[dict[str, Any]]:
    """The tasks of the lead's plan. Raises BadAnswer where it cannot run, after one repair."""
    study = _study()
    inquiry = study.inquiry

    def read(answer: str) -> Plan:
        plan = check_plan(json_of(answer))
        if len(plan.tasks) > inquiry.max_tasks:
            raise ConfigurationError(
                f"it has {len(plan.tasks)} tasks, {inquiry.max_tasks} are the most"
            )
        return plan

    with study.at_work(PLAN):
        plan = await _read_or_repair(study, _plan_messages(study), read)
    return [_dumped(task) for task in plan.tasks]


def plan_name(study: Study) -> str:
    """Names what the lead's plan is for."""
    return study.name_of(_plan_messages(study))


def _plan_messages(study: Study) -> list[Message]:
    inquiry = study.inquiry
    return plan_messages(
        inquiry.question, names=study.corpus.names, most=inquiry.max_tasks, means=study.means
    )


@prefect_task(name="lead", task_run_name="lead: round {number}", tags=[TAG], **RETRYING)
async def lead_round(
    number: int, tasks: list[dict[str, Any]], ended: dict[str, list[str]], most: int
) -> dict[str, Any]:
    """What the lead changes, having seen what ended: {"add": [tasks], "cancel": [ids]}.

    Raises BadAnswer where it cannot be done, after one repair.
    """
    study = _study()
    known = [PlanTask.model_validate(each) for each in tasks]
    seen = {name: (state, text) for name, (state, text) in ended.items()}

    def read(answer: str) -> dict[str, Any]:
        return checked_changes(json_of(answer), known=known, most=most)

    with study.at_work(f"lead:round-{number}"):
        messages = round_messages(study.inquiry.question, known, seen, most=most)
        changes: dict[str, Any] = await _read_or_repair(study, messages, read)
        return changes


def checked_changes(data: Any, *, known: Sequence[PlanTask], most: int) -> dict[str, Any]:
    """What a lead changes of a run whose tasks are `known`, as `lead_round` gives it: from what it
    said, or from what an earlier attempt kept of it. It may add `most` tasks.

    Raises ValueError and ConfigurationError for what cannot be done.
    """
    if not isinstance(data, dict):
        raise ValueError("it is no object")
    added = data.get("add") or []
    plan = check_plan({"tasks": added}, known=known) if added else Plan(tasks=())
    if len(plan.tasks) > most:
        raise ConfigurationError(f"it adds {len(plan.tasks)} tasks, {most} more are the most")
    cancel = _IDS.validate_python(data.get("cancel") or [])
    return {"add": [_dumped(each) for each in plan.tasks], "cancel": cancel}


@prefect_task(name="synthesis", task_run_name="synthesis", tags=[TAG], **RETRYING)
async def synthesis(
    tasks: list[dict[str, Any]], findings: dict[str, str], missing: dict[str, str]
) -> dict[str, Any]:
    """The answer, written from the findings: {"answer", "citations", "removed", "narrowed",
    "ended": how it ended, "note": what is to be said of that}.

    `findings` are records by task, `missing` the reasons of the tasks without one. Raises BadAnswer
    for one that did not end well, CallRefused and the provider's own errors as they come.
    """
    study = _study()
    found = {name: Finding.of_record(record) for name, record in findings.items()}
    known = [PlanTask.model_validate(each) for each in tasks]
    messages = synthesis_messages(study.inquiry.question, known, found, missing)
    model, accept = study.inquiry.model, study.inquiry.accept
    written = None
    try:
        # What is set aside is the call's whole bound: nothing is saved by asking for less.
        with study.at_work(SYNTHESIS, fit=SYNTHESIS not in study.allocations):
            written = await ask_model(model, messages, accept=accept)
    except OverBudget:
        if SYNTHESIS not in study.allocations:
            raise
    if written is None:
        # An attempt that failed stays charged to what was set aside. Its rest goes back, and the
        # run's own money pays, as far as it goes. Not in the handler: an error of this call would
        # have the refusal for its context, and be taken for one.
        await study.agive_back(SYNTHESIS)
        with study.at_work(SYNTHESIS):
            written = await ask_model(model, messages, accept=accept)
    ended = {"ended": written.ending.kind, "note": written.note}
    return checked_answer(written.text, list(found.values())) | ended


def checked_answer(text: str, findings: Sequence[Finding]) -> dict[str, Any]:
    """An answer without the citations that match nothing that its writer was given: the findings,
    with the lines that they cite."""
    checked = check_citations(text, merged(each.as_told().lines for each in findings))
    return {
        "answer": checked.text,
        "citations": [str(each) for each in checked.kept],
        "removed": list(checked.removed),
        "narrowed": list(checked.narrowed),
    }


def composed_answer(
    tasks: Sequence[PlanTask], findings: Mapping[str, Finding], missing: Mapping[str, str]
) -> str:
    """The findings one below the other, for where nobody writes the synthesis."""
    parts = [
        f"## {task.objective}\n\n{findings[task.id].answer}"
        for task in tasks
        if task.id in findings
    ]
    if missing:
        parts.append(not_answered(tasks, missing))
    return "\n\n".join(parts)


def not_answered(tasks: Sequence[PlanTask], missing: Mapping[str, str]) -> str:
    """What has no answer, each with why: objectives, as an id says little to who did not plan."""
    objectives = {task.id: task.objective for task in tasks}
    lines = [f"- {objectives[name]} ({name}): {why}" for name, why in missing.items()]
    return "## Not answered\n\n" + "\n".join(lines)


def _dumped(task: PlanTask) -> dict[str, Any]:
    """A task of the lead's, who has no money to give away."""
    return task.model_dump(mode="json", exclude={"max_usd"})


async def _read_or_repair(study: Study, messages: list[Message], read: Callable[[str], T]) -> T:
    """What the lead says, read; once more where it cannot be. Raises BadAnswer, which tells the
    beginning of what it said."""
    said = ""

    def heard(answer: str) -> T:
        nonlocal said
        said = answer
        return read(answer)

    try:
        value, _ = await ask_to_read(
            study.inquiry.model,
            messages,
            read=heard,
            repair=repair_messages,
            wrong="what the lead said cannot run",
            accept=study.inquiry.accept,
            response_format=_JSON,
        )
    except BadAnswer as bad:
        if bad.kind != "schema" or not said.strip():
            raise
        began = one_line(said, longest=_LONGEST_WORDS)
        raise BadAnswer(bad.kind, f"{bad.words}; it said: {began}") from None
    return value
