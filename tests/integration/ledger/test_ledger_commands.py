"""`prefect-governor ledger compact` and `move`, as a person calls them."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from prefect_governor.blocks.ledger.owner import Owner
from prefect_governor.blocks.ledger.postgres.store import PostgresStore
from prefect_governor.blocks.ledger.sqlite.store import SQLiteStore
from prefect_governor.blocks.work import ledgers
from prefect_governor.flows.cli.ledger import move
from prefect_governor.flows.cli.ledger.where import Where
from prefect_governor.flows.cli.main import main
from tests.contract.store.test_compaction import keep, some
from tests.contract.terms import TEAM
from tests.postgres import PASSWORD
from tests.unit.clocks import Clock


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """This machine's ledger: two calls of 2020, and one of now that is unconfirmed."""
    folder = tmp_path / "governor"
    for module in (ledgers, move):
        monkeypatch.setattr(module, "state_folder", lambda: folder)
    monkeypatch.setattr(move, "_tell_prefect", lambda ledger_id, home: [])
    path, clock = folder / "ledger.sqlite", Clock()
    with closing(SQLiteStore(path, now=clock)) as store:
        with store.transaction() as rows:
            rows.put_account(TEAM)
        long_ago = 1_577_836_800 * 10**9
        keep(store, clock, some(long_ago), some(long_ago), some(long_ago, "unconfirmed"))
    yield path
    ledgers._close_all()


def call(*arguments: object) -> Result:
    done = CliRunner().invoke(main, [str(each) for each in arguments], catch_exceptions=False)
    assert PASSWORD not in done.output
    return done


def test_compact_says_what_it_would_do_and_does_it(path: Path) -> None:
    looked = json.loads(call("ledger", "compact", "--dry-run", "--json").stdout)
    assert (looked["calls_summed"], looked["dry_run"]) == (2, True)
    done = call("ledger", "compact")
    assert done.exit_code == 0 and "2 calls of before" in done.output, done.output
    again = json.loads(call("ledger", "compact", "--json").stdout)
    assert again["calls_summed"] == 0 and again["bytes_after"] > 0
    with closing(SQLiteStore(path)) as store:
        assert store.read_spend("model", {}, account="team")[None].spent_nano == 80
        assert len(store.read_calls(("unconfirmed",))) == 1


@pytest.mark.parametrize("age", ["soon", "2999-01-01", "-3d"])
def test_an_age_that_is_none_is_refused(path: Path, age: str) -> None:
    refused = call("ledger", "compact", f"--older-than={age}")
    assert refused.exit_code == 2 and "--older-than" in refused.output


def test_move_goes_there_and_says_what_to_set(path: Path, url: str) -> None:
    owner = Owner(path.parent / "owners")
    busy = call("ledger", "move", "--to", url)
    assert busy.exit_code == 2 and "at work in the ledger" in busy.output
    owner.release()
    looked = call("ledger", "move", "--to", url, "--dry-run")
    assert looked.exit_code == 0 and "would go" in looked.output
    done = call("ledger", "move", "--to", url)
    assert done.exit_code == 0 and "PREFECT_GOVERNOR_LEDGER_URL" in done.output, done.output
    again = call("ledger", "move", "--to", url, "--json")
    assert json.loads(again.stdout)["was_there"] is True
    with closing(PostgresStore(url)) as store:
        assert store.read_spend("model", {}, account="team")[None].spent_nano == 80
    refused = call("ledger", "compact")
    assert refused.exit_code == 1 and "was moved to PostgreSQL" in refused.output


@pytest.mark.parametrize("to", ["mysql://a:b@c/d", "postgresql://u:p@ss@h/d#x"])
def test_a_place_that_is_none_is_refused_before_anything(path: Path, to: str) -> None:
    refused = call("ledger", "move", "--to", to)
    assert refused.exit_code == 2 and "p@ss" not in refused.output
    SQLiteStore(path).close()


def test_where_it_is_already_is_no_move(path: Path) -> None:
    refused = call("ledger", "move", "--to", path)
    assert refused.exit_code == 2 and "where the ledger is" in refused.output


def test_what_machines_drew_of_one_ceiling_is_not_moved(
    path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(move, "find_ledger", lambda name: Where("prefect-api", "here"))
    refused = call("ledger", "move", "--governor", "apart", "--to", url)
    assert refused.exit_code == 2 and "each machine has one of its own" in refused.output
