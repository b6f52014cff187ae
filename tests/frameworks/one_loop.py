"""One event loop for all of a process's `asyncio.run`, as a server has: for frameworks that keep an
asynchronous client for the process, which fails in a second loop, with a governor or without."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any


def share_one_loop() -> None:
    """From here on `asyncio.run` waits for a task of one loop, which is never closed. It has the
    context of who called; where the wait is interrupted, it is cancelled."""
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()

    def run(main: Coroutine[Any, Any, Any], **_: Any) -> Any:
        done: Future[Any] = Future()
        tasks: list[asyncio.Task[Any]] = []

        def finish(task: asyncio.Task[Any]) -> None:
            if task.cancelled():
                done.set_exception(asyncio.CancelledError())
            elif (error := task.exception()) is not None:
                done.set_exception(error)
            else:
                done.set_result(task.result())

        def start() -> None:
            tasks.append(loop.create_task(main))
            tasks[0].add_done_callback(finish)

        loop.call_soon_threadsafe(start, context=contextvars.copy_context())
        try:
            return done.result()
        except KeyboardInterrupt:
            loop.call_soon_threadsafe(tasks[0].cancel)
            raise

    asyncio.run = run
