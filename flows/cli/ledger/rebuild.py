"""`prefect-governor ledger rebuild`: what an export of costs says, charged to a budget."""

import sys
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal
from pathlib import Path

import click

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.ledger.life.charging import Charge, Why, charge
from prefect_governor.blocks.money.usd import round_up, show_usd
from prefect_governor.flows.cli.budget.change import user_at_host
from prefect_governor.flows.cli.budget.formats import exact_json, usd
from prefect_governor.flows.cli.budget.view import LOCAL, Source, open_source, to_wall
from prefect_governor.flows.cli.ledger.costs import DayCost, end_of, read_costs
from prefect_governor.flows.cli.terminal.terminal import say
from prefect_governor.flows.server.server import ensure_server, use_server


@dataclass(frozen=True, slots=True)
class Day:
    """A day of an export: what it says, what the ledger knows, in nano-dollars."""

    day: datetime
    billed_nano: int
    known_nano: int
    by_model: tuple[tuple[str | None, int], ...]

    @property
    def missing_nano(self) -> int:
        return max(0, self.billed_nano - self.known_nano)

    def charges(self, now: datetime) -> list[Charge]:
        """What is missing; by model where the ledger knows nothing of the day. It is charged in the
        window of the day's end: a day of UTC's can be in two of a budget's, and of these the later
        is the one that money is still spent in."""
        wall = to_wall(min(end_of(self.day), now))
        if not self.missing_nano:
            return []
        if self.known_nano:
            return [Charge(wall, self.missing_nano)]
        return [Charge(wall, nano, model=model) for model, nano in self.by_model]


def rebuild_ledger(
    name: str,
    export: Path,
    *,
    lost: bool,
    reason: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Charge a budget, and those above it, what an export says beyond what the ledger knows, day by
    day, and print it.

    Raises ConfigurationError, LedgerUnavailable.
    """
    costs = read_costs(export)
    source, adopted = _lost(name) if lost else (open_source(name), None)
    now = datetime.now(timezone.utc)
    days = missing_days(source, costs)
    charges = [each for day in days for each in day.charges(now)]
    if charges and not dry_run:
        why = Why(user_at_host(), reason or "rebuilt from the provider's export", export.name)
        with source.desk.store.transaction() as rows:
            charge(rows, source.accounts, charges, why)
    if adopted is not None and not dry_run:
        # Not before it is charged: until now nothing can be spent in it.
        adopted()
    _print(name, days, dry_run=dry_run, as_json=as_json)


def _lost(name: str) -> tuple[Source, Callable[[], None]]:
    """A budget in this process's ledger, whichever it had, and what makes this one its own."""
    if name.startswith(LOCAL):
        raise ConfigurationError(
            f"--lost is of a saved block: of {name!r} no other ledger is known, leave it out"
        )
    use_server(ensure_server(on_progress=say))
    from prefect_governor.blocks.documents.documents import Root, accounts_of, define, find, root_of
    from prefect_governor.blocks.documents.identity import Place, adopt
    from prefect_governor.blocks.terms.governor import GovernorTerms
    from prefect_governor.blocks.work.ledgers import desk, home_of
    from prefect_governor.blocks.work.registry import ledger_url_of

    kind, accounts = accounts_of(name)
    url = None
    roots = tuple(Root(root_of(each.key), "Budget", each.name) for each in accounts)
    if (document := find(GovernorTerms, name)) is not None:
        found = define(document)
        url, roots = ledger_url_of(found.governor), found.roots
    at = desk(url)
    at.write(lambda batch: [batch.register(each) for each in accounts]).result()
    place = Place(at.store.ledger_id, home_of(url))
    return Source(kind, name, accounts, at), lambda: adopt(roots, place)


def missing_days(source: Source, costs: list[DayCost]) -> list[Day]:
    """Each day of an export, in order, beside what the ledger has spent in it. What is unconfirmed
    there counts as not known: its reply may be a row of the export or not, and too much is charged
    rather than too little."""
    by_day: dict[datetime, dict[str | None, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for each in costs:
        by_day[each.day][each.model] += each.usd
    found = []
    for day in sorted(by_day):
        start, end = to_wall(day), to_wall(end_of(day)) + 10**9
        known, _ = source.desk.store.read_spend_over_time(
            [start, end], account=source.accounts[0].key
        )
        models = tuple(
            (model, round_up(amount))
            for model, amount in sorted(by_day[day].items(), key=lambda each: each[0] or "")
        )
        billed = sum(nano for _, nano in models)
        found.append(Day(day, billed, known.spent_nano, models))
    return found


def _print(name: str, days: list[Day], *, dry_run: bool, as_json: bool) -> None:
    total = sum(each.missing_nano for each in days)
    if as_json:
        found = {
            "name": name,
            "dry_run": dry_run,
            "charged_usd": usd(total),
            "days": [
                {
                    "day": f"{each.day:%Y-%m-%d}",
                    "billed_usd": usd(each.billed_nano),
                    "known_usd": usd(each.known_nano),
                    "charged_usd": usd(each.missing_nano),
                }
                for each in days
            ],
        }
        click.echo(exact_json(found), file=sys.stdout)
        return
    for each in days:
        if each.missing_nano:
            click.echo(
                f"{each.day:%Y-%m-%d}  billed {show_usd(each.billed_nano)}, known"
                f" {show_usd(each.known_nano)}: {show_usd(each.missing_nano)} missing"
            )
    would = "would be charged" if dry_run else "charged"
    click.echo(
        f"{show_usd(total)} {would} to {name!r} and the budgets above it, of {len(days)} days"
    )
