"""A desk at a ledger with budgets and limits."""

import pytest

from prefect_governor.blocks.ledger.decision.store import Store
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.records.budgets import Account
from tests.contract.conftest import Office, define
from tests.contract.terms import GPU, LLM, TEAM

ROOT = Account("root", "Root", 5000, None, "day", version="1")
LOCAL = Account("local/x", "x", 100, None, version="1")


@pytest.fixture
def desk(office: Office, store: Store) -> LedgerDesk:
    define(store, TEAM, ROOT, LOCAL, LLM, GPU)
    return office.desk(store=store)
