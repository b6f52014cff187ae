"""One row that no store takes among many: it fails alone, and all others go as if it were not."""

import json
import uuid
from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import pytest

import prefect_governor.blocks.ledger.desk as desks
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.ledger.decision.learned import Learned
from prefect_governor.blocks.ledger.decision.store import Store
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.machine.text import storable_value
from prefect_governor.blocks.records.budgets import Account, Allocation
from prefect_governor.blocks.records.calls import Bound, Reply, ReplyKey, Usage
from prefect_governor.blocks.records.limits import LimitRecord
from prefect_governor.blocks.records.notices import Audit, Notice
from tests.contract.conftest import USAGE, Flaky, Office, define, demand, in_flight, purse_of
from tests.contract.desk.asking import error_of, went
from tests.contract.terms import GPU, LLM, TEAM

MANY = 200
ONE = Bound(1, 1, 1)
HOSTILE = "half \ud800 a character, \x00, \u202e turned around, and \udcff"
CLEAN = "half \ufffd a character, \ufffd, \u202e turned around, and \ufffd"
# Of one row among many no more is done again than what halves come to.
MOST_ROUNDS = 40


@pytest.fixture
def desk(office: Office, store: Store) -> LedgerDesk:
    define(store, TEAM, LLM, GPU)
    return office.desk(store=store)


@pytest.fixture
def open_door(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the door had missed it."""
    monkeypatch.setattr(desks, "storable_demand", lambda demand: demand, raising=False)


def work_off(desk: LedgerDesk, futures: "list[Future[Any]]") -> int:
    """Lets a desk work without any time passing until all are answered; in how many rounds."""
    for rounds in range(MOST_ROUNDS):
        if all(each.done() for each in futures):
            return rounds
        desk.run_once()
    raise AssertionError(f"{sum(not each.done() for each in futures)} were not answered")


def test_label_that_is_no_text_is_refused_at_the_door_with_what_to_write(desk: LedgerDesk) -> None:
    futures = []
    for number in range(MANY):
        if number == 77:
            with pytest.raises(ConfigurationError, match=r"user is a UUID.*str\(user\)"):
                desk.admit(demand("poisoned", limits=(), bound=ONE, user=uuid.uuid4()))
        futures.append(desk.admit(demand(f"c{number}", limits=(), bound=ONE, user="ann")))
    desk.run_once()
    assert all(went(futures))


@pytest.mark.parametrize(
    "who",
    [{"label": b"bytes"}, {"tags": ("a", 3)}, {"tags": "llm"}, {"item": 7}, {"run_id": 1.5}],
    ids=str,
)
def test_each_label_of_a_call_is_looked_at(desk: LedgerDesk, who: Any) -> None:
    with pytest.raises(ConfigurationError):
        desk.admit(demand("poisoned", **who))


def test_what_no_store_can_hold_of_a_text_is_replaced_the_same_on_each(
    desk: LedgerDesk, store: Store
) -> None:
    desk.define(LimitRecord("excl", HOSTILE, 1))
    call = desk.admit(
        demand("a", limits=("excl",), user=HOSTILE, label=HOSTILE, item=HOSTILE, tags=(HOSTILE,))
    )
    desk.run_once()
    assert went([call]) == [True]
    key = ReplyKey("run", HOSTILE, 0, "hash")
    settled = desk.settle("a", USAGE, Reply(key, b"{}", "text/plain"))
    desk.run_once()
    assert settled.exception(0) is None
    (record,) = store.read_calls(["spent"])
    who = record.attribution
    assert (who.user, who.label, who.item, who.tags) == (CLEAN, CLEAN, CLEAN, (CLEAN,))
    assert store.read_reply(key) is not None
    assert store.read_spend("item", {"user": HOSTILE}, [HOSTILE])[CLEAN].calls == 1


def test_reason_that_no_store_can_hold_is_replaced(desk: LedgerDesk, store: Store) -> None:
    desk.admit(demand("a", limits=()))
    desk.admit(demand("b", limits=()))
    desk.run_once()
    answers = [desk.void("a", HOSTILE), desk.unconfirm("b", HOSTILE)]
    desk.run_once()
    assert [each.exception(0) for each in answers] == [None, None]
    (record,) = store.read_calls(["unconfirmed"])
    assert record.reason == CLEAN


def test_whatever_text_is_kept_comes_back_the_same_from_each_store(store: Store) -> None:
    account = Account("a", HOSTILE, 5, None, version="1")
    terms = LimitRecord("l", HOSTILE, 1)
    part = Allocation("alloc/a", HOSTILE, (("a", "total"),))
    notice = Notice("over_budget", "a", HOSTILE, "total", {HOSTILE: [HOSTILE, r"\u0000"]}, wall=1)
    audit = Audit("voided", "call", HOSTILE, HOSTILE, HOSTILE, "{}", "{}", wall=1)
    reply = Reply(ReplyKey("run", HOSTILE, 0, "hash"), HOSTILE.encode("utf-8", "replace"), HOSTILE)
    learned = Learned(CLEAN, {1: 1})
    with store.transaction() as rows:
        rows.put_account(account)
        rows.put_terms(terms)
        rows.put_allocation(part)
        rows.add_notice(notice)
        rows.add_audit(audit)
        rows.add_reply(reply)
        rows.put_learned(learned)
        # As the runs keep an answer, and as a record that is nothing but text.
        rows.put_item("run", HOSTILE, "hash", json.dumps({"result": HOSTILE}))
        rows.put_item("run", "plain", "hash", HOSTILE)
    with store.transaction() as rows:
        assert rows.account("a") == (replace(account, name=CLEAN), None)
        assert rows.terms("l") == replace(terms, name=CLEAN)
        assert rows.allocation("alloc/a") == replace(part, label=CLEAN)
        (told,) = rows.notices(9)
        assert told.name == CLEAN
        # A backslash that somebody wrote is a backslash.
        assert storable_value(told.payload) == {CLEAN: [CLEAN, r"\u0000"]}
    (kept,) = store.read_audit("call")
    assert (kept.by, kept.reason, kept.evidence) == (CLEAN, CLEAN, CLEAN)
    found = store.read_reply(reply.key)
    assert found is not None and (found.body, found.content_type) == (reply.body, CLEAN)
    assert store.read_learned(CLEAN) == learned
    records = store.read_items("run")
    assert json.loads(records[CLEAN, "hash"]) == {"result": HOSTILE}
    assert records["plain", "hash"] == CLEAN


@pytest.mark.usefixtures("open_door")
def test_call_that_no_store_takes_fails_alone_and_no_other_waits_for_it(
    desk: LedgerDesk, store: Store
) -> None:
    futures = [
        desk.admit(
            demand(f"c{number}", limits=(), bound=ONE, user=uuid.uuid4() if number == 77 else "ann")
        )
        for number in range(MANY)
    ]
    work_off(desk, futures)
    assert [number for number, goes in enumerate(went(futures)) if not goes] == [77]
    assert "UUID" in error_of(futures[77])
    assert purse_of(store)[2] == MANY - 1
    # And all is as fast as before.
    after = [desk.admit(demand(f"after {n}", limits=(), bound=ONE)) for n in range(MANY)]
    assert work_off(desk, after) <= 3
    assert all(went(after))


@pytest.mark.usefixtures("open_door")
def test_two_that_no_store_takes_fail_and_no_other_does(desk: LedgerDesk) -> None:
    bad = {0, 9}
    futures = [
        desk.admit(
            demand(f"c{number}", limits=(), bound=ONE, user=uuid.uuid4() if number in bad else "a")
        )
        for number in range(10)
    ]
    work_off(desk, futures)
    assert {number for number, goes in enumerate(went(futures)) if not goes} == bad


def test_call_whose_decision_breaks_is_refused_alone(
    desk: LedgerDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide = Batch.admit

    def breaks(batch: Batch, asked: Any, **more: Any) -> Any:
        if asked.call_id == "c3":
            raise ValueError("a defect of one call")
        return decide(batch, asked, **more)

    monkeypatch.setattr(Batch, "admit", breaks)
    futures = [desk.admit(demand(f"c{n}", limits=(), bound=ONE)) for n in range(9)]
    work_off(desk, futures)
    assert [number for number, goes in enumerate(went(futures)) if not goes] == [3]
    assert "a defect of one call" in error_of(futures[3])


def test_requests_beside_one_that_no_store_takes_are_done(desk: LedgerDesk, store: Store) -> None:
    for number in range(20):
        desk.admit(demand(f"c{number}", limits=(), bound=ONE))
    desk.run_once()
    bad: Any = uuid.uuid4()
    replies = [
        Reply(ReplyKey("run", "item", n, "hash"), b"{}" if n != 7 else bad, "text/plain")
        for n in range(20)
    ]
    settled = [desk.settle(f"c{n}", Usage(1, 1, 1), replies[n]) for n in range(20)]
    written = desk.write(lambda batch: batch.rows.put_item("run", "key", "hash", "{}"))
    work_off(desk, [*settled, written])
    bads = {n: error_of(each) for n, each in enumerate(settled) if each.exception(0)}
    assert list(bads) == [7], bads
    assert written.exception(0) is None and store.read_items("run")
    # What it came to is not lost: its bound stays charged.
    assert purse_of(store) == (19, 0, 1)


@pytest.mark.usefixtures("open_door")
def test_bad_call_and_bad_request_in_one_transaction_are_both_found(
    desk: LedgerDesk, store: Store
) -> None:
    bad: Any = uuid.uuid4()

    def put(number: int) -> "Future[None]":
        key = bad if number == 2 else f"k{number}"
        return desk.write(lambda batch: batch.rows.put_item("run", key, "h", "{}"))

    asked = [put(number) for number in range(5)]
    calls = [
        desk.admit(demand(f"c{n}", limits=(), bound=ONE, user=bad if n == 3 else "ann"))
        for n in range(5)
    ]
    work_off(desk, [*asked, *calls])
    assert [n for n, each in enumerate(asked) if each.exception(0) is not None] == [2]
    assert [n for n, goes in enumerate(went(calls)) if not goes] == [3]
    assert len(store.read_items("run")) == 4


@pytest.mark.parametrize("how", ["broken", "commits_fail", "commits_lie"])
def test_first_use_of_a_limit_waits_for_a_busy_ledger_as_later_ones_do(
    office: Office, flaky: Flaky, how: str
) -> None:
    define(flaky.store, TEAM, LLM, GPU)
    desk = office.desk("first", flaky)
    setattr(flaky, how, True)
    defined = desk.define(LimitRecord("new", "a model at its host", adaptive=True))
    first = desk.admit(demand("first", limits=("new",)))
    later = desk.admit(demand("later", limits=("gpu",)))
    for _ in range(3):
        desk.run_once()
    assert not any(each.done() for each in (defined, first, later))
    setattr(flaky, how, False)
    desk.run_once()
    assert went([first, later]) == [True, True] and defined.exception(0) is None
    assert in_flight(flaky.store, "new") == 1
