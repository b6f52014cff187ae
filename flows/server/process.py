"""`python -m prefect_governor.flows.server.process server start …`: Prefect's server, as `python -m
prefect` starts it, with its garbage collected by a thread of its own.

On SQLite the server would stand still for a minute, now and then, where flows call flows. Whoever
frees a cursor that was left open waits for the lock of its connection (`sqlite3_reset`), which that
connection's thread holds while it waits to write; a statement that was refused leaves its cursor
to the garbage collector (SQLAlchemy 2.0, aiosqlite 0.22). Where the collector runs in the thread of
the server's loop, nothing moves: the loop waits for that connection, it for the one that is
writing, and that one for the loop. It ends at SQLite's busy timeout, 60 s in Prefect 3.8 and 3.9.
"""

import gc
import runpy
import threading
import time

_SECONDS = 1.0
# All generations, one time in so many: it takes tenths of a second.
_ALL = 60
_YOUNG_GENERATIONS = 1


def main() -> None:
    """Prefect's command line, until it ends."""
    collect_in_a_thread()
    runpy.run_module("prefect", run_name="__main__", alter_sys=True)


def collect_in_a_thread() -> None:
    """From now on no other thread of this process collects garbage."""
    gc.disable()
    threading.Thread(target=_collect, name="garbage", daemon=True).start()


def _collect() -> None:
    while True:
        for _ in range(_ALL):
            time.sleep(_SECONDS)
            gc.collect(_YOUNG_GENERATIONS)
        gc.collect()


if __name__ == "__main__":
    main()
