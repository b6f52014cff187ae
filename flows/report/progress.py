"""The progress artifact of a run: how far it is, what it spent, what holds it back."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactCreate
from prefect.logging import get_logger

from prefect_governor.blocks.prefect_internals.waiting import result_of
from prefect_governor.flows.publications.writing import created_once
from prefect_governor.flows.report.artifact import artifact, artifact_changes
from prefect_governor.flows.report.keys import artifact_key
from prefect_governor.flows.report.model import Report
from prefect_governor.flows.report.reasons import one_line
from prefect_governor.flows.report.shown.amounts import bar
from prefect_governor.flows.report.shown.literal import literal
from prefect_governor.flows.report.shown.spending import spending

# On a run's page a card has room for some thirty letters of a line.
_BAR = 8

_logger = get_logger("prefect_governor.report")


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run stands: items, calls in flight under a cap, money under a ceiling.

    `calls` counts the requests sent so far; `rate` is the tightest limit on them, so many in so
    many seconds. `budget` names whose money it is. `at_once` is how many each thing lets be at
    once, the smallest first. `skipped` counts what the sources hold that is no item.
    """

    total: int
    done: int
    failed: int = 0
    queued: int = 0
    in_flight: int = 0
    cap: int | None = None
    spent_usd: Decimal = Decimal(0)
    ceiling_usd: Decimal | None = None
    bottleneck: str | None = None
    calls: int = 0
    rate: tuple[int, int] | None = None
    budget: str = ""
    at_once: str = ""
    skipped: int = 0
    window: str = ""
    run_usd: Decimal = Decimal(0)
    throttled: int = 0

    @property
    def percent(self) -> float:
        """0 to 100, and 100 only when every item is done."""
        if self.total <= 0:
            return 100.0
        percent = 100.0 * self.done / self.total
        return round(percent, 2) if percent < 99.99 else min(percent, 100.0)

    def spending(self) -> str:
        """What the run cost so far, beside what its budget has spent of the ceiling."""
        return spending(
            self.run_usd, self.spent_usd, self.ceiling_usd, name=self.budget, window=self.window
        )

    def description(self) -> str:
        """The figures in lines of a bar each, of which lists of artifacts show the first as it
        is: so there is no markup in them."""
        cap = "" if self.cap is None else f" of {self.cap}"
        counts = [
            f"{self.done} of {self.total} done",
            f"{self.failed} failed",
            *([f"{self.skipped} left out"] if self.skipped else []),
            f"{self.queued} queued",
            f"{self.in_flight}{cap} in flight",
        ]
        items = bar(Decimal(self.done), Decimal(self.total), width=_BAR)
        lines = [f"Items {items} {' · '.join(counts)}"]
        full = (
            ""
            if self.ceiling_usd is None
            else f"{bar(self.spent_usd, self.ceiling_usd, width=_BAR)} "
        )
        lines.append(f"Money {full}{self.spending()}")
        if self.bottleneck:
            lines.append(f"Waiting: {self.bottleneck}")
            if self.at_once:
                lines.append(f"At once: {self.at_once}")
        return "\n\n".join(literal(one_line(line, longest=1000)) for line in lines)


def last_word(
    report: Report, *, key_prefix: str, flow_run_id: UUID, said: str = ""
) -> ArtifactCreate:
    """The progress of a run, of its report, where it did not get to say it as it ended; and why."""
    counts, budget = report.counts(), report.budget
    begun = len(report.items) - counts["not_started"]
    where = Progress(
        total=len(report.items),
        done=begun,
        failed=begun - counts["succeeded"],
        queued=counts["not_started"],
        spent_usd=budget.spent_usd + budget.unconfirmed_usd,
        ceiling_usd=budget.ceiling_usd,
        budget=budget.name or "",
        window=budget.window or "",
        run_usd=report.run_usd,
    )
    return artifact(
        type="progress",
        key=artifact_key(key_prefix, "progress"),
        description="\n\n".join([where.description(), *([literal(said)] if said else [])]),
        data=where.percent,
        flow_run_id=flow_run_id,
    )


class ProgressWriter(Protocol):
    """Where a progress artifact is kept."""

    async def create(self, key: str, percent: float, description: str) -> UUID: ...

    async def update(self, artifact_id: UUID, percent: float, description: str) -> None: ...


class ApiWriter:
    """Prefect's API. The flow run is given, not looked up: callbacks have no run context."""

    def __init__(self, flow_run_id: UUID | None) -> None:
        self._flow_run_id = flow_run_id

    async def create(self, key: str, percent: float, description: str) -> UUID:
        wanted = artifact(
            type="progress",
            key=key,
            description=description,
            data=percent,
            flow_run_id=self._flow_run_id,
        )
        async with get_client() as client:
            # One for all attempts of a run.
            return await created_once(client, wanted, renewed=True)

    async def update(self, artifact_id: UUID, percent: float, description: str) -> None:
        async with get_client() as client:
            await client.update_artifact(
                artifact_id, artifact_changes(data=percent, description=description)
            )


class RunProgress:
    """Keeps `<key_prefix>-progress` up to date, at most once in `min_interval_seconds`
    (default 2.0) and one write at a time.

    `aupdate` and `update` may be called from any thread, as often as one likes; what comes too
    soon is dropped unless `final=True`. Nothing is ever raised into the run: an API that does
    not answer is one warning in the log.
    """

    def __init__(
        self,
        writer: ProgressWriter,
        *,
        key_prefix: str,
        min_interval_seconds: float = 2.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._writer = writer
        self._key = artifact_key(key_prefix, "progress")
        self._interval = min_interval_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._writing = False
        self._last: float | None = None
        self._artifact_id: UUID | None = None
        self._last_word: Progress | None = None
        self._warned = False

    async def aupdate(self, progress: Progress, *, final: bool = False) -> bool:
        """Write it, unless it is too soon. True if it was written."""
        if not self._begin(progress, final):
            return False
        written = await self._write(progress)
        # A final word that came while another was being written is written by that other.
        while (word := self._end()) is not None:
            written = await self._write(word)
        return written

    def update(self, progress: Progress, *, final: bool = False) -> bool:
        """`aupdate` for code without a loop."""
        return bool(result_of(self.aupdate(progress, final=final)))

    def _begin(self, progress: Progress, final: bool) -> bool:
        with self._lock:
            if self._writing:
                self._last_word = progress if final else self._last_word
                return False
            too_soon = self._last is not None and self._clock() - self._last < self._interval
            if too_soon and not final:
                return False
            self._writing = True
            self._last = self._clock()
            return True

    def _end(self) -> Progress | None:
        with self._lock:
            word, self._last_word = self._last_word, None
            self._writing = word is not None
            return word

    async def _write(self, progress: Progress) -> bool:
        try:
            if self._artifact_id is None:
                self._artifact_id = await self._writer.create(
                    self._key, progress.percent, progress.description()
                )
            else:
                await self._writer.update(
                    self._artifact_id, progress.percent, progress.description()
                )
        except Exception as error:
            if not self._warned:
                self._warned = True
                _logger.warning("The progress artifact cannot be written: %r", error)
            return False
        return True
