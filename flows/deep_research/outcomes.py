"""What became of the tasks of a research run, as its report and its results file have them."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from prefect_governor.blocks.figures.figures import (
    ItemFigures,
    RunFigures,
    at_once_notes,
    item_figures,
    learned_notes,
    nominal_notes,
    run_figures,
)
from prefect_governor.blocks.figures.observing import enforcement_notes
from prefect_governor.blocks.money.usd import to_usd
from prefect_governor.flows.deep_research.conductor import Conductor, Hands
from prefect_governor.flows.deep_research.study import Study
from prefect_governor.flows.report.model import ItemReport, Tokens


def item_reports(study: Study, conductor: Conductor, task_ids: Iterable[str]) -> list[ItemReport]:
    """The outcome of each of these tasks, which have ended, in their order."""
    wanted = list(task_ids)
    spent = item_figures(study.runtime, "item", {"run_id": study.kept_as}, wanted)
    return [_item(study, conductor, task_id, spent.get(task_id)) for task_id in wanted]


def _item(
    study: Study, conductor: Conductor, task_id: str, figures: ItemFigures | None
) -> ItemReport:
    ended = conductor.schedule.ended[task_id]
    finding = conductor.findings.get(task_id)
    return ItemReport(
        key=task_id,
        state=ended.state,
        reason=ended.reason
        or ("; ".join([*finding.notes, *study.lost.get(task_id, ())]) or None if finding else None),
        result=None if finding is None else _result(finding.answer, finding.evidence),
        usd=to_usd(figures.usd_nano) if figures else Decimal(0),
        tokens=Tokens(input=figures.input_tokens, output=figures.output_tokens)
        if figures
        else Tokens(),
        calls=figures.calls if figures else 0,
        attempts=study.attempts.get(task_id, 1 if finding else 0),
        seconds=conductor.seconds.get(task_id),
        files=study.files.of(task_id),
    )


def _result(answer: str, evidence: Mapping[str, Any]) -> dict[str, Any]:
    return {"answer": answer, "retrieved": dict(evidence)}


def figures_of(study: Study, hands: Hands) -> RunFigures:
    """The ledger's figures of a run, and what held those back who worked on it."""
    limits = hands.limits()
    return RunFigures(
        {},
        run_figures(study.runtime, study.kept_as),
        limits,
        (
            *at_once_notes(limits),
            *enforcement_notes(study.runtime, study.kept_as),
            *hands.notes(),
            *learned_notes(study.runtime),
            *nominal_notes(study.runtime, study.kept_as),
        ),
    )
