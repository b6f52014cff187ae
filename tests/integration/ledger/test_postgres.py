"""What only the ledger on PostgreSQL has: a secret URL, the server's clock and word."""

import logging
import sys

import pytest

from prefect_governor.blocks.errors import ConfigurationError, LedgerUnavailable
from prefect_governor.blocks.ledger.postgres.link import parse
from prefect_governor.blocks.ledger.postgres.owner import PostgresOwner
from prefect_governor.blocks.ledger.postgres.pulse import CHANNEL
from prefect_governor.blocks.ledger.postgres.store import PostgresStore
from prefect_governor.blocks.machine.clock import Instant
from prefect_governor.blocks.records.budgets import Account
from prefect_governor.blocks.records.calls import Attribution, Bound
from tests.integration.ledger.watch import soon, write
from tests.postgres import PASSWORD, PostgresServer

HOUR = 3600 * 10**9
NEVER = 1e9


# The URL is a secret


def wrong(postgres_server: PostgresServer, kind: str) -> str:
    port = postgres_server.port
    return {
        "password": f"postgresql://ledger:hunter2secret@127.0.0.1:{port}/postgres",
        "user": f"postgresql://hunter2secret:hunter2secret@127.0.0.1:{port}/postgres",
        "port": "postgresql://ledger:hunter2secret@127.0.0.1:1/postgres",
        "database": f"postgresql://ledger:{PASSWORD}@127.0.0.1:{port}/nowhere",
        "slash": "postgresql://ledger:hunter/2secret@127.0.0.1/postgres",
        "number and slash": "postgresql://ledger:12/hunter2secret@127.0.0.1/postgres",
        "number and hash": "postgresql://ledger:12#hunter2secret@127.0.0.1/postgres",
        "question": "postgresql://ledger:12?hunter2secret@127.0.0.1/postgres",
        "percent": "postgresql://ledger:hunter2secret%zz@127.0.0.1/postgres",
        "scheme": "mysql://ledger:hunter2secret@127.0.0.1/postgres",
        "nonsense": "hunter2secret",
        "schema": f"postgresql://ledger:hunter2secret@127.0.0.1:{port}/postgres?schema=A;hunter2secret",
    }[kind]


@pytest.mark.parametrize(
    "kind",
    ["password", "user", "port", "database", "slash", "number and slash", "number and hash",
     "question", "percent", "scheme", "nonsense", "schema"],
)  # fmt: skip
def test_no_error_tells_the_url(
    postgres_server: PostgresServer, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    given = wrong(postgres_server, kind)
    caplog.set_level(logging.DEBUG)
    for make in (PostgresStore, PostgresOwner):
        with pytest.raises((ConfigurationError, LedgerUnavailable)) as told:
            make(given)
        told_all = f"{told.getrepr(chain=True)} {told.value!r} {caplog.text}"
        for line in told_all.splitlines():
            # The frames of this test itself hold what it was given.
            if "given" not in line and "kind" not in line:
                assert given not in line
        text = str(told.value)
        assert "hunter" not in text and "2secret" not in text and PASSWORD not in text
        # What the driver said is not shown below it.
        assert told.value.__cause__ is None
        assert told.value.__context__ is None or told.value.__suppress_context__


def test_nothing_that_can_be_printed_tells_the_url(url: str) -> None:
    store, owner = PostgresStore(url), PostgresOwner(url)
    assert PASSWORD not in f"{store!r} {store} {owner!r} {owner} {store._link!r} {store._link}"
    assert "127.0.0.1" in repr(store)
    owner.release()
    store.close()


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ("postgresql://u:p%40ss@db.example:5433/team", "PostgreSQL at db.example, database team"),
        ("postgres://u@/team?host=/run/pg", "PostgreSQL at /run/pg, database team"),
        ("postgresql://u:p@a:1,b:2/t?target_session_attrs=read-write",
         "PostgreSQL at a,b, database t"),
        ("postgresql://u:p@[::1]:5432/t", "PostgreSQL at ::1, database t"),
    ],
)  # fmt: skip
def test_every_url_that_libpq_takes_is_taken(given: str, place: str) -> None:
    link = parse(given)
    assert (link.place, link.schema) == (place, "prefect_governor")
    named = parse(f"{given}{'&' if '?' in given else '?'}schema=other")
    assert (named.schema, named.url) == ("other", link.url)
    assert named.lock != link.lock


def test_without_psycopg_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    for make in (PostgresStore, PostgresOwner):
        with pytest.raises(ConfigurationError, match=r"pip install 'prefect-governor\[postgres\]'"):
            make("postgresql://u:p@h/d")


# Waking


def test_whoever_waits_is_woken_by_the_servers_word(url: str) -> None:
    store, other = PostgresStore(url, poll_seconds=NEVER), PostgresStore(url)
    assert not store.changed()
    for _ in range(3):
        write(other)
        assert soon(store.changed)
        assert not store.changed()
    write(store)
    assert not soon(store.changed, 0.1), "its own writes wake nobody"
    store.close()
    other.close()


def test_without_the_servers_word_a_slow_poll_finds_what_was_written(
    url: str, postgres_server: PostgresServer
) -> None:
    store, other = PostgresStore(url, poll_seconds=0.05), PostgresStore(url)
    assert not store.changed()
    # As if nobody had said that they wait.
    schema = store._link.schema
    postgres_server.sql(f"UPDATE {schema}.listeners SET until = '-infinity'")
    write(other)
    assert soon(store.changed)
    store.close()
    other.close()


def test_nothing_is_told_where_nobody_waits(url: str, postgres_server: PostgresServer) -> None:
    import psycopg

    store, other = PostgresStore(url), PostgresStore(url)
    with psycopg.connect(postgres_server.url, autocommit=True) as listener:
        listener.execute(f"LISTEN {CHANNEL}")
        write(other)
        store.changed()
        write(other)
        told = [each.payload for each in listener.notifies(timeout=10, stop_after=1)]
        told += [each.payload for each in listener.notifies(timeout=0.1)]
    assert len(told) == 1 and told[0].startswith(store._link.schema)
    store.close()
    other.close()


# The clock


def test_the_ledgers_clock_never_goes_back_with_the_servers(
    url: str, postgres_server: PostgresServer
) -> None:
    store = PostgresStore(url)
    with store.transaction() as rows:
        rows.put_account(Account("team", "team", 5, None))
        before = rows.now
    # An hour ago by the server: what was written last lies an hour ahead of it now.
    schema = store._link.schema
    postgres_server.sql(f"UPDATE {schema}.clock SET latest = latest + {HOUR}")
    seen: list[Instant] = []
    for _ in range(3):
        write(store)
        with store.transaction() as rows:
            seen.append(rows.now)
    assert before.boot + HOUR <= seen[0].boot < seen[1].boot < seen[2].boot
    assert seen[2].boot - seen[0].boot < 60 * 10**9, "it goes on, and does not stand still"
    assert abs(seen[2].wall - before.wall) < 60 * 10**9, "windows are the server's wall clock's"
    store.close()


def test_between_transactions_the_clock_is_the_servers_and_never_ahead_of_it(url: str) -> None:
    store = PostgresStore(url)
    for _ in range(5):
        guessed = store.now()
        with store.transaction() as rows:
            assert 0 <= rows.now.boot - guessed.boot < 5 * 10**9
    store.close()


# What PostgreSQL cannot keep


@pytest.mark.parametrize("text", ["a\x00b", "lone \ud800", 'quote " and \\u0000', "ü→🜂"])
def test_no_text_of_one_call_fails_the_batch_of_all(url: str, text: str) -> None:
    from prefect_governor.blocks.ledger.decision.batch import Batch
    from prefect_governor.blocks.records.calls import Demand

    store = PostgresStore(url)
    write(store)
    with store.transaction() as rows:
        batch = Batch(rows, "one")
        who = Attribution(label=text, tags=(text,), user=text)
        batch.admit(Demand("a", ("team",), (), Bound(1, 1, 1), who))
        batch.write()
        rows.put_item("run", text, "hash", text)
    (label,) = store.read_spend("label", {})
    assert label is not None and label[0] == text[0]
    assert len(store.read_items("run")) == 1
    store.close()
