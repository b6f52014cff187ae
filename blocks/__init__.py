"""What ops people save and the harness stands on: governors, budgets, models, limits.

Importing this package imports neither Prefect nor LiteLLM: each name does when it is first used.
"""

from typing import TYPE_CHECKING

from prefect_governor.lazy import lazy_names

if TYPE_CHECKING:
    from prefect_governor.blocks.budget import Budget
    from prefect_governor.blocks.bypass.install import install
    from prefect_governor.blocks.claims.allocation import BudgetAllocation
    from prefect_governor.blocks.claims.spend import Spend
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
        SandboxLost,
        governor_error,
    )
    from prefect_governor.blocks.governor import Governor, governed
    from prefect_governor.blocks.model import Model
    from prefect_governor.blocks.models.completion import acompletion, completion
    from prefect_governor.blocks.models.embedding import aembedding, embedding
    from prefect_governor.blocks.models.failures import retry_condition_fn
    from prefect_governor.blocks.models.responses import aresponses, responses
    from prefect_governor.blocks.sandbox import Sandbox
    from prefect_governor.blocks.sandboxes.results import SandboxResult
    from prefect_governor.blocks.terms.limit import Limit

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
    "Sandbox",
    "SandboxLost",
    "SandboxResult",
    "Spend",
    "acompletion",
    "aembedding",
    "aresponses",
    "completion",
    "embedding",
    "governed",
    "governor_error",
    "install",
    "responses",
    "retry_condition_fn",
]

_MODULES = dict.fromkeys(__all__, "prefect_governor.blocks.errors") | {
    "Budget": "prefect_governor.blocks.budget",
    "BudgetAllocation": "prefect_governor.blocks.claims.allocation",
    "Governor": "prefect_governor.blocks.governor",
    "Limit": "prefect_governor.blocks.terms.limit",
    "Model": "prefect_governor.blocks.model",
    "Sandbox": "prefect_governor.blocks.sandbox",
    "SandboxResult": "prefect_governor.blocks.sandboxes.results",
    "Spend": "prefect_governor.blocks.claims.spend",
    "acompletion": "prefect_governor.blocks.models.completion",
    "aembedding": "prefect_governor.blocks.models.embedding",
    "aresponses": "prefect_governor.blocks.models.responses",
    "completion": "prefect_governor.blocks.models.completion",
    "embedding": "prefect_governor.blocks.models.embedding",
    "governed": "prefect_governor.blocks.governor",
    "install": "prefect_governor.blocks.bypass.install",
    "responses": "prefect_governor.blocks.models.responses",
    "retry_condition_fn": "prefect_governor.blocks.models.failures",
}

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
