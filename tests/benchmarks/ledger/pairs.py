"""How many calls a second the ledger admits and settles, with full durability.

    python -m tests.benchmarks.ledger --store sqlite
    python -m tests.benchmarks.ledger --store postgres [--url URL]

Two runs, each on a ledger of its own, nothing in short supply, so that an admission's time is the
ledger's alone; every call draws on a chain of two budgets and one limit and is settled at once:

throughput   every process keeps a number of calls open
half load    calls arrive evenly at half of the target, whatever became of those before; their time
             is counted from when they were due

Beside them, from the same minute and disk: bare transactions of one row. CPU is that of the four
processes, their driver's included, without a server's. With `--check` the exit status is 1 where a
target is missed.
"""

import argparse
import multiprocessing
import os
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.ledger.decision.store import Store
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.ledger.owner import Owner
from prefect_governor.blocks.ledger.postgres.owner import PostgresOwner
from prefect_governor.blocks.ledger.postgres.store import PostgresStore
from prefect_governor.blocks.ledger.sqlite.store import SQLiteStore
from prefect_governor.blocks.records.budgets import Account
from prefect_governor.blocks.records.calls import Admission, Attribution, Bound, Demand, Usage
from prefect_governor.blocks.records.limits import LimitRecord, Rate

CHAIN = ("leaf", "root")
BOUND, USAGE = Bound(5_000, 400, 100), Usage(3_000, 350, 60)
RATES = (Rate("requests", 10**9), Rate("tokens", 10**12))
# Pairs a second over 4 processes, and the p99 of an admission at half of them.
TARGETS = {"sqlite": 5_000.0, "postgres": 2_000.0}
P99_MS = 20.0


@dataclass(frozen=True)
class Place:
    """Where the ledgers of a run are: a folder, or a database (`url`)."""

    folder: Path
    url: str | None = None

    def store(self, ledger: str) -> Store:
        if self.url is None:
            return SQLiteStore(self.folder / f"{ledger}.db")
        return PostgresStore(self._url(ledger))

    def desk(self, ledger: str) -> LedgerDesk:
        if self.url is None:
            return LedgerDesk(self.store(ledger), Owner(self.folder / "owners"))
        store = PostgresStore(self._url(ledger))
        return LedgerDesk(store, PostgresOwner(self._url(ledger)), now=store.now)

    def _url(self, ledger: str) -> str:
        assert self.url is not None
        return f"{self.url}{'&' if '?' in self.url else '?'}schema=bench_{ledger}"


@dataclass
class Driver:
    """Makes calls through a desk: `open_calls` at a time, or `rate` a second."""

    desk: LedgerDesk
    name: str
    pairs: int = 0
    seconds: list[float] = field(default_factory=list)
    begun: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def keep_open(self, deadline: float, open_calls: int) -> None:
        def again() -> None:
            if time.monotonic() < deadline:
                self.call(time.perf_counter(), again)

        for _ in range(open_calls):
            again()
        _sleep_until(deadline)

    def arrive(self, deadline: float, rate: float) -> None:
        start, first = time.perf_counter(), time.monotonic()
        for number in range(int((deadline - first) * rate)):
            due = start + number / rate
            time.sleep(max(0.0, due - time.perf_counter()))
            self.call(due, lambda: None)

    def call(self, due: float, then: Callable[[], None]) -> None:
        with self.lock:
            self.begun += 1
            call_id = f"{self.name}-{self.begun}"
        who = Attribution(flow="bench", task="call", tags=("llm",), run_id=self.name, item=call_id)

        def admitted(done: "Future[Admission]") -> None:
            done.result()
            self.seconds.append(time.perf_counter() - due)
            self.desk.settle(call_id, USAGE).add_done_callback(settled)

        def settled(done: "Future[None]") -> None:
            done.result()
            self.pairs += 1
            then()

        future = self.desk.admit(Demand(call_id, CHAIN, ("llm",), BOUND, who))
        future.add_done_callback(admitted)

    def drain(self) -> None:
        end = time.monotonic() + 10
        while self.pairs < self.begun and time.monotonic() < end:
            time.sleep(0.02)


@dataclass(frozen=True)
class Load:
    """What each process does, for how long: a rate a second, or calls kept open."""

    ledger: str
    seconds: float
    start: float
    open_calls: int = 0
    rate: float = 0.0


@dataclass(frozen=True)
class Share:
    """What one process did: pairs within the time, the seconds each admission took, and the CPU
    seconds of all its pairs."""

    pairs: int
    seconds: list[float]
    cpu_seconds: float


def work(place: Place, name: str, load: Load) -> Share:
    """One process's share of a load."""
    desk = place.desk(load.ledger)
    driver = Driver(desk, name)
    time.sleep(max(0.0, load.start - time.time()))
    deadline, cpu = time.monotonic() + load.seconds, time.process_time()
    if load.rate:
        driver.arrive(deadline, load.rate)
        driver.drain()
        pairs = driver.pairs
    else:
        driver.keep_open(deadline, load.open_calls)
        pairs = driver.pairs
        driver.drain()
    cpu = time.process_time() - cpu
    desk.close()
    return Share(pairs, driver.seconds, cpu)


def run(
    place: Place,
    load: Load,
    processes: int,
    rates: bool,
    work: Callable[[Place, str, Load], Share] = work,
) -> list[Share]:
    """A load on a new ledger: each process's share."""
    desk = place.desk(load.ledger)

    def set_up(batch: Batch) -> None:
        for key in CHAIN:
            batch.register(Account(key, key, 10**15, 10**15, "day", version="1"))
        batch.define(LimitRecord("llm", "llm", 10**6, RATES if rates else ()))

    desk.write(set_up).result()
    desk.close()
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        shares = pool.starmap(
            work, [(place, f"p{number}", load) for number in range(processes)], chunksize=1
        )
    store = place.store(load.ledger)
    spent = sum(each.spent_nano for each in store.read_spend("flow", {}).values())
    store.close()
    calls = sum(len(share.seconds) for share in shares)
    assert spent == calls * USAGE.nano, "the ledger's figures are not the calls'"
    return shares


def bare_sqlite(folder: Path) -> Iterator[None]:
    connection = sqlite3.connect(folder / "bare.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE IF NOT EXISTS bare (id INTEGER PRIMARY KEY, text TEXT)")
    while True:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO bare (text) VALUES (?)", ("x" * 300,))
        connection.execute("COMMIT")
        yield


def bare_postgres(url: str) -> Iterator[None]:
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS bare (id bigserial, text text)")
        while True:
            connection.execute("INSERT INTO bare (text) VALUES (%s)", ("x" * 300,))
            yield


def bare(place: Place, seconds: float = 1.0) -> list[float]:
    """Seconds that each one-row transaction took."""
    commits = bare_sqlite(place.folder) if place.url is None else bare_postgres(place.url)
    next(commits)
    took, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.perf_counter()
        next(commits)
        took.append(time.perf_counter() - began)
    return took


def quantiles(values: list[float]) -> tuple[float, float]:
    """p50 and p99 in milliseconds."""
    cuts = statistics.quantiles(values, n=100)
    return cuts[49] * 1e3, cuts[98] * 1e3


@contextmanager
def places(store: str, url: str | None) -> Iterator[Place]:
    with tempfile.TemporaryDirectory() as name:
        if store == "sqlite":
            yield Place(Path(name))
        elif url is not None:
            yield Place(Path(name), url)
        else:
            from tests.postgres import make_server

            server = make_server()
            try:
                yield Place(Path(name), server.url)
            finally:
                server.stop()


def _sleep_until(deadline: float) -> None:
    time.sleep(max(0.0, deadline - time.monotonic()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", choices=list(TARGETS), default="sqlite")
    parser.add_argument("--url", help="a PostgreSQL server; one is started without it")
    parser.add_argument("--processes", type=int, default=4)
    parser.add_argument("--seconds", type=float, default=5.0, help="each of the two runs")
    parser.add_argument("--open-calls", type=int, default=50, help="calls open at once, a process")
    parser.add_argument("--rates", action="store_true", help="the limit has two rates as well")
    parser.add_argument("--check", action="store_true", help="exit status 1 on a missed target")
    chosen = parser.parse_args()
    target = TARGETS[chosen.store]
    with places(chosen.store, chosen.url) as place:
        stamp, before = int(time.time()), bare(place)

        def load(kind: str, **what: float) -> Load:
            start = time.time() + 1.5
            return Load(f"{kind}_{stamp}", chosen.seconds, start, **what)  # type: ignore[arg-type]

        full = run(
            place, load("full", open_calls=chosen.open_calls), chosen.processes, chosen.rates
        )
        between = bare(place)
        half = run(
            place, load("half", rate=target / 2 / chosen.processes), chosen.processes, chosen.rates
        )
        after = bare(place)
    average = os.getloadavg()[0]
    print(
        f"{chosen.store}, {chosen.processes} processes, {chosen.seconds:g} s each,"
        f" {os.cpu_count()} cores, load average {average:.1f}"
    )
    print(f"{'':28}{'a second':>10}{'p50 ms':>9}{'p99 ms':>9}{'CPU us a pair':>15}{'target':>14}")
    _row("bare transactions before", len(before), before)
    rate, _ = _pairs_row("pairs, all kept open", full, chosen.seconds, f">= {target:,.0f}")
    _row("bare transactions between", len(between), between)
    _, p99 = _pairs_row("pairs at half the target", half, chosen.seconds, f"p99 <= {P99_MS:.0f}")
    _row("bare transactions after", len(after), after)
    print(f"pairs of each process: {', '.join(f'{share.pairs:,}' for share in full)}")
    missed = [
        *([f"{rate:,.0f} pairs a second"] if rate < target else []),
        *([f"a p99 of {p99:.1f} ms at half the target"] if p99 > P99_MS else []),
    ]
    print(f"missed: {' and '.join(missed)}" if missed else "both targets are met")
    if chosen.check and missed:
        sys.exit(1)


def _pairs_row(name: str, shares: list[Share], seconds: float, target: str) -> tuple[float, float]:
    """Print a load's row; returns its pairs a second and its p99 in milliseconds."""
    took = [each for share in shares for each in share.seconds]
    rate = sum(share.pairs for share in shares) / seconds
    cpu = sum(share.cpu_seconds for share in shares) / max(1, len(took))
    return rate, _row(name, rate, took, cpu=f"{cpu * 1e6:.0f}", target=target)


def _row(name: str, rate: float, took: list[float], *, cpu: str = "", target: str = "") -> float:
    p50, p99 = quantiles(took)
    print(f"{name:28}{rate:>10,.0f}{p50:>9.2f}{p99:>9.2f}{cpu:>15}{target:>14}".rstrip())
    return p99


if __name__ == "__main__":
    main()
