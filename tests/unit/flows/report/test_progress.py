"""The progress artifact: throttled, one write at a time, never a reason for a run to fail."""

import asyncio
import logging
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
from markdown_it import MarkdownIt

from prefect_governor.flows.report.progress import Progress, RunProgress
from tests.unit.clocks import Seconds


class Writer:
    """Keeps what is written, and waits or fails where told to."""

    def __init__(self) -> None:
        self.written: list[tuple[str, float]] = []
        self.error: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def create(self, key: str, percent: float, description: str) -> UUID:
        await self._write(key, percent)
        return uuid4()

    async def update(self, artifact_id: UUID, percent: float, description: str) -> None:
        await self._write("update", percent)

    async def _write(self, key: str, percent: float) -> None:
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        self.written.append((key, percent))


class Said(logging.Handler):
    """What a logger said. Prefect's loggers propagate or not by who configured them."""

    def __init__(self) -> None:
        super().__init__()
        self.levels: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.levels.append(record.levelname)


def at(done: int) -> Progress:
    return Progress(total=10, done=done)


@pytest.fixture
def clock() -> Seconds:
    return Seconds(0.0)


@pytest.fixture
def writer() -> Writer:
    return Writer()


@pytest.fixture
def progress(writer: Writer, clock: Seconds) -> RunProgress:
    return RunProgress(writer, key_prefix="My Flow", clock=clock)


async def test_ten_thousand_items_are_not_ten_thousand_writes(
    progress: RunProgress, writer: Writer, clock: Seconds
) -> None:
    for done in range(10):
        clock.now = done * 0.5
        await progress.aupdate(at(done))
    assert writer.written == [("my-flow-progress", 0.0), ("update", 40.0), ("update", 80.0)]


async def test_the_last_word_is_never_dropped(progress: RunProgress, writer: Writer) -> None:
    await progress.aupdate(at(0))
    assert not await progress.aupdate(at(5))
    assert await progress.aupdate(at(10), final=True)
    assert writer.written[-1] == ("update", 100.0)


async def test_a_slow_api_makes_one_artifact_and_still_gets_the_last_word(
    progress: RunProgress, writer: Writer, clock: Seconds
) -> None:
    writer.gate.clear()
    first = asyncio.create_task(progress.aupdate(at(0)))
    await asyncio.sleep(0)
    clock.now = 100.0
    assert not await progress.aupdate(at(5))
    assert not await progress.aupdate(at(10), final=True)
    writer.gate.set()
    assert await first
    assert writer.written == [("my-flow-progress", 0.0), ("update", 100.0)]


async def test_an_api_that_fails_is_one_warning_and_never_raises(
    progress: RunProgress, writer: Writer, clock: Seconds
) -> None:
    writer.error = OSError("no server")
    said = Said()
    logger = logging.getLogger("prefect.prefect_governor.report")
    logger.addHandler(said)
    try:
        for n in range(3):
            clock.now = n * 10.0
            assert not await progress.aupdate(at(n))
    finally:
        logger.removeHandler(said)
    assert said.levels == ["WARNING"]
    writer.error = None
    clock.now = 100.0
    assert await progress.aupdate(at(5))


def test_code_without_a_loop_may_report_too(clock: Seconds) -> None:
    writer = Writer()
    assert RunProgress(writer, key_prefix="f", clock=clock).update(at(1))
    assert writer.written == [("f-progress", 10.0)]


@pytest.mark.parametrize(
    ("done", "total", "percent"),
    [(0, 10, 0), (99_999, 100_000, pytest.approx(99.999)), (3, 3, 100), (0, 0, 100)],
)
def test_a_hundred_percent_means_done(done: int, total: int, percent: float) -> None:
    assert Progress(total=total, done=done).percent == pytest.approx(percent, abs=1e-9)


def test_items_and_money_have_a_bar_each_and_no_markup() -> None:
    told = Progress(
        total=10,
        done=4,
        failed=1,
        queued=4,
        in_flight=2,
        cap=20,
        spent_usd=Decimal(1),
        ceiling_usd=Decimal(2),
        bottleneck="tokens_per_minute of *llm*",
        budget="llm-team",
        window="2026-11-30",
        run_usd=Decimal("0.0113"),
    ).description()
    assert told.replace("\u200b", "").replace("\u200a", "").split("\n\n") == [
        "Items ███░░░░░ 4 of 10 done · 1 failed · 4 queued · 2 of 20 in flight",
        "Money ████░░░░ this run $0.0113 · $1.00 of $2.00 in llm-team today",
        "Waiting: tokens_per_minute of *llm*",
    ]
    assert "\\" not in told and "`" not in told
    html = MarkdownIt().render(told)
    assert "<em>" not in html and html.count("<p>") == 3
