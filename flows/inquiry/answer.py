"""The answer of a research run: the synthesis, and the money that is set aside for it."""

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from prefect_governor.blocks.budget.windows import window_label
from prefect_governor.blocks.errors import OverBudget
from prefect_governor.blocks.ledger.purse import ALLOCATION_PREFIX
from prefect_governor.blocks.ledger.records import Account, Allocation, Bound
from prefect_governor.blocks.model.prices import bound_cost
from prefect_governor.flows.graph.plan import Plan, PlanTask
from prefect_governor.flows.inquiry.conductor import ending_of
from prefect_governor.flows.inquiry.finding import Finding
from prefect_governor.flows.inquiry.lead import checked_answer, composed_answer, synthesis
from prefect_governor.flows.inquiry.offline import is_offline
from prefect_governor.flows.inquiry.study import SYNTHESIS, Study, hash_of

# Tokens of the question, the objectives and what surrounds the findings, for each task.
_AROUND_TOKENS = 200


@dataclass(frozen=True)
class Answer:
    """A text with citations that hold. `notes` say how it came about, where that is not plain."""

    text: str
    citations: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@contextmanager
def synthesis_allocation(study: Study, plan: Plan) -> Iterator[str | None]:
    """Set the synthesis's money aside before the first sub-agent spends; its rest goes back.

    Yields None, or why the money for it is not there.
    """
    if len(plan.tasks) == 1 or is_offline(study.inquiry.model.name):
        yield None
        return
    desk = study.runtime.desk
    allocation = Allocation(
        key=f"{ALLOCATION_PREFIX}{uuid.uuid4().hex}",
        label="synthesis",
        within=tuple((each.key, _window(each, study.kept_as)) for each in study.runtime.accounts_),
        group=study.kept_as,
        owner=desk.process.id,
    )
    try:
        desk.allocate(allocation, allocation.label, _bound(study, plan)).result()
    except OverBudget as error:
        yield f"there is no money for the closing synthesis: {error}"
        return
    study.allocation = allocation.key
    try:
        yield None
    finally:
        desk.give_back(allocation.key).result()


def _window(account: Account, run_id: str) -> str:
    """The window that the run's calls draw on; empty for the one that it is in now."""
    if account.window != "run":
        return ""
    return window_label("run", time_zone=account.time_zone, wall_seconds=0.0, run_id=run_id)


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
    name = hash_of(study.inquiry.question, records, dict(missing))
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


def _bound(study: Study, plan: Plan) -> Bound:
    """The most that the synthesis can cost: every finding at its longest, one reply."""
    model = study.inquiry.model
    most = max(len(plan.tasks), study.inquiry.max_tasks if study.inquiry.max_rounds else 0)
    inputs = most * (model.max_output_tokens + _AROUND_TOKENS) * 3 // 2 + _AROUND_TOKENS
    prices = [price for name in model.names if (price := model.price_of(name)) is not None]
    nano = max(bound_cost(price, inputs, model.max_output_tokens) for price in prices)
    return Bound(nano, inputs, model.max_output_tokens)
