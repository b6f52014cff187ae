"""A refusal as the HTTP reply that an SDK is answered, whose own error then says it.

SDKs make "Connection error." of what their transport raises, and try again. Of a reply with a
status they show the body. It has the form of an error of the family that was asked, and says
whose word it is: a header (`errors.REFUSAL`), the error's type, the text's first words.
"""

import math

import httpx

from prefect_governor.blocks.errors import (
    REFUSAL,
    REFUSAL_STATUSES,
    REFUSED,
    GovernorError,
    NotGoverned,
    QueueTimeout,
)
from prefect_governor.blocks.wire.dialects import dialect_of
from prefect_governor.blocks.wire.exchange import exchange
from prefect_governor.blocks.wire.planning import governing_of
from prefect_governor.blocks.wire.ports import IO, Terms
from prefect_governor.blocks.wire.requests.plans import openai_error

# OpenAI's, Anthropic's and Groq's SDKs look at it; no try of theirs could do better.
_NO_RETRY = {"x-should-retry": "false"}
# A reply that asks for more is not tried again by some of those who follow it.
LONGEST_RETRY_AFTER_SECONDS = 60


async def answered(terms: Terms, io: IO, request: httpx.Request) -> httpx.Response:
    """`exchange`, with an error of ours as a reply. Raises what else `exchange` raises."""
    try:
        return await exchange(terms, io, request)
    except GovernorError as error:
        return refusal(error, request, retry_after_seconds=_retry_after(terms, error))


def refusal(
    error: GovernorError, request: httpx.Request, *, retry_after_seconds: int | None = None
) -> httpx.Response:
    """The reply that says `error` to whoever sent `request`: 402 for money, 429 for a wait that was
    too long, 503 for the ledger, 400 for all else."""
    kind = type(error).__name__
    status = next(status for base, status in REFUSAL_STATUSES if isinstance(error, base))
    headers = {REFUSAL: kind, **_NO_RETRY}
    if retry_after_seconds is not None:
        headers["retry-after"] = str(retry_after_seconds)
    try:
        form = dialect_of(request.method, request.url.path).error
    except NotGoverned:
        form = openai_error
    return httpx.Response(
        status,
        headers=headers,
        json=form(status, kind, f"{REFUSED}{kind}: {error}"),
        extensions={REFUSAL: error},
        request=request,
    )


def _retry_after(terms: Terms, error: GovernorError) -> int | None:
    """In how many seconds a call that waited too long may be worth another try: what did not come
    free in the time that it waited does not come free sooner."""
    governing = governing_of(terms)
    if not isinstance(error, QueueTimeout) or governing is None:
        return None
    waited = math.ceil(governing.queue_timeout_seconds or 1)
    return max(1, min(waited, LONGEST_RETRY_AFTER_SECONDS))
