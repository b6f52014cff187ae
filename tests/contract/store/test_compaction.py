"""Old calls become sums: whoever asks who spent what is told the same, to the nano-dollar."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_governor.blocks.ledger.decision.admission import Reservation
from prefect_governor.blocks.ledger.decision.store import NewReservation, Store
from prefect_governor.blocks.ledger.life.compaction import Compacted, Compaction
from prefect_governor.blocks.ledger.summing import QUARTER
from prefect_governor.blocks.records.budgets import Account
from prefect_governor.blocks.records.calls import (
    Attribution,
    Bound,
    CallState,
    Reply,
    ReplyKey,
    Usage,
)
from prefect_governor.blocks.records.notices import Audit
from prefect_governor.blocks.records.sums import CallSum
from tests.contract.conftest import OpenStore
from tests.unit.clocks import SECOND, TUESDAY, Clock

HOUR = 3600 * SECOND
DAY = 24 * HOUR
ACCOUNTS = ("team", "dept", "local/x")
COLUMNS = ("flow", "deployment", "task", "tag", "model", "user", "label", "item", "run_id")
TEXTS = st.sampled_from([None, "a", 'b"[,', "ü", "\\"])
FOREVER = 2**62


@dataclass(frozen=True)
class Call:
    """A call as it stands in a ledger."""

    wall: int
    state: CallState
    usage: Usage
    who: Attribution
    accounts: tuple[tuple[str, str], ...]


@st.composite
def calls(draw: Any) -> Call:
    chain = draw(st.lists(st.sampled_from(ACCOUNTS), unique=True, max_size=3))
    label = draw(st.sampled_from(["total", "2026-11-24", "run:1"]))
    drawn = [(each, label) for each in chain]
    if draw(st.booleans()) and drawn:
        drawn.insert(0, ("run/1", "run:1"))
    return Call(
        TUESDAY + draw(st.integers(-3 * DAY, 3 * DAY)),
        draw(st.sampled_from(["spent", "spent", "spent", "released", "unconfirmed", "reserved"])),
        Usage(*draw(st.tuples(*[st.integers(0, 10**12)] * 4))),
        Attribution(
            flow=draw(TEXTS), deployment=draw(TEXTS), task=draw(TEXTS), model=draw(TEXTS),
            user=draw(TEXTS), label=draw(TEXTS), item=draw(TEXTS), run_id=draw(TEXTS),
            tags=tuple(draw(st.lists(st.sampled_from(["x", 'y"', "z"]), max_size=3, unique=True))),
        ),
        tuple(drawn),
    )  # fmt: skip


def keep(store: Store, clock: Clock, *kept: Call, start: int = 0) -> list[str]:
    """Write calls as they are; returns their ids."""
    ids = []
    for number, call in enumerate(kept, start):
        clock.wall = call.wall
        call_id = f"call-{number:04}"
        bound = Bound(call.usage.nano + 7, call.usage.input_tokens, call.usage.output_tokens)
        reserved = Reservation(call_id, bound, call.accounts, (), "reserved")
        with store.transaction() as rows:
            rows.add_reservations([NewReservation(reserved, "one", call.who)])
            if call.state != "reserved":
                usage = call.usage if call.state == "spent" else None
                ended = Reservation(call_id, bound, call.accounts, (), call.state, usage=usage)
                rows.put_reservations([ended])
        ids.append(call_id)
    clock.wall = TUESDAY + 10 * DAY
    return ids


def read(store: Store, *, whole_runs: bool = False) -> dict[str, Any]:
    """All that anybody is told of who spent what. Of one run alone only where nothing of it was
    summed."""
    columns = COLUMNS if whole_runs else COLUMNS[:-2]
    found: dict[str, Any] = {}
    for column in columns:
        found[column] = store.read_spend(column, {})
        for account in ACCOUNTS:
            for label in (None, "total", "run:1"):
                found[f"{column} {account} {label}"] = store.read_spend(
                    column, {}, account=account, label=label
                )
            for since in (TUESDAY, TUESDAY - TUESDAY % QUARTER - DAY):
                found[f"{column} {account} since {since}"] = store.read_spend(
                    column, {}, account=account, since_wall=since
                )
        found[f"{column} of a"] = store.read_spend(column, {"flow": "a"})
    for account in ACCOUNTS:
        starts = [TUESDAY + day * DAY for day in range(-4, 4)]
        found[f"days {account}"] = store.read_spend_over_time(starts, account=account)
    open_calls = store.read_calls(("reserved", "unconfirmed"))
    found["open"] = sorted(each.call_id for each in open_calls)
    return found


def compact(store: Store, before: int, **others: Any) -> Compacted:
    given: dict[str, Any] = {"replies_before": before, "wait": lambda seconds: None, **others}
    return Compaction(store, before, **given).run()


@pytest.fixture(scope="module")
def emptied() -> Callable[[Store], None]:
    """Empties a store's calls and sums."""

    def empty(store: Store) -> None:
        with store.transaction() as rows:
            for table in ("reservations", "sums", "replies", "items", "audit"):
                rows._db.execute(f"DELETE FROM {table}")  # type: ignore[attr-defined]

    return empty


@pytest.mark.parametrize("times", [1, 2])
def test_who_spent_what_is_the_same_whatever_was_summed_and_when(
    store: Store, clock: Clock, emptied: Callable[[Store], None], times: int
) -> None:
    @settings(max_examples=30)
    @given(st.lists(calls(), max_size=12), st.lists(st.integers(-4, 4), min_size=2, max_size=2))
    def same(kept: list[Call], days: list[int]) -> None:
        emptied(store)
        keep(store, clock, *kept)
        before = read(store)
        for day in sorted(days[:times]):
            compact(store, TUESDAY + day * DAY)
            assert read(store) == before
        left = store.read_calls(("spent", "released"))
        assert all(each.created_wall >= TUESDAY + max(days[:times]) * DAY for each in left)

    same()


def some(wall: int = TUESDAY, state: CallState = "spent", **who: Any) -> Call:
    return Call(wall, state, Usage(40, 3, 2), Attribution(**who), (("team", "total"),))


def test_what_is_open_or_unconfirmed_is_kept_whatever_its_age(store: Store, clock: Clock) -> None:
    keep(store, clock, some(state="reserved"), some(state="unconfirmed"), some())
    assert compact(store, FOREVER).calls == 1
    states = [each.state for each in store.read_calls(("reserved", "spent", "unconfirmed"))]
    assert states == ["reserved", "unconfirmed"]


def test_an_instant_within_a_summed_quarter_counts_all_of_it(store: Store, clock: Clock) -> None:
    """So that what was spent since then is not understated."""
    start = TUESDAY - TUESDAY % QUARTER
    keep(store, clock, some(start + SECOND), some(start + QUARTER))
    since = start + 60 * SECOND
    assert store.read_spend("model", {}, since_wall=since)[None].spent_nano == 40
    compact(store, FOREVER)
    assert store.read_spend("model", {}, since_wall=since)[None].spent_nano == 80
    assert store.read_spend("model", {}, since_wall=start + QUARTER)[None].spent_nano == 40


def reply(store: Store, run_id: str, number: int = 0) -> ReplyKey:
    key = ReplyKey(run_id, "item", number, "hash")
    with store.transaction() as rows:
        rows.add_reply(Reply(key, b"body", "text/plain"))
        rows.put_item(run_id, f"item-{number}", "hash", "{}")
    return key


def test_calls_of_a_run_that_can_be_gone_on_with_are_kept(store: Store, clock: Clock) -> None:
    old, young = TUESDAY - 30 * DAY, TUESDAY
    keep(store, clock, some(old, run_id="gone"), some(old, run_id="goes-on"),
         some(young, run_id="goes-on"), some(old))  # fmt: skip
    gone = [reply(store, "gone", number) for number in range(120)]
    goes_on = reply(store, "goes-on")
    done = compact(store, TUESDAY - DAY)
    assert (done.calls, done.kept_calls, done.runs, done.replies) == (2, 1, 1, 240)
    assert store.read_reply(goes_on) is not None and store.read_items("goes-on")
    assert all(store.read_reply(each) is None for each in gone) and not store.read_items("gone")
    assert len(store.read_calls(("spent",))) == 2


def test_replies_have_a_retention_of_their_own(store: Store, clock: Clock) -> None:
    keep(store, clock, some(TUESDAY - 30 * DAY, run_id="run"))
    key = reply(store, "run")
    assert compact(store, TUESDAY, replies_before=TUESDAY - 60 * DAY).kept_calls == 1
    assert store.read_reply(key) is not None
    done = compact(store, TUESDAY - 60 * DAY, replies_before=TUESDAY)
    assert (done.calls, done.runs) == (0, 1)
    assert store.read_reply(key) is None and store.read_calls(("spent",))


def test_what_is_still_shown_one_by_one_is_kept(store: Store, clock: Clock) -> None:
    """A call that was changed by hand, and one that enforcement would have refused."""
    ids = keep(store, clock, some(), some(), some())
    with store.transaction() as rows:
        rows.add_audit(Audit("settled", ids[0], "me", "invoice 7", None, "before", "after", 1))
        rows._db.execute(  # type: ignore[attr-defined]
            f"UPDATE reservations SET observed = 'not measured' WHERE call_id = '{ids[1]}'"
        )
    assert compact(store, FOREVER).calls == 1
    assert [each.call_id for each in store.read_calls(("spent",))] == ids[:2]


def test_only_looking_changes_nothing(store: Store, clock: Clock) -> None:
    keep(store, clock, some(run_id="run"), some())
    key = reply(store, "run")
    before = store.read_calls(("spent",))
    done = compact(store, FOREVER, dry_run=True)
    assert (done.calls, done.runs, done.replies) == (2, 1, 0)
    assert store.read_calls(("spent",)) == before and store.read_reply(key) is not None


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Ending:
    """A store whose process ends in a transaction: before its commit, or as soon as it is kept."""

    store: Store
    at: int
    after: bool
    begun: int = field(default=0)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    @contextmanager
    def transaction(self) -> Iterator[Any]:
        self.begun += 1
        with self.store.transaction() as rows:
            yield rows
            if self.begun == self.at and not self.after:
                raise Killed
        if self.begun == self.at:
            raise Killed


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("at", [1, 2, 3])
def test_what_is_cut_short_leaves_the_same_and_is_gone_on_with(
    store: Store, clock: Clock, at: int, after: bool
) -> None:
    keep(store, clock, *(some(TUESDAY + n * HOUR, flow=f"f{n % 3}") for n in range(70)))
    before = read(store)
    ticks = iter(range(10**6))
    with pytest.raises(Killed):
        # Each reading of the clock is a second on: every batch is one of the smallest.
        ending: Any = Ending(store, at, after)
        compact(ending, FOREVER, seconds=lambda: float(next(ticks)), size=20)
    assert read(store) == before
    compact(store, FOREVER)
    assert read(store) == before and not store.read_calls(("spent",))


def test_several_at_once_sum_each_call_once(
    store: Store, open_store: OpenStore, clock: Clock
) -> None:
    keep(store, clock, *(some(TUESDAY + n * SECOND, flow=f"f{n % 3}") for n in range(300)))
    before = read(store)
    other = open_store()
    done: list[Compacted] = []

    def meanwhile(seconds: float) -> None:
        if not done:
            done.append(compact(other, FOREVER))

    first = compact(store, FOREVER, wait=meanwhile)
    assert first.calls + done[0].calls == 300 and done[0].calls
    assert read(store) == before and not store.read_calls(("spent",))


def test_a_sum_of_a_key_is_added_to(store: Store) -> None:
    each = CallSum("k", 0, (("team", "total"),), Attribution(model="m", tags=("t",)), 2,
                   Usage(5, 4, 3, 2))  # fmt: skip
    for _ in range(2):
        with store.transaction() as rows:
            rows.put_account(Account("team", "Team", None, None))
            rows.add_sums([each])
    (spend,) = store.read_spend("tag", {}, account="team", label="total").values()
    assert (spend.calls, spend.spent_nano, spend.input_tokens, spend.output_tokens) == (4, 10, 8, 6)


def test_a_ledger_says_how_large_it_is(store: Store) -> None:
    assert store.read_size().bytes > 0
