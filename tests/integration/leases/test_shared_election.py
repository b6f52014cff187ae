"""Of several machines on one PostgreSQL ledger, one keeps the leases."""

from pathlib import Path

import pytest

from prefect_governor.blocks.errors import LedgerUnavailable
from prefect_governor.blocks.leases.shared_election import ASK_SECONDS, SharedElection
from tests.postgres import PostgresServer
from tests.unit.clocks import Seconds


@pytest.fixture
def clock() -> Seconds:
    return Seconds()


def machine(folder: Path, name: str, url: str, clock: Seconds, key: str = "gov") -> SharedElection:
    (folder / name).mkdir(exist_ok=True)
    return SharedElection(folder / name / f"{key}.keeper", url, clock=clock)


def test_one_of_two_machines_is_elected_until_it_stands_down(
    postgres_server: PostgresServer, tmp_path: Path, clock: Seconds
) -> None:
    url = postgres_server.url
    first, second = (machine(tmp_path, name, url, clock) for name in ("a", "b"))
    assert first.won()
    assert not second.won()
    clock.now += ASK_SECONDS
    assert first.won()
    assert not second.won()
    first.close()
    assert not second.won(), "it asks the server now and then only"
    clock.now += ASK_SECONDS
    assert second.won()
    second.close()


def test_other_governors_elect_apart(
    postgres_server: PostgresServer, tmp_path: Path, clock: Seconds
) -> None:
    url = postgres_server.url
    one = machine(tmp_path, "a", url, clock, key="one")
    other = machine(tmp_path, "b", url, clock, key="other")
    assert one.won()
    assert other.won()
    one.close()
    other.close()


def test_of_one_machine_one_process_stands(
    postgres_server: PostgresServer, tmp_path: Path, clock: Seconds
) -> None:
    first, second = (machine(tmp_path, "a", postgres_server.url, clock) for _ in range(2))
    assert first.won()
    assert not second.won()
    assert second._session is None, "it asked the server for nothing"
    first.close()
    second.close()


def test_session_that_is_lost_is_an_election_that_is_lost(
    postgres_server: PostgresServer, tmp_path: Path, clock: Seconds
) -> None:
    url = postgres_server.url
    first, second = (machine(tmp_path, name, url, clock) for name in ("a", "b"))
    assert first.won()
    assert first._session is not None
    pid = first._session.info.backend_pid
    postgres_server.sql(f"SELECT pg_terminate_backend({pid}, 5000)")
    assert second.won()
    clock.now += ASK_SECONDS
    assert not first.won()
    assert second.won()
    first.close()
    second.close()


def test_server_that_is_away_elects_nobody(tmp_path: Path, clock: Seconds) -> None:
    away = machine(tmp_path, "a", "postgresql://user:secret-word@127.0.0.1:1/none", clock)
    with pytest.raises(LedgerUnavailable) as error:
        away.won()
    assert "secret-word" not in str(error.value)
    away.close()
