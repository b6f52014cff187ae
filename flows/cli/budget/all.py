"""`prefect-governor budget show` without a name: every budget that is saved, a row each."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prefect.client.schemas.objects import BlockDocument

from prefect_governor.blocks.documents.documents import Definition, budget_chain, define, saved
from prefect_governor.blocks.errors import ConfigurationError, GovernorError
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.money.usd import show_usd, to_usd
from prefect_governor.blocks.records.budgets import Account
from prefect_governor.blocks.terms.budget import BudgetTerms
from prefect_governor.blocks.terms.governor import GovernorTerms
from prefect_governor.blocks.work.ledgers import desk
from prefect_governor.blocks.work.registry import (
    desk_of_document,
    desk_of_governor,
    ledger_url_of,
)
from prefect_governor.flows.cli.budget.formats import exact_json, state_object
from prefect_governor.flows.cli.budget.text import MONEY, figures, show_ceiling, table
from prefect_governor.flows.cli.budget.view import BudgetView, read_budget
from prefect_governor.flows.cli.terminal.terminal import say
from prefect_governor.flows.server.server import ensure_server, use_server


@dataclass(frozen=True)
class Row:
    """A saved Governor or Budget.

    Attributes:
        budget: its figures; None where it has no ceiling of its own, or `wrong` says why it cannot
            be used.
        on: the budget that it draws on above its own, by name.
    """

    kind: str
    name: str
    budget: BudgetView | None = None
    on: str | None = None
    wrong: str | None = None


def show_all(*, as_json: bool = False, as_csv: bool = False) -> str:
    """All saved budgets, and governors with their own. Raises ConfigurationError."""
    if as_json and as_csv:
        raise ConfigurationError("--json and --csv are two forms of the same: choose one")
    use_server(ensure_server(on_progress=say))
    governors = [_defined(each) for each in saved(GovernorTerms)]
    # The ledger of a budget is that of the governors which draw on it.
    urls: dict[str, str] = {}
    for each in governors:
        if isinstance(each, Definition) and (url := ledger_url_of(each.governor)) is not None:
            urls |= {account.key: url for account in each.accounts}
    rows = [_budget(each, urls) for each in saved(BudgetTerms)]
    rows += [each if isinstance(each, Row) else _governor(each) for each in governors]
    if as_json:
        return exact_json({"budgets": [_object(each) for each in rows]})
    return _csv(rows) if as_csv else "\n".join(_lines(rows))


def _defined(document: BlockDocument) -> Definition | Row:
    try:
        return define(document)
    except ConfigurationError as error:
        return Row("Governor", str(document.name), wrong=str(error))


def _governor(found: Definition) -> Row:
    own, *above = found.accounts
    if not own.key.startswith(str(found.document_id)):
        return Row("Governor", found.name, on=own.name)
    try:
        return _row("Governor", found.name, desk_of_governor(found), own, above)
    except GovernorError as error:
        return Row("Governor", found.name, wrong=str(error))


def _budget(document: BlockDocument, urls: Mapping[str, str]) -> Row:
    name = str(document.name)
    try:
        own, *above = budget_chain(document)
        url = urls.get(own.key)
        at = desk_of_document(document.id, name) if url is None else desk(url)
        return _row("Budget", name, at, own, above)
    except GovernorError as error:
        return Row("Budget", name, wrong=str(error))


def _row(kind: str, name: str, at: LedgerDesk, own: Account, above: Sequence[Account]) -> Row:
    # What the documents say holds from now on, whether or not a flow has run under it since.
    at.write(lambda batch: [batch.register(each) for each in (own, *above)]).result()
    return Row(kind, name, read_budget(own, at), above[0].name if above else None)


def _lines(rows: Sequence[Row]) -> list[str]:
    if not rows:
        return ["no budget is saved: `prefect-governor init` makes one, or Prefect's UI (Blocks)"]
    shown: list[tuple[str, ...]]
    shown = [("budget", "kind", "per", "ceiling", *MONEY[:3], "left", "under")]
    for each in rows:
        under = each.on or ""
        if each.wrong is not None:
            shown.append((each.name, each.kind, "not known", *[""] * 5, under))
        elif each.budget is None:
            shown.append((each.name, each.kind, "", *[""] * 5, under))
        else:
            state = each.budget.state
            known = dict(figures(state))
            money = (show_usd(getattr(state, f"{name}_nano")) for name in MONEY[:3])
            ceiling = show_ceiling(state.ceiling_nano, state.ceiling_tokens)
            row = (each.name, each.kind, each.budget.window, ceiling, *money, known["left"], under)
            shown.append(row)
    lines = [line.removeprefix("  ") for line in table(shown, numbers=frozenset(range(3, 8)))]
    return [*lines, *(f"{each.name}: {each.wrong}" for each in rows if each.wrong is not None)]


def _object(row: Row) -> dict[str, Any]:
    budget = row.budget
    found: dict[str, Any] = {
        "kind": row.kind,
        "name": row.name,
        "window": None if budget is None else budget.window,
        "window_label": None if budget is None else budget.state.window or None,
        "on": row.on,
        "wrong": row.wrong,
    }
    return found | ({} if budget is None else state_object(budget.state))


def _csv(rows: Sequence[Row]) -> str:
    found: list[list[str]] = [["budget", "kind", "window", "ceiling_usd"]]
    found[0] += [*(f"{name}_usd" for name in MONEY), "on", "wrong"]
    for each in rows:
        money = [""] * (1 + len(MONEY))
        if each.budget is not None:
            state = each.budget.state
            nano = (state.ceiling_nano, *(getattr(state, f"{name}_nano") for name in MONEY))
            money = ["" if amount is None else f"{to_usd(amount):f}" for amount in nano]
        window = "" if each.budget is None else each.budget.window
        found.append([each.name, each.kind, window, *money, each.on or "", each.wrong or ""])
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(found)
    return file.getvalue().rstrip("\n")
