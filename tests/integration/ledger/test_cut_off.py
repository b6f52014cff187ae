"""A process that was frozen closes its own calls when it goes on, before it does anything else."""

import asyncio
import mmap
import os
import signal
import struct
from pathlib import Path

import httpx
import pytest

from prefect_governor.blocks.context.scope import Scope, scope
from prefect_governor.blocks.ledger.desk import CUT_OFF_SECONDS, LOST_SECONDS, LedgerDesk
from prefect_governor.blocks.ledger.owner import Owner
from prefect_governor.blocks.ledger.sqlite.store import SQLiteStore
from prefect_governor.blocks.machine.clock import Instant, machine_now
from prefect_governor.blocks.models.clients import async_pool
from prefect_governor.blocks.prices.prices import UsageParts, cost, load_price
from prefect_governor.blocks.records.budgets import Account
from prefect_governor.blocks.records.calls import Usage
from prefect_governor.blocks.records.notices import Audit
from prefect_governor.blocks.wire.transport import GovernedAsyncTransport, GovernedTransport
from prefect_governor.blocks.work.runtime import Runtime
from tests.chaos.processes import ended_well, fork
from tests.provider.fixtures import MakeProvider
from tests.provider.process import ProviderProcess

MODEL = "openai/gpt-4o-mini"
ANSWERS_AFTER_SECONDS = 90.0
BODY = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "What is it?"}],
    "max_tokens": 30,
}


class Clock:
    """The machine's, moved on for all who share it: what a process sleeps through costs no time."""

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, 8)

    def pass_(self, seconds: float) -> None:
        self._shared[:8] = struct.pack("q", self._moved() + int(seconds * 1e9))

    def __call__(self) -> Instant:
        now, moved = machine_now(), self._moved()
        return Instant(now.boot + moved, now.wall + moved)

    def _moved(self) -> int:
        (moved,) = struct.unpack("q", self._shared[:8])
        return int(moved)


def open_desk(folder: Path, clock: Clock) -> LedgerDesk:
    store = SQLiteStore(folder / "ledger.sqlite", now=clock)
    return LedgerDesk(store, Owner(folder / "owners"), now=clock)


def call(folder: Path, clock: Clock, provider: ProviderProcess, kind: str) -> None:
    """A call that is cut while it is open; it ends as an error of the connection."""
    account = Account("team", "team", 10**9, None, version="1")
    runtime = Runtime("team", open_desk(folder, clock), (account,), (), now=clock)
    runtime.apply()
    url = f"{provider.api_base}/chat/completions"

    async def awaited() -> None:
        transport = GovernedAsyncTransport(async_pool(), provider="openai")
        async with httpx.AsyncClient(transport=transport, timeout=None) as client:
            await client.post(url, json=BODY)

    with scope(Scope(runtime)), pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
        if kind == "async":
            asyncio.run(awaited())
        else:
            transport = GovernedTransport(httpx.HTTPTransport(), provider="openai")
            with httpx.Client(transport=transport, timeout=None) as client:
                client.post(url, json=BODY)


@pytest.mark.parametrize("kind", ["async", "blocking"])
def test_frozen_process_closes_its_calls_itself_and_they_settle_late(
    make_provider: MakeProvider, tmp_path: Path, kind: str
) -> None:
    provider = make_provider(latency_seconds=ANSWERS_AFTER_SECONDS)
    clock = Clock()
    child = fork(lambda: call(tmp_path, clock, provider, kind))
    while not provider.stats()["open"]:
        assert os.waitpid(child, os.WNOHANG) == (0, 0), "the call was never open"
    os.kill(child, signal.SIGSTOP)
    os.waitpid(child, os.WUNTRACED)
    # Longer than it may go on after, and not so long that another has taken its calls from it.
    frozen = (CUT_OFF_SECONDS + LOST_SECONDS) / 2
    clock.pass_(frozen)
    assert provider.stats()["open"] == 1, "nobody but the frozen process closes its calls"
    os.kill(child, signal.SIGCONT)
    stats = provider.settled_stats(timeout_seconds=20)
    assert ended_well(child)
    assert stats["abandoned"] == 1
    (record,) = provider.log()
    print(
        f"{kind}: stopped for {frozen:.1f} s of its clock, its call closed"
        f" {record['end'] - record['arrival']:.2f} s after its arrival, answered after"
        f" {ANSWERS_AFTER_SECONDS:.0f} s; billed {record['billed_nano']} nano-dollars"
    )
    desk = open_desk(tmp_path, clock)
    try:
        (lost,) = desk.store.read_calls(["unconfirmed"])
        assert lost.reason in ("ReadError", "RemoteProtocolError")
        known = desk.store.read_purse("team")
        assert known is not None
        assert known[1].unconfirmed_nano == lost.bound.nano >= record["billed_nano"] > 0
        # The provider's own record says what it came to.
        price = load_price(MODEL)
        assert price is not None
        parts = UsageParts(record["input"], record["output"])
        usage = Usage(cost(price, parts), record["input"], record["output"])
        audit = Audit(
            "settled", lost.call_id, "a test", "by the provider's log", None, "", "", clock().wall
        )
        assert desk.write(lambda batch: batch.reconcile(lost.call_id, usage, audit)).result()
        known = desk.store.read_purse("team")
        assert known is not None
        assert (known[1].spent_nano, known[1].unconfirmed_nano) == (record["billed_nano"], 0)
    finally:
        desk.close()
