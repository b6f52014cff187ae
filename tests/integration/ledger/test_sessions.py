"""An owner's session on PostgreSQL: its end is a death, and no child speaks on its parent's."""

import os
import signal
import threading
from typing import Any

import pytest

from prefect_governor.blocks.errors import LedgerUnavailable
from prefect_governor.blocks.ledger.postgres.owner import GRACE_SECONDS, PostgresOwner
from prefect_governor.blocks.ledger.postgres.store import PostgresStore
from tests.chaos.processes import ended_well, fork
from tests.integration.ledger.watch import soon, write
from tests.postgres import PostgresServer

# Sessions


def aged(url: str) -> PostgresOwner:
    """An owner whose session is old enough to tell the dead."""
    moments = iter([0.0])
    return PostgresOwner(url, clock=lambda: next(moments, GRACE_SECONDS))


def test_death_is_a_fact_and_a_stopped_process_is_alive(url: str) -> None:
    read, told = os.pipe()

    def spend() -> None:
        owner = PostgresOwner(url)
        os.write(told, owner.id.encode())
        signal.pause()

    pid = fork(spend)
    victim = os.read(read, 32).decode()
    prober = aged(url)
    assert not prober.is_dead(victim)
    os.kill(pid, signal.SIGSTOP)
    os.waitpid(pid, os.WUNTRACED)
    assert not prober.is_dead(victim)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert soon(lambda: prober.is_dead(victim))
    assert not prober.is_dead(prober.id)
    prober.bury(victim)
    prober.release()
    os.close(read)
    os.close(told)


def test_a_clean_end_is_a_death(url: str) -> None:
    owner, prober = PostgresOwner(url), aged(url)
    assert not prober.is_dead(owner.id)
    owner.release()
    assert soon(lambda: prober.is_dead(owner.id))
    with pytest.raises(LedgerUnavailable, match="released"):
        owner.is_dead(prober.id)
    prober.release()


def test_a_session_that_is_young_holds_nobody_for_dead(url: str) -> None:
    """A server that was started again has lost every session, of the living too."""
    now = [0.0]
    prober = PostgresOwner(url, clock=lambda: now[0])
    assert not prober.is_dead("nobody")
    now[0] = GRACE_SECONDS - 0.1
    assert not prober.is_dead("nobody")
    now[0] = GRACE_SECONDS
    assert prober.is_dead("nobody")
    prober.release()


def cut(postgres_server: PostgresServer, owner: PostgresOwner) -> None:
    """End an owner's session, as the server does when the network is gone."""
    assert owner._session is not None
    pid = owner._session.info.backend_pid
    postgres_server.sql(f"SELECT pg_terminate_backend({pid}, 5000)")


def test_a_session_that_was_cut_is_dead_to_others_until_it_is_taken_again(
    url: str, postgres_server: PostgresServer
) -> None:
    owner, prober = aged(url), aged(url)
    cut(postgres_server, owner)
    assert prober.is_dead(owner.id)
    known = owner.id
    assert not owner.is_dead(owner.id), "to itself it is not dead"
    assert owner.id == known
    assert not prober.is_dead(owner.id)
    owner.release()
    prober.release()


def test_a_prober_that_was_cut_itself_cannot_tell(
    url: str, postgres_server: PostgresServer
) -> None:
    now = [0.0]
    prober = PostgresOwner(url, clock=lambda: now[0])
    now[0] = GRACE_SECONDS
    assert prober.is_dead("nobody")
    cut(postgres_server, prober)
    assert not prober.is_dead("nobody")
    now[0] += GRACE_SECONDS
    assert prober.is_dead("nobody")
    prober.release()


# Forks


def test_a_child_speaks_on_no_session_of_its_parents(url: str) -> None:
    store, owner, prober = PostgresStore(url), PostgresOwner(url), aged(url)
    write(store)
    store.changed()

    def child() -> None:
        # What it inherits works on a session of its own, and ends nothing of the parent's.
        write(store, "of the child")
        assert store.read_purse("team") is not None
        store.close()
        owner.release()

    assert store._writer is not None
    before = store._writer.info.backend_pid
    for _ in range(3):
        assert ended_well(fork(child))
    write(store)
    assert store._writer is not None and store._writer.info.backend_pid == before
    assert store.read_purse("of the child") is not None
    assert not prober.is_dead(owner.id)
    for each in (owner, prober):
        each.release()
    store.close()


def test_a_child_that_lives_on_does_not_hide_its_parents_death(url: str) -> None:
    """A socket that stays open somewhere keeps the session, and the claim, for ever."""
    read, told = os.pipe()

    def parent() -> None:
        owner = PostgresOwner(url)
        child = fork(lambda: signal.pause())
        os.write(told, f"{owner.id} {child}".encode())
        signal.pause()

    pid = fork(parent)
    victim, child = os.read(read, 100).decode().split()
    prober = aged(url)
    assert not prober.is_dead(victim)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    try:
        assert soon(lambda: prober.is_dead(victim))
        os.kill(int(child), 0)
    finally:
        os.kill(int(child), signal.SIGKILL)
    prober.release()
    os.close(read)
    os.close(told)


def test_a_fork_in_the_midst_of_transactions_leaves_both_sides_working(url: str) -> None:
    store = PostgresStore(url)
    stop, failures = threading.Event(), list[Any]()

    def spend() -> None:
        while not stop.is_set():
            try:
                write(store)
                store.changed()
            except BaseException as error:
                failures.append(error)
                return

    thread = threading.Thread(target=spend)
    thread.start()
    children = [fork(lambda: write(store, "of a child")) for _ in range(8)]
    assert all([ended_well(pid) for pid in children])
    stop.set()
    thread.join()
    assert not failures
    assert store.read_purse("of a child") is not None
    store.close()
