"""Which of Prefect's tag limits exist, read in the background instead of asked once a task.

The task engine asks the server for a slot under `tag:<tag>` for the tags of every task, and when
no such limit exists remembers that for 5 s. Each time that memory ends, every task that starts
queues behind one request, which a busy server answers late: a task of 4 ms took 42 ms. `TagLimits`
reads the list of limits ahead of that moment, in a thread of its own, and trusts it for the same
5 s. Reading is also the cheaper question: asking for a slot is a write, which SQLite starves for
seconds while the server records task runs. When the list cannot be read, or one of the tags has a
limit, the engine asks as it always does.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import threading
import time
from collections.abc import Callable, Iterable
from contextvars import copy_context

from prefect.client.orchestration import get_client

TRUST_SECONDS = 5.0
REFRESH_SECONDS = 2.5
_PAGE = 200


def read_tag_limits() -> frozenset[str]:
    """The tags that have a global concurrency limit `tag:<tag>` on the server, active or not."""
    tags: set[str] = set()
    offset = 0
    with get_client(sync_client=True) as client:
        while True:
            page = client.read_global_concurrency_limits(limit=_PAGE, offset=offset)
            tags.update(
                limit.name.removeprefix("tag:") for limit in page if limit.name.startswith("tag:")
            )
            if len(page) < _PAGE:
                return frozenset(tags)
            offset += _PAGE


class TagLimits:
    """Answers "has any of these tags a limit?" from one list that all tasks share.

    An answer rests on a read that began at most `trust_seconds` ago. From `refresh_seconds` on, the
    next question has the list read again in the background, so that under steady work nobody
    waits; without questions nothing is read. Who asks when there is no answer yet waits for the
    one read under way, whatever their number.
    """

    def __init__(
        self,
        read: Callable[[], frozenset[str]] = read_tag_limits,
        *,
        logger: logging.Logger,
        trust_seconds: float = TRUST_SECONDS,
        refresh_seconds: float = REFRESH_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._logger = logger
        self._trust_seconds = trust_seconds
        self._refresh_seconds = refresh_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._known: frozenset[str] = frozenset()
        self._known_at = float("-inf")
        self._reading: concurrent.futures.Future[None] | None = None

    def none_exists(self, tags: Iterable[str]) -> bool:
        """True if no tag of `tags` has a limit; blocks while there is no answer.

        False if one has, and if the list could not be read: Prefect's engine then asks itself.
        """
        wanted = frozenset(tags)
        if (pending := self._refreshed(wanted)) is not None:
            pending.result()
        return self._answer(wanted)

    async def anone_exists(self, tags: Iterable[str]) -> bool:
        """`none_exists` for an event loop."""
        wanted = frozenset(tags)
        if (pending := self._refreshed(wanted)) is not None:
            # Shielded: a task cancelled here must not cancel the read that others wait for.
            await asyncio.shield(asyncio.wrap_future(pending))
        return self._answer(wanted)

    def _answer(self, wanted: frozenset[str]) -> bool:
        if not wanted:
            return True
        fresh = self._clock() - self._known_at <= self._trust_seconds
        return fresh and self._known.isdisjoint(wanted)

    def _refreshed(self, wanted: frozenset[str]) -> concurrent.futures.Future[None] | None:
        """Begin a read if one is due; what to wait for if the present answer is too old."""
        if not wanted:
            return None
        with self._lock:
            age = self._clock() - self._known_at
            if age >= self._refresh_seconds and self._reading is None:
                reading: concurrent.futures.Future[None] = concurrent.futures.Future()
                self._reading = reading
                # A thread, for the loops may be blocked by tasks. The asker's context carries the
                # Prefect settings that the client is made from.
                threading.Thread(
                    target=copy_context().run,
                    args=(self._refresh, reading),
                    name="governed-tag-limits",
                    daemon=True,
                ).start()
            return self._reading if age > self._trust_seconds else None

    def _refresh(self, reading: concurrent.futures.Future[None]) -> None:
        began = self._clock()
        try:
            known = self._read()
        except Exception as exc:
            self._logger.debug("The list of tag limits could not be read: %r", exc)
            known = None
        with self._lock:
            if known is not None:
                self._known, self._known_at = known, began
            self._reading = None
        reading.set_result(None)
