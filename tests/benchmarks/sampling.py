"""Where a process's CPU goes, by thread and by room: what a thread's own CPU clock went on by, read
some hundred times a second, goes to what its stack shows at that moment."""

from __future__ import annotations

import re
import sys
import sysconfig
import threading
import time
from collections import defaultdict
from types import FrameType, TracebackType

EVERY_SECONDS = 0.002
# So that a thread in the midst of Python is seen where it is, not only where it waits.
SWITCH_SECONDS = 0.0002

_OURS = re.compile(r"/prefect_governor/((?:blocks|flows|api)(?:/[^/]+(?=/))?)")
_LIBRARY = re.compile(r"/(?:site|dist)-packages/([^/]+?)(?:\.py)?(?:/|$)")
_STANDARD = (sysconfig.get_paths()["stdlib"], "<frozen")
_TOGETHER = {"_pytest": "pytest", "pydantic_core": "pydantic", "yarl": "aiohttp"}


class Sampler:
    """Samples this process inside the `with` block. Times are CPU seconds."""

    def __init__(self) -> None:
        self.threads: defaultdict[str, float] = defaultdict(float)
        self.rooms: defaultdict[str, float] = defaultdict(float)
        self.functions: defaultdict[str, float] = defaultdict(float)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="sampler", daemon=True)

    def __enter__(self) -> Sampler:
        self._interval = sys.getswitchinterval()
        sys.setswitchinterval(SWITCH_SECONDS)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        sys.setswitchinterval(self._interval)

    def _sample(self) -> None:
        # A thread that ended gives its id, and its clock, to another: known by both.
        used: dict[int, tuple[threading.Thread, float]] = {}
        first = True
        while not self._over.wait(EVERY_SECONDS):
            frames = sys._current_frames()
            for thread in threading.enumerate():
                ident = thread.ident
                if thread is self._thread or ident is None or ident not in frames:
                    continue
                try:
                    now = time.clock_gettime(time.pthread_getcpuclockid(ident))
                except OSError:
                    continue
                known, before = used.get(ident, (thread, now if first else 0.0))
                used[ident] = (thread, now)
                spent = now - before if known is thread else now
                if spent > 0:
                    self._note(thread.name, frames[ident], spent)
            first = False

    def _note(self, thread: str, frame: FrameType, spent: float) -> None:
        self.threads[re.sub(r"[-_ ]?[0-9a-f]*\d[0-9a-f-]*", "", thread) or thread] += spent
        room, function = whose(frame)
        self.rooms[room] += spent
        self.functions[function] += spent


def whose(frame: FrameType | None) -> tuple[str, str]:
    """The room of ours or the library that a stack is in, and its function there. The standard
    library's time is that of whoever called it."""
    while frame is not None:
        file = frame.f_code.co_filename
        function = f"{frame.f_code.co_name}:{frame.f_lineno}"
        if ours := _OURS.search(file):
            return ours[1], f"{file[ours.start(1) :]} {function}"
        if library := _LIBRARY.search(file):
            name = library[1].removesuffix(".cpython")
            return _TOGETHER.get(name, name), f"{file[library.start(1) :]} {function}"
        if not file.startswith(_STANDARD):
            return "the bench", f"{file.rpartition('/')[2]} {function}"
        frame = frame.f_back
    return "asyncio and threads", "the standard library"
