"""Finds the SDK that sends a call again by itself: one layer retries, and it is the governor's.

Each retry of an SDK is a call of its own all the same, admitted and settled by itself: what is
found is only said, once a client, and in the reports of the runs that it happened in.
"""

import logging
import os
import threading
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping

from prefect_governor.blocks.context.scope import attribution, current_scope

logger = logging.getLogger(__name__)

# How often it has sent this call before, as OpenAI's and Anthropic's SDKs say.
COUNT_HEADER = "x-stainless-retry-count"
# The same for every try of a call, in SDKs that send one.
KEY_HEADERS = ("idempotency-key", "x-idempotency-key")
KEYS_REMEMBERED = 4096
RUNS_REMEMBERED = 1024


class RetryWatch:
    """What the requests of a process tell of retries that are not ours."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: OrderedDict[int, None] = OrderedDict()
        self._said: set[str] = set()
        self._by_run: OrderedDict[str, Counter[str]] = OrderedDict()

    def retried_by(self, headers: Mapping[str, str]) -> str | None:
        """Who sends this request again: the first word of its user agent, such as "OpenAI". None
        where it is sent for the first time, or does not say."""
        count = headers.get(COUNT_HEADER, "")
        # Both are looked at: the key of a first try has to be remembered.
        again = self._is_known(headers)
        if not again and not (count.isascii() and count.isdigit() and int(count) > 0):
            return None
        return headers.get("user-agent", "").partition("/")[0].strip()[:40] or "an SDK"

    def note(self, who: str, runs: Iterable[str]) -> bool:
        """Counts a retry for these runs. Whether it is the first of this client."""
        with self._lock:
            for run in runs:
                self._by_run.setdefault(run, Counter())[who] += 1
                self._by_run.move_to_end(run)
            while len(self._by_run) > RUNS_REMEMBERED:
                self._by_run.popitem(last=False)
            first = who not in self._said
            self._said.add(who)
        return first

    def notes(self, run: str | None) -> tuple[str, ...]:
        """Lines for the report of a run, by its own id or its flow run's."""
        with self._lock:
            counts = dict(self._by_run.get(run or "", {}))
        return tuple(f"{said(who)} ({counts[who]} retries)" for who in sorted(counts))

    def _is_known(self, headers: Mapping[str, str]) -> bool:
        key = next((headers[name] for name in KEY_HEADERS if headers.get(name)), None)
        if key is None:
            return False
        # The key itself is the caller's.
        digest = hash(key)
        with self._lock:
            known = digest in self._keys
            self._keys[digest] = None
            self._keys.move_to_end(digest)
            if len(self._keys) > KEYS_REMEMBERED:
                self._keys.popitem(last=False)
        return known


def said(who: str) -> str:
    """What a person is told."""
    return (
        f"{who} sends calls again by itself: pass max_retries=0 to its client. The governor retries"
        ", and each retry of the SDK's is admitted and paid for as a call of its own"
    )


_watch = RetryWatch()


def notice_retry(headers: Mapping[str, str]) -> None:
    """Looks at a request of the context that is about to be admitted. Never raises, never blocks.

    A retry that is not ours is logged as a warning, once for each kind of client a process, and
    counted for the run's report (`retry_notes`).
    """
    who = _watch.retried_by(headers)
    if who is None:
        return
    here = current_scope.get()
    runs = {None if here is None else here.run_id, attribution(model="").flow_run_id} - {None}
    if _watch.note(who, [run for run in runs if run is not None]):
        logger.warning("%s", said(who))


def retry_notes(run: str | None) -> tuple[str, ...]:
    """Lines for the report of a run, named by its own id or its flow run's, of what was sent again
    in this process by anybody but the governor. Empty where nothing was."""
    return _watch.notes(run)


def _after_fork() -> None:
    global _watch
    # Somebody may have held its lock.
    _watch = RetryWatch()


os.register_at_fork(after_in_child=_after_fork)
