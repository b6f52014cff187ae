"""`python -m tests.integration.claims.interrupted`: code that takes slots and is interrupted, as a
thread is whose task has run out of time.

A program is one attempt: it takes something and gives it back. It is interrupted at every step at
which an exception of another thread can be raised in Python (the first of a function, and after
each call of one in C), or by timeouts that are spread over the time that it takes. After each of
them nothing may be held, and the next must be let in.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import random
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import count
from queue import SimpleQueue
from types import FrameType
from typing import Any
from uuid import uuid4

import httpx
from prefect._internal.concurrency.cancellation import CancelledError
from prefect.task_engine import TaskRunTimeoutError
from prefect.utilities.timeout import timeout

from prefect_governor.blocks.governor import Governor, governed
from prefect_governor.blocks.machine.answers import Answer
from prefect_governor.blocks.terms.limit import Limit
from prefect_governor.flows.runner.futures import GovernedFuture
from prefect_governor.flows.runner.timeouts import timeout_of_thread
from tests.talk import tell
from tests.waiting import until

# Far more than any attempt takes.
HANGS_SECONDS = 60.0
BODY = {"model": "gpt-4o-mini", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}]}


class Attempts:
    """What each attempt takes, under limits that let one in at a time."""

    def __init__(self) -> None:
        limits = [
            Limit(tag="cpu", max_concurrent=1),
            Limit(tag="work", max_concurrent=1, counts="tasks"),
            Limit(tag="llm", max_concurrent=1),
        ]
        self.governor = Governor.local(f"interrupted-{uuid4().hex[:8]}", max_usd=5, limits=limits)
        self.runtime = self.governor.runtime
        self.renew()
        self.url = os.environ["OPENAI_API_BASE"] + "/chat/completions"
        self._awaited: SimpleQueue[Answer[Any]] = SimpleQueue()
        threading.Thread(target=self._others, daemon=True).start()
        self._key = self.runtime.exclusive("k")
        self.task_ = governed(self.governor, tags=("work",))(self._task)
        self.waiting_ = governed(self.governor, tags=("work",))(self._waiting)

    def renew(self) -> None:
        """Another client: who was interrupted may have left one of the old one's locks locked."""
        self.client = self.governor.http_client(tags=("llm",), raise_refusals=True)

    def slot(self) -> None:
        with self.governor.slot("cpu"):
            sum(range(10))

    def exclusive(self) -> None:
        with self.governor.exclusive("k"):
            sum(range(10))

    def task(self) -> None:
        self.task_()

    def waiting(self) -> None:
        """A task that waits for another one, and holds nothing meanwhile."""
        self.waiting_()

    def reserve(self) -> None:
        with self.governor.reserve(max_usd="0.0001") as spend:
            spend.settle("0.0001")

    def call(self) -> None:
        self._sent(BODY).read()

    def stream(self) -> None:
        self._sent({**BODY, "stream": True}).read()

    def _sent(self, body: dict[str, Any]) -> httpx.Response:
        request = self.client.build_request(
            "POST", self.url, json=body, headers={"authorization": "Bearer sk-test"}
        )
        return self.client.send(request, stream=True)

    def _task(self) -> None:
        sum(range(10))

    def _waiting(self) -> None:
        outcome: Answer[Any] = Answer()
        self._awaited.put(outcome)
        with suppress(Exception):
            # There is no such run, which is found out after the wait.
            GovernedFuture(uuid4(), outcome)._block(5)

    def _others(self) -> None:
        """What attempts wait for ends."""
        while True:
            outcome = self._awaited.get()
            time.sleep(0.001)
            outcome.set_result(None)

    def held(self) -> int:
        """How much is held or asked for now."""
        desk, store = self.runtime.desk, self.runtime.desk.store
        waiting = desk.write(lambda _: len(desk._queue)).result(HANGS_SECONDS)
        keys = [*(each.key for each in self.runtime.limits_), self._key]
        gates = [store.read_gate(key) for key in keys]
        slots = sum(gate.in_flight for gate in gates if gate is not None)
        return slots + waiting + len(store.read_calls(("reserved",)))

    def over(self, name: str) -> None:
        """An attempt was interrupted."""
        if name in ("call", "stream"):
            self.renew()
        if name == "stream":
            # A response of httpx's has itself.
            gc.collect()

    def none_held(self, what: str) -> None:
        try:
            until(lambda: self.held() == 0, seconds=5)
        except BaseException as error:
            raise AssertionError(f"{what}: held for ever: {self.held()} ({error!r})") from None


def _is_ours(frame: FrameType) -> bool:
    """What others do is theirs, also with what Python brings: the locks of httpx and its pool."""
    each: FrameType | None = frame
    while each is not None:
        name = each.f_code.co_filename
        if "site-packages" in name:
            return False
        if "prefect_governor" in name or name == __file__:
            return True
        each = each.f_back
    return False


def interrupted_at(step: int, attempt: Callable[[], None]) -> BaseException | None:
    """Runs it with an exception that is raised at its step of this number. What came of it; None
    where it was over before."""
    left, raised = step, False

    def look(frame: FrameType, event: str, _: Any) -> None:
        nonlocal left, raised
        if event in ("call", "c_return") and not raised and _is_ours(frame):
            left -= 1
            if not left:
                raised = True
                sys.setprofile(None)
                raise CancelledError

    sys.setprofile(look)
    try:
        attempt()
    except BaseException as error:
        return error if raised else None
    finally:
        raised, was = True, raised
        sys.setprofile(None)
    # It was taken for an error of another's, and passed over.
    return CancelledError() if was else None


def in_thread(work: Callable[[], Any], what: str) -> Any:
    """As in a thread of a pool: what hangs is told with where it does."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()), daemon=True)
    thread.start()
    thread.join(HANGS_SECONDS)
    if not found:
        faulthandler.dump_traceback()
        raise AssertionError(f"{what}: it never ended")
    return found[0]


def at_steps(attempts: Attempts, name: str, every: int) -> dict[str, Any]:
    """At every so many of its steps."""
    attempt = getattr(attempts, name)
    in_thread(attempt, "the first")
    # A task's state keeps what was raised, and so all that its frames have. A stream is theirs who
    # have it.
    kept: deque[BaseException] = deque(maxlen=0 if name == "stream" else None)
    done = 0
    for step in count(1, every):
        what = f"{name}, interrupted at step {step}"
        error = in_thread(partial(interrupted_at, step, attempt), what)
        if error is None:
            break
        kept.append(error)
        error, done = None, done + 1
        attempts.over(name)
        attempts.none_held(what)
        # Everybody else goes on.
        in_thread(attempt, f"{what}: the next")
    attempts.none_held(f"{name}, at the end")
    return {"attempts": done, "held": attempts.held()}


def at_timeouts(attempts: Attempts, name: str, times: int, seed: int) -> dict[str, Any]:
    """Timeouts of the runner's and of Prefect's own, by turns, spread over the attempt's time."""
    attempt, draw = getattr(attempts, name), random.Random(seed)
    began = time.monotonic()
    for _ in range(20):
        in_thread(attempt, "a first one")
    usual = (time.monotonic() - began) / 20
    # Threads take turns at every step, so that the exception lands at any.
    sys.setswitchinterval(1e-6)
    kept: deque[BaseException] = deque(maxlen=0 if name == "stream" else 100)

    def timed(at: int) -> bool:
        seconds = draw.uniform(0, 1.5 * usual)
        limited = timeout_of_thread(seconds) if at % 2 else timeout(seconds, TaskRunTimeoutError)
        try:
            with limited:
                attempt()
        except (TaskRunTimeoutError, CancelledError) as error:
            kept.append(error)
            return True
        return False

    ended = 0
    for at in range(times):
        what = f"{name}, attempt {at}"
        if in_thread(partial(timed, at), what):
            ended += 1
            attempts.over(name)
        if at % 20 == 19:
            attempts.none_held(what)
    kept.clear()
    gc.collect()
    attempts.none_held(f"{name}, at the end")
    return {"attempts": times, "timed_out": ended, "held": attempts.held()}


def main() -> None:
    attempts = Attempts()
    # What was imported is not looked through again at every collection.
    gc.collect()
    gc.freeze()
    tell("ready")
    for line in sys.stdin:
        order = json.loads(line)
        try:
            if "times" in order:
                tell(at_timeouts(attempts, order["name"], order["times"], order["seed"]))
            else:
                tell(at_steps(attempts, order["name"], order["every"]))
        except BaseException as error:
            tell({"error": f"{type(error).__name__}: {error}"})
            os._exit(0)
    os._exit(0)


if __name__ == "__main__":
    main()
