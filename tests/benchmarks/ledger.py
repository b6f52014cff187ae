"""How many calls a second the ledger admits and settles, on SQLite with full durability.

    python -m tests.benchmarks.ledger --processes 4 --seconds 5

Every process keeps a number of calls open, admits each under a chain of two budgets and one limit
and settles it at once; nothing is in short supply, so an admission's time is the ledger's alone.
Printed beside it, from the same run and disk: bare commits of one row, before and after.
"""

import argparse
import multiprocessing
import sqlite3
import statistics
import tempfile
import threading
import time
from concurrent.futures import Future
from pathlib import Path

from prefect_governor.blocks.ledger.batch import Batch
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.ledger.owner import Owner
from prefect_governor.blocks.ledger.records import (
    Account,
    Admission,
    Attribution,
    Bound,
    Demand,
    LimitTerms,
    Rate,
    Usage,
)
from prefect_governor.blocks.ledger.sqlite import SQLiteStore
from prefect_governor.blocks.ledger.store import Spend

CHAIN = ("leaf", "root")
BOUND, USAGE = Bound(5_000, 400, 100), Usage(3_000, 350, 60)
RATES = (Rate("requests", 10**9), Rate("tokens", 10**12))


class Driver:
    """Keeps `open_calls` calls going through a desk until the deadline."""

    def __init__(self, desk: LedgerDesk, name: str, deadline: float) -> None:
        self.desk, self.name, self.deadline = desk, name, deadline
        self.pairs = 0
        self.admissions: list[float] = []
        self._begun = 0
        self._lock = threading.Lock()

    def go(self, _: object = None) -> None:
        if time.monotonic() >= self.deadline:
            return
        with self._lock:
            self._begun += 1
            call_id = f"{self.name}-{self._begun}"
        asked = time.perf_counter()
        who = Attribution(flow="bench", task="call", tags=("llm",), run_id=self.name, item=call_id)
        future = self.desk.admit(Demand(call_id, CHAIN, ("llm",), BOUND, who))

        def admitted(done: "Future[Admission]") -> None:
            done.result()
            self.admissions.append(time.perf_counter() - asked)
            self.desk.settle(call_id, USAGE).add_done_callback(settled)

        def settled(done: "Future[None]") -> None:
            done.result()
            self.pairs += 1
            self.go()

        future.add_done_callback(admitted)


def work(
    folder: Path, name: str, seconds: float, open_calls: int, start: float
) -> tuple[int, list[float]]:
    """One process's share."""
    desk = LedgerDesk(SQLiteStore(folder / "ledger.db"), Owner(folder / "owners"))
    time.sleep(max(0.0, start - time.time()))
    driver = Driver(desk, name, time.monotonic() + seconds)
    for _ in range(open_calls):
        driver.go()
    while time.monotonic() < driver.deadline + 0.5:
        time.sleep(0.05)
    desk.close()
    return driver.pairs, driver.admissions


def bare_commits(folder: Path, seconds: float = 1.0) -> list[float]:
    """Seconds that each one-row commit took."""
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS bare (id INTEGER PRIMARY KEY, text TEXT)")
    took, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.perf_counter()
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO bare (text) VALUES (?)", ("x" * 300,))
        connection.execute("COMMIT")
        took.append(time.perf_counter() - began)
    connection.close()
    return took


def quantiles(values: list[float]) -> str:
    cuts = statistics.quantiles(values, n=100)
    return f"p50 {cuts[49] * 1e3:.2f} ms, p99 {cuts[98] * 1e3:.2f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--open-calls", type=int, default=50, help="calls open at once, a process")
    parser.add_argument("--rates", action="store_true", help="the limit has two rates as well")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        desk = LedgerDesk(SQLiteStore(folder / "ledger.db"), Owner(folder / "owners"))
        terms = LimitTerms("llm", "llm", 10**6, RATES if chosen.rates else ())
        accounts = [Account(key, key, 10**15, 10**15, "day", version="1") for key in CHAIN]

        def set_up(batch: Batch) -> None:
            for account in accounts:
                batch.register(account)
            batch.define(terms)

        desk.write(set_up).result()
        desk.close()
        before = bare_commits(folder)
        start = time.time() + 1.0
        with multiprocessing.get_context("spawn").Pool(chosen.processes) as pool:
            shares = [
                (folder, f"p{n}", chosen.seconds, chosen.open_calls, start)
                for n in range(chosen.processes)
            ]
            results = pool.starmap(work, shares, chunksize=1)
        after = bare_commits(folder)
        pairs = [result[0] for result in results]
        admissions = [each for result in results for each in result[1]]
        spent = [each.spent_nano for each in _spends(folder)]
        assert sum(spent) == sum(pairs) * USAGE.nano, "the ledger's figures are not the calls'"
    print(f"{sum(pairs) / chosen.seconds:,.0f} admit-and-settle pairs a second", end=" ")
    print(f"over {chosen.processes} processes ({', '.join(f'{each:,}' for each in pairs)})")
    print(f"an admission that need not wait: {quantiles(admissions)}")
    print(f"a bare commit: {quantiles(before)} before; {quantiles(after)} after")


def _spends(folder: Path) -> list[Spend]:
    store = SQLiteStore(folder / "ledger.db")
    try:
        return list(store.read_spend("flow", {}).values())
    finally:
        store.close()


if __name__ == "__main__":
    main()
