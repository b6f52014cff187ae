"""The report of a run whose process died: of what its files and the ledger hold."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from prefect_governor.blocks.errors import GovernorError
from prefect_governor.blocks.ledger.decision.store import Spend, Store
from prefect_governor.blocks.money.usd import to_usd
from prefect_governor.flows.publications.publication import Begun, Publication
from prefect_governor.flows.report.model import (
    Advice,
    BudgetReport,
    ItemReport,
    Report,
    Tokens,
    outcome_of,
    tally,
)
from prefect_governor.flows.report.reasons import one_line

DIED = "the process died"
BEFORE = f"{DIED} before this began"
UNDER_WAY = f"{DIED} while this was under way; what its calls may have cost stays charged"
UNTOLD = "it had finished; what else there was to say of it was lost with the process"


@dataclass(frozen=True)
class Left:
    """What a run left.

    Attributes:
        told: the items that its results file has, in the order of their ends.
        kept: results of the items that the ledger keeps as finished, by key.
        spends: what the ledger has of calls, by item.
        budget: of the run's own ceiling, or of what its items cost.
    """

    told: tuple[ItemReport, ...] = ()
    kept: Mapping[str, Any] = field(default_factory=dict)
    spends: Mapping[str, Spend] = field(default_factory=dict)
    budget: BudgetReport = field(default_factory=BudgetReport)


def lost_report(publication: Publication, begun: Begun, left: Left) -> Report:
    """What is known of a run that nobody ended; pure."""
    told = {item.key: item for item in left.told}
    keys = list(dict.fromkeys([*begun.items, *told, *left.kept]))
    items = [told.get(key) or _item(key, left) for key in keys]
    outcome = outcome_of([item.state for item in items], stopped=True)
    notes = [f"{DIED}: this report was made by the next one, of the results file and the ledger"]
    if begun.more:
        notes.append("how many items it had not read yet is not known")
    command = f"prefect-governor {begun.command} --resume {publication.run_id}"
    advice = Advice(what="to go on", command=command, price="pays only for what is missing")
    return Report(
        run_id=publication.run_id,
        # Nobody ended it: that all of its items are there is for whoever goes on with it to find.
        outcome="partial" if outcome == "complete" else outcome,
        reason=one_line(f"{DIED}: {tally(items)}", longest=500),
        items=items,
        budget=left.budget,
        notes=notes,
        files=[begun.results],
        resumable=begun.resumable,
        advice=[advice] if begun.resumable else [],
    )


def _item(key: str, left: Left) -> ItemReport:
    spent = left.spends.get(key)
    if key in left.kept:
        return ItemReport(
            key=key, state="succeeded", reason=UNTOLD, result=left.kept[key], attempts=1,
            **_spent(spent),
        )  # fmt: skip
    if spent is None or not (spent.calls or spent.unconfirmed_nano or spent.reserved_nano):
        return ItemReport(key=key, state="not_started", reason=BEFORE)
    return ItemReport(key=key, state="failed", reason=UNDER_WAY, attempts=1, **_spent(spent))


def _spent(spent: Spend | None) -> dict[str, Any]:
    if spent is None:
        return {}
    return {
        "usd": to_usd(spent.spent_nano),
        "tokens": Tokens(input=spent.input_tokens, output=spent.output_tokens),
        "calls": spent.calls,
    }


def read_left(begun: Begun) -> Left:
    """What there is to be read. A ledger that is out of reach leaves the results file alone."""
    told = tuple(_read_results(Path(begun.results)))
    try:
        return _of_ledger(begun, told, _store_of(begun.governor))
    except GovernorError:
        spent = sum((item.usd for item in told), Decimal(0))
        return Left(told=told, budget=BudgetReport(spent_usd=spent))


def _store_of(governor: str | None) -> Store:
    from prefect_governor.blocks.work.ledgers import desk

    if governor is not None:
        from prefect_governor.blocks.governor import resolve

        return resolve(governor).runtime.desk.store
    return desk().store


def _of_ledger(begun: Begun, told: tuple[ItemReport, ...], store: Store) -> Left:
    spends = store.read_spend("item", {"run_id": begun.kept_as})
    by_item = {name: spend for name, spend in spends.items() if name is not None}
    known = {*begun.items, *(item.key for item in told)}
    kept: dict[str, Any] = {}
    for (key, _), record in store.read_items(begun.kept_as).items():
        with suppress(ValueError, TypeError, KeyError):
            # Answers that did not end well are kept too, and are no successes.
            data = json.loads(record)
            if (key in known or begun.more) and data["ended"] == "fine":
                kept[key] = data["result"]
    # A lead's calls are no item's.
    spent = sum(each.spent_nano for each in spends.values())
    # What is reserved for a process that died, nobody will settle.
    unconfirmed = sum(each.unconfirmed_nano + each.reserved_nano for each in spends.values())
    budget = BudgetReport(
        ceiling_usd=None if begun.ceiling_usd is None else Decimal(begun.ceiling_usd),
        spent_usd=to_usd(spent),
        unconfirmed_usd=to_usd(unconfirmed),
        run_usd=to_usd(spent + unconfirmed),
        name=begun.governor,
    )
    return Left(told=told, kept=kept, spends=by_item, budget=budget)


def _read_results(path: Path) -> list[ItemReport]:
    found = []
    with suppress(OSError), path.open(encoding="utf-8", errors="replace") as lines:
        for line in lines:
            # The last may be half of one.
            with suppress(ValueError, TypeError, KeyError, ValidationError):
                data = json.loads(line)
                data["usd"] = str(data["usd"])
                found.append(ItemReport.model_validate(data))
    return found
