"""What a failure means: try again, try another model, or stop the run. Pure.

Clients wrap errors in their own; what counts is anywhere in the chain that an error was raised
from. A status is the HTTP status that LiteLLM's and the SDKs' errors carry.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx

from prefect_governor.blocks.errors import FINAL, GovernorError, LedgerFull, chain, governor_error
from prefect_governor.blocks.models.choice import KEY_VARIABLES
from prefect_governor.blocks.wire.replies.verdict import SPENT_QUOTA

# Where an error holds no body, only a text. What people are told ("you exceeded your current
# quota") is no sign: some say it of a minute's quota, which comes back.
_QUOTA_WORDS = re.compile(rf"(?<!\w)(?:{'|'.join(sorted(SPENT_QUOTA))})(?!\w)")
_QUOTA_STATUSES = frozenset({402, 403, 429, None})


def worth_a_retry(error: BaseException) -> bool:
    """Throttling, timeouts, broken connections and 5xx; not what would fail the same way again:
    400, 401, 403, a context too long, content policy, spent quota, our own refusals."""
    if isinstance(governor_error(error), GovernorError):
        return False
    if spent_quota(error):
        return False
    status = _status(error)
    if status is not None:
        return status in (408, 409, 429) or status >= 500
    return any(isinstance(each, httpx.TransportError | TimeoutError) for each in chain(error))


def is_final(error: BaseException) -> bool:
    """Whether it is a refusal of ours that no repetition of the code that met it can change: no
    price, no bound, not governed, over budget, the run stopped, a wrong configuration. A queue that
    was too long and a ledger that was away may be better the next time."""
    return isinstance(governor_error(error), FINAL)


def retry_condition_fn(task: Any, task_run: Any, state: Any) -> bool:
    """Which failures a task is worth another attempt for: `@task(retries=2,
    retry_condition_fn=retry_condition_fn)`, under any task runner.

    False for the governor's own final refusals, and for what a provider would refuse the same way
    again: 400, 401, 403, a context too long, content policy, a spent quota. True for all else:
    throttling, timeouts, 5xx, and the errors of the task's own code. Under `GovernedTaskRunner` a
    final refusal is not tried again in any case.

    Args:
        task: the task; not looked at.
        task_run: its run; not looked at.
        state: the state that the attempt ended in; what counts is the exception that is its data.
    """
    error = getattr(state, "data", None)
    if not isinstance(error, BaseException):
        return True
    if isinstance(governor_error(error), GovernorError):
        return not is_final(error)
    told = spent_quota(error) or _status(error) is not None
    return not told or worth_a_retry(error)


def worth_another_model(error: BaseException) -> bool:
    """What a fallback may be better at: whatever is not a refusal of our own."""
    return governor_error(error) is None


def ends_the_run(error: BaseException) -> str | None:
    """Why no other item can do better, None where it can: a dead key, a spent quota, a ledger
    without room."""
    again = "then go on with the run, which pays only for what is missing"
    ours = governor_error(error)
    if isinstance(ours, LedgerFull):
        return f"{ours}, {again}"
    if isinstance(ours, GovernorError):
        return None
    provider, model = _whose(error)
    if spent_quota(error):
        return (
            f"{provider or 'the provider'} says that the account's quota is spent{model}: add"
            f" credit there, {again}"
        )
    if _status(error) == 401:
        variable = KEY_VARIABLES.get(provider or "")
        where = f" ({variable}, or the Model block's)" if variable else ""
        return (
            f"{provider or 'the provider'} refuses the key{model} (401): set a valid one{where},"
            f" {again}"
        )
    return None


def _whose(error: BaseException) -> tuple[str | None, str]:
    """The provider, as LiteLLM names it in its errors, and " for" the model that was asked."""
    for each in chain(error):
        provider = getattr(each, "llm_provider", None)
        if isinstance(provider, str) and provider:
            model = getattr(each, "model", None)
            return provider, f" for {model}" if isinstance(model, str) and model else ""
    return None, ""


def spent_quota(error: BaseException) -> bool:
    """Whether the provider says that the account's money is gone, which no waiting mends."""
    codes = [code for each in chain(error) for code in _codes(each)]
    if codes:
        return not SPENT_QUOTA.isdisjoint(codes)
    return _status(error) in _QUOTA_STATUSES and any(
        _QUOTA_WORDS.search(str(each)) for each in chain(error)
    )


def failure_of(failures: Sequence[Exception]) -> Exception:
    """The failure of an item whose model and fallbacks all failed; `failures` in their order, at
    least one.

    One that is worth a retry, for the next attempt begins with the first model; else one that does
    not end the run, for another item may do better under that model: a fallback's dead key ends
    nothing that the first model can go on with. Of several, the first model's.
    """
    for telling in (worth_a_retry, lambda each: ends_the_run(each) is None):
        for failure in failures:
            if telling(failure):
                return failure
    return failures[0]


def _codes(error: BaseException) -> Iterator[str]:
    """The `code` and `type` that an error's body holds, as OpenAI's dialect has them."""
    body = getattr(error, "body", None)
    inner = body.get("error", body) if isinstance(body, Mapping) else None
    holders: list[Any] = [error, *([inner] if isinstance(inner, Mapping) else [])]
    for holder in holders:
        for name in ("code", "type"):
            value = holder.get(name) if isinstance(holder, Mapping) else getattr(holder, name, None)
            if isinstance(value, str):
                yield value


def _status(error: BaseException) -> int | None:
    for each in chain(error):
        status = getattr(each, "status_code", None)
        if isinstance(status, int):
            return status
    return None
