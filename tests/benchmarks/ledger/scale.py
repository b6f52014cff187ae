"""How many processes one ledger on PostgreSQL bears: what one costs, measured; what several come
to, predicted and measured side by side; what many would, predicted.

    python -m tests.benchmarks.ledger.scale [--check]

One process, with few calls open and with many, says what a transaction costs (`queueing.Costs`).
From that alone 1, 2, 4 and 8 processes are predicted, then run for real on this machine, where they
share its cores with the server; calls end at once, so that all time is the ledger's. With `--check`
the exit status is 1 where a prediction is more than 25% off. Then 1 to 1,000 processes on machines
of their own, with calls that take a second and a network in between, and what is full first.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import psutil

from tests.benchmarks.ledger.pairs import Load, Place, Share, quantiles, run, work
from tests.benchmarks.ledger.queueing import Costs, Fleet, Line, Predicted, fitted, predicted
from tests.postgres import make_server

REAL = (1, 2, 4, 8)
APART = (1, 10, 100, 1_000)
# Calls open at once in the one process that is measured, and in each of several.
MEASURED_WITH, OPEN_CALLS = (1, 4, 16, 40), 20
CALL_SECONDS, NETWORK_SECONDS = 1.0, 0.0005
OFF = 0.25
# Calls that a process would be given at once, where it admitted by itself.
DRAWS = (20, 100, 400)
# Sessions that a process has with the server: it writes, it reads, it shows that it lives.
SESSIONS = 3


@dataclass(frozen=True)
class Transaction:
    """By how many requests it was shared; how long the lock was held, and what of it this process
    worked; what it worked before the next. In seconds."""

    shared_by: int
    held: float
    worked: float
    apart: float


@dataclass(frozen=True)
class Observed(Share):
    transactions: list[Transaction] = field(default_factory=list)


class _Watched(Place):
    """A place whose desk's transactions are timed."""

    transactions: list[Transaction]

    def desk(self, ledger: str):  # type: ignore[no-untyped-def]
        desk = super().desk(ledger)
        begin, last = desk.store.transaction, [0.0]

        @contextmanager
        def transaction() -> Iterator[object]:
            began, cpu = time.perf_counter(), time.thread_time()
            apart = cpu - last[0]
            with begin() as rows:
                yield rows
            ended, last[0] = time.perf_counter(), time.thread_time()
            found = Transaction(desk._shared_by, ended - began, last[0] - cpu, apart)
            self.transactions.append(found)

        desk.store.transaction = transaction  # type: ignore[method-assign, assignment]
        return desk


def observe(place: Place, name: str, load: Load) -> Observed:
    """`ledger.work`, each transaction of which is timed."""
    watched = _Watched(place.folder, place.url)
    object.__setattr__(watched, "transactions", [])
    share = work(watched, name, load)
    # Those at the ends are of no full batch.
    kept = watched.transactions[20:-20]
    return Observed(share.pairs, share.seconds, share.cpu_seconds, kept)


@dataclass(frozen=True)
class Server:
    place: Place
    pid: int

    def cpu_seconds(self) -> float:
        """Of all of its processes that are there."""
        whole = psutil.Process(self.pid)
        times = [each.cpu_times() for each in (whole, *whole.children(recursive=True))]
        ended = whole.cpu_times()
        return (
            sum(each.user + each.system for each in times)
            + ended.children_user
            + ended.children_system
        )


def observed(server: Server, seconds: float) -> tuple[list[Transaction], float]:
    """The transactions of one process, and the CPU seconds that the server took for them."""
    found: list[Transaction] = []
    before = server.cpu_seconds()
    for open_calls in MEASURED_WITH:
        load = Load(_name(f"one{open_calls}"), seconds, time.time() + 1.5, open_calls=open_calls)
        (share,) = run(server.place, load, 1, rates=False, work=observe)
        assert isinstance(share, Observed)
        found += share.transactions
    return found, server.cpu_seconds() - before


def costs_of(found: list[Transaction], served: float) -> Costs:
    """What one process costs."""
    held = fitted([(each.shared_by, each.held) for each in found])
    # The line of what follows a transaction: its answers.
    apart = fitted([(each.shared_by, after.apart) for each, after in pairwise(found)])
    total = sum(each.held for each in found)
    working = min(1.0, (served + sum(each.worked for each in found)) / total)
    ratios = sorted(each.held / held.at(each.shared_by) for each in found)
    step = max(1, len(ratios) // 500)
    return Costs(held, apart, working, tuple(ratios[::step]))


def measured(server: Server, processes: int, seconds: float) -> tuple[float, float]:
    """Pairs a second and the p99 of an admission, in seconds."""
    load = Load(
        _name(f"many{processes}"), seconds, time.time() + 2 + processes / 2, open_calls=OPEN_CALLS
    )
    shares = run(server.place, load, processes, rates=False)
    took = [each for share in shares for each in share.seconds]
    return sum(share.pairs for share in shares) / seconds, quantiles(took)[1] / 1e3


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="each run")
    parser.add_argument("--rounds", type=int, default=3, help="of the real processes; medians")
    parser.add_argument("--check", action="store_true", help="exit status 1 on a bad prediction")
    given = parser.parse_args()
    cores = len(os.sched_getaffinity(0))
    postgres = make_server()
    try:
        with tempfile.TemporaryDirectory() as folder:
            assert postgres.process is not None
            server = Server(Place(Path(folder), postgres.url), postgres.process.pid)
            found: list[Transaction] = []
            served = 0.0
            real: dict[int, list[tuple[float, float]]] = {each: [] for each in REAL}
            for _ in range(given.rounds):
                # In turns: what else the machine does is the same for both.
                some, cpu = observed(server, given.seconds)
                found, served = found + some, served + cpu
                for processes in REAL:
                    real[processes].append(measured(server, processes, given.seconds))
    finally:
        postgres.stop()
    costs = costs_of(found, served)
    _say_costs(costs, cores)
    off = _beside(real, costs, cores)
    _far(costs)
    print(f"the worst prediction of real processes is {off:.0%} off")
    return int(given.check and off > OFF)


def _say_costs(costs: Costs, cores: int) -> None:
    load = os.getloadavg()[0]
    print(f"{cores} cores, load average {load:.1f}; a transaction of n requests, in ms:")
    print(f"  holds the lock      {_line(costs.held)}, {costs.working:.0%} of it work")
    print(f"  outside of it       {_line(costs.apart)}")


def _beside(real: dict[int, list[tuple[float, float]]], costs: Costs, cores: int) -> float:
    """Predicted and measured; how far the worst is off."""
    worst = 0.0
    print(f"\n{OPEN_CALLS} calls open in each process, all on this machine:\n")
    print("| processes | pairs/s predicted | measured | off | p99 ms predicted | measured | full |")
    print("|---:|---:|---:|---:|---:|---:|---|")
    for processes, rounds in real.items():
        said = predicted(costs, Fleet(processes, OPEN_CALLS, cores=cores))
        rate, p99 = (statistics.median(each) for each in zip(*rounds, strict=True))
        off = said.pairs_a_second / rate - 1
        worst = max(worst, abs(off))
        print(
            f"| {processes} | {said.pairs_a_second:,.0f} | {rate:,.0f} | {off:+.0%} |"
            f" {said.p99_seconds * 1e3:.1f} | {p99 * 1e3:.1f} | {said.fullest} |"
        )
    return worst


def _far(costs: Costs) -> None:
    """What many would come to."""
    apart = Costs(costs.held, costs.apart, costs.working, costs.spread, NETWORK_SECONDS)
    print(
        f"\n{OPEN_CALLS} calls of {CALL_SECONDS:g} s open in each process, machines of their own,"
        f" {NETWORK_SECONDS * 1e3:g} ms of network a transaction:\n"
    )
    print(
        "| processes | calls/s wanted | calls/s | p50 ms | p99 ms | lock held | full | sessions |"
    )
    print("|---:|---:|---:|---:|---:|---:|---|---:|")
    for processes in APART:
        fleet = Fleet(processes, OPEN_CALLS, call_seconds=CALL_SECONDS)
        _row(processes, fleet, _settled(apart, fleet))
    best = max(APART)
    print("\nthe same, where a process asks the ledger once for as many calls as it is given:\n")
    print("| processes | calls at once | lock held | p99 ms of an ask | full |")
    print("|---:|---:|---:|---:|---|")
    for draw in DRAWS:
        # One ask under way for as many calls as come in its time.
        fleet = Fleet(best, 1, call_seconds=CALL_SECONDS * draw / OPEN_CALLS)
        said = _settled(apart, fleet)
        print(
            f"| {best:,} | {draw} | {said.lock:.0%} | {said.p99_seconds * 1e3:,.1f}"
            f" | {said.fullest} |"
        )


def _settled(costs: Costs, fleet: Fleet) -> Predicted:
    """Over some rounds of all processes, where they queue."""
    rounds = 5.0 + 3 * fleet.call_seconds
    rounds += 3 * fleet.processes * costs.held.at(fleet.open_calls)
    return predicted(costs, fleet, seconds=rounds, warm_up=rounds)


def _row(processes: int, fleet: Fleet, said: Predicted) -> None:
    wanted = processes * fleet.open_calls / CALL_SECONDS
    print(
        f"| {processes:,} | {wanted:,.0f} | {said.pairs_a_second:,.0f}"
        f" | {said.p50_seconds * 1e3:,.1f} | {said.p99_seconds * 1e3:,.1f} | {said.lock:.0%}"
        f" | {said.fullest} | {processes * SESSIONS:,} |"
    )


def _line(line: Line) -> str:
    return f"{line.fixed * 1e3:.3f} + {line.each * 1e3:.3f} n"


def _name(kind: str) -> str:
    return f"{kind}_{time.time_ns()}"


if __name__ == "__main__":
    sys.exit(main())
