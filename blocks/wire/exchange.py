"""One call from its request to its reply: admitted, sent, resolved. The same steps for both
transports.

Written as coroutines over an `IO`, whose methods await in the asynchronous transport and block in
the synchronous one (where the coroutines therefore never suspend, see `ports.run_blocking`).
"""

import hashlib
import json
import uuid
from collections.abc import AsyncGenerator
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, TypeVar
from urllib.parse import unquote

import httpx

from prefect_governor.blocks.errors import NotBounded, NotGoverned, NotPriced, RunStopped
from prefect_governor.blocks.ledger.records import Demand, Reply
from prefect_governor.blocks.model.tokens import encoding_of
from prefect_governor.blocks.scope import NotKept, attribution, current_scope, only_kept
from prefect_governor.blocks.wire.dialects import dialect_of
from prefect_governor.blocks.wire.plans import Billed, CallPlan, Dialect
from prefect_governor.blocks.wire.ports import IO, Terms
from prefect_governor.blocks.wire.reservation import Call, Reservation, watch_dropped
from prefect_governor.blocks.wire.secrets import Secrets
from prefect_governor.blocks.wire.verdict import (
    TOO_MANY,
    hold_seconds,
    outcome_of_error,
    outcome_of_status,
    quota_is_spent,
)

T = TypeVar("T")

OUTSIDE = (
    "the call was made outside any governor, so it was not sent. Make it inside `with governor:` "
    "or a task under @governed or GovernedTaskRunner, or use the governor's own methods and clients"
)
MALFORMED = (
    "the request is not valid HTTP, so it was not sent; look for a space or a line end in the key "
    "or in another header"
)
REPLAYED_HEADER = "x-prefect-governor"
PASSING_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# A call that has met nothing but 429s for this long is handed its last one.
THROTTLED_PATIENCE_SECONDS = 1800.0

# Whose prices a host bills, where nothing else says it: its models are named without a provider.
PROVIDER_OF_HOST = {
    "api.openai.com": "openai",
    "openrouter.ai": "openrouter",
    "api.groq.com": "groq",
    "api.deepseek.com": "deepseek",
    "api.mistral.ai": "mistral",
    "api.together.xyz": "together_ai",
}
# What describes bytes that were decoded on their way through.
_OF_THE_BYTES = frozenset({"content-encoding", "content-length", "transfer-encoding"})


async def exchange(terms: Terms, io: IO, request: httpx.Request) -> httpx.Response:
    """Sends a request under its governor and returns the reply.

    Raises NotGoverned, NotPriced, NotBounded, OverBudget, QueueTimeout, RunStopped or
    LedgerUnavailable before a byte is sent; NotKept inside `scope.kept_only` where no reply is
    kept; whatever the inner transport raises, once the reservation is resolved. An error that the
    provider answers is handed out without the request's key, should it quote it.
    """
    secrets = Secrets(request)
    if request.method in PASSING_METHODS:
        return await _passed(io, request, secrets)
    dialect = dialect_of(request.method, request.url.path)
    call = _plan(terms, dialect, request, await io.body(request))
    if call.key is not None and (kept := call.desk.reply(call.key)) is not None:
        return _replayed(kept, request)
    if only_kept():
        raise NotKept("no reply is kept for this call, so it was not made")
    started, throttled = terms.clock(), 0
    while True:
        reservation = await _admit(terms, io, call, started)
        response: httpx.Response | None = None
        try:
            response = await io.send(_outgoing(request, call.plan))
            if call.plan.streamed and _is_stream(response):
                return _streamed(io, reservation, response, secrets)
            body = secrets.out_of_body(await io.read(response), status=response.status_code)
            if response.status_code != TOO_MANY or quota_is_spent(body):
                await _resolve(io, reservation, response, body)
                return _handed_out(response, secrets, content=body)
            throttled += 1
            hold = hold_seconds(response.headers, attempt=throttled, now=terms.now())
            await _hold(io, reservation, hold)
        except BaseException as error:
            await _failed(io, reservation, response, error)
            if isinstance(error, httpx.LocalProtocolError):
                # Its text quotes the header that is not valid, which may be the key.
                raise httpx.LocalProtocolError(MALFORMED) from None
            raise
        if terms.clock() - started + hold > THROTTLED_PATIENCE_SECONDS:
            return _handed_out(response, secrets, content=body)
        if not call.throttle_keys:
            await io.sleep(hold)


async def _passed(io: IO, request: httpx.Request, secrets: Secrets) -> httpx.Response:
    """What costs nothing is sent as it is."""
    response = await io.send(request)
    if response.status_code < 400:
        return response
    try:
        body = secrets.out_of(await io.read(response))
    except BaseException:
        await io.close(response)
        raise
    return _handed_out(response, secrets, content=body)


def _plan(terms: Terms, dialect: Dialect, request: httpx.Request, body: bytes) -> Call:
    here = current_scope.get()
    governing = terms.governing or (here.governor if here is not None else None)
    if governing is None:
        raise NotGoverned(OUTSIDE)
    if "content-encoding" in request.headers:
        raise NotBounded("a compressed request cannot be read, so it has no bound; send it plain")
    asked = dialect.open(body)
    host = request.url.host
    provider = terms.provider or PROVIDER_OF_HOST.get(host)
    model = asked.model if provider is None else f"{provider}/{asked.model}"
    price = governing.price_of(model, host=host)
    if price is None:
        raise NotPriced(
            f"no price is known for {model!r}, so it was not called. Give one in the Model block "
            "(price: input_usd_per_million_tokens, output_usd_per_million_tokens), or use a model "
            "that LiteLLM prices by the token"
        )
    plan = dialect.plan(asked, price=price, encoding=encoding_of(asked.model, provider))
    who = attribution(model=model, tags=terms.tags)
    demand = Demand(
        call_id="",
        accounts=governing.accounts(who),
        limits=governing.limits(tags=who.tags, model=model, host=host),
        bound=plan.bound(price),
        attribution=who,
    )
    key = None
    if here is not None and here.item is not None:
        key = here.next_reply_key(_request_hash(request, plan.body))
    timeout = governing.queue_timeout_seconds
    throttle_keys = governing.throttle_keys(demand.limits)
    return Call(governing.desk, dialect, plan, price, demand, throttle_keys, timeout, here, key)


async def _admit(terms: Terms, io: IO, call: Call, started: float) -> Reservation:
    _not_stopped(call)
    left = call.queue_timeout_seconds
    if left is not None:
        # What was waited before, for a call that goes again, is part of the wait.
        left = max(0.0, left - (terms.clock() - started))
    call_id = uuid.uuid4().hex
    demand = replace(call.demand, call_id=call_id)
    future = call.desk.admit(demand, queue_timeout_seconds=left)
    try:
        admission = await io.wait(future)
    except BaseException:
        if not future.done() or future.exception() is None:
            call.desk.abandon(call_id)
        raise
    reservation = Reservation(call, call_id, waited_seconds=admission.waited_seconds)
    try:
        _not_stopped(call)
    except RunStopped:
        await _done(io, reservation.resolve("void", "stopped before it was sent"))
        raise
    return reservation


def _not_stopped(call: Call) -> None:
    stop = None if call.scope is None else call.scope.stop
    if stop is not None and stop.is_set():
        raise RunStopped("the run was told to start nothing more, so the call was not sent")


async def _failed(
    io: IO, reservation: Reservation, response: httpx.Response | None, error: BaseException
) -> None:
    """The inner transport raised, or the caller went away: resolved before it is raised on."""
    outcome = outcome_of_error(error) if response is None else "unconfirm"
    resolved = reservation.resolve(outcome, type(error).__name__)
    # Whoever is cancelled does not wait; the ledger has it in hand.
    if isinstance(error, Exception):
        if response is not None:
            await io.close(response)
        await _done(io, resolved)


async def _hold(io: IO, reservation: Reservation, seconds: float) -> None:
    call = reservation.call
    # First the hold, then the slot: nobody is let through in between.
    held = call.desk.throttled(call.throttle_keys, seconds)
    voided = reservation.resolve("void", "429")
    await _done(io, held)
    await _done(io, voided)


async def _resolve(io: IO, reservation: Reservation, response: httpx.Response, body: bytes) -> None:
    """Resolves a whole reply, durably, before it is handed out."""
    billed = reservation.call.dialect.read(body) if response.is_success else None
    if billed is not None:
        content_type = response.headers.get("content-type", "application/json")
        await _done(io, _settle(reservation, billed, body, content_type))
        return
    reason = f"{response.status_code} without a usage"
    await _done(io, reservation.resolve(outcome_of_status(response.status_code), reason))


def _settle(
    reservation: Reservation, billed: Billed, body: bytes, content_type: str
) -> "Future[None]":
    call = reservation.call
    reply = None if call.key is None else Reply(call.key, body, content_type)
    return reservation.settle(billed.usage(call.price, call.plan), reply)


async def _done(io: IO, future: "Future[None] | None") -> None:
    if future is not None:
        await io.wait(future)


def _streamed(
    io: IO, reservation: Reservation, response: httpx.Response, secrets: Secrets
) -> httpx.Response:
    """Hands out a stream that settles before its last bytes are passed on."""
    watch_dropped()

    async def passing() -> AsyncGenerator[bytes, None]:
        call = reservation.call
        reader = call.dialect.stream(call.plan)
        shown: list[bytes] = []
        settled = False

        async def show(data: bytes) -> bytes:
            nonlocal settled
            data = secrets.out_of_body(data, status=response.status_code)
            if call.key is not None and not settled:
                shown.append(data)
            billed = None if settled else reader.finished()
            if billed is not None:
                settled = True
                content_type = response.headers.get("content-type", "text/event-stream")
                await _done(io, _settle(reservation, billed, b"".join(shown), content_type))
            return data

        try:
            async for chunk in io.chunks(response):
                if data := await show(reader.feed(chunk)):
                    yield data
            rest = await show(reader.flush())
            if not settled:
                reason = "the stream ended without its end or its usage"
                await _done(io, reservation.resolve("unconfirm", reason))
            if rest:
                yield rest
        except Exception as error:
            await _done(io, reservation.resolve("unconfirm", type(error).__name__))
            raise

    async def close() -> None:
        try:
            await io.close(response)
        finally:
            reservation.resolve("unconfirm", "the stream was closed before its end")

    return _handed_out(response, secrets, stream=io.stream(passing(), close))


def _is_stream(response: httpx.Response) -> bool:
    kind = response.headers.get("content-type", "")
    return response.is_success and not kind.startswith("application/json")


def _handed_out(response: httpx.Response, secrets: Secrets, **body: Any) -> httpx.Response:
    """The reply as the caller gets it: decoded, so without what described the coded bytes."""
    headers = [
        (name, value)
        for name, value in secrets.out_of_headers(response)
        if name.decode("ascii", "replace").lower() not in _OF_THE_BYTES
    ]
    extensions = secrets.out_of_extensions(response)
    return httpx.Response(response.status_code, headers=headers, extensions=extensions, **body)


def _replayed(kept: Reply, request: httpx.Request) -> httpx.Response:
    headers = {"content-type": kept.content_type, REPLAYED_HEADER: "replayed"}
    return httpx.Response(200, headers=headers, content=kept.body, request=request)


def _outgoing(request: httpx.Request, plan: CallPlan) -> httpx.Request:
    """The request with the body that was measured."""
    headers = [(k, v) for k, v in request.headers.multi_items() if k not in _OF_THE_BYTES]
    return httpx.Request(
        request.method,
        request.url,
        headers=headers,
        content=plan.body,
        extensions=request.extensions,
    )


def _request_hash(request: httpx.Request, body: bytes) -> str:
    """What makes two calls the same: method, path and body, its keys in order."""
    canonical = json.dumps(json.loads(body), sort_keys=True, separators=(",", ":"))
    path = unquote(request.url.path)
    return hashlib.sha256(f"{request.method} {path}\n{canonical}".encode()).hexdigest()
