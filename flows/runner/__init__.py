"""`GovernedTaskRunner`: Prefect's task runner contract on one long-lived event loop.

May import: blocks, recovery.
Begin with: task_runner.py; lane.py for the loop.
"""

from prefect_governor.flows.runner.futures import GovernedFuture, LoopWouldBlock
from prefect_governor.flows.runner.task_runner import GovernedTaskRunner

__all__ = ["GovernedFuture", "GovernedTaskRunner", "LoopWouldBlock"]
