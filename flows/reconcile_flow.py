"""`reconcile`: every night, all budgets, and what nobody knows the bill of."""

from collections.abc import Sequence
from datetime import datetime, timezone
from glob import glob
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.states import Completed

from prefect_governor.blocks.documents.documents import saved
from prefect_governor.blocks.errors import ConfigurationError, GovernorError, LedgerUnavailable
from prefect_governor.blocks.figures.reconcile import Evidence, Left, match
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.prefect_internals.waiting import result_of
from prefect_governor.blocks.records.calls import CallRecord
from prefect_governor.blocks.terms.budget import BudgetTerms
from prefect_governor.blocks.terms.governor import GovernorTerms
from prefect_governor.blocks.work.ledgers import desk
from prefect_governor.flows.cli.budget.evidence import read_export
from prefect_governor.flows.cli.budget.reconcile import known_calls, prices_of, resolve
from prefect_governor.flows.cli.budget.view import Source, open_source
from prefect_governor.flows.forms.reconcile import RECONCILE
from prefect_governor.flows.forms.shape import shape
from prefect_governor.flows.report.artifact import artifact
from prefect_governor.flows.report.reasons import one_line
from prefect_governor.flows.unconfirmed.page import Standing, headline, page

ARTIFACT = "unconfirmed"
_REASON = "the nightly reconciliation"


@flow(name="reconcile", validate_parameters=False)
def reconcile(exports: Sequence[str] = (), folder: str | None = None) -> Any:
    """Settle what providers' usage exports say of unconfirmed calls, over all saved budgets, and
    report what is left: an artifact, and the state's message.

    Calls of processes that died are unconfirmed from now on. A call is settled by a row that names
    it, and by nothing else: what no row names stays charged at its bound, for a person to look at.

    Args:
        exports: files and globs of usage exports, CSV or JSON lines with a row a call, such as
            what a job of yours downloads each night. None where there is none.
        folder: what they are relative to. Defaults to the working directory.

    Raises:
        ConfigurationError: an export is not there or names no calls; nothing was resolved.
    """
    base = Path(folder) if folder else Path.cwd()
    evidence, problems = _evidence(exports, base)
    standings: list[Standing] = []
    desks: dict[str, LedgerDesk] = {}
    try:
        _known(desks, desk())
    except LedgerUnavailable as error:
        standings.append(Standing(None, problem=one_line(str(error), longest=200)))
    for name in _saved():
        try:
            source = open_source(name)
            _known(desks, source.desk)
            standings.append(_reconciled(source, evidence, base))
        except GovernorError as error:
            standings.append(Standing(name, problem=one_line(str(error), longest=200)))
    named = {call.call_id for each in standings for call in each.left}
    others = [
        call for each in desks.values() for call in _unconfirmed(each) if call.call_id not in named
    ]
    if others or problems:
        standings.append(Standing(None, tuple(others), unread=tuple(map(_left, problems))))
    said = headline(standings)
    result_of(_publish(said, page(standings, now=datetime.now(timezone.utc))))
    if any(each.problem is not None for each in standings):
        return Completed(name="Partial", message=said)
    return Completed(message=said)


shape(reconcile, RECONCILE)


def _saved() -> list[str]:
    """The names of saved governors and budgets, each once: a governor stands for a budget of its
    name, as everywhere. Governors first, whose own prices say what a row of tokens alone was
    billed; their parents know the prices of nobody."""
    found = [str(each.name) for kind in (GovernorTerms, BudgetTerms) for each in saved(kind)]
    return list(dict.fromkeys(found))


def _evidence(exports: Sequence[str], folder: Path) -> tuple[list[Evidence], list[Left]]:
    rows: list[Evidence] = []
    problems: list[Left] = []
    for pattern in exports:
        found = sorted(glob(str(folder / pattern), recursive=True))
        if not found:
            raise ConfigurationError(f"no usage export is at {folder / pattern}")
        for path in found:
            of_file, unread = read_export(Path(path), may_be_empty=True)
            rows += of_file
            problems += unread
    return rows, problems


def _reconciled(source: Source, rows: Sequence[Evidence], folder: Path) -> Standing:
    settled, back = 0, 0
    unread: list[str] = []
    if rows:
        calls = known_calls(source, rows)
        found = match(rows, calls, price_of=prices_of(source), complete_until=None)
        late = resolve(source, found, reason=_REASON, export=folder)
        lost = {each.subject for each in late}
        done = [each for each in found.settle if each.call.call_id not in lost]
        settled = len(done)
        back = sum(each.call.bound.nano - each.usage.nano for each in done)
        unread = [_left(each) for each in (*found.left, *late)]
    else:
        # A transaction of any kind takes leave of the processes that died.
        source.desk.write(lambda batch: None).result()
    # Its parents have all of these too, and those of others.
    left = _unconfirmed(source.desk, source.accounts[0].key)
    return Standing(source.name, tuple(left), settled, back, tuple(unread))


def _unconfirmed(at: LedgerDesk, account: str | None = None) -> list[CallRecord]:
    return at.store.read_calls(("unconfirmed",), account=account)


def _known(desks: dict[str, LedgerDesk], found: LedgerDesk) -> None:
    """A ledger is looked at once, whoever names it."""
    desks.setdefault(found.store.ledger_id, found)


def _left(left: Left) -> str:
    return f"{left.subject}: {left.why}"


async def _publish(description: str, text: str) -> None:
    context = FlowRunContext.get()
    run = context.flow_run if context is not None else None
    async with get_client() as client:
        await client.create_artifact(
            artifact(
                type="markdown",
                key=ARTIFACT,
                description=description,
                data=text,
                flow_run_id=run.id if run is not None else None,
            )
        )
