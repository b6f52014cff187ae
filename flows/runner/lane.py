"""One level of nesting: an event loop in a daemon thread, and threads for sync tasks.

A task may block its loop in `child.submit(...).result()`. The child therefore runs one lane
deeper, on another loop, and sync tasks in another pool, so that a wait for a child never holds
what the child needs. Lanes are made when first used: most flows have one.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import Any

import anyio.to_thread

from prefect_governor.blocks.models.clients import aclose_clients
from prefect_governor.blocks.prefect_internals import clients
from prefect_governor.flows.runner.pool import Pool
from prefect_governor.flows.runner.watchdog import Watchdog

# Threads for `asyncio.to_thread` and its kin, made as they are needed. Prefect's runner gives every
# async task a loop and so such threads of its own; here the tasks of a loop share them.
HELPER_THREADS = 256


class Lane:
    """The loop and the threads of nesting level `depth`; `close()` after the last of its work."""

    def __init__(
        self, depth: int, *, max_threads: int, watchdog: Watchdog, logger: logging.Logger
    ) -> None:
        self._name = f"governed-{depth}"
        self._max_threads = max_threads
        self._watchdog = watchdog
        self._logger = logger
        self._lock = threading.Lock()
        self._pool: Pool | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closing: asyncio.Event
        self._client: asyncio.Future[Any | None]
        self._tasks: set[asyncio.Task[None]] = set()

    def run_in_thread(self, fn: Callable[[], None], context: Context) -> None:
        """Run `fn` in `context` in one of the threads; in order of the calls."""
        with self._lock:
            if self._pool is None:
                self._pool = Pool(self._max_threads, f"{self._name}-task")
        self._pool.submit(lambda: context.run(fn))

    def run_on_loop(self, fn: Callable[[], Coroutine[Any, Any, None]], context: Context) -> None:
        """Run the coroutine of `fn` in `context` on the loop; begins in order of the calls."""
        self._started_loop().call_soon_threadsafe(self._begin, fn, context=context)

    def loop_thread(self) -> int:
        """The loop's thread, by `threading.get_ident()`; starts the loop if it is not running."""
        self._started_loop()
        assert self._thread is not None and self._thread.ident is not None
        return self._thread.ident

    def cancel_coroutines(self) -> None:
        """Cancel what runs on the loop; each coroutine sees it at its next await."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(lambda: [task.cancel() for task in self._tasks])

    def close(self, *, wait: bool = True) -> None:
        """End the loop and the threads. Blocks until both have ended, unless told not to `wait` for
        work that does not end: it is left behind in threads that hold up nobody."""
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._closing.set)
            if wait:
                self._thread.join()
        if self._pool is not None:
            self._pool.close(wait=wait)

    def _begin(self, fn: Callable[[], Coroutine[Any, Any, None]]) -> None:
        task = asyncio.get_running_loop().create_task(self._with_client(fn))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _with_client(self, fn: Callable[[], Coroutine[Any, Any, None]]) -> None:
        # The engine opens a client of its own for every task unless its context has one that
        # belongs to the running loop. The flow's belongs to the flow's loop.
        if not self._client.done():
            await asyncio.wait([self._client])
        if (client := self._client.result()) is not None:
            clients.share_async(client)
        await fn()

    def _started_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None:
                loop = asyncio.new_event_loop()
                self._closing = asyncio.Event()
                self._client = loop.create_future()
                # The starter's context carries the Prefect settings that the client is made from.
                self._thread = threading.Thread(
                    target=copy_context().run,
                    args=(self._serve, loop),
                    name=f"{self._name}-loop",
                    daemon=True,
                )
                self._loop = loop
                self._thread.start()
                assert self._thread.ident is not None
                self._watchdog.watch(self._thread.ident, loop)
            return self._loop

    def _serve(self, loop: asyncio.AbstractEventLoop) -> None:
        asyncio.set_event_loop(loop)
        loop.set_default_executor(
            concurrent.futures.ThreadPoolExecutor(
                HELPER_THREADS, thread_name_prefix=f"{self._name}-helper"
            )
        )
        try:
            loop.run_until_complete(self._main())
        finally:
            try:
                _cancel_leftovers(loop)
                loop.run_until_complete(loop.shutdown_asyncgens())
                loop.run_until_complete(loop.shutdown_default_executor())
            finally:
                asyncio.set_event_loop(None)
                loop.close()

    async def _main(self) -> None:
        anyio.to_thread.current_default_thread_limiter().total_tokens = HELPER_THREADS
        client = clients.async_client()
        try:
            await client.__aenter__()
        except Exception as exc:
            # Each task then opens its own and reports the failure as its own.
            self._logger.debug("The loop's API client could not be opened: %r", exc)
            self._client.set_result(None)
            await self._closing.wait()
            return
        self._client.set_result(client)
        try:
            await self._closing.wait()
        finally:
            await client.__aexit__(None, None, None)
            # Connections to providers belong to the loop as well.
            await aclose_clients()


def _cancel_leftovers(loop: asyncio.AbstractEventLoop) -> None:
    """Cancel what tasks left running behind them, as `asyncio.run` does."""
    leftovers = asyncio.all_tasks(loop)
    for task in leftovers:
        task.cancel()
    if leftovers:
        loop.run_until_complete(asyncio.gather(*leftovers, return_exceptions=True))
