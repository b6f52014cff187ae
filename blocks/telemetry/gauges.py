"""Budgets and limits as OpenTelemetry's gauges, read when somebody collects them."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from opentelemetry.metrics import CallbackOptions, Meter, Observation

from prefect_governor.blocks.errors import GovernorError
from prefect_governor.blocks.money.usd import NANO
from prefect_governor.blocks.telemetry import names

# All gauges of one collection show the same readings, in seconds.
SAME_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class BudgetReading:
    """A budget in its current window, in nano-dollars; `window` is its kind, such as "day"."""

    name: str
    window: str
    ceiling_nano: int | None
    spent_nano: int
    unconfirmed_nano: int
    reserved_nano: int


@dataclass(frozen=True, slots=True)
class LimitReading:
    """A limit: how many are in flight under it in all processes, and how many may be, None for no
    such limit."""

    key: str
    governor: str
    name: str
    in_flight: int
    cap: int | None


@dataclass(frozen=True, slots=True)
class Readings:
    """What the governors at work in this process hold."""

    budgets: tuple[BudgetReading, ...] = ()
    limits: tuple[LimitReading, ...] = ()


Source = Callable[[], Readings]


class Gauges:
    """The gauges of a meter.

    Args:
        source: reads what there is; a ledger that cannot be read shows what it showed last.
        waiting: how many calls wait in this process, by the key of each limit.
    """

    def __init__(
        self,
        meter: Meter,
        source: Source,
        waiting: Callable[[], Counter[str]],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._waiting = waiting
        self._clock = clock
        self._lock = threading.Lock()
        self._known = Readings()
        self._read_at: float | None = None
        for metric, money in (
            (names.CEILING, _ceiling),
            (names.SPENT, _spent),
            (names.UNCONFIRMED, _unconfirmed),
            (names.RESERVED, _reserved),
        ):
            self._gauge(meter, metric, self._of_budgets(money))
        self._gauge(meter, names.IN_FLIGHT, self._of_limits(lambda each: each.in_flight))
        self._gauge(meter, names.CAP, self._of_limits(lambda each: each.cap))
        self._gauge(meter, names.WAITING, self._waits)

    def read(self) -> Readings:
        """What there is now; what there was last where nothing is at work any more."""
        with self._lock:
            now = self._clock()
            if self._read_at is None or now - self._read_at >= SAME_SECONDS:
                self._read_at = now
                try:
                    found = self._source()
                except GovernorError:
                    found = Readings()
                # The last collection of a process comes when its governors are put away.
                if found.budgets or found.limits:
                    self._known = found
            return self._known

    def _gauge(
        self, meter: Meter, metric: names.Metric, read: Callable[[], Iterable[Observation]]
    ) -> None:
        def observe(_: CallbackOptions) -> Iterable[Observation]:
            return read()

        meter.create_observable_gauge(
            metric.name, [observe], unit=metric.unit, description=metric.description
        )

    def _of_budgets(
        self, money: Callable[[BudgetReading], int | None]
    ) -> Callable[[], Iterable[Observation]]:
        def read() -> Iterable[Observation]:
            sums: Counter[tuple[str, str]] = Counter()
            for each in self.read().budgets:
                if (nano := money(each)) is not None:
                    # Runs have ceilings of their own, and ids are no attribute.
                    sums[each.name, each.window] += nano
            return [
                Observation(nano / NANO, {names.BUDGET: name, names.WINDOW: window})
                for (name, window), nano in sums.items()
            ]

        return read

    def _of_limits(
        self, figure: Callable[[LimitReading], int | None]
    ) -> Callable[[], Iterable[Observation]]:
        def read() -> Iterable[Observation]:
            found = ((each, figure(each)) for each in self.read().limits)
            return _summed((each, value) for each, value in found if value is not None)

        return read

    def _waits(self) -> Iterable[Observation]:
        waiting = self._waiting()
        return _summed((each, waiting[each.key]) for each in self.read().limits)


def _summed(found: Iterable[tuple[LimitReading, int]]) -> list[Observation]:
    """One each name: a provider's limit is one for each key, and keys are no attribute."""
    sums: Counter[tuple[str, str]] = Counter()
    for each, value in found:
        sums[each.governor, each.name] += value
    return [
        Observation(value, {names.GOVERNOR: governor, names.LIMIT: name})
        for (governor, name), value in sums.items()
    ]


def _ceiling(each: BudgetReading) -> int | None:
    return each.ceiling_nano


def _spent(each: BudgetReading) -> int:
    return each.spent_nano


def _unconfirmed(each: BudgetReading) -> int:
    return each.unconfirmed_nano


def _reserved(each: BudgetReading) -> int:
    return each.reserved_nano
