"""The budget and the limits that these tests define."""

from prefect_governor.blocks.records.budgets import Account
from prefect_governor.blocks.records.limits import LimitRecord

TEAM = Account("team", "Team", 1000, None, version="1")
LLM = LimitRecord("llm", "llm", 2)
GPU = LimitRecord("gpu", "gpu", 1)
