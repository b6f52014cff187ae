"""Hard budgets, caps and rates for model calls in Prefect flows.

Every public name of `prefect_governor.blocks` and `prefect_governor.flows`, from one place.
Importing this package imports neither Prefect nor LiteLLM: each name does when it is first used.
"""

from typing import TYPE_CHECKING

from prefect_governor.lazy import lazy_names

if TYPE_CHECKING:
    from prefect_governor.blocks import (
        Budget,
        BudgetAllocation,
        CallRefused,
        ConfigurationError,
        Governor,
        GovernorError,
        ItemFailed,
        LedgerUnavailable,
        Limit,
        Model,
        NotBounded,
        NotGoverned,
        NotPriced,
        OverBudget,
        QueueTimeout,
        RunFailed,
        RunStopped,
        Sandbox,
        SandboxLost,
        SandboxResult,
        Spend,
        acompletion,
        aembedding,
        aresponses,
        completion,
        embedding,
        governed,
        governor_error,
        install,
        responses,
        retry_condition_fn,
    )
    from prefect_governor.flows import (
        GovernedTaskRunner,
        Item,
        Report,
        afan_out,
        aresearch,
        fan_out,
        publish_report,
        research,
    )

__all__ = [
    "Budget",
    "BudgetAllocation",
    "CallRefused",
    "ConfigurationError",
    "GovernedTaskRunner",
    "Governor",
    "GovernorError",
    "Item",
    "ItemFailed",
    "LedgerUnavailable",
    "Limit",
    "Model",
    "NotBounded",
    "NotGoverned",
    "NotPriced",
    "OverBudget",
    "QueueTimeout",
    "Report",
    "RunFailed",
    "RunStopped",
    "Sandbox",
    "SandboxLost",
    "SandboxResult",
    "Spend",
    "acompletion",
    "aembedding",
    "afan_out",
    "aresearch",
    "aresponses",
    "completion",
    "embedding",
    "fan_out",
    "governed",
    "governor_error",
    "install",
    "publish_report",
    "research",
    "responses",
    "retry_condition_fn",
]

_FLOWS = (
    "GovernedTaskRunner",
    "Item",
    "Report",
    "afan_out",
    "aresearch",
    "fan_out",
    "publish_report",
    "research",
)
_MODULES = dict.fromkeys(__all__, "prefect_governor.blocks") | dict.fromkeys(
    _FLOWS, "prefect_governor.flows"
)

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
