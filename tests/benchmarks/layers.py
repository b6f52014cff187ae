"""The layers of a governed item, each as a function that does a number of them at once.

The floors run in one process and ours in another, so that neither pays for what the other imported
or hooked: the functions are looked up by name there (`FLOORS`, `OURS`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from uuid import UUID

MODEL = "gpt-4o-mini"
MESSAGES = [{"role": "user", "content": "What is a governor? Answer in a few words."}]
KEY = "sk-benchmark"
MAX_TOKENS = 20
CONNECTIONS = 2000


@dataclass(frozen=True)
class Asked:
    """`count` items, `width` of them in flight at once."""

    api_base: str
    count: int
    width: int


@dataclass(frozen=True)
class Took:
    """What all the items took this process, in seconds, and what the server must have recorded."""

    cpu: float
    wall: float
    flow_run_id: UUID | None = None


Layer = Callable[[Asked], Took]
Call = Callable[[], Awaitable[Any]]


class Meter:
    """CPU of all threads of this process, and wall, from one moment on."""

    def __init__(self) -> None:
        self._cpu, self._wall = time.process_time(), time.perf_counter()

    def read(self, flow_run_id: UUID | None = None) -> Took:
        return Took(time.process_time() - self._cpu, time.perf_counter() - self._wall, flow_run_id)


def bare_httpx(asked: Asked) -> Took:
    import httpx

    limits = httpx.Limits(max_connections=None, max_keepalive_connections=CONNECTIONS)
    return _measured(asked, lambda: httpx.AsyncClient(limits=limits, timeout=60, trust_env=False))


def litellm_transport(asked: Asked) -> Took:
    """The same request through the transport that LiteLLM makes for itself, on aiohttp."""
    import httpx
    from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler

    return _measured(
        asked,
        lambda: httpx.AsyncClient(
            transport=AsyncHTTPHandler._create_aiohttp_transport(), timeout=60, trust_env=False
        ),
    )


def litellm_alone(asked: Asked) -> Took:
    import litellm

    litellm.suppress_debug_info = True
    arguments = {"api_key": KEY, "api_base": asked.api_base, "max_retries": 0}

    @asynccontextmanager
    async def calling() -> AsyncIterator[Call]:
        yield lambda: litellm.acompletion(
            f"openai/{MODEL}", MESSAGES, max_tokens=MAX_TOKENS, **arguments
        )

    return asyncio.run(_timed(asked, calling()))


def governed_httpx(asked: Asked) -> Took:
    def client() -> Any:
        made = _governor(asked).async_http_client()
        made.timeout = 60
        return made

    return _measured(asked, client)


def governed_acompletion(asked: Asked) -> Took:
    governor = _governor(asked)

    @asynccontextmanager
    async def calling() -> AsyncIterator[Call]:
        yield lambda: governor.acompletion(
            f"openai/{MODEL}", MESSAGES, max_tokens=MAX_TOKENS,
            api_key=KEY, api_base=asked.api_base,
        )  # fmt: skip

    return asyncio.run(_timed(asked, calling()))


def sdk_over_litellms(asked: Asked) -> Took:
    """The same call by OpenAI's SDK, whose client goes out through LiteLLM's transport."""
    import httpx
    from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler

    return _by_sdk(
        asked,
        lambda: httpx.AsyncClient(
            transport=AsyncHTTPHandler._create_aiohttp_transport(), timeout=60, trust_env=False
        ),
    )


def sdk_over_ours(asked: Asked) -> Took:
    return _by_sdk(asked, lambda: _governor(asked).async_http_client())


def _by_sdk(asked: Asked, client: Callable[[], Any]) -> Took:
    from openai import AsyncOpenAI

    @asynccontextmanager
    async def calling() -> AsyncIterator[Call]:
        async with client() as opened:
            sdk = AsyncOpenAI(
                api_key=KEY, base_url=asked.api_base, http_client=opened, max_retries=0
            )
            messages: Any = MESSAGES
            yield lambda: sdk.chat.completions.create(
                model=MODEL, messages=messages, max_tokens=MAX_TOKENS
            )

    return asyncio.run(_timed(asked, calling()))


def empty_task(asked: Asked) -> Took:
    from prefect import task

    @task(tags=["llm"])
    async def empty(item: int) -> int:
        return item

    return _mapped(asked, empty)


def mapped_call(asked: Asked) -> Took:
    from prefect import task

    from prefect_governor import acompletion

    @task(tags=["llm"])
    async def calls(item: int) -> int:
        await acompletion(
            f"openai/{MODEL}", MESSAGES, max_tokens=MAX_TOKENS,
            api_key=KEY, api_base=asked.api_base,
        )  # fmt: skip
        return item

    return _mapped(asked, calls)


def fan_out_item(asked: Asked) -> Took:
    """`fan_out` over short texts; its provider is that of the environment."""
    from prefect_governor.flows import fan_out
    from tests.benchmarks.harness import drain_events

    items = [f"Text number {number}." for number in range(asked.count)]
    meter = Meter()
    state = fan_out(
        items, ask=MESSAGES[0]["content"], model=f"openai/{MODEL}", max_usd=100,
        max_output_tokens=MAX_TOKENS, max_concurrent=asked.width, accept=["cut"],
        return_state=True,
    )  # fmt: skip
    drain_events()
    took = meter.read(state.state_details.flow_run_id)
    assert state.is_completed() and state.name != "Partial", state
    return took


FLOORS: dict[str, Layer] = {
    "bare httpx": bare_httpx,
    "LiteLLM's transport, same request": litellm_transport,
    "OpenAI's SDK over LiteLLM's transport": sdk_over_litellms,
    "LiteLLM alone": litellm_alone,
}
OURS: dict[str, Layer] = {
    "httpx under async_http_client()": governed_httpx,
    "OpenAI's SDK over async_http_client()": sdk_over_ours,
    "governor.acompletion": governed_acompletion,
    "an empty task under our runner": empty_task,
    "a mapped task with acompletion": mapped_call,
    "fan_out, an item": fan_out_item,
}
# Those that a Prefect server records.
TASKS = frozenset(name for name in OURS if OURS[name] in (empty_task, mapped_call, fan_out_item))


def _governor(asked: Asked) -> Any:
    """One that the run fills and is not held back by."""
    from prefect_governor import Governor, Limit

    return Governor.local(
        f"calls-{asked.width}", max_usd=1_000_000, limits=[Limit(max_concurrent=asked.width)]
    )


def _measured(asked: Asked, client: Callable[[], Any]) -> Took:
    """The request by a client of httpx."""
    body = {"model": MODEL, "messages": MESSAGES, "max_tokens": MAX_TOKENS}
    headers = {"authorization": f"Bearer {KEY}"}
    url = f"{asked.api_base}/chat/completions"

    @asynccontextmanager
    async def calling() -> AsyncIterator[Call]:
        async with client() as opened:

            async def call() -> None:
                reply = await opened.post(url, json=body, headers=headers)
                reply.raise_for_status().json()

            yield call

    return asyncio.run(_timed(asked, calling()))


async def _timed(asked: Asked, calling: Any) -> Took:
    """After `width` of them at once, which connect and load what is loaded once."""
    slots = asyncio.Semaphore(asked.width)

    async with calling as call:

        async def one() -> None:
            async with slots:
                await call()

        await asyncio.gather(*(one() for _ in range(asked.width)))
        meter = Meter()
        await asyncio.gather(*(one() for _ in range(asked.count)))
        return meter.read()


def _mapped(asked: Asked, work: Any) -> Took:
    """A flow that maps the work, to its end and its events sent."""
    from prefect import flow
    from prefect.context import FlowRunContext

    from prefect_governor import GovernedTaskRunner
    from tests.benchmarks.harness import drain_events

    @flow(name="calls", task_runner=GovernedTaskRunner(_governor(asked)))
    def mapped() -> UUID:
        context = FlowRunContext.get()
        assert context is not None and context.flow_run is not None
        states = work.map(range(asked.count), return_state=True)
        assert [state.is_completed() for state in states] == [True] * asked.count
        return context.flow_run.id

    meter = Meter()
    flow_run_id = mapped()
    drain_events()
    return meter.read(flow_run_id)
