"""Small honest stand-ins: a ledger in memory, a governor over it, providers without a network."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import httpx

from prefect_governor.blocks.errors import OverBudget
from prefect_governor.blocks.ledger.decision.learned import Learned
from prefect_governor.blocks.machine.strands import Strand
from prefect_governor.blocks.prices.prices import Price, load_price
from prefect_governor.blocks.records.accepted import Accepted
from prefect_governor.blocks.records.calls import (
    Admission,
    Attribution,
    Demand,
    Facts,
    Reply,
    ReplyKey,
    Usage,
)
from prefect_governor.blocks.records.limits import Signals
from prefect_governor.blocks.records.output import AS_ASKED, OutputTerms
from prefect_governor.blocks.terms.governor import Bypass


@dataclass
class FakeDesk:
    """A ledger in memory: one ceiling, one cap, first come first served.

    `slow` keeps every resolve's future open until `commit()`, as a real commit would. `stale` is
    how many admissions are too old by the time that they are looked at, `age` how old each is when
    its request has left, in seconds.
    """

    ceiling_nano: int = 10**12
    cap: int = 10**6
    slow: bool = False
    stale: int = 0
    age: float = 0.0
    spent: int = 0
    unconfirmed: int = 0
    demands: dict[str, Demand] = field(default_factory=dict)
    reserved: dict[str, Demand] = field(default_factory=dict)
    resolved: dict[str, tuple[str, Any]] = field(default_factory=dict)
    held: list[tuple[tuple[str, ...], float]] = field(default_factory=list)
    replies: dict[ReplyKey, Reply] = field(default_factory=dict)
    queue: list[tuple[Demand, "Future[Admission]"]] = field(default_factory=list)
    queue_timeouts: list[float | None] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)
    facts: list[Facts | None] = field(default_factory=list)
    signals: list[Signals | None] = field(default_factory=list)
    _uncommitted: list["Future[None]"] = field(default_factory=list)

    def admit(
        self,
        demand: Demand,
        *,
        queue_timeout_seconds: float | None = None,
        pause_seconds: float = 0.0,
        strand: Strand | None = None,
    ) -> "Future[Admission]":
        future: Future[Admission] = Future()
        self.pauses.append(pause_seconds)
        self.queue_timeouts.append(queue_timeout_seconds)
        self.demands[demand.call_id] = demand
        self.queue.append((demand, future))
        self._decide()
        return future

    def age_seconds(self, admission: Admission) -> float:
        return self.age

    def is_stale(self, admission: Admission) -> bool:
        self.stale -= 1
        return self.stale >= 0

    def abandon(self, call_id: str) -> "Future[None]":
        self.queue = [each for each in self.queue if each[0].call_id != call_id]
        if call_id in self.reserved:
            return self._resolve(call_id, "void", "abandoned")
        self.resolved[call_id] = ("abandoned", None)
        return self._committed()

    def settle(
        self,
        call_id: str,
        usage: Usage,
        reply: Reply | None = None,
        *,
        facts: Facts | None = None,
        signals: Signals | None = None,
    ) -> "Future[None]":
        self.signals.append(signals)
        self.facts.append(facts)
        self.spent += usage.nano
        if reply is not None:
            self.replies[reply.key] = reply
        return self._resolve(call_id, "settle", usage)

    def void(self, call_id: str, reason: str, *, signals: Signals | None = None) -> "Future[None]":
        self.signals.append(signals)
        return self._resolve(call_id, "void", reason)

    def unconfirm(
        self, call_id: str, reason: str, *, signals: Signals | None = None
    ) -> "Future[None]":
        self.signals.append(signals)
        if call_id in self.reserved:
            self.unconfirmed += self.reserved[call_id].bound.nano
        return self._resolve(call_id, "unconfirm", reason)

    def handed_on(self, call_id: str) -> None:
        """Nobody waits for himself here."""

    def throttled(self, limits: tuple[str, ...], retry_after_seconds: float) -> "Future[None]":
        assert self.reserved, "the slot was given away before the hold was told"
        self.held.append((limits, retry_after_seconds))
        return self._committed()

    def reply(self, key: ReplyKey) -> Reply | None:
        return self.replies.get(key)

    def commit(self) -> None:
        """Everything resolved so far is durable."""
        pending, self._uncommitted = self._uncommitted, []
        for future in pending:
            future.set_result(None)

    @property
    def outcomes(self) -> list[str]:
        """How calls were resolved, in that order."""
        return [outcome for outcome, _ in self.resolved.values()]

    def _resolve(self, call_id: str, outcome: str, detail: Any) -> "Future[None]":
        assert call_id not in self.resolved, f"{call_id} resolved twice"
        self.resolved[call_id] = (outcome, detail)
        del self.reserved[call_id]
        self._decide()
        return self._committed()

    def _committed(self) -> "Future[None]":
        future: Future[None] = Future()
        if self.slow:
            self._uncommitted.append(future)
        else:
            future.set_result(None)
        return future

    def _decide(self) -> None:
        while self.queue and len(self.reserved) < self.cap:
            demand, future = self.queue[0]
            reserved = sum(each.bound.nano for each in self.reserved.values())
            left = self.ceiling_nano - self.spent - self.unconfirmed
            fitted = demand.fitted if demand.bound.nano > left - reserved else None
            bound = fitted or demand.bound
            if bound.nano > left:
                self.queue.pop(0)
                refusal = OverBudget(f"needs {bound.nano}")
                refusal.left_nano = left
                future.set_exception(refusal)
                continue
            if bound.nano > left - reserved:
                return
            self.queue.pop(0)
            self.reserved[demand.call_id] = replace(demand, bound=bound)
            future.set_result(Admission(demand.call_id, 0.0, fitted=fitted is not None))


@dataclass
class FakeGoverning:
    """One account, one limit; LiteLLM's prices unless `price` is given. A 429 holds all limits
    unless `throttled_keys` are given."""

    desk: FakeDesk = field(default_factory=FakeDesk)
    name: str = "a-team"
    price: Price | None = None
    limit_keys: tuple[str, ...] = ("limit",)
    throttled_keys: tuple[str, ...] | None = None
    queue_timeout_seconds: float | None = None
    pause_seconds: float = 0.0
    observe: bool = False
    by_run: bool = False
    fit: bool = True
    output_floor_tokens: int = 64
    fallback_share: float | None = None
    bypass: Bypass = "refuse"
    share: float = 0.0
    taught: Learned | None = None
    unseen: bool = False
    accepted: Accepted = field(default_factory=Accepted)
    output: OutputTerms = AS_ASKED
    tokens_alone: bool = False
    asked: list[str] = field(default_factory=list)

    def accepts_unseen(
        self, *, tags: tuple[str, ...], model: str, also: tuple[str, ...] = ()
    ) -> bool:
        return self.unseen

    def price_of(self, model: str, *, host: str, base_model: str | None = None) -> Price | None:
        self.asked.append(model)
        return self.price or load_price(base_model or model)

    def spent_share(self, run_id: str | None = None) -> float:
        return self.share

    def learned(self, model: str) -> Learned | None:
        return self.taught

    def counts_tokens_alone(self, accounts: tuple[str, ...]) -> bool:
        return self.tokens_alone

    def accounts(self, who: Attribution, *, nominal: bool = False) -> tuple[str, ...]:
        return ("account",)

    def limits(
        self,
        *,
        tags: tuple[str, ...],
        model: str,
        host: str,
        credential: str = "",
        also: tuple[str, ...] = (),
    ) -> tuple[str, ...]:
        return self.limit_keys

    def throttle_keys(
        self, limits: tuple[str, ...], *, model: str | None = None
    ) -> tuple[str, ...]:
        return limits if self.throttled_keys is None else self.throttled_keys

    def elsewhere(self) -> "Callable[[], FakeGoverning]":
        return partial(FakeGoverning, name=self.name)


@dataclass
class FakeProvider(httpx.AsyncBaseTransport, httpx.BaseTransport):
    """Answers from a list of replies, an exception among them is raised; keeps what it was sent.
    The last reply goes on for ever."""

    replies: list[httpx.Response | Exception | Callable[[], httpx.Response]]
    requests: list[httpx.Request] = field(default_factory=list)
    closed: bool = False

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(request.content) for request in self.requests]

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        request.read()
        self.requests.append(request)
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, Exception):
            raise reply
        return reply() if callable(reply) else reply

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await request.aread()
        await asyncio.sleep(0)
        return self.handle_request(request)


class Pieces(httpx.AsyncByteStream, httpx.SyncByteStream):
    """A body that comes in pieces; an exception among them breaks it. Knows if it was closed."""

    def __init__(self, pieces: Iterable[bytes | Exception]) -> None:
        self._pieces = list(pieces)
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self:
            await asyncio.sleep(0)
            yield piece

    def close(self) -> None:
        self.closed = True

    async def aclose(self) -> None:
        self.closed = True


_MADE = {"id": "chatcmpl-1", "created": 1, "model": "gpt-4o-mini"}


def _usage(prompt: int, completion: int) -> dict[str, int]:
    total = prompt + completion
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": total}


def chat_reply(
    prompt: int = 10, completion: int = 5, *, text: str = "hello", **more: Any
) -> dict[str, Any]:
    """A reply of OpenAI's chat completions."""
    return {
        **_MADE,
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text},
                "finish_reason": "stop",
            }
        ],
        "usage": _usage(prompt, completion),
        **more,
    }


def chat_events(
    prompt: int | None = 10, completion: int = 5, *, text: str = "hello there", done: bool = True
) -> list[bytes]:
    """The events of a streamed reply: a word each, the usage (unless None), the terminator."""
    base = {**_MADE, "object": "chat.completion.chunk"}
    chunks: list[dict[str, Any]] = [
        {**base, "choices": [{"index": 0, "delta": {"role": "assistant", "content": f"{word} "}}]}
        for word in text.split()
    ]
    chunks.append({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    if prompt is not None:
        chunks.append({**base, "choices": [], "usage": _usage(prompt, completion)})
    events = [b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks]
    return [*events, b"data: [DONE]\n\n"] if done else events


def event_stream(pieces: Iterable[bytes | Exception]) -> httpx.Response:
    """A reply of server-sent events."""
    return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Pieces(pieces))


def chat_request(**fields: Any) -> dict[str, Any]:
    """A bounded request."""
    return {
        "model": "gpt-4o-mini",
        "messages": [{"role": "user", "content": "What is it?"}],
        "max_tokens": 20,
        **fields,
    }
