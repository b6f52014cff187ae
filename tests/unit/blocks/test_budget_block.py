"""The Budget's document: money exact or refused, a ceiling always, the ledger's terms."""

import json
from decimal import Decimal
from typing import Any

import pytest
from pydantic import ValidationError

from prefect_governor.blocks.budget import Budget
from prefect_governor.blocks.errors import ConfigurationError


@pytest.mark.parametrize(
    ("given", "nano"),
    [(5, 5 * 10**9), ("0.004", 4_000_000), (0.1, 100_000_000), (Decimal("1e-9"), 1), ("$2", 2e9)],
)
def test_money_is_exact_however_it_is_given(given: Any, nano: int) -> None:
    assert Budget(max_usd=given).account("key", name="b", version="1").ceiling_nano == nano


@pytest.mark.parametrize(
    "given", [-1, "-0.01", "nan", float("inf"), "lots", True, "1e-10", "99999999999"]
)
def test_money_that_is_none_is_refused_with_the_field(given: Any) -> None:
    with pytest.raises(ValidationError, match="max_usd"):
        Budget(max_usd=given)


@pytest.mark.parametrize("given", ["0.000000001", "1234567.123456789", "0.1", "5"])
def test_money_survives_the_document(given: str) -> None:
    document = json.loads(Budget(max_usd=given).model_dump_json())
    again = Budget.model_validate(document | {"max_usd": document["max_usd"]})
    assert again.max_usd == Decimal(given)


def test_budget_without_any_ceiling_is_refused() -> None:
    with pytest.raises(ValidationError, match="needs a ceiling"):
        Budget()


def test_ceiling_of_nothing_is_one() -> None:
    assert Budget(max_usd=0).account("key", name="b", version="").ceiling_nano == 0
    assert Budget(max_total_tokens=0).account("key", name="b", version="").ceiling_tokens == 0


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../../etc/passwd", "CEST?"])
def test_unknown_time_zone_is_refused_by_name(zone: str) -> None:
    with pytest.raises(ValidationError, match="time zone"):
        Budget(max_usd=1, time_zone=zone)


def test_unknown_window_is_refused() -> None:
    with pytest.raises(ValidationError, match="window"):
        Budget.model_validate({"max_usd": 1, "window": "fortnight"})


def test_account_is_what_the_document_says() -> None:
    budget = Budget(max_total_tokens=9, window="day", time_zone="Europe/Berlin", parent="above")
    account = budget.account("key", name="b", version="7")
    assert (account.ceiling_nano, account.ceiling_tokens) == (None, 9)
    assert (account.window, account.time_zone) == ("day", "Europe/Berlin")
    assert (account.key, account.name, account.version) == ("key", "b", "7")


def test_state_of_a_budget_that_was_never_saved_says_what_to_do() -> None:
    with pytest.raises(ConfigurationError, match="never saved"):
        Budget(max_usd=1).state()
