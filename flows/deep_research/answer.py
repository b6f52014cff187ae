"""The answer of a research run: written from what succeeded, with what is missing named."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from prefect_governor.flows.deep_research.conductor import ending_of
from prefect_governor.flows.deep_research.finding import Finding
from prefect_governor.flows.deep_research.lead import checked_answer, composed_answer, synthesis
from prefect_governor.flows.deep_research.offline import is_offline
from prefect_governor.flows.deep_research.plan.plan import PlanTask
from prefect_governor.flows.deep_research.prompts import synthesis_messages
from prefect_governor.flows.deep_research.study import SYNTHESIS, Study, hash_of


@dataclass(frozen=True)
class Answer:
    """A text with citations that hold. `notes` say how it came about, where that is not plain."""

    text: str
    citations: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def answer_of(
    study: Study,
    tasks: Sequence[PlanTask],
    findings: Mapping[str, Finding],
    missing: Mapping[str, str],
) -> Answer:
    """The answer, from what succeeded; it names what did not."""
    if not findings:
        return Answer(composed_answer(tasks, findings, missing))
    shown = [findings[task.id] for task in tasks if task.id in findings]
    if len(tasks) == 1:
        checked = checked_answer(shown[0].answer, shown)
        return Answer(checked["answer"], tuple(checked["citations"]))
    if is_offline(study.inquiry.model.name) or study.control.stop.is_set():
        why = () if is_offline(study.inquiry.model.name) else ("stopped before the synthesis",)
        return _composed(tasks, findings, missing, notes=why)
    records = {task.id: findings[task.id].to_record() for task in tasks if task.id in findings}
    messages = synthesis_messages(study.inquiry.question, tasks, findings, missing)
    name = hash_of(study.shaped_by, messages, records)
    kept = study.kept(SYNTHESIS, name)
    if kept is None:
        ending = ending_of(
            synthesis.submit(
                tasks=[task.model_dump(mode="json") for task in tasks],
                findings=records,
                missing=dict(missing),
            )
        )
        if ending.state != "succeeded":
            return _composed(
                tasks, findings, missing, notes=(f"the synthesis failed: {ending.reason}",)
            )
        result = ending.result
        study.keep_now(SYNTHESIS, name, json.dumps(result))
    else:
        result = json.loads(kept)
    notes = []
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
    notes: tuple[str, ...],
) -> Answer:
    text = composed_answer(tasks, findings, missing)
    checked = checked_answer(text, list(findings.values()))
    return Answer(checked["answer"], tuple(checked["citations"]), notes)


def _with_missing(text: str, tasks: Sequence[PlanTask], missing: Mapping[str, str]) -> str:
    """What is missing is named, whether the model did or not."""
    unnamed = [name for name in missing if name not in text]
    if not unnamed:
        return text
    objectives = {task.id: task.objective for task in tasks}
    lines = [f"- {objectives[name]} ({name}): {missing[name]}" for name in unnamed]
    return text.rstrip() + "\n\n## Not answered\n\n" + "\n".join(lines) + "\n"
