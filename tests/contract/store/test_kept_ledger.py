"""A ledger that an earlier release wrote opens, reads the same to the last figure, and goes on.

`files/ledger-schema-4.sqlite` was written by the code of 2026-11-29 (06fa981), and the JSON beside
it says what that code read of it.
"""

import json
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import pytest

from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.ledger.decision.store import Store
from prefect_governor.blocks.ledger.sqlite.store import SQLiteStore
from prefect_governor.blocks.machine.clock import boot_id
from prefect_governor.blocks.records.calls import Bound, Demand, ReplyKey, Usage
from tests.unit.clocks import TUESDAY, Clock

FILES = Path(__file__).parent / "files"
KEPT = json.loads((FILES / "ledger-schema-4.json").read_text())
COLUMNS = ("flow", "deployment", "task", "tag", "model", "user", "item")
DAY_SECONDS = 86_400


def plain(value: Any) -> Any:
    """As JSON has it, but for what a machine has drawn, which no file of that time knows."""
    if is_dataclass(value):
        names = [each.name for each in fields(value) if each.name != "drawing"]
        return {name: plain(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {str(name): plain(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return value.decode() if isinstance(value, bytes) else value


READS: dict[str, Callable[[Store], Any]] = {
    "ledger_id": lambda store: store.ledger_id,
    "purses": lambda store: {key: store.read_purse(key) for key in KEPT["of"]["accounts"]},
    "gates": lambda store: {key: store.read_gate(key) for key in KEPT["of"]["limits"]},
    "calls": lambda store: store.read_calls(("reserved", "spent", "released", "unconfirmed")),
    "upstreams": lambda store: store.read_upstreams(),
    "learned": lambda store: store.read_learned(KEPT["of"]["model"]),
    "items": lambda store: {
        "|".join(key): record for key, record in store.read_items(KEPT["of"]["run"]).items()
    },
    "audit": lambda store: store.read_audit(),
    "allocations": lambda store: store.read_allocations(KEPT["of"]["accounts"][1]),
    "spend": lambda store: {column: store.read_spend(column, {}) for column in COLUMNS},
}


@pytest.fixture
def kept(tmp_path: Path, request: pytest.FixtureRequest) -> Store:
    """Opened a day after most of it was written, since when the machine was not booted again."""
    path = tmp_path / "ledger.sqlite"
    shutil.copy(FILES / "ledger-schema-4.sqlite", path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE meta SET value = ? WHERE key = 'boot_id'", (boot_id(),))
    clock = Clock()
    clock.pass_(DAY_SECONDS + 60)
    assert clock.wall > TUESDAY
    store = SQLiteStore(path, now=clock)
    request.addfinalizer(store.close)
    return store


def test_nothing_that_was_read_then_is_left_out() -> None:
    assert set(READS) == set(KEPT["found"])


@pytest.mark.parametrize("what", READS)
def test_kept_ledger_reads_the_same(kept: Store, what: str) -> None:
    found = KEPT["found"][what]
    assert found
    assert plain(READS[what](kept)) == found


def test_kept_ledger_goes_on(kept: Store) -> None:
    """What was in flight settles, a reply is replayed, the next call is admitted."""
    key = ReplyKey(*KEPT["of"]["reply"])
    reply = kept.read_reply(key)
    assert reply is not None and reply.body == b'{"choices":[]}'
    accounts, limits = KEPT["of"]["accounts"], KEPT["of"]["limits"]
    top = KEPT["found"]["purses"][accounts[0]][1]
    with kept.transaction() as rows:
        batch = Batch(rows, "one")
        assert batch.settle("call-5", Usage(600_000, 200, 90))
        batch.admit(Demand("call-new", (accounts[1], accounts[0]), tuple(limits), Bound(9, 9, 9)))
        batch.write()
    after = kept.read_purse(accounts[0])
    assert after is not None
    assert after[1].spent_nano == top["spent_nano"] + 600_000
    (new,) = [each for each in kept.read_calls(("reserved",)) if each.call_id == "call-new"]
    assert new.bound == Bound(9, 9, 9)
