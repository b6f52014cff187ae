"""A SQLite ledger's backup, taken while it is used, and an older one put in its place."""

import os
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.ledger.decision.purse import ALLOCATION_PREFIX
from prefect_governor.blocks.ledger.life.charging import Charge, Why, charge
from prefect_governor.blocks.ledger.life.on_file import SQLiteWhole
from prefect_governor.blocks.ledger.life.whole import refuse_processes
from prefect_governor.blocks.ledger.moved import MOVED, Mark
from prefect_governor.blocks.ledger.sqlite.store import SQLiteStore
from prefect_governor.blocks.machine.private import FILE, make_folder
from prefect_governor.blocks.records.budgets import Account

# When a backup was taken, in ns of the wall's clock: a key of its `meta`.
TAKEN = "backup_wall"
# Each of these is one run's alone, and ends with it.
_OF_A_RUN = ("run/", ALLOCATION_PREFIX)


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup: whose, when it was taken, how large, and the budgets whose ceilings hold."""

    ledger_id: str
    wall: int
    bytes: int
    budgets: tuple[Account, ...]


def back_up(path: Path, to: Path, *, wall: int) -> Backup:
    """Copy a ledger as it is at one instant, whole or not at all. Nobody waits for it.

    Raises ConfigurationError where a file is there already, or the ledger is not.
    """
    if to.exists():
        raise ConfigurationError(f"{to} is there already: choose another file for the backup")
    if not path.exists():
        raise ConfigurationError(f"there is no ledger at {path}")
    part = to.with_name(f"{to.name}.part")
    part.unlink(missing_ok=True)
    os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR, FILE))
    try:
        with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(part)) as copy:
            # At once: step by step it would begin anew at every write of another process.
            source.backup(copy)
            copy.execute("PRAGMA journal_mode = DELETE")
            with copy:
                copy.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (TAKEN, str(wall)))
            (said,) = copy.execute("PRAGMA quick_check").fetchone()
            if said != "ok":
                raise ConfigurationError(f"the ledger {path} is damaged: {said}")
        with part.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(part, to)
    except sqlite3.Error as error:
        raise ConfigurationError(f"{path} cannot be backed up: {error}") from None
    finally:
        part.unlink(missing_ok=True)
    return look(to)


def look(path: Path) -> Backup:
    """A backup's facts. Raises ConfigurationError for a file that is none."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as file:
            meta = dict(file.execute("SELECT key, value FROM meta").fetchall())
            rows = file.execute(
                'SELECT key, name, ceiling_nano, ceiling_tokens, "window", time_zone, version'
                " FROM accounts ORDER BY name, key"
            ).fetchall()
            ledger_id, taken = meta["ledger_id"], int(meta[TAKEN])
    except (sqlite3.Error, KeyError, ValueError):
        raise ConfigurationError(
            f"{path} is no backup of a ledger, as `prefect-governor ledger backup` makes them"
        ) from None
    if MOVED in meta:
        raise ConfigurationError(f"{path} is of a ledger that was moved: back up that one")
    held = (
        account
        for account in (Account(*row) for row in rows)
        if not account.key.startswith(_OF_A_RUN) and account.window != "run"
        if account.ceiling_nano is not None or account.ceiling_tokens is not None
    )
    return Backup(ledger_id, taken, path.stat().st_size, tuple(held))


def restore(
    backup: Path,
    path: Path,
    charges: Mapping[str, Charge],
    why: Why,
    *,
    aside: Callable[[Path], Path],
) -> Path | None:
    """Put a backup in a ledger's place, with what was spent since charged, by account key. Returns
    where the ledger that stood there is kept, None where there was none.

    Raises ConfigurationError: processes are at work there, it is no backup, or the ledger that
    stands there is another one or was moved from there; LedgerUnavailable. The ledger is then as
    it was.
    """
    found = look(backup)
    whole = SQLiteWhole(path)
    stands = path.exists()
    if stands:
        refuse_processes(str(path), whole.processes())
        there = _id_of(path)
        if there not in (None, found.ledger_id):
            raise ConfigurationError(
                f"the ledger at {path} is another one ({there[:8]}, the backup is of"
                f" {found.ledger_id[:8]}): move it away first"
            )
        if (mark := _mark_of(path)) is not None:
            raise ConfigurationError(
                f"{mark.refusal}, from {path}: a backup in its place would be a second ceiling."
                " Use the ledger that is there; only where that one is lost, move this file away"
                " first, then run this again"
            )
    make_folder(path.parent)
    new = path.with_name(f"{path.name}.restoring")
    for end in ("", "-wal", "-shm", "-journal"):
        new.with_name(f"{new.name}{end}").unlink(missing_ok=True)
    os.close(os.open(new, os.O_CREAT | os.O_EXCL | os.O_RDWR, FILE))
    with closing(sqlite3.connect(backup)) as source, closing(sqlite3.connect(new)) as copy:
        source.backup(copy)
        with copy:
            copy.execute("DELETE FROM meta WHERE key = ?", (TAKEN,))
    by_key = {each.key: each for each in found.budgets}
    with closing(SQLiteStore(new)) as store, store.transaction() as rows:
        for key, each in charges.items():
            charge(rows, (by_key[key],), (each,), why)
    with closing(sqlite3.connect(new)) as copy:
        # One file, which is put in its place at once.
        copy.execute("PRAGMA journal_mode = DELETE")
    kept = aside(path) if stands else None
    if kept is not None:
        # What is not in the file yet goes into it; where that fails, it goes aside with it.
        with suppress(sqlite3.Error), closing(sqlite3.connect(path)) as old:
            old.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for end in ("-wal", "-shm"):
            file = path.with_name(f"{path.name}{end}")
            if file.exists():
                os.replace(file, kept.with_name(f"{kept.name}{end}"))
        # At no instant is there none: who opens it now would begin a new one.
        os.link(path, kept)
    os.replace(new, path)
    new.with_suffix(".turn").unlink(missing_ok=True)
    return kept


def _id_of(path: Path) -> str | None:
    """The id of the ledger in a file; None for one that cannot be read."""
    return _meta_of(path, "ledger_id")


def _mark_of(path: Path) -> Mark | None:
    """What the ledger in a file says of a move away from it; None for one that cannot be read."""
    text = _meta_of(path, MOVED)
    return None if text is None else Mark.of_text(text)


def _meta_of(path: Path, key: str) -> str | None:
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as file:
            row = file.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    except sqlite3.Error:
        return None
    return None if row is None else str(row[0])
