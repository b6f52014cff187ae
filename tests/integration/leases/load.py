"""Calls one after another under a saved governor, by more callers than its cap, without a wire."""

import threading
import time
from contextlib import suppress

from prefect_governor.blocks.errors import GovernorError
from prefect_governor.blocks.records.calls import Usage
from prefect_governor.blocks.work.runtime import Runtime
from tests.integration.governing import ask

CAP = 6
HOLD_SECONDS = 0.1


class Load:
    """Twice as many callers as the cap, each with one call after another, and how many are in
    flight."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.most = self.done = self.now = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._work) for _ in range(2 * CAP)]
        for thread in self._threads:
            thread.start()

    def _work(self) -> None:
        while not self._stop.is_set():
            call_id, admitted = ask(self.runtime, 0.000001)
            while not admitted.done() and not self._stop.is_set():
                time.sleep(0.01)
            if not admitted.done():
                with suppress(GovernorError):
                    self.runtime.desk.abandon(call_id)
                return
            with self._lock:
                self.now += 1
                self.most = max(self.most, self.now)
            time.sleep(HOLD_SECONDS)
            with self._lock:
                self.now -= 1
                self.done += 1
            self.runtime.desk.settle(call_id, Usage(1, 1, 1)).result(30)

    def most_in(self, seconds: float) -> int:
        """The most at once over so long, from now on."""
        with self._lock:
            self.most = self.now
        time.sleep(seconds)
        return self.most

    def why(self) -> str:
        return self.runtime.desk.stats(None).waiting_for or ""

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)
