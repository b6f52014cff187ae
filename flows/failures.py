"""What a failure means: try again, try another model, or stop the run. Pure.

Clients wrap errors in their own; what counts is anywhere in the chain that an error was raised
from. A status is the HTTP status that LiteLLM's and the SDKs' errors carry.
"""

import httpx

from prefect_governor.blocks.errors import GovernorError, chain, governor_error

_QUOTA_WORDS = ("insufficient_quota", "exceeded your current quota", "billing_hard_limit")


def worth_a_retry(error: BaseException) -> bool:
    """Throttling, timeouts, broken connections and 5xx; not what would fail the same way again:
    400, 401, 403, a context too long, content policy, spent quota, our own refusals."""
    if isinstance(governor_error(error), GovernorError):
        return False
    if _spent_quota(error):
        return False
    status = _status(error)
    if status is not None:
        return status in (408, 409, 429) or status >= 500
    return any(isinstance(each, httpx.TransportError | TimeoutError) for each in chain(error))


def worth_another_model(error: BaseException) -> bool:
    """What a fallback may be better at: whatever is not a refusal of our own."""
    return governor_error(error) is None


def ends_the_run(error: BaseException) -> str | None:
    """Why no other item can do better, None where it can: a dead key, a spent quota."""
    if isinstance(governor_error(error), GovernorError):
        return None
    if _spent_quota(error):
        return (
            "the provider says that the account's quota is spent: add credit with the provider,"
            " then run it again, which pays only for what is missing"
        )
    if _status(error) == 401:
        return (
            "the provider refuses the key (401): set a valid key, then run it again, which pays"
            " only for what is missing"
        )
    return None


def _spent_quota(error: BaseException) -> bool:
    return any(word in str(each) for each in chain(error) for word in _QUOTA_WORDS)


def _status(error: BaseException) -> int | None:
    for each in chain(error):
        status = getattr(each, "status_code", None)
        if isinstance(status, int):
            return status
    return None
