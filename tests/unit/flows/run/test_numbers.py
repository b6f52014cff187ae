"""Numbers that no ledger holds are refused before anything is spent."""

import pytest
from pydantic import ValidationError

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.terms.budget import BudgetTerms
from prefect_governor.blocks.terms.limit import MOST_COUNT, Limit
from prefect_governor.flows.run.job import check_numbers


@pytest.mark.parametrize("count", [MOST_COUNT + 1, 10**23])
def test_a_number_that_the_ledger_cannot_hold_is_refused_by_name(count: int) -> None:
    with pytest.raises(ConfigurationError, match="max_total_tokens must be a whole number"):
        check_numbers(timeout_seconds=None, max_total_tokens=count)
    check_numbers(timeout_seconds=None, max_total_tokens=MOST_COUNT)
    with pytest.raises(ValidationError, match="max_total_tokens"):
        BudgetTerms(max_total_tokens=count)
    with pytest.raises(ValidationError, match="tokens_per_minute"):
        Limit(tokens_per_minute=count)
