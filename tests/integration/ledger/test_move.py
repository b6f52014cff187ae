"""A whole ledger goes to another store: nothing of it changes, and it is never in two places."""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from prefect_governor.blocks.errors import ConfigurationError, GovernorError, LedgerUnavailable
from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.ledger.decision.store import Store
from prefect_governor.blocks.ledger.life.moving import Moved, cancel, move
from prefect_governor.blocks.ledger.life.on_file import SQLiteWhole
from prefect_governor.blocks.ledger.life.on_postgres import PostgresWhole
from prefect_governor.blocks.ledger.life.whole import Whole
from prefect_governor.blocks.ledger.owner import Owner
from prefect_governor.blocks.ledger.postgres.owner import PostgresOwner
from prefect_governor.blocks.ledger.postgres.store import PostgresStore
from prefect_governor.blocks.ledger.sqlite.store import SQLiteStore
from prefect_governor.blocks.records.calls import Attribution, Bound, Demand, Usage
from prefect_governor.blocks.records.notices import Notice
from prefect_governor.blocks.records.sums import CallSum
from tests.contract.store.test_kept_ledger import FILES, KEPT, READS, plain
from tests.postgres import PASSWORD, PostgresServer

AT = "2026-11-24"
# What the old store's clock has counted, and its processes, stay behind.
_BEHIND = ("hold_until", "meters", "upstream", "pid")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger of an earlier release, with all that a ledger can hold."""
    path = tmp_path / "governor" / "ledger.sqlite"
    path.parent.mkdir()
    shutil.copy(FILES / "ledger-schema-4.sqlite", path)
    with closing(SQLiteStore(path)) as store, store.transaction() as rows:
        who = Attribution(flow="f\u00fc'", tags=("a", 'b"'), model="m")
        rows.add_sums([CallSum("k", 0, (("team", "total"),), who, 3, Usage(5, 4, 3, 2))])
        rows.add_notice(
            Notice("unconfirmed", "team", "Team", "total", {"usd": 1, "\u00fc": "'"}, 7)
        )
    return path


def behind(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: behind(each) for name, each in value.items() if name not in _BEHIND}
    return [behind(each) for each in value] if isinstance(value, list) else value


def all_of(store: Store) -> dict[str, Any]:
    """Whatever can be read of a ledger."""
    found = {
        name: behind(plain(read(store))) for name, read in READS.items() if name != "upstreams"
    }
    run, items = KEPT["of"]["run"], store.read_items(KEPT["of"]["run"])
    found["spend over time"] = [
        plain(store.read_spend_over_time([0, 10**18], account=each))
        for each in KEPT["of"]["accounts"]
    ]
    found["by account"] = [
        plain(store.read_spend("tag", {}, account=each)) for each in KEPT["of"]["accounts"]
    ]
    with store.transaction() as rows:
        found["notices"] = plain(rows.notices(99))
        found["chunks"] = plain(rows.chunks(run))
    return found | {"items of run": len(items)}


@pytest.fixture
def places(path: Path, url: str) -> Iterator[tuple[SQLiteWhole, PostgresWhole]]:
    there = PostgresWhole(url)
    yield SQLiteWhole(path), there
    there.close()


def test_all_of_it_is_there_and_back_again(
    path: Path, url: str, places: tuple[SQLiteWhole, PostgresWhole]
) -> None:
    on_file, on_server = places
    with closing(SQLiteStore(path)) as store:
        # As the move does: whoever is not there has ended.
        with store.transaction() as rows:
            batch = Batch(rows, "x")
            for each in rows.owners():
                batch.expire(each.owner, "its process died")
            batch.write()
        before = all_of(store)
    told: dict[str, int] = {}
    moved = move(on_file, on_server, at=AT, tell=told.__setitem__)
    assert moved.ledger_id == KEPT["found"]["ledger_id"]
    assert told["reservations"] == moved.rows["reservations"] > 5
    with closing(PostgresStore(url)) as store:
        assert all_of(store) == before
        with store.transaction() as rows:
            # Numbers go on after those that came.
            rows.add_notice(Notice("resumed", "team", "Team", "total", {}, 8))
            assert [each.kind for each in rows.notices(99)][-1] == "resumed"
        before = all_of(store)
    with pytest.raises(
        LedgerUnavailable, match=r"was moved to PostgreSQL at 127\.0\.0\.1"
    ) as refused:
        SQLiteStore(path)
    assert "PREFECT_GOVERNOR_LEDGER_URL" in str(refused.value) and PASSWORD not in str(
        refused.value
    )
    move(on_server, on_file, at=AT)
    with closing(SQLiteStore(path)) as store:
        assert all_of(store) == before
        with store.transaction() as rows:
            batch = Batch(rows, "new")
            batch.admit(Demand("new", (KEPT["of"]["accounts"][0],), (), Bound(9, 9, 9)))
            batch.write()
    with pytest.raises(LedgerUnavailable, match=f"was moved to {path}"):
        PostgresStore(url)


def test_asked_again_it_says_that_it_is_there(places: tuple[SQLiteWhole, PostgresWhole]) -> None:
    first, again = (move(*places, at=AT) for _ in range(2))
    assert (first.was_there, again.was_there) == (False, True)
    assert again.ledger_id == first.ledger_id


def test_only_looking_moves_nothing(path: Path, places: tuple[SQLiteWhole, PostgresWhole]) -> None:
    looked = move(*places, at=AT, dry_run=True)
    assert looked.rows["reservations"] and places[1].ledger_id() is None
    SQLiteStore(path).close()


def on_the_way(places: tuple[SQLiteWhole, PostgresWhole], way: str) -> tuple[Whole, Whole]:
    """From where a ledger is to be moved, and to where; "back" once it went there."""
    if way == "there":
        return places
    move(*places, at=AT)
    return places[1], places[0]


class Cut(Exception):
    """The process ends here."""


def cut_at(name: str) -> Callable[..., None]:
    def step(at: str, *others: object) -> None:
        if at == name:
            raise Cut

    return step


@pytest.mark.parametrize("way", ["there", "back"])
@pytest.mark.parametrize("where", ["mark", "copy", "reservations", "items", "finish"])
def test_cut_short_anywhere_it_is_in_one_place_and_goes_on(
    url: str, path: Path, places: tuple[SQLiteWhole, PostgresWhole], where: str, way: str
) -> None:
    source, target = on_the_way(places, way)

    def open_source() -> Store:
        return SQLiteStore(path) if way == "there" else PostgresStore(url)

    def open_target() -> Store:
        return PostgresStore(url) if way == "there" else SQLiteStore(path)

    with pytest.raises(Cut):
        move(source, target, at=AT, step=cut_at(where), tell=cut_at(where))
    if where == "mark":
        open_source().close()
    else:
        with pytest.raises(LedgerUnavailable, match="run the same `prefect-governor ledger move`"):
            open_source()
    if where == "finish":
        with closing(open_target()) as store:
            assert store.ledger_id == KEPT["found"]["ledger_id"]
        with pytest.raises(ConfigurationError, match="already"):
            cancel(source, target)
    elif where != "mark":
        assert cancel(source, target)
        open_source().close()
    moved = move(source, target, at=AT)
    with closing(open_target()) as store:
        assert store.ledger_id == moved.ledger_id
        assert (
            len(store.read_calls(("spent", "released", "reserved", "unconfirmed")))
            == (moved.rows["reservations"])
        )
    with pytest.raises(LedgerUnavailable, match="was moved to"):
        open_source()


@pytest.mark.parametrize("way", ["there", "back"])
def test_while_it_is_moved_it_is_neither_let_be_nor_moved_by_another(
    url: str, path: Path, places: tuple[SQLiteWhole, PostgresWhole], way: str
) -> None:
    source, target = on_the_way(places, way)
    other: Whole = SQLiteWhole(path) if way == "there" else PostgresWhole(url)
    refused = []

    def meanwhile(table: str, rows: int) -> None:
        for act in (lambda: cancel(other, target), lambda: move(other, target, at=AT)):
            with pytest.raises(ConfigurationError, match=r"a move of the ledger .* is under way"):
                act()
            refused.append(table)

    move(source, target, at=AT, tell=meanwhile)
    other.close()
    assert len(refused) > 2
    # Who was refused left it as it was.
    assert move(source, target, at=AT).was_there


@pytest.mark.parametrize("way", ["there", "back"])
def test_a_ledger_that_somebody_works_in_stays_and_who_it_is_is_named(
    url: str, path: Path, places: tuple[SQLiteWhole, PostgresWhole], way: str
) -> None:
    source, target = on_the_way(places, way)
    owner: Owner | PostgresOwner
    owner = Owner(path.parent / "owners") if way == "there" else PostgresOwner(url)
    store: Store = SQLiteStore(path) if way == "there" else PostgresStore(url)
    with store.transaction() as rows:
        rows.renew_owner(owner.id, owner.pid)
    with pytest.raises(ConfigurationError, match=f"at work in the ledger .*: pid {owner.pid}"):
        move(source, target, at=AT)
    store.close()
    owner.release()
    move(source, target, at=AT)


@pytest.mark.parametrize("way", ["there", "back"])
def test_who_has_it_open_and_has_said_nothing_yet_spends_nothing_any_more(
    url: str, path: Path, places: tuple[SQLiteWhole, PostgresWhole], way: str
) -> None:
    source, target = on_the_way(places, way)
    store: Store = SQLiteStore(path) if way == "there" else PostgresStore(url)
    account = KEPT["of"]["accounts"][0]
    before = store.read_purse(account)
    move(source, target, at=AT)
    refused = pytest.raises((GovernorError, sqlite3.IntegrityError), match="was moved to")
    with refused, store.transaction() as rows:
        batch = Batch(rows, "late")
        batch.admit(Demand("late", (account,), (), Bound(1, 1, 1)))
        batch.write()
    if way == "there":
        # A file that went back is another file.
        assert store.read_purse(account) == before
    store.close()


def test_another_ledger_is_never_written_over(
    url: str, places: tuple[SQLiteWhole, PostgresWhole], tmp_path: Path
) -> None:
    with closing(PostgresStore(url)) as store, store.transaction() as rows:
        known = SQLiteStore(tmp_path / "governor" / "ledger.sqlite")
        purse = known.read_purse(KEPT["of"]["accounts"][0])
        known.close()
        assert purse is not None
        rows.put_account(replace(purse[0], key="another"))
    with pytest.raises(ConfigurationError, match=r"second ceiling.*schema") as refused:
        move(*places, at=AT)
    assert PASSWORD not in str(refused.value)
    SQLiteStore(tmp_path / "governor" / "ledger.sqlite").close()


def test_a_server_that_cannot_be_reached_leaves_the_ledger_as_it_was(
    path: Path, postgres_server: PostgresServer
) -> None:
    nowhere = PostgresWhole(f"postgresql://ledger:{PASSWORD}@127.0.0.1:1/postgres")
    with pytest.raises(LedgerUnavailable) as refused:
        move(SQLiteWhole(path), nowhere, at=AT)
    assert PASSWORD not in str(refused.value)
    SQLiteStore(path).close()


def test_figures_that_differ_are_not_kept(
    path: Path, url: str, places: tuple[SQLiteWhole, PostgresWhole], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = places[0].rows

    def one_less(table: Any) -> Any:
        rows = list(whole(table))
        return rows[1:] if table.name == "reservations" else rows

    monkeypatch.setattr(places[0], "rows", one_less)
    with pytest.raises(LedgerUnavailable, match="reservations came to other figures"):
        move(*places, at=AT)
    assert places[1].ledger_id() is None
    monkeypatch.undo()
    assert isinstance(move(*places, at=AT), Moved)
