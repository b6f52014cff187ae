"""What ops people save and the harness stands on: governors, budgets, models, limits.

Importing this package imports neither Prefect nor LiteLLM: each name does when it is first used.
"""

from typing import TYPE_CHECKING

from prefect_governor.blocks.lazy import lazy_names

if TYPE_CHECKING:
    from prefect_governor.blocks.budget.allocating import BudgetAllocation
    from prefect_governor.blocks.budget.block import Budget
    from prefect_governor.blocks.errors import (
        CallRefused,
        ConfigurationError,
        GovernorError,
        ItemFailed,
        LedgerUnavailable,
        NotBounded,
        NotGoverned,
        NotPriced,
        OverBudget,
        QueueTimeout,
        RunFailed,
        RunStopped,
    )
    from prefect_governor.blocks.governor import Governor, governed
    from prefect_governor.blocks.limits.limit import Limit
    from prefect_governor.blocks.model.block import Model
    from prefect_governor.blocks.model.completion import acompletion, completion
    from prefect_governor.blocks.model.embedding import aembedding, embedding
    from prefect_governor.blocks.model.responses import aresponses, responses
    from prefect_governor.blocks.spend import Spend

__all__ = [
    "Budget",
    "BudgetAllocation",
    "CallRefused",
    "ConfigurationError",
    "Governor",
    "GovernorError",
    "ItemFailed",
    "LedgerUnavailable",
    "Limit",
    "Model",
    "NotBounded",
    "NotGoverned",
    "NotPriced",
    "OverBudget",
    "QueueTimeout",
    "RunFailed",
    "RunStopped",
    "Spend",
    "acompletion",
    "aembedding",
    "aresponses",
    "completion",
    "embedding",
    "governed",
    "responses",
]

_MODULES = dict.fromkeys(__all__, "prefect_governor.blocks.errors") | {
    "Budget": "prefect_governor.blocks.budget.block",
    "BudgetAllocation": "prefect_governor.blocks.budget.allocating",
    "Governor": "prefect_governor.blocks.governor",
    "Limit": "prefect_governor.blocks.limits.limit",
    "Model": "prefect_governor.blocks.model.block",
    "Spend": "prefect_governor.blocks.spend",
    "acompletion": "prefect_governor.blocks.model.completion",
    "aembedding": "prefect_governor.blocks.model.embedding",
    "aresponses": "prefect_governor.blocks.model.responses",
    "completion": "prefect_governor.blocks.model.completion",
    "embedding": "prefect_governor.blocks.model.embedding",
    "governed": "prefect_governor.blocks.governor",
    "responses": "prefect_governor.blocks.model.responses",
}

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
