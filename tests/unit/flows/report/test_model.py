"""The report's outcome and JSON: what programs read."""

import json
import pickle
from decimal import Decimal
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from prefect_governor.blocks.errors import ConfigurationError, RunFailed
from prefect_governor.flows.report.model import (
    ITEM_STATES,
    BudgetReport,
    ItemReport,
    ItemState,
    LimitsReport,
    Report,
    Tokens,
    outcome_of,
    tally,
)

STATES = st.lists(st.sampled_from(ITEM_STATES), max_size=40)
SHARES = st.floats(0, 1)


def test_every_state_is_counted() -> None:
    assert set(get_args(ItemState)) == set(ITEM_STATES)


@given(STATES, SHARES)
def test_outcome_is_failed_only_when_nothing_or_too_little_succeeded(
    states: list[ItemState], share: float
) -> None:
    succeeded = states.count("succeeded")
    outcome = outcome_of(states, min_success=share)
    if succeeded == len(states):
        assert outcome == "complete"
    elif succeeded == 0 or Decimal(succeeded) < Decimal(len(states)) * Decimal(str(share)):
        assert outcome == "failed"
    else:
        assert outcome == "partial"


@given(STATES, SHARES, st.randoms())
def test_outcome_never_depends_on_order(
    states: list[ItemState], share: float, random: "object"
) -> None:
    shuffled = list(states)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert outcome_of(states, min_success=share) == outcome_of(shuffled, min_success=share)


@given(STATES, SHARES)
def test_a_stopped_run_exits_3_whatever_min_success_says(
    states: list[ItemState], share: float
) -> None:
    outcome = outcome_of(states, min_success=share, stopped=True)
    assert outcome == ("complete" if set(states) <= {"succeeded"} else "partial")


@pytest.mark.parametrize("tenths", range(1, 10))
def test_exactly_min_success_is_enough(tenths: int) -> None:
    good: list[ItemState] = ["succeeded"]
    bad: list[ItemState] = ["failed"]
    states = good * tenths + bad * (10 - tenths)
    assert outcome_of(states, min_success=float(f"0.{tenths}")) == "partial"
    assert outcome_of(states, min_success=float(f"0.{tenths}1")) == "failed"


@pytest.mark.parametrize("bad", [-0.1, 1.1, 90, float("nan"), float("inf"), True])
def test_min_success_in_percent_is_refused(bad: float) -> None:
    with pytest.raises(ConfigurationError, match="share from 0 to 1"):
        outcome_of([], min_success=bad)


class Finding(BaseModel):
    title: str
    price: Decimal


class Odd:
    def __str__(self) -> str:
        return "odd"


CYCLE: list[object] = []
CYCLE.append(CYCLE)


def report(**changes: object) -> Report:
    values: dict[str, object] = {
        "run_id": "r1",
        "outcome": "partial",
        "reason": "1 of 2 items succeeded, 1 failed",
        "cost_multiple": 14.2,
        "items": [
            ItemReport(
                key="a.md",
                state="succeeded",
                result={},
                usd=Decimal("0.0012"),
                tokens=Tokens(input=812, output=97),
                calls=1,
                attempts=1,
                seconds=0.41,
            )
        ],
        "budget": BudgetReport(
            ceiling_usd=Decimal(2), spent_usd=Decimal("1.93"), name="team", window="day"
        ),
        "limits": LimitsReport(bottleneck="requests_per_minute", cap=20, max_in_flight=20),
    }
    return Report.model_validate({**values, **changes})


def test_json_is_the_contract_s_object() -> None:
    assert report().to_json() == {
        "run_id": "r1",
        "outcome": "partial",
        "reason": "1 of 2 items succeeded, 1 failed",
        "cost_multiple": 14.2,
        "items": [
            {
                "key": "a.md",
                "state": "succeeded",
                "reason": None,
                "result": {},
                "usd": 0.0012,
                "tokens": {"input": 812, "output": 97},
                "calls": 1,
                "attempts": 1,
                "seconds": 0.41,
            }
        ],
        "budget": {
            "ceiling_usd": 2.0,
            "spent_usd": 1.93,
            "unconfirmed_usd": 0.0,
            "reserved_usd": 0.0,
        },
        "limits": {
            "bottleneck": "requests_per_minute",
            "cap": 20,
            "max_in_flight": 20,
            "throttled": 0,
        },
    }
    assert report(notes=["enforcement is off"]).to_json()["notes"] == ["enforcement is off"]


def test_money_is_exact_inside_and_a_number_outside() -> None:
    item = ItemReport(key="a", state="failed", usd=Decimal("0.000000001"))
    assert item.usd == Decimal("0.000000001")
    assert json.dumps(item.to_json()["usd"]) == "1e-09"


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (Finding(title="x", price=Decimal("1.5")), {"title": "x", "price": "1.5"}),
        ([Finding(title="x", price=Decimal(1))], [{"title": "x", "price": "1"}]),
        ({"a": float("nan"), "b": [float("inf"), 1.5]}, {"a": None, "b": [None, 1.5]}),
        ({1: {2}}, {"1": [2]}),
        (b"\xff\x00", "_wA="),
        (Odd(), "odd"),
        (CYCLE, "[a result that JSON cannot hold]"),
    ],
)
def test_a_result_that_json_lacks_never_breaks_the_report(result: object, expected: object) -> None:
    item = ItemReport(key="a", state="succeeded", result=result)
    assert item.to_json()["result"] == expected
    json.dumps(item.to_json(), allow_nan=False)


def test_a_failed_run_s_report_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(RunFailed("nothing succeeded", report())))
    assert error.report == report()


@pytest.mark.parametrize(("outcome", "status"), [("complete", 0), ("partial", 3), ("failed", 1)])
def test_exit_status(outcome: str, status: int) -> None:
    assert report(outcome=outcome).exit_status == status


def test_tally_names_only_what_there_is() -> None:
    states: list[ItemState] = ["succeeded", "over_budget", "not_started", "succeeded"]
    items = [ItemReport(key=str(n), state=state) for n, state in enumerate(states)]
    assert tally(items) == "2 of 4 items succeeded, 1 over budget, 1 not started"
    assert tally([]) == "there were no items"
