"""What every store keeps: rows as they were put, in the window that they belong to."""

from dataclasses import replace

import pytest

from prefect_governor.blocks.ledger.decision.admission import Reservation
from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.ledger.decision.store import Lease, Store
from prefect_governor.blocks.records.budgets import Account
from prefect_governor.blocks.records.calls import Attribution
from prefect_governor.blocks.records.limits import LimitRecord, Rate
from tests.contract.conftest import USAGE, define, demand, in_flight, purse_of
from tests.contract.store.calls import admit, settle
from tests.contract.terms import LLM, TEAM
from tests.unit.clocks import SECOND, Clock

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
        rows.put_item("run", "b.md", "h1", "{}")
        rows.put_item("other", "a.md", "h1", "{}")
    of_a = {("a.md", "h1"): '{"n": 2}', ("a.md", "h2"): "{}"}
    assert store.read_items("run") == {**of_a, ("b.md", "h1"): "{}"}
    assert store.read_items("run", ["a.md", "c.md"]) == of_a
    assert store.read_items("run", []) == {}
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


def test_spend_over_time_has_each_call_once_between_the_instants_that_it_was_admitted_between(
    store: Store, clock: Clock
) -> None:
    define(store, replace(TEAM, ceiling_nano=10_000), replace(LLM, max_concurrent=None))
    began = clock.wall
    for call_id in ("before", "first", "second", "third"):
        admit(store, call_id)
        clock.pass_(10)
    assert settle(store, "first")
    # The instant itself is in; what was before the first is in none.
    starts = [began + 10 * SECOND, began + 20 * SECOND + 1, began + 30 * SECOND]
    spends = store.read_spend_over_time(starts, account="team")
    assert [each.calls for each in spends] == [2, 0, 1]
    assert [each.spent_nano for each in spends] == [40, 0, 0]
    assert store.read_spend_over_time([began + 90 * SECOND], account="team")[0].calls == 0
    assert store.read_spend_over_time([began], account="another")[0].calls == 0


def test_dearest_pieces_of_work_are_items_of_runs_or_tasks_and_come_in_their_order(
    store: Store,
) -> None:
    define(store, replace(TEAM, ceiling_nano=10_000), replace(LLM, max_concurrent=None))
    for call_id, run, item, task in [
        ("a", "r1", "x.md", "ask"), ("b", "r1", "x.md", "ask"), ("c", "r2", "x.md", "ask"),
        ("d", "r2", None, "review"), ("e", None, None, None), ("void", "r2", "y.md", "ask"),
    ]:  # fmt: skip
        admit(store, call_id, flow="f", flow_run_id=run, item=item, task=task)
    with store.transaction() as rows:
        batch = Batch(rows, "one")
        for call_id in ("a", "b", "c"):
            batch.settle(call_id, USAGE)
        batch.unconfirm("d", "cut off")
        batch.void("void", "400")
        batch.write()
    found = store.read_dearest(3, account="team")
    assert [(each.flow_run_id, each.name) for each in found] == [
        ("r2", "review"), ("r1", "x.md"), ("r2", "x.md"),
    ]  # fmt: skip
    assert [(each.spend.spent_nano, each.spend.unconfirmed_nano) for each in found] == [
        (0, 100), (80, 0), (40, 0),
    ]  # fmt: skip
    assert len(store.read_dearest(9, account="team")) == 4
    assert store.read_dearest(9, account="team", label="1999-01-01") == []
    assert store.read_dearest(9, account="team", since_wall=2**62) == []


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
