"""A backup is one instant's ledger; whatever is put back or lost, no ceiling is understated."""

import json
import sqlite3
import time
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from prefect_governor.blocks.errors import ConfigurationError, LedgerUnavailable
from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.ledger.life.backup import back_up
from prefect_governor.blocks.ledger.life.moving import move
from prefect_governor.blocks.ledger.life.on_file import SQLiteWhole
from prefect_governor.blocks.ledger.owner import Owner
from prefect_governor.blocks.ledger.sqlite.store import SQLiteStore
from prefect_governor.blocks.records.budgets import Account
from prefect_governor.blocks.records.calls import Bound
from prefect_governor.blocks.work import ledgers
from prefect_governor.flows.cli.main import main
from tests.contract.conftest import define, demand
from tests.contract.store.calls import settle

DAY = Account("local/team", "team", 1000, None, "day", version="1")
TOKENS = Account("tokens", "tokens", None, 10_000, "total", version="1")
RUN = Account("run/1", "run", 5, None, "run", version="1")


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """This machine's ledger, with a call in it."""
    folder = tmp_path / "governor"
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    monkeypatch.setattr("prefect_governor.flows.cli.ledger.backups.state_folder", lambda: folder)
    monkeypatch.setattr(ledgers, "state_folder", lambda: folder)
    path = folder / "ledger.sqlite"
    with closing(SQLiteStore(path)) as store:
        define(store, DAY, TOKENS, RUN)
        spend(store, "a")
    return path


def spend(store: SQLiteStore, call_id: str) -> None:
    """40 nano-dollars, 30 tokens."""
    asked = demand(call_id, ("local/team", "tokens"), (), Bound(100, 30, 20), flow="f", model="m")
    with store.transaction() as rows:
        batch = Batch(rows, "one")
        batch.admit(asked)
        batch.write()
    assert settle(store, call_id)


def spent(path: Path, account: str = "local/team") -> tuple[int, int]:
    with closing(SQLiteStore(path)) as store:
        known = store.read_purse(account)
    assert known is not None
    return known[1].spent_nano, known[1].spent_tokens


def call(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(each) for each in arguments], catch_exceptions=False)


def test_a_backup_is_of_one_instant_and_shut_to_others(path: Path, tmp_path: Path) -> None:
    to = tmp_path / "backup.sqlite"
    with closing(SQLiteStore(path)) as store:
        # Written since, and not yet in the file itself.
        spend(store, "b")
        done = call("ledger", "backup", to, "--json")
        spend(store, "c")
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    assert said["ledger"] and said["bytes"] == to.stat().st_size
    assert to.stat().st_mode & 0o077 == 0
    with closing(sqlite3.connect(to)) as copy:
        assert copy.execute("SELECT COUNT(*) FROM reservations").fetchone() == (2,)
    assert not list(tmp_path.glob("backup.sqlite?*"))
    assert call("ledger", "backup", to).exit_code == 2


def test_an_older_ledger_is_put_back_only_with_what_was_spent_since(
    path: Path, tmp_path: Path
) -> None:
    backup = tmp_path / "backup.sqlite"
    taken = back_up(path, backup, wall=time.time_ns())
    with closing(SQLiteStore(path)) as store:
        spend(store, "after")
    refused = call("ledger", "restore", backup, "--charge", "team=0")
    assert refused.exit_code == 2
    assert "--charge-tokens 'tokens=N'" in refused.output and "'run" not in refused.output
    looked = call("ledger", "restore", backup, "--charge", "team=0.00000004",
                  "--charge-tokens", "tokens=30", "--dry-run")  # fmt: skip
    assert looked.exit_code == 0 and spent(path) == (80, 60)
    done = call("ledger", "restore", backup, "--charge", "team=0.00000004",
                "--charge-tokens", "tokens=30", "--json")  # fmt: skip
    assert done.exit_code == 0, done.output
    said = json.loads(done.stdout)
    # Never less than was spent.
    assert spent(path) == (80, 30) and spent(path, "tokens") == (40, 60)
    with closing(SQLiteStore(Path(said["kept"]))) as old:
        assert old.ledger_id == taken.ledger_id == said["ledger"]
    with closing(SQLiteStore(path)) as store:
        found = store.read_spend("flow", {}, account="local/team")
        assert {name: each.spent_nano for name, each in found.items()} == {
            "f": 40, "(charged by hand)": 40
        }  # fmt: skip
        assert [each.action for each in store.read_audit("local/team")] == ["charged"]
        spend(store, "goes-on")


def test_a_ledger_that_somebody_works_in_is_not_replaced(path: Path, tmp_path: Path) -> None:
    backup = tmp_path / "backup.sqlite"
    back_up(path, backup, wall=1)
    owner = Owner(path.parent / "owners")
    said = ("--charge", "team=0", "--charge-tokens", "tokens=0")
    refused = call("ledger", "restore", backup, *said)
    owner.release()
    assert refused.exit_code == 2 and "at work in the ledger" in refused.output
    assert call("ledger", "restore", backup, *said).exit_code == 0


@pytest.mark.parametrize("text", ["", "no database", "{}"])
def test_what_is_no_backup_is_refused(path: Path, tmp_path: Path, text: str) -> None:
    file = tmp_path / "other"
    file.write_text(text)
    refused = call("ledger", "restore", file)
    assert refused.exit_code == 2 and "no backup of a ledger" in refused.output
    assert spent(path) == (40, 30)


def test_no_backup_comes_where_a_ledger_was_moved_away(path: Path, tmp_path: Path) -> None:
    to = tmp_path / "backup.sqlite"
    assert call("ledger", "backup", to).exit_code == 0
    move(SQLiteWhole(path), SQLiteWhole(tmp_path / "new" / "ledger.sqlite"), at="2026-11-30")
    charges = ["--charge", "team=0", "--charge-tokens", "tokens=0"]
    done = call("ledger", "restore", to, *charges)
    # It would be spent from beside the one that is there now.
    assert done.exit_code == 2, done.output
    assert "was moved to" in done.output and "second ceiling" in " ".join(done.output.split())
    with pytest.raises(LedgerUnavailable, match="was moved to"):
        SQLiteStore(path)


def test_a_damaged_ledger_is_replaced_and_kept(path: Path, tmp_path: Path) -> None:
    backup = tmp_path / "backup.sqlite"
    back_up(path, backup, wall=1)
    path.write_bytes(b"damaged" * 999)
    said = ("--charge", "team=0", "--charge-tokens", "tokens=0")
    with pytest.raises(ConfigurationError):
        back_up(path, tmp_path / "never", wall=1)
    done = call("ledger", "restore", backup, *said, "--json")
    assert done.exit_code == 0, done.output
    assert Path(json.loads(done.stdout)["kept"]).read_bytes().startswith(b"damaged")
    assert spent(path) == (40, 30)


def test_what_a_provider_billed_beyond_what_is_known_is_charged_once(
    path: Path, tmp_path: Path
) -> None:
    today = datetime.now(timezone.utc)
    export = tmp_path / "costs.csv"
    export.write_text(
        f"day,model,usd\n{today:%Y-%m-%d},m,0.00000005\n{today:%Y-%m-%d},n,0.00000003\n"
        "2024-11-01,m,0.00000007\n"
    )
    arguments = ("ledger", "rebuild", "local/team", "--from", export)
    looked = call(*arguments, "--dry-run", "--json")
    assert looked.exit_code == 0, looked.output
    assert [each["charged_usd"] for each in json.loads(looked.stdout)["days"]] == [7e-8, 4e-8]
    assert spent(path)[0] == 40
    assert call(*arguments).exit_code == 0
    ledgers._close_all()
    # Today's window has what was billed today; that of then what was billed then.
    assert spent(path)[0] == 80
    again = call(*arguments, "--json")
    ledgers._close_all()
    assert json.loads(again.stdout)["charged_usd"] == 0 and spent(path)[0] == 80
    with closing(SQLiteStore(path)) as store:
        then = store.read_purse("local/team", "2024-11-01")
        assert then is not None and then[1].spent_nano == 70
        assert sum(each.spent_nano for each in store.read_spend("model", {}).values()) == 150
