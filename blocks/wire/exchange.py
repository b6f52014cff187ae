"""One call from its request to its reply: admitted, sent, resolved. The same steps for both
transports.

Written as coroutines over an `IO`, whose methods await in the asynchronous transport and block in
the synchronous one (where the coroutines therefore never suspend, see `ports.run_blocking`).
"""

from collections.abc import AsyncGenerator, Coroutine
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

import httpx

from prefect_governor.blocks.context.scope import NotKept, anew, only_kept
from prefect_governor.blocks.context.stopwatch import queueing
from prefect_governor.blocks.errors import GovernorError, OverBudget
from prefect_governor.blocks.machine.stops import check_not_stopped
from prefect_governor.blocks.records.calls import Reply
from prefect_governor.blocks.secrets.exits import learn
from prefect_governor.blocks.telemetry.switch import recorder
from prefect_governor.blocks.wire.dialects import is_free
from prefect_governor.blocks.wire.messages import handed_out, outgoing, replayed
from prefect_governor.blocks.wire.planning import OUTSIDE, dialect_for, given_by, planned, told_to
from prefect_governor.blocks.wire.ports import IO, Terms
from prefect_governor.blocks.wire.replies.event_stream import MEDIA_TYPE
from prefect_governor.blocks.wire.replies.secrets import Secrets
from prefect_governor.blocks.wire.replies.statuses import outcome_of_status
from prefect_governor.blocks.wire.replies.verdict import (
    TOO_MANY,
    hold_seconds,
    outcome_of_error,
    quota_is_spent,
)
from prefect_governor.blocks.wire.requests.fitting import over_budget
from prefect_governor.blocks.wire.requests.plans import Billed
from prefect_governor.blocks.wire.requests.unmeasured import reader_of
from prefect_governor.blocks.wire.reservation import Call, Reservation
from prefect_governor.blocks.wire.retries import notice_retry
from prefect_governor.blocks.wire.signing import signed_anew
from prefect_governor.blocks.wire.sockets import LEFT, Leaving

if TYPE_CHECKING:
    from prefect_governor.blocks.telemetry.call import CallWatch

__all__ = ["OUTSIDE", "exchange"]

T = TypeVar("T")

_PORTS = {"http": 80, "https": 443}
# Bytes of a request that is read and counted where it is sent, in some 20 ms; what more bytes take
# holds up nobody else.
MOST_COUNTED_HERE = 64 * 1024
MALFORMED = (
    "the request is not valid HTTP, so it was not sent; look for a space or a line end in the key "
    "or in another header"
)
CLOSED = "the stream was closed before its end"
NO_END = "the stream ended without its end or its usage"
STOOD_STILL = "its process stood still before it was sent"
# A call that has met nothing but 429s for this long is handed its last one.
THROTTLED_PATIENCE_SECONDS = 1800.0


def exchange(terms: Terms, io: IO, request: httpx.Request) -> Coroutine[Any, Any, httpx.Response]:
    """Sends a request under its governor and returns the reply.

    Raises NotGoverned, NotPriced, NotBounded, OverBudget, QueueTimeout, RunStopped or
    LedgerUnavailable before a byte is sent; NotKept inside `scope.kept_only` where no reply is
    kept; whatever the inner transport raises, once the reservation is resolved. An error that the
    provider answers is handed out without the request's key, should it quote it; a reply that is
    kept is handed out as it is kept, without keys.

    A call that sets no limit to its output has the model's own. Where the money is not there for
    it, it is asked for with what the money is there for.

    A call that was admitted at its fitted bound is sent with the smaller `max_tokens`. An answer
    that this cuts is paid for and not handed out: the call goes again for the whole of its bound,
    and where the money is not there OverBudget is raised, which names the cut. A stream that is
    asked for with less is held until its end, so that nothing of a cut one was passed on.

    Where calls are only observed nothing is refused for want of a price, a bound or a known path.
    """
    if (telling := recorder()) is None:
        return _exchanged(terms, io, request)
    url = request.url
    watch = telling.watch(host=url.host, port=url.port or _PORTS.get(url.scheme, 0))
    return watch.over(_exchanged(terms, io, request, watch))


async def _exchanged(
    terms: Terms, io: IO, request: httpx.Request, watch: "CallWatch | None" = None
) -> httpx.Response:
    secrets = Secrets(request)
    learn(*secrets.lasting)
    if is_free(request.method, request.url.path, given_by(terms.provider, request.url)):
        return await _passed(io, request, secrets)
    # Looked up again and again, for which httpx goes through all of them each time.
    headers = dict(request.headers.items())
    notice_retry(headers)
    dialect = dialect_for(terms, request)
    if watch is not None:
        watch.opens(dialect.operation)
    body = await io.body(request)
    plan = partial(
        planned, terms, dialect, request, body, headers=headers, credential=secrets.fingerprint
    )
    call = await io.aside(plan) if len(body) > MOST_COUNTED_HERE else plan()
    if (kept := _kept(call)) is not None:
        return replayed(kept, request)
    if only_kept():
        if watch is not None:
            watch.drop()
        raise NotKept("no reply is kept for this call, so it was not made")
    if watch is not None:
        call = told_to(watch, call, terms)
    started, throttled = terms.clock(), 0
    while True:
        with Reservation(call) as reservation:
            try:
                if not await _admitted(terms, io, reservation, started):
                    continue
            except OverBudget as refusal:
                less = call.instead(refusal)
                if less is None:
                    raise over_budget(call.whole or call.plan, call.cut_at, refusal) from None
                call = less
                continue
            response: httpx.Response | None = None
            try:
                left = reservation.sent(terms.clock, told=io.tells)
                response = await io.send(_outgoing(request, reservation, left))
                reservation.heard(response, now=terms.now())
                if call.plan.streamed and _is_stream(response):
                    if not reservation.fitted:
                        if watch is not None:
                            watch.streams()
                        return _streamed(io, reservation, response, secrets)
                    body, cut = await _held(io, reservation, response, secrets)
                    if not cut:
                        return handed_out(response, secrets, content=body)
                    call = call.in_full(reservation.plan.output_tokens)
                    started, throttled = terms.clock(), 0
                    continue
                body = secrets.out_of_body(
                    await io.read(response),
                    status=response.status_code,
                    kept=call.key is not None,
                )
                if response.status_code != TOO_MANY or quota_is_spent(body):
                    cut = await _resolve(io, reservation, response, body)
                    if not cut:
                        return handed_out(response, secrets, content=body)
                    call = call.in_full(reservation.plan.output_tokens)
                    started, throttled = terms.clock(), 0
                    continue
                throttled += 1
                hold = hold_seconds(response.headers, attempt=throttled, now=terms.now())
                reservation.throttled(hold)
                await _hold(io, reservation, hold)
            except BaseException as error:
                await _failed(io, reservation, response, error)
                if isinstance(error, httpx.LocalProtocolError):
                    # Its text quotes the header that is not valid, which may be the key.
                    raise httpx.LocalProtocolError(MALFORMED) from None
                raise
        if terms.clock() - started + hold > THROTTLED_PATIENCE_SECONDS:
            return handed_out(response, secrets, content=body)
        if not call.throttle_keys:
            with queueing():
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
    return handed_out(response, secrets, content=body)


def _kept(call: Call) -> Reply | None:
    """The reply that is handed out in place of asking; None where the call is to be made."""
    if call.key is None or anew():
        return None
    kept = call.desk.reply(call.key)
    if kept is None or call.scope is None or not call.scope.retry_failed:
        return kept
    ending = call.dialect.ending(kept.body)
    return kept if ending is None or ending.kind == "fine" else None


async def _admitted(terms: Terms, io: IO, reservation: Reservation, started: float) -> bool:
    """Whether the call may be sent now under its reservation; False where it is to ask anew."""
    call = reservation.call
    check_not_stopped()
    left = call.queue_timeout_seconds
    if left is not None:
        # What was waited before, for a call that goes again, is part of the wait.
        left = max(0.0, left - (terms.clock() - started))
    try:
        with queueing():
            admission = await io.wait(reservation.ask(left))
        reservation.admitted(admission)
    except GovernorError:
        reservation.refused()
        raise
    except BaseException:
        reservation.end()
        raise
    try:
        check_not_stopped()
        reservation.fit()
    except Exception:
        await _done(io, reservation.resolve("void", "it was stopped before it was sent"))
        raise
    if not reservation.stale:
        return True
    await _done(io, reservation.resolve("void", STOOD_STILL))
    return False


def _outgoing(request: httpx.Request, reservation: Reservation, left: Leaving) -> httpx.Request:
    sent = outgoing(request, reservation.plan.body, request_id=reservation.demand.request_id or "")
    sent.extensions = {**sent.extensions, LEFT: left}
    credentials = reservation.call.credentials
    return sent if credentials is None else signed_anew(sent, credentials)


async def _failed(
    io: IO, reservation: Reservation, response: httpx.Response | None, error: BaseException
) -> None:
    """The inner transport raised, or the caller went away: resolved before it is raised on."""
    outcome = "unconfirm" if response is not None else outcome_of_error(error)
    if response is None and reservation.never_left:
        outcome = "void"
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


async def _resolve(io: IO, reservation: Reservation, response: httpx.Response, body: bytes) -> bool:
    """Resolves a whole reply, durably, before it is handed out. True where it is not to be: its
    answer was cut by the fit."""
    call = reservation.call
    outcome = outcome_of_status(response.status_code, call.served_by, provider=call.provider)
    # A refusal that is billed may say how much; what failed on its way is nobody's word.
    may_say = outcome == "unconfirm" and response.status_code < 500
    billed = reservation.call.dialect.read(body) if may_say else None
    if billed is None or not billed.is_priced(reservation.call.price):
        reason = f"{response.status_code} without a usage"
        await _done(io, reservation.resolve(outcome, reason))
        return False
    cut = reservation.fitted and billed.cut
    content_type = response.headers.get("content-type", "application/json")
    # A run that is taken up again asks anew too.
    keep = response.is_success and not cut
    await _done(io, _settle(reservation, billed, body, content_type, keep=keep))
    return cut


def _settle(
    reservation: Reservation, billed: Billed, body: bytes, content_type: str, *, keep: bool = True
) -> "Future[None]":
    key = reservation.call.key
    reply = Reply(key, body, content_type) if keep and key is not None else None
    return reservation.settle(billed, reply)


async def _done(io: IO, future: "Future[None] | None") -> None:
    if future is not None:
        await io.wait(future)


async def _held(
    io: IO, reservation: Reservation, response: httpx.Response, secrets: Secrets
) -> tuple[bytes, bool]:
    """All of a stream, once it has ended and is resolved; whether its answer was cut by the fit."""
    call = reservation.call
    reader = call.dialect.stream(call.plan)
    shown = [reader.feed(chunk) async for chunk in io.chunks(response)]
    content_type = response.headers.get("content-type", "text/event-stream")
    body = secrets.out_of_body(
        b"".join((*shown, reader.flush())),
        status=response.status_code,
        kept=call.key is not None and not content_type.startswith(MEDIA_TYPE),
    )
    billed = reader.finished()
    if billed is None or not billed.is_priced(call.price):
        await _done(io, reservation.resolve("unconfirm", NO_END))
        return body, False
    keep = not billed.cut and not secrets.are_in(body)
    await _done(io, _settle(reservation, billed, body, content_type, keep=keep))
    return body, billed.cut


def _streamed(
    io: IO, reservation: Reservation, response: httpx.Response, secrets: Secrets
) -> httpx.Response:
    """Hands out a stream that settles before its last bytes are passed on."""

    async def chunks() -> AsyncGenerator[bytes, None]:
        call = reservation.call
        reader = reader_of(call.dialect, call.plan)
        shown: list[bytes] = []
        settled = False
        kept = call.key is not None
        content_type = response.headers.get("content-type", "text/event-stream")
        # A message of AWS's has checksums.
        is_text = not content_type.startswith(MEDIA_TYPE)

        async def show(data: bytes) -> bytes:
            nonlocal settled
            data = secrets.out_of_body(data, status=response.status_code, kept=kept and is_text)
            if kept and not settled:
                shown.append(data)
            billed = None if settled else reader.finished()
            if billed is not None and billed.is_priced(call.price):
                settled = True
                body = b"".join(shown)
                # What cannot be cleaned is not kept: a run that is taken up again asks anew.
                keep = kept and not secrets.are_in(body)
                await _done(io, _settle(reservation, billed, body, content_type, keep=keep))
            return data

        came = io.chunks(response)

        async def read_on() -> None:
            async for chunk in came:
                await show(reader.feed(chunk))
                if settled:
                    return
            await show(reader.flush())

        try:
            async for chunk in came:
                call.desk.handed_on(reservation.demand.call_id)
                if data := await show(reader.feed(chunk)):
                    yield data
            rest = await show(reader.flush())
            if not settled:
                await _done(io, reservation.resolve("unconfirm", NO_END))
            if rest:
                yield rest
        except GeneratorExit:
            # Whoever has read the last word leaves, and the bill comes after it.
            if not settled and reader.all_said():
                with suppress(Exception):
                    await io.briefly(response, read_on())
            raise
        except Exception as error:
            await _done(io, reservation.resolve("unconfirm", type(error).__name__))
            raise
        finally:
            reservation.resolve("unconfirm", CLOSED)

    async def close() -> None:
        try:
            await io.close(response)
        finally:
            reservation.resolve("unconfirm", CLOSED)

    stream = io.stream(chunks(), close)
    reservation.hand_to(stream)
    return handed_out(response, secrets, stream=stream)


def _is_stream(response: httpx.Response) -> bool:
    kind = response.headers.get("content-type", "")
    return response.is_success and not kind.startswith("application/json")
