"""The answer of a research run: written from what succeeded, with what is missing named."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prefect_governor.flows.agent.offline import is_offline
from prefect_governor.flows.deep_research.conductor import ending_of
from prefect_governor.flows.deep_research.finding import Finding
from prefect_governor.flows.deep_research.lead import (
    checked_answer,
    composed_answer,
    not_answered,
    synthesis,
)
from prefect_governor.flows.deep_research.plan.plan import PlanTask
from prefect_governor.flows.deep_research.prompts import synthesis_messages
from prefect_governor.flows.deep_research.study import SYNTHESIS, Study
from prefect_governor.flows.run.counted import counted_under
from prefect_governor.flows.run.outcomes import FINE


@dataclass(frozen=True)
class Answer:
    """A text with citations that hold. `notes` say how it came about, where that is not plain;
    `unwritten` why nobody wrote it, where somebody was to."""

    text: str
    citations: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    unwritten: str | None = None


def answer_of(
    study: Study,
    tasks: Sequence[PlanTask],
    findings: Mapping[str, Finding],
    missing: Mapping[str, str],
) -> Answer:
    """The answer, from what succeeded; it names what did not."""
    # In the plan's order, whichever ended first: the same is asked of the model each time.
    missing = {task.id: missing[task.id] for task in tasks if task.id in missing}
    if not findings:
        return Answer(composed_answer(tasks, findings, missing))
    shown = [findings[task.id] for task in tasks if task.id in findings]
    if len(tasks) == 1:
        checked = checked_answer(shown[0].answer, shown)
        return Answer(checked["answer"], tuple(checked["citations"]))
    if is_offline(study.inquiry.model.name):
        return _composed(tasks, findings, missing)
    if study.control.stop.is_set():
        return _composed(tasks, findings, missing, unwritten="stopped before the synthesis")
    records = {task.id: findings[task.id].to_others() for task in tasks if task.id in findings}
    messages = synthesis_messages(study.inquiry.question, tasks, findings, missing)
    name = study.name_of(messages, records)
    kept = study.kept(SYNTHESIS, name)
    result = None if kept is None else json.loads(kept)
    if result is None or result.get("ended", FINE) not in (FINE, *study.inquiry.accept):
        with counted_under(study.runtime, kept_as=study.kept_as):
            future = synthesis.submit(
                tasks=[task.model_dump(mode="json") for task in tasks],
                findings=records,
                missing=dict(missing),
            )
        ending = ending_of(future)
        if ending.state != "succeeded":
            # Where the run was stopped for it, that says what to do.
            why = study.control.reason or ending.reason
            unwritten = f"the synthesis failed: {why}"
            return _composed(tasks, findings, missing, unwritten=unwritten)
        result = ending.result
        study.keep_now(SYNTHESIS, name, json.dumps(result))
    notes = []
    if note := result.get("note"):
        notes.append(f"the synthesis: {note}")
    if result["removed"]:
        notes.append(
            "citations of what was never retrieved were removed from the answer: "
            + ", ".join(result["removed"][:5])
        )
    # An earlier release kept none.
    if narrowed := result.get("narrowed"):
        notes.append("citations were narrowed to what was retrieved: " + ", ".join(narrowed[:5]))
    text = _with_missing(result["answer"], tasks, missing)
    return Answer(text, tuple(result["citations"]), tuple(notes))


def _composed(
    tasks: Sequence[PlanTask],
    findings: Mapping[str, Finding],
    missing: Mapping[str, str],
    *,
    unwritten: str | None = None,
) -> Answer:
    text = composed_answer(tasks, findings, missing)
    checked = checked_answer(text, list(findings.values()))
    notes = () if unwritten is None else (unwritten,)
    return Answer(checked["answer"], tuple(checked["citations"]), notes, unwritten)


def _with_missing(text: str, tasks: Sequence[PlanTask], missing: Mapping[str, str]) -> str:
    """What is missing is named, whether the model did or not: of an id that is a common word, such
    as `a` or `costs`, no reading of the text can tell whether it means the task."""
    if not missing:
        return text
    return text.rstrip() + "\n\n" + not_answered(tasks, missing) + "\n"
