"""`python -m tests.unit.flows.server.garbage DATABASE`: collects garbage that holds a cursor, while
the thread of the cursor's connection waits for a lock that only this thread gives back.

Ends at once where another thread collects, and at SQLite's busy timeout of an hour where this one
does.
"""

import sqlite3
import sys
import threading
import weakref

from prefect_governor.flows.server.process import collect_in_a_thread

WAITS = "BEGIN IMMEDIATE"


class _Kept:
    """Garbage: only itself holds it, and it holds a cursor."""

    def __init__(self, cursor: sqlite3.Cursor) -> None:
        self.cursor, self.itself = cursor, self


def main(database: str) -> None:
    if "here" not in sys.argv:
        collect_in_a_thread()
    writing = sqlite3.connect(database, isolation_level=None)
    writing.execute(WAITS)
    waiting = sqlite3.connect(database, timeout=3600, isolation_level=None, check_same_thread=False)
    kept = _Kept(waiting.execute("SELECT 1 UNION SELECT 2"))
    freed = threading.Event()
    weakref.finalize(kept, freed.set)
    began = threading.Event()
    waiting.set_trace_callback(lambda statement: began.set() if statement == WAITS else None)
    thread = threading.Thread(target=lambda: waiting.execute(WAITS), daemon=True)
    thread.start()
    began.wait()
    # The statement holds the lock of its connection from here on, but for a moment.
    thread.join(0.2)
    del kept
    _ = [[] for _ in range(100_000)]
    writing.execute("ROLLBACK")
    thread.join()
    freed.wait()
    print("ended")


if __name__ == "__main__":
    main(sys.argv[1])
