"""One chat call's life, from the key it shows to its reply's last byte."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson

from tests.provider.answers.replies import Answer, Writer
from tests.provider.books.bill import Usage
from tests.provider.books.log import Book, Record
from tests.provider.books.used import bill_of, usage_of
from tests.provider.config import Config, FaultKind, Seconds
from tests.provider.families.azure import filtered
from tests.provider.families.chat import ApiError, ChatRequest
from tests.provider.families.family import Family
from tests.provider.families.gemini import IMAGE_TOKENS
from tests.provider.families.vertex import admit, is_vertex, placed
from tests.provider.rules.desk import Desk, Ready
from tests.provider.rules.faults import BILLED, HANGS, FaultPlan, unit_draw
from tests.provider.rules.gate import Gate, Refusal
from tests.provider.wire import Exchange


@dataclass(slots=True)
class Call:
    """A call that the limits let in, and all that is known of how it will go."""

    exchange: Exchange
    record: Record
    request: ChatRequest
    ready: Ready
    answer: Answer
    usage: Usage
    nano: int
    fault: FaultKind | None
    headers: dict[str, str]
    config: Config
    family: Family

    @property
    def refused(self) -> bool:
        """Whether the script answers with an error."""
        return self.answer.script is not None and self.answer.script.status != 200

    @property
    def billed(self) -> bool:
        if self.filtered:
            return True
        if self.refused:
            return self.answer.script is not None and self.answer.script.billed
        return self.fault is None or self.fault in BILLED

    @property
    def filtered(self) -> bool:
        """Whether Azure's filter holds the prompt back, which is billed."""
        return self.answer.script is not None and self.answer.script.filtered


class Service:
    """Serves chat calls by a config that may change between them."""

    def __init__(self, config: Config, book: Book, clock_ns: Callable[[], int]) -> None:
        self._book = book
        self._clock_ns = clock_ns
        self.apply(config, set(Config.model_fields))

    def apply(self, config: Config, changed: set[str]) -> None:
        """What remembers something starts afresh only when its own part of the config changed."""
        self.config = config
        self.desk = Desk(config)
        if "limits" in changed:
            self._gate = Gate(config.limits)
        if "faults" in changed:
            self._plan = FaultPlan(config.faults)
        if changed - {"limits", "faults"}:
            self._writer = Writer(config)

    async def chat(self, exchange: Exchange, record: Record, family: Family) -> None:
        """A call of this family of APIs. Raises ApiError for what is answered with an error."""
        headers, path = exchange.request.headers, exchange.request.path
        if is_vertex(path):
            admit(headers, path)
            request = placed(family.parse(exchange.request.body, path), headers, path)
        else:
            self.desk.authorize(exchange.request)
            request = family.parse(exchange.request.body, path)
        record.model = request.model
        record.stream = request.stream
        record.max_output = request.max_output
        record.tag = record.tag or request.last_user_text.partition("\n")[0][:80]
        host = exchange.request.headers.get("host", "")
        ready = self.desk.prepare(request, len(exchange.request.body), host)
        record.tier = ready.tier

        gate, now = self._gate, self._clock_ns()
        held = gate.admit(request.model, now, ready.input, ready.limit * request.choices)
        headers = gate.headers(request.model, now)
        if isinstance(held, Refusal):
            raise self.desk.refused(held, request.model, headers)
        headers["x-request-id"] = f"req_{record.sequence}"
        try:
            drawn = self._plan.draw(record.body_hash)
            answer = self._writer.answer(request, ready.limit)
            answer.thoughts = request.thinks
            # Embeddings read from no cache.
            fraction = 0 if request.counted is not None else self.config.cached_fraction
            cached = int(ready.input * fraction)
            written = family.written(request, ready.input - cached, self.config)
            usage = Usage(ready.input, cached, answer.output_tokens, *written)
            usage = usage._replace(searches=request.searches)
            if request.draws and ready.price.image is not None:
                # What is begun within the limit is drawn to its end.
                begun = -(-max(0, ready.limit - usage.output) // IMAGE_TOKENS)
                images = IMAGE_TOKENS * min(self.config.images, begun)
                usage = usage._replace(output=usage.output + images, images=images)
            used = None if answer.script is None else answer.script.used
            if used is not None:
                most = ready.limit * request.choices
                usage = usage_of(used, usage, most_input=ready.most_input, most_output=most)
            nano = bill_of(used, ready.price, usage, tier=ready.tier)
            if ready.states_cost:
                usage = usage._replace(cost=Decimal(nano).scaleb(-9))
            fault = answer.fault or drawn
            call = Call(
                exchange, record, request, ready, answer, usage, nano, fault, headers, self.config,
                family,
            )  # fmt: skip
            await self._serve(call)
            await exchange.drained()
        finally:
            gate.settle(self._clock_ns(), held, record.input, record.output)

    def _bill(self, call: Call) -> None:
        self._book.bill(call.record, call.usage, call.nano)

    async def _serve(self, call: Call) -> None:
        exchange, record, config = call.exchange, call.record, call.config
        if call.fault in HANGS:
            self._book.fault(record, call.fault)
            if call.billed:
                self._bill(call)
            await exchange.pause(config.faults.hang_seconds)
            record.abandoned = not exchange.alive
            exchange.drop()
            return
        latency = config.latency_seconds if call.answer.latency is None else call.answer.latency
        if not await exchange.pause(_drawn(latency, "latency", record.sequence)):
            # Nobody is there to hear it, but a provider that has begun goes on and charges.
            record.abandoned = True
            if call.billed and config.bill_abandoned:
                self._bill(call)
            return
        if call.billed:
            self._bill(call)
        if call.fault is not None:
            self._book.fault(record, call.fault)
        if call.fault in {"disconnect_before_billing", "disconnect_after_billing"}:
            exchange.drop()
            return
        _raise_errors(call)
        await self._reply(call)

    async def _reply(self, call: Call) -> None:
        """A 200, whole or as the fault has it."""
        exchange, fault, script = call.exchange, call.fault, call.answer.script
        call.record.status = 200
        fields: dict[str, Any] = {
            "reply_id": f"chatcmpl-{call.record.sequence}",
            "created": int(time.time()),
            "model": call.request.model,
            "tier": call.ready.tier,
            "usage": None if fault == "no_usage" else call.usage,
        }
        if script is not None and script.body is not None:
            exchange.send(200, script.body.encode(), headers=call.headers)
        elif call.request.stream:
            chunks = call.family.events(
                call.answer,
                include_usage=call.request.include_usage,
                chunk_tokens=call.config.stream_chunk_tokens,
                **fields,
            )
            await _stream(call, chunks)
        else:
            body = orjson.dumps(call.family.whole(call.answer, **fields))
            if fault == "malformed_json":
                exchange.send(200, body[:-20], headers=call.headers)
            elif fault in {"cut_stream", "drop_stream"}:
                exchange.send(200, body, headers=call.headers, only=len(body) // 2)
            else:
                exchange.send(200, body, headers=call.headers)


def _raise_errors(call: Call) -> None:
    """Raises the ApiError that the fault or the script calls for, if either does."""
    if call.fault == "error_429":
        retry = str(call.config.faults.retry_after_seconds)
        raise ApiError(
            429,
            "The engine is currently overloaded, please try again later",
            kind="requests",
            code="rate_limit_exceeded",
            headers={**call.headers, "retry-after": retry},
        )
    if call.fault in {"error_500", "error_500_billed"}:
        raise ApiError(
            500,
            "The server had an error while processing your request.",
            kind="server_error",
            headers=call.headers,
        )
    script = call.answer.script
    if script is not None and call.filtered:
        raise filtered(call.usage if script.states_usage else None)
    if script is not None:
        call.headers.update(script.headers)
        if call.refused:
            raise ApiError(
                script.status,
                script.text or "",
                kind="server_error" if script.status >= 500 else "invalid_request_error",
                code=script.code,
                headers=call.headers,
            )


async def _stream(call: Call, chunks: list[bytes]) -> None:
    """Writes a stream's events, whole or as the fault has it."""
    exchange, fault, done = call.exchange, call.fault, call.family.done
    if fault in {"cut_stream", "drop_stream"}:
        chunks = chunks[: max(1, len(chunks) // 2)]
    elif fault == "malformed_json":
        middle = len(chunks) // 2
        chunks = [*chunks[:middle], chunks[middle][:-20] + b"\n\n", *chunks[middle + 1 :], *done]
    else:
        chunks = [*chunks, *done]
    exchange.start_stream(200, headers=call.headers, content_type=call.family.content_type)
    seconds = _drawn(call.config.stream_seconds, "stream", call.record.sequence)
    if seconds == 0:
        exchange.write_chunks(chunks)
    else:
        gap = seconds / max(1, len(chunks) - 1)
        for index, chunk in enumerate(chunks):
            if index and not await exchange.pause(gap):
                break
            exchange.write_chunks([chunk])
            await exchange.drained()
    call.record.abandoned = not exchange.alive
    if fault == "drop_stream":
        exchange.drop()
    else:
        exchange.end_stream()


def _drawn(value: Seconds, what: str, sequence: int) -> float:
    """A number as it is; of a range, a draw that depends on the call's sequence only."""
    if isinstance(value, tuple):
        low, high = value
        return low + (high - low) * unit_draw(what, sequence)
    return value
