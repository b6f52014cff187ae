"""What the ledger says was spent, beside what the provider billed."""

from prefect_governor import Governor
from prefect_governor.blocks.records.budgets import AccountState
from prefect_governor.blocks.records.calls import CallRecord, CallState
from prefect_governor.blocks.work.ledgers import account_state
from tests.provider.process import ProviderProcess

STATES: tuple[CallState, ...] = ("reserved", "spent", "released", "unconfirmed")


def calls(governor: Governor) -> list[CallRecord]:
    """Every reservation that was ever made."""
    runtime = governor.runtime
    return runtime.desk.store.read_calls(STATES, account=runtime.accounts_[0].key)


def figures(governor: Governor) -> AccountState:
    return account_state(governor.runtime.accounts_[0])


def assert_spent_is_the_bill(
    governor: Governor, provider: ProviderProcess, *, requests: int = 1
) -> None:
    stats = provider.settled_stats()
    assert (stats["requests"], stats["internal_errors"]) == (requests, 0)
    assert [call.state for call in calls(governor)] == ["spent"] * requests
    state = figures(governor)
    assert (state.spent_nano, state.unconfirmed_nano) == (stats["billed_nano"], 0)
    assert state.spent_tokens == stats["input_tokens"] + stats["output_tokens"] > 0
    assert state.reserved_nano == 0
