"""`prefect-governor ledger backup` and `ledger restore`: of a ledger in a file."""

import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import click

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.ledger.life.backup import Backup, back_up, look, restore
from prefect_governor.blocks.ledger.life.charging import Charge, Why
from prefect_governor.blocks.machine.home import state_folder
from prefect_governor.blocks.money.usd import show_usd, to_nano
from prefect_governor.blocks.records.budgets import Account
from prefect_governor.blocks.work.ledgers import LEDGER_FILE, LEDGER_URL, postgres_url
from prefect_governor.flows.cli.budget.change import user_at_host
from prefect_governor.flows.cli.budget.formats import exact_json, usd
from prefect_governor.flows.cli.budget.view import of_wall


def back_up_ledger(to: Path, *, as_json: bool) -> None:
    """Back this machine's ledger up, and print what it is. Raises ConfigurationError."""
    found = back_up(_file("backup"), to, wall=time.time_ns())
    said = {"path": str(to), "ledger": found.ledger_id, "bytes": found.bytes, "taken": _at(found)}
    text = (
        f"the ledger {found.ledger_id[:8]} of {_at(found)} is in {to}"
        f" ({found.bytes / 1e6:,.1f} MB). It holds what models said: keep it as safe as the ledger"
    )
    click.echo(exact_json(said) if as_json else text, file=sys.stdout)


def restore_ledger(
    backup: Path,
    *,
    charged: Sequence[str],
    charged_tokens: Sequence[str],
    reason: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Put a backup in place of this machine's ledger, with what was spent since, and print it.

    Raises ConfigurationError, LedgerUnavailable.
    """
    path, found = _file("restore"), look(backup)
    usd_of = _by_key(charged, found.budgets, "--charge")
    tokens_of = _by_key(charged_tokens, found.budgets, "--charge-tokens")
    _check_all(found, usd_of, tokens_of)
    now = time.time_ns()
    charges = {
        each.key: Charge(
            now,
            to_nano(usd_of.get(each.key, "0"), name="--charge"),
            _count(tokens_of.get(each.key, "0")),
        )
        for each in found.budgets
    }
    kept: Path | None = None
    if not dry_run:
        why = Why(user_at_host(), reason or f"spent after the backup of {_at(found)}", backup.name)
        kept = restore(backup, path, charges, why, aside=_aside)
    _print(found, path, charges, kept, dry_run=dry_run, as_json=as_json)


def _print(
    found: Backup,
    path: Path,
    charges: Mapping[str, Charge],
    kept: Path | None,
    *,
    dry_run: bool,
    as_json: bool,
) -> None:
    names = {each.key: each.name for each in found.budgets}
    if as_json:
        said: dict[str, Any] = {
            "path": str(path),
            "ledger": found.ledger_id,
            "taken": _at(found),
            "dry_run": dry_run,
            "kept": None if kept is None else str(kept),
            "charged": [
                {"name": names[key], "key": key, "usd": usd(each.nano), "tokens": each.tokens}
                for key, each in charges.items()
            ],
        }
        click.echo(exact_json(said), file=sys.stdout)
        return
    would = "would be" if dry_run else "is"
    click.echo(f"the ledger {found.ledger_id[:8]} of {_at(found)} {would} at {path}")
    for key, each in charges.items():
        tokens = f", {each.tokens:,} tokens" if each.tokens else ""
        click.echo(f"charged to {names[key]!r}: {show_usd(each.nano)}{tokens}")
    if kept is not None:
        click.echo(f"the one that stood there is kept as {kept}")


def _file(command: str) -> Path:
    if postgres_url(None) is not None:
        raise ConfigurationError(
            f"{LEDGER_URL} is set: `ledger {command}` is for a ledger in a file. Of one on"
            " PostgreSQL: pg_dump and pg_restore of its schema, and `ledger rebuild` for what was"
            " spent since"
        )
    return state_folder() / LEDGER_FILE


def _by_key(given: Sequence[str], budgets: Sequence[Account], option: str) -> dict[str, str]:
    """What is said of each budget, by its key. A name, or the key where two have the name."""
    found: dict[str, str] = {}
    for each in given:
        name, sign, amount = each.rpartition("=")
        named = [budget for budget in budgets if name in (budget.key, budget.name)]
        if not sign or not named:
            known = ", ".join(sorted({budget.name for budget in budgets})) or "none"
            raise ConfigurationError(
                f"{option} {each!r} is to be NAME=AMOUNT of a budget of the backup: {known}"
            )
        if len(named) > 1:
            keys = ", ".join(budget.key for budget in named)
            raise ConfigurationError(f"{option}: {len(named)} budgets are called {name!r}: {keys}")
        found[named[0].key] = amount
    return found


def _check_all(found: Backup, usd_of: Mapping[str, str], tokens_of: Mapping[str, str]) -> None:
    """What was spent since must be said of every ceiling, so that none is understated."""
    left = [
        f"--charge '{each.name}=USD'"
        for each in found.budgets
        if each.ceiling_nano is not None and each.key not in usd_of
    ] + [
        f"--charge-tokens '{each.name}=N'"
        for each in found.budgets
        if each.ceiling_tokens is not None and each.key not in tokens_of
    ]
    if left:
        raise ConfigurationError(
            f"the backup is of {_at(found)}: what was spent since is not in it, and would be spent"
            " a second time. Say of each budget what it was at the most (the provider's bill says),"
            f" 0 if nothing: {' '.join(left)}"
        )


def _count(text: str) -> int:
    if not text.isdecimal():
        raise ConfigurationError(f"--charge-tokens {text!r} is no number of tokens")
    return int(text)


def _aside(path: Path) -> Path:
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    return path.with_name(f"{path.name}.replaced-{stamp}")


def _at(found: Backup) -> str:
    return of_wall(found.wall).isoformat(timespec="seconds")
