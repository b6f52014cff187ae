"""What runs in this process, and what of it waits for what: threads, and the tasks of event loops.

A strand is what can wait by itself: an asyncio task, or a thread that runs none. A strand that
blocks its thread holds up every other task of that thread's loop, so who waits for one of those may
wait for itself. Nothing is decided here; see `ledger.decision.stall`.
"""

import asyncio
import inspect
import os
import threading
from collections.abc import Hashable, Iterable
from contextvars import Context, ContextVar
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from prefect_governor.blocks.machine.endings import Block


@dataclass(frozen=True, slots=True)
class Strand:
    """An asyncio task on a thread, or the thread itself. `on_loop`: an event loop runs there.
    `life` tells a thread from one that ended and had its number, which the system gives again."""

    thread: int
    task: "asyncio.Task[Any] | None" = None
    on_loop: bool = False
    life: int = 0


class _Life(threading.local):
    def __init__(self) -> None:
        self.number = next(_lives)


_lives = count(1)
_life = _Life()


def current_strand() -> Strand:
    """What runs here."""
    thread, life = threading.get_ident(), _life.number
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return Strand(thread, life=life)
    return Strand(thread, task, on_loop=True, life=life)


@dataclass
class Work:
    """Something that is waited for: who does it, once it has begun; before that the thread that it
    needs, if it needs a certain one, and what must be done before it."""

    strand: Strand | None = None
    thread: int | None = None
    after: tuple[Hashable, ...] = ()


@dataclass
class Strands:
    """What is known now.

    Attributes:
        blocked: by thread, the strands that block it, the innermost last.
        waits: by strand, the keys of the work that it waits for.
        work: by key, the work that was told of and is not over.
        stalled: who blocks a loop and was found to do so for ever.
    """

    blocked: dict[int, list[Strand]] = field(default_factory=dict)
    waits: dict[Strand, list[Hashable]] = field(default_factory=dict)
    work: dict[Hashable, Work] = field(default_factory=dict)
    stalled: set[Strand] = field(default_factory=set)

    def copy(self) -> "Strands":
        return Strands(
            {thread: list(each) for thread, each in self.blocked.items()},
            {strand: list(keys) for strand, keys in self.waits.items()},
            dict(self.work),
        )


# The thread that runs in a context which was made for it.
_here: ContextVar[Strand | None] = ContextVar("prefect_governor_strand", default=None)
# What starts a function in a thread and awaits it, and where it keeps the context.
_CONTEXTS = {
    "to_thread": "ctx",
    "AsyncIOBackend.run_sync_in_worker_thread": "context",
}

_lock = threading.Lock()
_now = Strands()


def look() -> Strands:
    """A copy of what is known now."""
    with _lock:
        return _now.copy()


def a_loop_is_blocked() -> bool:
    """Whether any strand blocks a thread that runs an event loop."""
    return bool(_now.blocked)


def waits(strand: Strand) -> bool:
    """Whether it said that it waits for something."""
    return strand in _now.waits


class blocking(Block):
    """The code inside blocks its thread until all of this work is done, or until what the ledger
    was asked for is there. Costs a look at the context where no loop runs."""

    def __init__(self, *keys: Hashable) -> None:
        self._keys = keys
        self._strand = current_strand()
        self._over = False

    def __enter__(self) -> Strand:
        strand = self._strand
        if not strand.on_loop:
            # Whoever started this with a context of its own finds in it who runs there.
            _here.set(strand)
        with _lock:
            if strand.on_loop:
                _now.blocked.setdefault(strand.thread, []).append(strand)
            _wait(strand, self._keys)
        return strand

    def end(self) -> None:
        strand = self._strand
        with _lock:
            if self._over:
                return
            _wait_no_more(strand, self._keys)
            _now.stalled.discard(strand)
            held_up = _now.blocked.get(strand.thread, [])
            if strand in held_up:
                held_up.remove(strand)
            if not held_up:
                _now.blocked.pop(strand.thread, None)
            self._over = True


class awaiting:
    """The code inside waits for all of this work, and lets its loop go on."""

    __slots__ = ("_keys", "_strand")

    def __init__(self, *keys: Hashable) -> None:
        self._keys, self._strand = keys, current_strand()

    def __enter__(self) -> None:
        with _lock:
            _wait(self._strand, self._keys)

    def __exit__(self, *_: object) -> None:
        with _lock:
            _wait_no_more(self._strand, self._keys)


def tell_stalled(strand: Strand) -> None:
    """What this strand blocks its thread for can never come."""
    with _lock:
        if strand in _now.blocked.get(strand.thread, ()):
            _now.stalled.add(strand)


def is_stalled(strand: Strand) -> bool:
    """Whether somebody found that what this strand blocks its thread for can never come."""
    return strand in _now.stalled


def awaited_by(strand: Strand) -> tuple[Strand, ...]:
    """The strands that all must end before this suspended task goes on, as far as that can be seen:
    tasks that it awaits by themselves, in `gather`, in `wait` for all, at a task group's end, and
    what it has handed to a thread. None where it awaits something else."""
    task = strand.task
    if task is None or task.done():
        return ()
    found: Iterable[Any] = ()
    awaited = getattr(task, "_fut_waiter", None)
    if isinstance(awaited, asyncio.Task):
        found = (awaited,)
    elif children := getattr(awaited, "_children", None):
        found = children
    elif awaited is not None:
        found = _of_innermost(task.get_coro())
    strands = [
        replace(strand, task=each, on_loop=True) if isinstance(each, asyncio.Task) else each
        for each in list(found)
        if isinstance(each, Strand) or (isinstance(each, asyncio.Task) and not each.done())
    ]
    return tuple(strands)


def _of_innermost(coroutine: Any) -> Iterable[Any]:
    """The tasks or strands that the coroutine suspended at the end of the chain waits for."""
    while inspect.iscoroutine(inner := getattr(coroutine, "cr_await", None)):
        coroutine = inner
    frame = getattr(coroutine, "cr_frame", None)
    if frame is None:
        return ()
    name, values = getattr(coroutine, "__qualname__", ""), frame.f_locals
    if name in ("TaskGroup.__aexit__", "TaskGroup._aexit"):
        return getattr(values.get("self"), "_tasks", None) or ()
    if name == "_wait" and values.get("return_when") == asyncio.ALL_COMPLETED:
        return values.get("fs") or ()
    context = values.get(_CONTEXTS.get(name, ""))
    there = context.get(_here) if isinstance(context, Context) else None
    return () if there is None else (there,)


def expect(key: Hashable, *, thread: int | None, after: Iterable[Hashable]) -> None:
    """There will be this work: on a certain thread, if it needs one, once other work is done."""
    with _lock:
        _now.work[key] = Work(None, thread, tuple(after))


def begin(key: Hashable) -> None:
    """The work begins, here."""
    strand = current_strand()
    with _lock:
        _now.work[key] = Work(strand)


def end(key: Hashable) -> None:
    """The work is over."""
    with _lock:
        _now.work.pop(key, None)


def _wait(strand: Strand, keys: tuple[Hashable, ...]) -> None:
    if keys:
        _now.waits.setdefault(strand, []).extend(keys)


def _wait_no_more(strand: Strand, keys: tuple[Hashable, ...]) -> None:
    waits = _now.waits.get(strand)
    if waits is None:
        return
    for key in keys:
        # What was interrupted here is done again.
        if key in waits:
            waits.remove(key)
    if not waits:
        del _now.waits[strand]


def _after_fork() -> None:
    global _lock, _now
    # A child has none of its parent's threads but the one that forked.
    _lock, _now = threading.Lock(), Strands()


os.register_at_fork(after_in_child=_after_fork)
