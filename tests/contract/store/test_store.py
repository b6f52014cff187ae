"""What every store must do: all or nothing, durable, shared, and helpful when it cannot."""

import os
import sqlite3
import stat
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from prefect_governor.blocks.errors import CallRefused, LedgerUnavailable
from prefect_governor.blocks.ledger.decision.admission import Purse, Reservation
from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.ledger.decision.store import Lease, Store
from prefect_governor.blocks.ledger.migration import migrations
from prefect_governor.blocks.ledger.sqlite import store as sqlite_module
from prefect_governor.blocks.ledger.sqlite.store import SQLiteStore
from prefect_governor.blocks.records.budgets import Account, Allocation
from prefect_governor.blocks.records.calls import Attribution, Bound, Reply, ReplyKey, Usage
from prefect_governor.blocks.records.limits import LimitRecord, Rate
from tests.contract.conftest import (
    BOUND,
    SECOND,
    USAGE,
    Clock,
    OpenStore,
    define,
    demand,
    in_flight,
    purse_of,
)

TEAM = Account("team", "Team", 1000, None, version="1")
LLM = LimitRecord("llm", "llm", 2)
KEY = ReplyKey("run", "item", 0, "hash")


class Stopped(Exception):
    """Something else went wrong inside a transaction."""


def admit(store: Store, call_id: str, owner: str = "one", **who: object) -> None:
    with store.transaction() as rows:
        batch = Batch(rows, owner)
        assert isinstance(batch.admit(demand(call_id, **who)), Reservation)  # type: ignore[arg-type]
        batch.write()


def settle(store: Store, call_id: str, usage: Usage = USAGE, reply: Reply | None = None) -> bool:
    with store.transaction() as rows:
        batch = Batch(rows, "one")
        done = batch.settle(call_id, usage, reply)
        batch.write()
    return done


# All or nothing


def test_what_a_failed_transaction_wrote_is_not_there(store: Store) -> None:
    define(store, TEAM, LLM)
    with pytest.raises(Stopped), store.transaction() as rows:
        batch = Batch(rows, "one")
        batch.admit(demand("a"))
        batch.write()
        raise Stopped
    assert purse_of(store) == (0, 0, 0)
    assert in_flight(store) == 0
    admit(store, "a")
    assert purse_of(store) == (0, 0, 100)


def test_a_transaction_reads_what_it_wrote_and_others_do_not_before_it_ends(
    store: Store, open_store: OpenStore
) -> None:
    other = open_store()
    with store.transaction() as rows:
        rows.put_account(TEAM)
        rows.put_purse(Purse("team", "total", "Team", spent_nano=7))
        assert rows.purse(TEAM, "total").spent_nano == 7
        assert other.read_purse("team") is None
    assert purse_of(other) == (7, 0, 0)


def test_the_reply_is_kept_with_the_settle_or_neither_is(
    store: Store, open_store: OpenStore
) -> None:
    define(store, TEAM, LLM)
    admit(store, "a")
    reply = Reply(KEY, b"\x00\xff{}", "application/json")
    with pytest.raises(Stopped), store.transaction() as rows:
        batch = Batch(rows, "one")
        assert batch.settle("a", USAGE, reply)
        batch.write()
        raise Stopped
    assert store.read_reply(KEY) is None
    assert purse_of(store) == (0, 0, 100)
    assert settle(store, "a", reply=reply)
    assert open_store().read_reply(KEY) == reply
    assert store.read_reply(replace(KEY, request_hash="another")) is None
    assert purse_of(store) == (40, 0, 0)


def test_a_replayed_settle_keeps_the_first_reply(store: Store) -> None:
    define(store, TEAM, LLM)
    admit(store, "a")
    first = Reply(KEY, b"first", "text/plain")
    assert settle(store, "a", reply=first)
    assert not settle(store, "a", Usage(99, 1, 1), Reply(KEY, b"second", "text/plain"))
    assert store.read_reply(KEY) == first
    assert purse_of(store) == (40, 0, 0)


# Shared and durable


def test_a_ledger_is_one_whoever_opens_it(
    store: Store, open_store: OpenStore, tmp_path: Path, clock: Clock
) -> None:
    define(store, TEAM, LLM)
    admit(store, "a")
    other = open_store()
    assert other.ledger_id == store.ledger_id
    assert settle(other, "a")
    assert purse_of(store) == (40, 0, 0)


def test_another_ledger_has_another_id(store: Store, tmp_path: Path, clock: Clock) -> None:
    other = SQLiteStore(tmp_path / "elsewhere" / "ledger.db", now=clock)
    assert other.ledger_id != store.ledger_id
    other.close()


def test_whoever_waits_is_woken_once_by_what_others_write(
    store: Store, open_store: OpenStore
) -> None:
    other = open_store()
    define(store, TEAM)
    assert not store.changed()
    define(store, LLM)
    assert not store.changed(), "its own writes wake nobody"
    admit(other, "a")
    assert store.changed()
    assert not store.changed()


def test_what_others_wrote_before_a_transaction_wakes_nobody_after_it(
    store: Store, open_store: OpenStore
) -> None:
    define(open_store(), TEAM, LLM)
    with store.transaction() as rows:
        assert rows.account("team") is not None
    assert not store.changed()


def test_a_write_between_the_first_transaction_and_the_first_look_is_not_missed(
    store: Store, open_store: OpenStore
) -> None:
    other = open_store()
    with store.transaction():
        pass
    define(other, TEAM)
    assert store.changed()


def test_looking_again_without_a_change_writes_nothing(store: Store, open_store: OpenStore) -> None:
    other = open_store()
    define(store, replace(TEAM, window="day"), LLM)
    admit(store, "a")
    admit(store, "b")
    other.changed()
    with store.transaction() as rows:
        batch = Batch(rows, "one")
        assert not isinstance(batch.admit(demand("c")), Reservation)
        batch.write()
    assert not other.changed(), "two processes that wait would wake each other for ever"


def test_threads_that_share_a_store_take_turns(store: Store) -> None:
    define(store, TEAM)

    def spend(number: int) -> None:
        for each in range(10):
            with store.transaction() as rows:
                batch = Batch(rows, "one")
                batch.admit(demand(f"{number}-{each}", limits=(), bound=Bound(1, 0, 0)))
                batch.write()

    threads = [threading.Thread(target=spend, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert purse_of(store) == (0, 0, 40)


def test_threads_that_come_and_go_leave_no_open_files(store: Store) -> None:
    store.read_reply(KEY)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        thread = threading.Thread(target=store.read_reply, args=(KEY,))
        thread.start()
        thread.join()
    assert len(os.listdir("/proc/self/fd")) <= before


# Rows as they were put


def test_an_account_comes_back_as_it_was_put(store: Store) -> None:
    full = Account("k", "n", 2**53, None, "week", "Europe/Berlin", "2026-11-24T10:00:00Z")
    with store.transaction() as rows:
        rows.put_account(full)
        rows.put_label("k", "2026-W48")
        assert rows.account("k") == (full, "2026-W48")
        # An edit keeps the window it is in; another kind of window starts anew.
        rows.put_account(replace(full, ceiling_nano=5))
        assert rows.account("k") == (replace(full, ceiling_nano=5), "2026-W48")
        rows.put_account(replace(full, window="day"))
        assert rows.account("k") == (replace(full, window="day"), None)
        assert rows.account("unknown") is None


def test_a_limit_comes_back_and_its_edit_keeps_what_is_in_flight(store: Store) -> None:
    terms = LimitRecord("llm", "llm", 2, (Rate("requests", 5), Rate("tokens", 500)), leased=False)
    define(store, TEAM, terms)
    admit(store, "a")
    changed = replace(terms, max_concurrent=None, rates=(Rate("tokens", 90), Rate("requests", 5)))
    define(store, changed)
    with store.transaction() as rows:
        assert rows.terms("llm") == changed
    gate = store.read_gate("llm")
    assert gate is not None and gate.in_flight == 1 and gate.max_concurrent is None
    # A rate with another amount has not forgotten what was taken: the provider has not either.
    assert [meter.used(store_now(store)) for meter in gate.meters] == [50, 1]
    assert settle(store, "a")
    assert in_flight(store) == 0


def store_now(store: Store) -> int:
    with store.transaction() as rows:
        return rows.now.boot


def test_leased_slots_count_until_they_are_not_usable(store: Store, clock: Clock) -> None:
    define(store, replace(LLM, leased=True))
    lease = Lease("lease", "llm", "server", 3, clock.boot + SECOND)
    with store.transaction() as rows:
        rows.put_lease(lease)
        rows.put_lease(replace(lease, lease_id="other", limit_key="gpu"))
        rows.put_server_limit("llm", 1)
        assert rows.leases("llm") == [lease]
    gate = store.read_gate("llm")
    assert gate is not None and (gate.leased, gate.cap) == (3, 1)
    clock.pass_(1)
    gate = store.read_gate("llm")
    assert gate is not None and gate.leased == 0
    with store.transaction() as rows:
        rows.remove_lease("lease")
        assert rows.leases("llm") == []


def test_demand_is_what_is_in_flight_and_what_waits_in_every_process(store: Store) -> None:
    define(store, TEAM, LLM)
    admit(store, "a")
    with store.transaction() as rows:
        rows.put_waiting("one", {"llm": 3, "gpu": 1})
        rows.put_waiting("two", {"llm": 5})
        assert rows.demand("llm") == 9
        rows.put_waiting("two", {})
        rows.remove_owner("one")
        assert (rows.demand("llm"), rows.demand("gpu")) == (1, 0)


def test_an_owner_with_calls_in_flight_is_known_whatever_became_of_its_row(store: Store) -> None:
    define(store, TEAM, LLM)
    with store.transaction() as rows:
        rows.renew_owner("one", 1)
        rows.renew_owner("one", 1)
        rows.renew_owner("idle", 2)
        assert sorted(row.owner for row in rows.owners()) == ["idle", "one"]
    admit(store, "a", owner="unannounced")
    with store.transaction() as rows:
        rows.remove_owner("one")
        assert sorted(row.owner for row in rows.owners()) == ["idle", "unannounced"]
        assert rows.open_reservations("unannounced") == ["a"]
    assert settle(store, "a")
    with store.transaction() as rows:
        assert [row.owner for row in rows.owners()] == ["idle"]


def test_items_come_back_by_run_key_and_hash(store: Store) -> None:
    with store.transaction() as rows:
        rows.put_item("run", "a.md", "h1", '{"n": 1}')
        rows.put_item("run", "a.md", "h2", "{}")
        rows.put_item("run", "a.md", "h1", '{"n": 2}')
        rows.put_item("other", "a.md", "h1", "{}")
    assert store.read_items("run") == {("a.md", "h1"): '{"n": 2}', ("a.md", "h2"): "{}"}
    assert store.read_items("unknown") == {}


def test_who_spent_what_sums_every_state_and_leaves_out_what_was_released(store: Store) -> None:
    define(store, replace(TEAM, ceiling_nano=10_000), replace(LLM, max_concurrent=None))
    for call_id, task_run, model in [
        ("spent", "t1", "m"), ("open", "t1", "m"), ("unknown", "t2", "m"), ("void", "t2", "m"),
        ("spent too", "t2", "other"), ("of no task", None, "m"),
    ]:  # fmt: skip
        admit(store, call_id, task_run_id=task_run, model=model, run_id="r", item="i")
    with store.transaction() as rows:
        batch = Batch(rows, "one")
        for call_id in ("spent", "spent too", "of no task"):
            batch.settle(call_id, USAGE)
        batch.unconfirm("unknown", "cut off")
        batch.void("void", "400")
        batch.write()
    spends = store.read_spend("task_run_id", {"model": "m"})
    assert {
        name: (each.calls, each.spent_nano, each.unconfirmed_nano, each.reserved_nano)
        for name, each in spends.items()
    } == {"t1": (2, 40, 0, 100), "t2": (1, 0, 100, 0), None: (1, 40, 0, 0)}
    assert (spends["t1"].input_tokens, spends["t1"].output_tokens) == (25, 5)
    assert list(store.read_spend("task_run_id", {}, keys=["t2", "t9"])) == ["t2"]
    assert store.read_spend("task_run_id", {"model": "m"}, keys=[]) == {}
    everything = store.read_spend("run_id", {"run_id": "r"})["r"]
    spent, unconfirmed, reserved = purse_of(store)
    assert (everything.spent_nano, everything.unconfirmed_nano, everything.reserved_nano) == (
        spent, unconfirmed, reserved
    ) == (120, 100, 100)  # fmt: skip


def test_a_column_that_is_none_is_refused_and_never_put_into_a_query(store: Store) -> None:
    with pytest.raises(ValueError, match="call_id"):
        store.read_spend("call_id", {})
    with pytest.raises(ValueError, match="1=1"):
        store.read_spend("model", {'m" = 1 OR 1=1 --': "x"})


def test_every_attribution_is_kept(store: Store) -> None:
    define(store, TEAM, LLM)
    texts = {
        name: name.upper() for name in Attribution.__dataclass_fields__ if name not in ("tags",)
    }
    admit(store, "a", tags=("x", "y"), **texts)
    for name, text in texts.items():
        assert list(store.read_spend(name, {name: text})) == [text]


# Windows


def test_a_window_is_left_for_the_next_and_never_entered_again(store: Store, clock: Clock) -> None:
    define(store, replace(TEAM, ceiling_nano=150, window="day"), LLM)
    admit(store, "a")
    clock.pass_(86_400)
    admit(store, "b")
    assert purse_of(store) == purse_of(store, label="2026-11-25") == (0, 0, 100)
    # Someone sets the wall clock back by two days.
    clock.wall -= 2 * 86_400 * SECOND
    with store.transaction() as rows:
        batch = Batch(rows, "one")
        assert not isinstance(batch.admit(demand("c")), Reservation)
    # A call settles into the window it was admitted in.
    assert settle(store, "a")
    assert purse_of(store, label="2026-11-24") == (40, 0, 0)
    assert purse_of(store, label="2026-11-25") == (0, 0, 100)


def test_runs_in_turns_each_draw_on_their_own_purse(store: Store) -> None:
    define(store, replace(TEAM, ceiling_nano=250, window="run"), replace(LLM, max_concurrent=None))
    for call_id, run in [("a", "x"), ("b", "y"), ("c", "x"), ("d", None), ("e", "y")]:
        admit(store, call_id, run_id=run)
    assert purse_of(store, label="run:x") == (0, 0, 200)
    assert purse_of(store, label="run:y") == (0, 0, 200)
    assert purse_of(store, label="run:none") == (0, 0, 100), "calls of no run are of no run"


# What cannot be


@pytest.mark.parametrize("usage", [Usage(-1, 0, 0), Usage(0, -5, 0), Usage(10**30, 1, 1),
                                   Usage(1, 10**19, 0)])  # fmt: skip
def test_an_impossible_usage_is_nobodys_bill(store: Store, usage: Usage) -> None:
    define(store, TEAM, LLM)
    admit(store, "a")
    assert settle(store, "a", usage)
    assert purse_of(store) == (0, 100, 0)
    assert in_flight(store) == 0


def test_an_impossible_retry_after_holds_a_day_at_most(store: Store, clock: Clock) -> None:
    define(store, LLM)
    for seconds in (float("nan"), -5.0, float("inf"), 1e30):
        with store.transaction() as rows:
            batch = Batch(rows, "one")
            batch.throttle(("llm",), seconds)
            batch.write()
    gate = store.read_gate("llm")
    assert gate is not None and gate.throttled == 4
    assert gate.hold_until == clock.boot + 86_400 * SECOND


# When it cannot be used


def refusal(path: Path) -> str:
    with pytest.raises(LedgerUnavailable) as refused:
        SQLiteStore(path)
    return str(refused.value)


def test_a_ledger_of_a_newer_release_is_refused_with_the_fix(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    SQLiteStore(path).close()
    newest = migrations("sqlite")[-1][0]
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {newest + 1}")
    connection.close()
    text = refusal(path)
    assert f"schema {newest + 1}" in text and f"knows {newest}" in text
    assert "upgrade" in text and "pip install -U prefect-governor" in text


def test_migrations_are_applied_once_and_in_order(tmp_path: Path) -> None:
    numbers = [number for number, _ in migrations("sqlite")]
    assert numbers == list(range(1, len(numbers) + 1))
    path = tmp_path / "ledger.db"
    first = SQLiteStore(path)
    again = SQLiteStore(path)
    assert again.ledger_id == first.ledger_id
    first.close()
    again.close()


def test_a_file_that_is_no_ledger_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"this is not a database" * 100)
    text = refusal(path)
    assert str(path) in text and "not a database" in text and "no call is let through" in text


@pytest.mark.parametrize("what", ["folder is a file", "file is a folder"])
def test_a_place_where_no_ledger_can_be_is_refused_by_name(tmp_path: Path, what: str) -> None:
    path = tmp_path / "folder" / "ledger.db"
    if what == "file is a folder":
        path.mkdir(parents=True)
    else:
        path.parent.write_text("in the way")
    assert str(path) in refusal(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everything")
def test_a_ledger_that_cannot_be_written_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    SQLiteStore(path).close()
    path.chmod(0o400)
    assert "writable" in refusal(path)


def test_a_refused_ledger_leaves_no_open_files(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"this is not a database" * 100)
    refusal(path)
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        refusal(path)
    assert len(os.listdir("/proc/self/fd")) <= before


def test_replies_are_for_their_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "ledger.db"
    store = SQLiteStore(path)
    modes = {name: stat.S_IMODE((path.parent / name).stat().st_mode) for name in
             os.listdir(path.parent)}  # fmt: skip
    assert set(modes.values()) == {0o600}, modes
    store.close()


def test_a_closed_store_is_unavailable_and_opens_nothing(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "ledger.db")
    store.close()
    with pytest.raises(LedgerUnavailable), store.transaction():
        pass
    with pytest.raises(LedgerUnavailable):
        store.read_reply(KEY)
    with pytest.raises(LedgerUnavailable):
        store.changed()
    store.close()


def test_after_a_commit_that_failed_the_next_one_works(tmp_path: Path, clock: Clock) -> None:
    """What a failed COMMIT leaves open must not poison what comes after."""
    store = SQLiteStore(tmp_path / "ledger.db", now=clock)
    define(store, TEAM, LLM)
    with store.transaction() as rows:
        rows._db.execute("CREATE TABLE parent (id INTEGER PRIMARY KEY)")
        rows._db.execute("CREATE TABLE child (id REFERENCES parent DEFERRABLE INITIALLY DEFERRED)")
        connection = rows._db
    # A deferred constraint fails at COMMIT itself and leaves the transaction open.
    connection.execute("PRAGMA foreign_keys = ON")
    with pytest.raises(LedgerUnavailable, match="FOREIGN KEY"), store.transaction() as rows:
        rows.put_item("run", "key", "hash", "{}")
        rows._db.execute("INSERT INTO child VALUES (1)")
    assert store.read_items("run") == {}
    admit(store, "a")
    assert purse_of(store) == (0, 0, 100)
    store.close()


def test_after_a_full_disk_the_next_transaction_works(tmp_path: Path, clock: Clock) -> None:
    """SQLite rolls back by itself then: a second ROLLBACK must not hide why."""
    store = SQLiteStore(tmp_path / "ledger.db", now=clock)
    define(store, TEAM, LLM)
    with pytest.raises(LedgerUnavailable, match="full"), store.transaction() as rows:
        (pages,) = rows._db.execute("PRAGMA page_count").fetchone()
        rows._db.execute(f"PRAGMA max_page_count = {pages}")
        rows.put_item("run", "key", "hash", "x" * 10**6)
    assert store.read_items("run") == {}
    with store.transaction() as rows:
        rows._db.execute("PRAGMA max_page_count = 1000000")
    admit(store, "a")
    assert purse_of(store) == (0, 0, 100)
    store.close()


def test_after_a_reboot_rates_and_holds_are_dropped_leases_admit_nobody_and_money_stays(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    terms = LimitRecord("llm", "llm", 2, (Rate("requests", 1),))
    store = SQLiteStore(tmp_path / "ledger.db", now=clock)
    define(store, TEAM, terms)
    admit(store, "a")
    with store.transaction() as rows:
        batch = Batch(rows, "one")
        batch.throttle(("llm",), 60)
        batch.write()
        rows.put_lease(Lease("lease", "llm", "server", 3, clock.boot + SECOND))
    store.close()
    monkeypatch.setattr(sqlite_module, "boot_id", lambda: "the next boot")
    again = SQLiteStore(tmp_path / "ledger.db", now=clock)
    define(again, terms)
    gate = again.read_gate("llm")
    assert gate is not None
    assert (gate.hold_until, gate.meters[0].taken, gate.in_flight) == (0, {}, 1)
    assert purse_of(again) == (0, 0, 100)
    with again.transaction() as rows:
        # Whoever keeps it gives it back: the server may hold its slots taken still.
        assert rows.leases("llm") == [Lease("lease", "llm", "server", 3, 0)]
    again.close()


def test_a_number_beyond_the_ledger_is_refused_and_nothing_else_is(store: Store) -> None:
    define(store, replace(TEAM, ceiling_nano=None), LLM)
    with store.transaction() as rows:
        batch = Batch(rows, "one")
        with pytest.raises(CallRefused, match="bound"):
            batch.admit(demand("huge", bound=Bound(10**30, 0, 0)))
        assert isinstance(batch.admit(demand("a", bound=BOUND)), Reservation)
        batch.write()
    assert purse_of(store) == (0, 0, 100)


def test_a_budget_or_limit_that_is_named_twice_is_charged_once(store: Store) -> None:
    define(store, TEAM, LLM)
    with store.transaction() as rows:
        batch = Batch(rows, "one")
        batch.admit(demand("a", ("team", "team"), ("llm", "llm")))
        batch.write()
    assert (purse_of(store), in_flight(store)) == ((0, 0, 100), 1)


# An older ledger


def test_a_ledger_of_the_first_release_opens_with_all_that_it_holds(
    tmp_path: Path, clock: Clock
) -> None:
    path = tmp_path / "ledger.db"
    old = sqlite3.connect(path)
    number, sql = migrations("sqlite")[0]
    old.executescript(f"BEGIN;\n{sql}\nPRAGMA user_version = {number};\nCOMMIT;")
    old.executescript(
        """
        INSERT INTO accounts VALUES ('team', 'Team', 1000, NULL, 'total', 'UTC', '1', 'total');
        INSERT INTO purses VALUES ('team', 'total', 40, 100, 100, 30, 50, 50);
        INSERT INTO limits VALUES ('llm', 'llm', 2, NULL, 0, 1, 2, 0, 0, '[]');
        INSERT INTO owners VALUES ('one', 7, 'a boot', 1);
        INSERT INTO reservations (call_id, owner, state, bound_nano, bound_input_tokens,
            bound_output_tokens, spent_nano, input_tokens, output_tokens, cached_input_tokens,
            accounts, gates, created_wall, resolved_wall, tags)
        VALUES
            ('spent', 'one', 'spent', 100, 30, 20, 40, 25, 5, 10,
             '[["team", "total"]]', '[["llm", []]]', 1, 2, '[]'),
            ('open', 'one', 'reserved', 100, 30, 20, NULL, NULL, NULL, NULL,
             '[["team", "total"]]', '[["llm", []]]', 2, NULL, '["x"]'),
            ('lost', 'one', 'unconfirmed', 100, 30, 20, NULL, NULL, NULL, NULL,
             '[["team", "total"]]', '[["llm", []]]', 3, 4, '[]');
        """
    )
    old.close()
    store = SQLiteStore(path, now=clock)
    assert purse_of(store) == (40, 100, 100)
    calls = store.read_calls(["spent", "reserved", "unconfirmed"], account="team")
    assert [(each.call_id, each.observed, each.request_id) for each in calls] == [
        ("spent", None, None), ("open", None, None), ("lost", None, None)
    ]  # fmt: skip
    assert calls[0].usage == USAGE and calls[1].attribution.tags == ("x",) and calls[1].pid == 7
    assert settle(store, "open") and settle(store, "lost")
    assert (purse_of(store), in_flight(store)) == ((120, 0, 0), 0)
    with store.transaction() as rows:
        batch = Batch(rows, "one")
        batch.allocate(Allocation("alloc/a", "a", (("team", ""),)), "a", Bound(880, 0, 0))
        batch.write()
        (owner,) = rows.owners()
        assert owner.renewed == 0, "one that never said so is not taken for lost"
    known = store.read_purse("team")
    assert known is not None and known[1].allocated_nano == 880
    store.close()
    with sqlite3.connect(path) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    connection.close()
    assert version == migrations("sqlite")[-1][0] >= 2


# A turn that does not come


def test_a_turn_that_does_not_come_is_an_error_that_names_who_holds_it(
    tmp_path: Path, clock: Clock
) -> None:
    path = tmp_path / "ledger.db"
    before = turn_threads()
    holds = SQLiteStore(path, now=clock)
    waits = SQLiteStore(path, now=clock, turn_timeout_seconds=0.2)
    define(holds, TEAM, LLM)
    with holds.transaction(), pytest.raises(LedgerUnavailable) as refused, waits.transaction():
        pass
    assert f"(process {os.getpid()})" in str(refused.value)
    assert "no call is let through" in str(refused.value)
    # What gave up waiting takes no turn from anybody, though it was left in the line.
    for each in (holds, waits, holds):
        with each.transaction() as rows:
            rows.put_item("run", "key", "hash", "{}")
    for each in (holds, waits):
        each.close()
    # Those that have come leave; other tests' stores are no matter of this one.
    for thread in turn_threads() - before:
        thread.join(30)
    assert turn_threads() <= before


def turn_threads() -> set[threading.Thread]:
    """Threads that wait for a turn."""
    return {each for each in threading.enumerate() if each.name == "prefect-governor-turn"}
