"""What runs: the fan-out, its task runner and its report.

Importing this package imports neither Prefect nor LiteLLM: each name does when it is first used.
"""

from typing import TYPE_CHECKING

from prefect_governor.lazy import lazy_names

if TYPE_CHECKING:
    from prefect_governor.flows.fan_out_flow import afan_out, fan_out
    from prefect_governor.flows.items.item import Item
    from prefect_governor.flows.report.model import Report
    from prefect_governor.flows.report.publish import publish_report
    from prefect_governor.flows.research_flow import aresearch, research
    from prefect_governor.flows.runner import GovernedTaskRunner

__all__ = [
    "GovernedTaskRunner",
    "Item",
    "Report",
    "afan_out",
    "aresearch",
    "fan_out",
    "publish_report",
    "research",
]

_MODULES = {
    "GovernedTaskRunner": "prefect_governor.flows.runner",
    "Item": "prefect_governor.flows.items.item",
    "Report": "prefect_governor.flows.report.model",
    "afan_out": "prefect_governor.flows.fan_out_flow",
    "fan_out": "prefect_governor.flows.fan_out_flow",
    "aresearch": "prefect_governor.flows.research_flow",
    "publish_report": "prefect_governor.flows.report.publish",
    "research": "prefect_governor.flows.research_flow",
}

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
