"""Leases on a real server that is restarted, goes away and is edited."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate

from prefect_governor.blocks.leases.limit_server import ServerAway
from prefect_governor.blocks.leases.prefect_limits import PrefectLimits, impatient
from prefect_governor.blocks.machine.home import state_folder
from prefect_governor.flows.server.background import BackgroundServer, ServerInfo
from prefect_governor.flows.server.server import use_server
from tests.integration.conftest import keep_to_a_port_of_its_own
from tests.integration.databases import Databases
from tests.talk import Talk
from tests.warm import WarmParent

STORAGE = "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"
MEMORY = "prefect.server.concurrency.lease_storage.memory"

# Four calls are in flight while the server is restarted, four wait. It says how far it is, and goes
# on when it is told to.
AT_WORK = """
import sys, time
from uuid import uuid4
from prefect.client.orchestration import get_client
from prefect_governor import Budget, Governor, Limit
from prefect_governor.blocks.records.calls import Attribution, Bound, Demand, Usage
from prefect_governor.blocks.leases import leasing
from prefect_governor.blocks.work.registry import stop_all
from tests.talk import tell

leasing.RENEW_AFTER_SECONDS = 1
Governor(budget=Budget(max_usd=9), limits=[Limit(tag="llm", max_concurrent=4)]).save("team")
runtime = Governor.load("team").runtime
key = runtime.limits_[0].key
who = Attribution()

def ask():
    call = uuid4().hex
    return call, runtime.desk.admit(
        Demand(call, runtime.accounts(who), (key,), Bound(10, 10, 10), who)
    )

def held():
    rows = runtime.desk.write(lambda batch: batch.rows.leases(key)).result(30)
    return {row.lease_id for row in rows}

def taken():
    with get_client(sync_client=True) as client:
        return client.read_global_concurrency_limit_by_name("governor:team:llm").active_slots

def until(what):
    deadline = time.monotonic() + 20
    while not what():
        assert time.monotonic() < deadline, (taken(), held(), before)
        time.sleep(0.1)

def paused(*words):
    tell(words)
    sys.stdin.readline()

flying = [ask() for _ in range(4)]
for _, admitted in flying:
    admitted.result(20)
before = held()
paused("flying", taken())
waiting = [ask() for _ in range(4)]
if sys.argv[1] == "kept":
    time.sleep(2)
    assert held() == before
else:
    until(lambda: len(held()) == len(before) and not held() & before)
assert taken() == 4, taken()
for call, admitted in [*flying, *waiting]:
    admitted.result(20)
    runtime.desk.settle(call, Usage(1, 1, 1)).result(30)
until(lambda: taken() == 0)
paused("done", 0)
begun = time.monotonic()
stop_all()
tell(("ended", time.monotonic() - begun))
"""


@pytest.fixture
def background(home: Path, server: ServerInfo, databases: Databases) -> Iterator[BackgroundServer]:
    """A server of the test's own, to be restarted; not started yet."""
    with databases.copied(home):
        made = BackgroundServer(state_folder())
        keep_to_a_port_of_its_own(made)
        yield made
    if running := made.running():
        made.end(running, 10)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("storage", "fate"), [(None, "kept"), (MEMORY, "lost")], ids=["our server", "leases in memory"]
)
def test_governor_goes_on_after_a_restart_of_the_server_and_ends_at_once_without_it(
    background: BackgroundServer,
    monkeypatch: pytest.MonkeyPatch,
    warm: WarmParent,
    storage: str | None,
    fate: str,
) -> None:
    if storage is not None:
        monkeypatch.setenv(STORAGE, storage)
    info = background.start(lambda _: None, 90)
    environment = os.environ | {"PREFECT_API_URL": info.url}
    with Talk(warm.command("-c", AT_WORK, fate), env=environment) as talk:
        assert talk.hear() == ["flying", 4]
        background.end(info, 10)
        assert background.start(lambda _: None, 90).url == info.url
        talk.say()
        assert talk.hear() == ["done", 0]
        restarted = background.running()
        assert restarted is not None
        background.end(restarted, 10)
        talk.say()
        word, seconds = talk.hear()
        assert word == "ended"
        assert seconds < 20, "it waited for a lease to run out"


def test_client_says_what_the_server_does_and_does_not_wait_for_one_that_is_gone(
    server: ServerInfo,
) -> None:
    name = f"limit-{uuid4().hex[:8]}"

    def taken() -> int:
        found = limits.read(name)
        assert found is not None
        return found.active_slots or 0

    with get_client(sync_client=True) as client:
        client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=4))
    limits = PrefectLimits(patient=False)
    limits.update(name, 5)
    found = limits.read(name)
    assert found is not None
    assert found.limit == 5
    lease_id = limits.acquire(name, 3, 60)
    assert lease_id is not None
    assert limits.acquire(name, 3, 60) is None
    assert limits.renew(lease_id, 60)
    limits.give_back(name, 1)
    assert taken() == 2
    limits.release(lease_id)
    assert not limits.renew(lease_id, 60)
    limits.release(lease_id)
    assert taken() == 0

    try:
        use_server(ServerInfo("http://127.0.0.1:9/api", "http://127.0.0.1:9"))
        begun = time.monotonic()
        with impatient(), pytest.raises(ServerAway) as away:
            PrefectLimits(patient=False).give_back(name, 1)
        assert away.value.undone
        assert time.monotonic() - begun < 5
    finally:
        use_server(server)
