"""Gauges show what the governors hold, by names alone, and what they held last at the end."""

from prefect_governor.blocks.errors import LedgerUnavailable
from prefect_governor.blocks.telemetry import names
from prefect_governor.blocks.telemetry.gauges import BudgetReading, LimitReading, Readings
from tests.unit.blocks.telemetry.conftest import Begin

BUDGET = BudgetReading("team", "day", 5 * 10**9, 10**9, 2 * 10**6, 0)
KEYS = ("upstream/a/gpt/1234", "upstream/a/gpt/5678")
LIMITS = (
    LimitReading(KEYS[0], "llm", "gpt at a", 3, 10),
    LimitReading(KEYS[1], "llm", "gpt at a", 2, None),
)


def test_budget_without_a_ceiling_in_money_shows_none(begin: Begin) -> None:
    free = BudgetReading("free", "run", None, 0, 0, 0)
    told = begin(lambda: Readings((BUDGET, free), ()))
    by = {names.BUDGET: "team", names.WINDOW: "day"}
    assert told.points(names.CEILING.name) == [(by, 5.0)]
    spent = told.points(names.SPENT.name)
    assert (by, 1.0) in spent and len(spent) == 2


def test_limits_of_several_keys_at_one_provider_are_one_without_the_keys(begin: Begin) -> None:
    told = begin(lambda: Readings((), LIMITS))
    by = {names.GOVERNOR: "llm", names.LIMIT: "gpt at a"}
    assert told.points(names.IN_FLIGHT.name) == [(by, 5)]
    assert told.points(names.CAP.name) == [(by, 10)]


def test_what_was_held_last_is_shown_once_nothing_is_at_work_or_the_ledger_is_away(
    begin: Begin,
) -> None:
    answers: list[Readings | Exception] = [
        Readings((BUDGET,), LIMITS),
        Readings(),
        LedgerUnavailable("away"),
    ]

    def read() -> Readings:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    told = begin(read)
    first = told.points(names.SPENT.name)
    assert first and told.points(names.SPENT.name) == first
    assert told.points(names.SPENT.name) == first
