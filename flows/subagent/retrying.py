"""How the tasks of the ready flows are retried: once, by Prefect, where it can help."""

from typing import Any

from prefect.cache_policies import NO_CACHE
from prefect.tasks import exponential_backoff

from prefect_governor.blocks.models.failures import worth_a_retry

RETRIES = 3
# Seconds before the first retry; doubled for each further one, plus up to as much in jitter.
BACKOFF_SECONDS = 1.0


def _worth_it(_task: Any, _run: Any, state: Any) -> bool:
    return isinstance(state.data, BaseException) and worth_a_retry(state.data)


# Options of `prefect.task`. What finished is kept by the ledger, in the transaction that settles
# it, so that Prefect's own results are not needed.
RETRYING: dict[str, Any] = {
    "retries": RETRIES,
    "retry_delay_seconds": exponential_backoff(backoff_factor=BACKOFF_SECONDS),
    "retry_jitter_factor": 1.0,
    "retry_condition_fn": _worth_it,
    "cache_policy": NO_CACHE,
    "persist_result": False,
}
