"""`prefect-governor ledger move`: the whole ledger to another store."""

import sys
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.ledger.life.moving import Moved, cancel, move
from prefect_governor.blocks.ledger.life.on_file import SQLiteWhole
from prefect_governor.blocks.machine.home import state_folder
from prefect_governor.blocks.records.budgets import PREFECT_API
from prefect_governor.blocks.work.ledgers import LEDGER_FILE, LEDGER_URL, home_of
from prefect_governor.flows.cli.budget.formats import exact_json
from prefect_governor.flows.cli.ledger.where import find_ledger
from prefect_governor.flows.cli.terminal.terminal import say

if TYPE_CHECKING:
    from prefect_governor.blocks.ledger.life.whole import Whole

_SCHEMES = ("postgresql://", "postgres://")


def move_ledger(
    *, to: str, governor: str | None, dry_run: bool, cancelled: bool, as_json: bool
) -> None:
    """Move the ledger, or let it be where it was, and print what came of it and what to set.

    Raises ConfigurationError, LedgerUnavailable.
    """
    url = find_ledger(governor).url
    if url == PREFECT_API:
        raise ConfigurationError(
            f"the ledger of {governor} is {PREFECT_API!r}: each machine has one of its own, which"
            " holds what that machine drew and is not moved. To have one for all of them, set"
            " ledger_url in the Governor block to a PostgreSQL while nothing runs, and charge there"
            " what this window has come to (`prefect-governor ledger rebuild`)"
        )
    source, target = whole(url), whole(_place(to))
    if source.place == target.place:
        raise ConfigurationError(
            f"--to is where the ledger is, {source.place}: the one to move is that of"
            f" {LEDGER_URL}, or without it this machine's"
        )
    try:
        if cancelled:
            was = cancel(source, target)
            said = "stays" if was else "was not being moved"
            _print(f"the ledger {source.place} {said}", {"cancelled": was}, as_json=as_json)
            return
        now = datetime.now(timezone.utc).isoformat(timespec="seconds")
        told = {"mark": "nothing is spent from it any more", "copy": "copying"}
        moved = move(
            source,
            target,
            at=now,
            dry_run=dry_run,
            tell=lambda table, rows: say(f"{table}: {rows:,}") if rows else None,
            step=lambda name: say(told[name]) if name in told else None,
        )
        known = [] if dry_run else _tell_prefect(moved.ledger_id, _home(to))
    finally:
        source.close()
        target.close()
    found = {
        "ledger": moved.ledger_id,
        "from": source.place,
        "to": target.place,
        "dry_run": dry_run,
        "was_there": moved.was_there,
        "rows": moved.rows,
        "variables": known,
    }
    _print(
        _in_words(moved, source.place, target.place, to, dry_run=dry_run), found, as_json=as_json
    )


def whole(where: str | Path | None) -> "Whole":
    """All of the ledger at a URL or in a file; None: this machine's."""
    if where is None or isinstance(where, Path):
        return SQLiteWhole(where or state_folder() / LEDGER_FILE)
    # Its driver is an extra, which a ledger in a file does without.
    from prefect_governor.blocks.ledger.life.on_postgres import PostgresWhole

    return PostgresWhole(where)


def _place(to: str) -> str | Path:
    if to.startswith(_SCHEMES):
        return to
    if "://" in to:
        raise ConfigurationError(
            "--to is neither a path nor a PostgreSQL URL such as"
            " postgresql://user:password@host/database"
        )
    path = Path(to).expanduser().absolute()
    return path / LEDGER_FILE if path.is_dir() else path


def _home(to: str) -> str:
    """Where it is, as other processes name it."""
    place = _place(to)
    return home_of(place) if isinstance(place, str) else str(place.parent)


def _in_words(moved: Moved, source: str, target: str, to: str, *, dry_run: bool) -> str:
    rows = moved.rows
    what = (
        f"{rows['reservations']:,} calls, {rows['sums']:,} sums of calls, {rows['accounts']:,}"
        f" budgets, {rows['replies']:,} replies"
    )
    if dry_run:
        return f"the ledger {moved.ledger_id[:8]} ({what}) would go from {source} to {target}"
    lines = [
        f"the ledger {moved.ledger_id[:8]} ({what}) is at {target}, the same to the nano-dollar",
        f"{source} is kept as it was, and nothing is spent from it any more",
    ]
    place = _place(to)
    if isinstance(place, str):
        lines.append(
            f"now set {LEDGER_URL} to the URL that you gave with --to, wherever governors run, or"
            " ledger_url of their Governor blocks"
        )
    elif place == state_folder() / LEDGER_FILE:
        lines.append(f"now unset {LEDGER_URL}, and clear ledger_url of Governor blocks")
    else:
        lines.append(
            f"now put it where governors look: {state_folder() / LEDGER_FILE}, by PREFECT_HOME;"
            f" unset {LEDGER_URL}, and clear ledger_url of Governor blocks"
        )
    return "\n".join(lines)


def _tell_prefect(ledger_id: str, home: str) -> list[str]:
    """Where people are told that the ledger is, in the Variables of a server that answers."""
    from prefect_governor.flows.server.server import ensure_server, status, use_server

    if not status().answers:
        return []
    use_server(ensure_server(on_progress=say))
    from prefect_governor.blocks.documents.identity import relocate

    return relocate(ledger_id, home)


def _print(text: str, found: dict[str, Any], *, as_json: bool) -> None:
    click.echo(exact_json(found) if as_json else text, file=sys.stdout)
