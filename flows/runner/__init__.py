"""`GovernedTaskRunner`: Prefect's task runner contract on one long-lived event loop."""

from prefect_governor.flows.runner.futures import GovernedFuture, LoopWouldBlock
from prefect_governor.flows.runner.task_runner import GovernedTaskRunner

__all__ = ["GovernedFuture", "GovernedTaskRunner", "LoopWouldBlock"]
