"""What runs: the fan-out, its task runner and its report.

Importing this package imports neither Prefect nor LiteLLM: each name does when it is first used.
"""

from typing import TYPE_CHECKING

from prefect_governor.blocks.lazy import lazy_names

if TYPE_CHECKING:
    from prefect_governor.flows.fanout import afan_out, fan_out
    from prefect_governor.flows.inquiry.flow import aresearch, research
    from prefect_governor.flows.report.model import Report
    from prefect_governor.flows.report.publish import publish_report
    from prefect_governor.flows.runner import GovernedTaskRunner
    from prefect_governor.flows.sources import Item

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
    "Item": "prefect_governor.flows.sources",
    "Report": "prefect_governor.flows.report.model",
    "afan_out": "prefect_governor.flows.fanout",
    "fan_out": "prefect_governor.flows.fanout",
    "aresearch": "prefect_governor.flows.inquiry.flow",
    "publish_report": "prefect_governor.flows.report.publish",
    "research": "prefect_governor.flows.inquiry.flow",
}

__getattr__, __dir__ = lazy_names(__name__, _MODULES)
