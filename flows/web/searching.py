"""A search: money for it first, then one request, and what it came to."""

import json
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from decimal import Decimal
from typing import Any

import anyio
import httpx

from prefect_governor.blocks.claims.spend import Spend
from prefect_governor.blocks.terms.limit import Limit
from prefect_governor.blocks.work.runtime import Runtime
from prefect_governor.flows.web.network.bodies import ACCEPTED, Body
from prefect_governor.flows.web.network.guard import NotFetched, read_url
from prefect_governor.flows.web.plain import one_line
from prefect_governor.flows.web.providers import Found, SearchProvider

# The limit that searches count under, the label of what they spend, and the tool's name.
WEB_SEARCH = "web_search"

# What bounds them where the governor has no limit of that tag: what providers' smallest plans bear.
SEARCH_LIMIT = Limit(tag=WEB_SEARCH, max_concurrent=4)

_SECONDS = 20.0
_MOST_BYTES = 2 * 2**20
_MOST_TITLE, _MOST_SNIPPET = 200, 600


class SearchFailed(Exception):
    """A search that gave nothing; the message says why. It holds neither key nor URL."""


async def search(
    provider: SearchProvider,
    query: str,
    most: int,
    *,
    usd: Decimal,
    runtime: Callable[[], Runtime],
) -> list[Found]:
    """What a provider finds, as plain lines of text, the URLs in their one form; `usd` is reserved
    before the request leaves, and settled by what became of it: a request that was refused or never
    sent is not billed, one whose end nobody saw stays charged.

    Raises SearchFailed; OverBudget and whatever else refuses the money.
    """
    request = provider.request(query, most)
    spending: AbstractAsyncContextManager[Spend | None] = nullcontext()
    if usd:
        spending = Spend(runtime, usd, label=WEB_SEARCH, tags=(WEB_SEARCH,))
    async with spending as spend:
        try:
            status, data = await _sent(request)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            if spend is not None:
                spend.void("the search provider could not be reached")
            raise SearchFailed(f"{provider.name} could not be reached") from None
        except (httpx.HTTPError, TimeoutError) as error:
            raise SearchFailed(f"{provider.name} did not answer: {type(error).__name__}") from None
        if 200 <= status < 300:
            if spend is not None:
                spend.settle(usd)
            return list(_read(provider, data, most))
        # Who is turned away is not billed; of a server's own error nobody knows.
        if spend is not None and status < 500:
            spend.void(f"the search provider answered {status}")
        raise SearchFailed(f"{provider.name} answered {status}{_hint(provider, status)}")


async def _sent(request: httpx.Request) -> tuple[int, bytes]:
    """The status and the body, empty for one that is too large or broken. No redirect is followed:
    it would carry the key elsewhere."""
    request.headers["Accept-Encoding"] = ACCEPTED
    with anyio.fail_after(_SECONDS):
        async with httpx.AsyncClient(timeout=_SECONDS) as client:
            reply = await client.send(request, stream=True)
            try:
                return reply.status_code, await _body(reply)
            finally:
                await reply.aclose()


async def _body(reply: httpx.Response) -> bytes:
    try:
        body = Body(reply.headers.get("content-encoding", ""), most=_MOST_BYTES)
        async for piece in reply.aiter_raw(65_536):
            body.add(piece)
        return body.whole()
    except NotFetched:
        return b""


def _hint(provider: SearchProvider, status: int) -> str:
    if status in (401, 403):
        return f": it does not take the {provider.variable}"
    return ": too many searches; try again later" if status == 429 else ""


def _read(provider: SearchProvider, data: bytes, most: int) -> Sequence[Found]:
    try:
        answer: Any = json.loads(data)
    except (ValueError, RecursionError):
        raise SearchFailed(f"{provider.name} answered with what is no JSON") from None
    found = []
    for each in provider.found(answer, most):
        try:
            url = read_url(each.url).url
        except NotFetched:
            continue
        found.append(
            Found(one_line(each.title, _MOST_TITLE), url, one_line(each.snippet, _MOST_SNIPPET))
        )
    return found
