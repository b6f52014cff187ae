"""Processes that take the text out of documents, and are ended where that takes too long.

Parsers can be made to work for hours on 200 KB, to fill the memory, or to crash; a thread cannot be
ended, and holds the interpreter that the calls of all other items need. So they run in a few
processes that are kept: nothing of the environment, bounded memory, one document at a time.
Plain text is read where it is asked for.
"""

import atexit
import os
import queue
import signal
import subprocess
import sys
import threading
from typing import IO

from prefect_governor.blocks.errors import ItemFailed
from prefect_governor.blocks.limits.resources import cores
from prefect_governor.flows.items.documents import worker
from prefect_governor.flows.items.documents.extraction import document_of, is_plain
from prefect_governor.flows.items.documents.formats.document import Document
from prefect_governor.flows.items.documents.frames import answer_in, write_request

# Of CPU for one document: pypdf reads some 30 pages a second.
SECONDS = 120
# Beside it a worker may wait: the machine sleeps, or has more to do.
_PATIENCE = 5
_MEMORY_MIB = 1_536
# Documents after which a process is made anew: what their libraries keep is given back.
_MOST_DOCUMENTS = 200
AT_ONCE = max(2, cores())


def read_document(
    key: str, data: bytes, *, suffix: str, encoding: str | None = None, seconds: int = SECONDS
) -> Document:
    """`document_of` in so many seconds of CPU, in a process where the file is no plain text.
    Blocking: call it in a worker thread.

    Raises ItemFailed as `document_of`, and where it takes longer, needs more than 1.5 GiB, or
    crashes what reads it.
    """
    if is_plain(suffix, data):
        return document_of(key, data, suffix=suffix, encoding=encoding)
    with _PLACES:
        process = _take(seconds)
        try:
            found = process.ask(key, data, suffix, encoding)
        except BaseException:
            process.end()
            raise
        _give_back(process)
    if isinstance(found, str):
        raise ItemFailed(found)
    return found


class _Process:
    def __init__(self, seconds: int) -> None:
        # From its code to its cores: nothing that a document could be after.
        environment = {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
        self.seconds = seconds
        self.documents = 0
        self._started_in = os.getpid()
        self._process = subprocess.Popen(
            [sys.executable, "-m", worker.__name__, str(seconds), str(_MEMORY_MIB)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd="/",
            start_new_session=True,
        )

    @property
    def is_usable(self) -> bool:
        """Not a fork's, nor one that ended or has read enough."""
        return (
            self._started_in == os.getpid()
            and self.documents < _MOST_DOCUMENTS
            and self._process.poll() is None
        )

    def ask(self, key: str, data: bytes, suffix: str, encoding: str | None) -> Document | str:
        self.documents += 1
        late = threading.Event()

        def end() -> None:
            late.set()
            self._process.kill()

        assert self._process.stdin is not None and self._process.stdout is not None
        timer = threading.Timer(self.seconds * _PATIENCE, end)
        timer.daemon = True
        timer.start()
        try:
            line = _asked(self._process.stdin, self._process.stdout, key, data, suffix, encoding)
        finally:
            timer.cancel()
        answer = answer_in(line)
        if answer is None:
            self._process.kill()
            status = self._process.wait()
            raise ItemFailed(_how(status, self.seconds, late.is_set()))
        return answer

    def end(self) -> None:
        if self._started_in == os.getpid():
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                try:
                    pipe.close()
                except OSError:
                    continue


def _asked(
    target: IO[bytes],
    source: IO[bytes],
    key: str,
    data: bytes,
    suffix: str,
    encoding: str | None,
) -> bytes:
    try:
        write_request(target, key, suffix, encoding, data)  # type: ignore[arg-type]
    except OSError:
        # It has ended: the empty answer says so.
        return b""
    return source.readline()


def _how(status: int, seconds: int, late: bool) -> str:
    if late or status == -signal.SIGXCPU:
        return f"its text could not be taken out in {seconds} s of CPU: it is broken or too large"
    what = f"by signal {-status}" if status < 0 else f"with status {status}"
    return (
        f"its text could not be taken out: the process that read it ended {what} (it is broken, or"
        f" needs more than {_MEMORY_MIB:,} MiB)"
    )


_PLACES = threading.BoundedSemaphore(AT_ONCE)
_idle: "queue.SimpleQueue[_Process]" = queue.SimpleQueue()


def _take(seconds: int) -> _Process:
    while True:
        try:
            process = _idle.get_nowait()
        except queue.Empty:
            return _Process(seconds)
        if process.is_usable and process.seconds == seconds:
            return process
        process.end()


def _give_back(process: _Process) -> None:
    if process.is_usable:
        _idle.put(process)
    else:
        process.end()


def _end_all() -> None:
    while True:
        try:
            process = _idle.get_nowait()
        except queue.Empty:
            return
        process.end()


atexit.register(_end_all)
