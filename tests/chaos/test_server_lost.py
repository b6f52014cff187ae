"""Prefect's server is killed in the midst of a run and started again: no slot of ours is left
taken, no item is lost, and the cap holds."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.client.orchestration import get_client

from prefect_governor.blocks.machine.home import state_folder
from prefect_governor.flows.server.background import BackgroundServer
from tests.postgres import free_port, shared_server
from tests.provider.books.log import in_flight_seconds, utilization
from tests.provider.process import ProviderProcess
from tests.waiting import until

pytestmark = pytest.mark.chaos

CAP = 10
ITEMS = 250
STORAGE = "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE"
DATABASE = "PREFECT_API_DATABASE_CONNECTION_URL"
STORAGES = {
    kind: f"prefect.server.concurrency.lease_storage.{kind}" for kind in ("memory", "filesystem")
}
LIMIT = "governor:team:llm"

RUN = f"""
import json
from prefect_governor import Budget, Governor, Limit, fan_out

governor = Governor(budget=Budget(max_usd=9), limits=[Limit(tag="llm", max_concurrent={CAP})])
governor.save("team")
items = [{{"key": f"{{at:04d}}", "text": f"item {{at}}"}} for at in range({ITEMS})]
report = fan_out(
    items, ask="What is this?", model="openai/gpt-4o-mini", governor="team", max_output_tokens=16
)
print(json.dumps(report.model_dump(mode="json")))
"""


@pytest.fixture
def background(
    home: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[BackgroundServer]:
    """A server of the test's own, with this database and this storage of leases; not started."""
    database, storage = request.param
    monkeypatch.setenv(STORAGE, STORAGES[storage])
    if database == "postgres":
        postgres = shared_server()
        name = f"prefect_{storage}"
        postgres.sql(f"CREATE DATABASE {name}")
        url = postgres.url.replace("postgresql://", "postgresql+asyncpg://")
        monkeypatch.setenv(DATABASE, f"{url.rpartition('/')[0]}/{name}")
    made = BackgroundServer(state_folder())
    # Not the usual port: whoever took it during the restart would be taken for the server.
    made.record.write_text(json.dumps({"pid": None, "port": free_port()}))
    yield made
    if running := made.running():
        made.end(running, 10)


@pytest.mark.parametrize(
    "background",
    [(database, storage) for database in ("sqlite", "postgres") for storage in STORAGES],
    indirect=True,
    ids=lambda value: " and ".join(value),
)
def test_no_slot_is_leaked_and_no_item_lost_when_the_server_is_killed(
    background: BackgroundServer,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    info = background.start(lambda _: None, 90)
    assert info.pid is not None
    limits = {"max_concurrent": CAP}
    log = tmp_path / "run.log"
    with (
        ProviderProcess(latency_seconds=1.0, output_tokens=5, limits=limits) as provider,
        log.open("w") as stderr,
    ):
        monkeypatch.setenv("OPENAI_API_BASE", provider.api_base)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-test")
        monkeypatch.setenv("PREFECT_API_URL", info.url)
        process = subprocess.Popen(
            [sys.executable, "-c", RUN],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )

        def under_way() -> bool:
            assert process.poll() is None, log.read_text()[-4000:]
            return bool(provider.stats()["requests"] >= 3 * CAP)

        try:
            until(under_way, seconds=90)
            os.kill(info.pid, signal.SIGKILL)
            killed = time.monotonic()
            until(lambda: background.running() is None, seconds=10)
            done = provider.stats()["requests"]
            time.sleep(5)
            assert background.start(lambda _: None, 90).url == info.url
            back = time.monotonic()
            stdout, _ = process.communicate(timeout=240)
        finally:
            process.kill()
            process.communicate()
        stats = provider.settled_stats()
        records = provider.log()
    assert stdout, log.read_text()[-4000:]
    report = json.loads(stdout)
    states = Counter(item["state"] for item in report["items"])
    with get_client(sync_client=True, httpx_settings={"base_url": info.url}) as client:

        def taken() -> int:
            found = client.read_global_concurrency_limit_by_name(LIMIT)
            return found.active_slots or 0

        at_end = taken()
        freed = until(lambda: taken() == 0, seconds=75)
    meanwhile = in_flight_seconds(records, killed, back) / (CAP * (back - killed))
    print(
        f"\n{request.node.callspec.id}: killed after {done} of {ITEMS} calls, away for"
        f" {back - killed:.1f} s, {meanwhile:.0%} of the cap in use meanwhile,"
        f" {utilization(records, CAP):.1%} over the run; {dict(states)}, {stats['requests']} calls,"
        f" at most {stats['max_open']} of {CAP} open, {stats['throttled']} refused; {at_end} slots"
        f" taken at the end, none {freed:.1f} s later"
    )
    assert states == {"succeeded": ITEMS}
    assert stats["requests"] == ITEMS
    assert stats["max_open"] <= CAP
    assert stats["throttled"] == 0
    assert done < ITEMS - 5 * CAP, "it was over before the server was killed"
    assert freed < 5
