"""A run's log: what a person wants to know, said once, however long and large the run is."""

from decimal import Decimal
from typing import Any

import pytest

from prefect_governor.blocks.figures.figures import BudgetFigures
from prefect_governor.blocks.models.choice import ModelChoice
from prefect_governor.flows.report.model import BudgetReport, ItemReport, LimitsReport, Report
from prefect_governor.flows.report.progress import Progress
from prefect_governor.flows.run.log.run_log import RunLog
from tests.unit.clocks import Seconds

PAUSED = "paused for money: needs $0.01, $0.00 of the $1.00 ceiling is left; paused until 15:00"


class Diary:
    """A log with a clock of its own."""

    def __init__(self) -> None:
        self.clock = Seconds(0.0)
        self.lines: list[str] = []
        self.log = RunLog(self.lines.append, clock=self.clock)

    def look(self, at: float, **progress: Any) -> None:
        told = {key: progress.pop(key) for key in ("stopped", "circuit") if key in progress}
        self.clock.now = at
        self.log.looked(Progress(total=9, done=0, **progress), **told)


@pytest.fixture
def diary() -> Diary:
    return Diary()


def test_it_begins_with_whose_money_which_model_and_how_many_items(diary: Diary) -> None:
    def budget(name: str, window: str, ceiling: int | None) -> BudgetFigures:
        most = None if ceiling is None else Decimal(ceiling)
        return BudgetFigures(name, window, most, Decimal("1.9"), Decimal("0.03"), Decimal(0))

    diary.log.began(
        governor="llm-team",
        budgets=[budget("llm-team", "2026-11-30", 5), budget("company", "2026-11", None)],
        model=ModelChoice("openai/gpt-4o-mini", "its name was given", fallbacks=("ollama/x",)),
    )
    diary.log.knows(1_200, left_out=3, kept=200, more=True)
    assert diary.lines == [
        "governor llm-team has spent $1.93 of $5.00 today; company has spent $1.93,"
        " no ceiling in USD this month",
        "model openai/gpt-4o-mini (its name was given); then ollama/x",
        "1,200 items so far, more are read as they come; 3 left out of the sources; 200 answered"
        " before, not paid for again",
    ]


def test_a_wait_is_said_once_and_another_one_a_minute_later_at_the_soonest(diary: Diary) -> None:
    for at in range(400):
        # Ten minutes and more of the same, with numbers that change; then of something else.
        diary.look(at * 2.0, bottleneck=f"the cap of llm is full: {at} of 40 (place {at})")
    assert diary.lines == ["waiting: the cap of llm is full: 5 of 40 (place 5)"]
    for at in range(40):
        other = ("requests_per_minute of llm", "the cap of llm is full")[at % 2]
        diary.look(800 + at * 11.0, bottleneck=other)
        diary.look(810.9 + at * 11.0, bottleneck=other)
    assert 5 <= len(diary.lines) <= 1 + 440 // 60 + 1


def test_a_short_wait_is_not_worth_a_line(diary: Diary) -> None:
    for at in range(20):
        diary.look(at * 5.0, bottleneck=("cap", None)[at % 2])
    assert diary.lines == []


def test_a_pause_for_money_and_its_end_are_said_at_once(diary: Diary) -> None:
    diary.look(1, bottleneck=PAUSED, calls=4)
    diary.look(200, bottleneck=PAUSED.replace("15:00", "15:01"), calls=4)
    diary.look(201, calls=5)
    diary.look(300, bottleneck=PAUSED, calls=9)
    diary.look(310, calls=9)
    assert diary.lines == [
        PAUSED,
        "the pause for money is over after 3 min 20 s: calls go on",
        PAUSED,
        "the pause for money is over after 10.0 s: no money came",
    ]


def test_ten_thousand_throttled_calls_are_a_line_and_a_count_at_the_end(diary: Diary) -> None:
    for times in range(10_000):
        diary.look(times, throttled=times)
    report = Report(
        run_id="1", outcome="partial",
        items=[ItemReport(key="a", state="succeeded"), ItemReport(key="b", state="failed")],
        limits=LimitsReport(throttled=9_999),
        budget=BudgetReport(ceiling_usd=Decimal(5), spent_usd=Decimal("1.93"), name="llm-team",
                            window="2026-11-30", run_usd=Decimal("0.0113")),
    )  # fmt: skip
    diary.log.ended(report)
    assert diary.lines == [
        "the provider throttles (HTTP 429): calls wait as it says, and go again",
        "partial: 1 of 2 items succeeded, 1 failed · this run $0.0113 · $1.93 of $5.00 in llm-team"
        " today · throttled 9,999 times",
    ]


@pytest.mark.parametrize(("circuit", "why"), [(True, "a circuit opened"), (False, "told to stop")])
def test_what_stops_a_run_is_said_once(diary: Diary, circuit: bool, why: str) -> None:
    for at in range(9):
        diary.look(at, stopped="the key is not valid", circuit=circuit)
    (line,) = diary.lines
    assert line.startswith(f"{why}: the key is not valid; nothing more is started")


def test_a_run_that_ended_before_its_items_ends_with_why(diary: Diary) -> None:
    diary.log.ended(Report(run_id="1", outcome="failed", reason="no plan: the model said nothing"))
    assert diary.lines == ["failed: no plan: the model said nothing · this run $0.00"]
