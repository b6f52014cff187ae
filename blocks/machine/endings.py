"""Blocks of code whose end comes to be known, whatever interrupts it.

`with` calls `__exit__`, a function of Python's, and what raises in a thread from outside may do so
at its first step: nothing is given back then. So what `with` holds until its block is over is an
object that nothing else holds. When that is gone, C code says so to a thread of ours, which ends
what the block itself did not.
"""

import _thread
import logging
import os
import weakref
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from types import TracebackType
from typing import TYPE_CHECKING, Any

logger = logging.getLogger(__name__)


class Watch(weakref.ref[Any]):
    """On an object: once it is gone, `work` is done. Made by `when_gone`."""

    __slots__ = ("work",)
    work: Callable[[], object]


class _Endings:
    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        """Without a thread and with nothing to do, as in a child that was just forked: what its
        parent holds is the parent's."""
        self._gone: SimpleQueue[Watch] = SimpleQueue()
        self._watches: set[Watch] = set()
        self._serving = False

    def when_gone(self, thing: object, work: Callable[[], object]) -> Watch:
        if not self._serving:
            # `Thread.start` may be interrupted, and wait for ever. More than one does no harm.
            _thread.start_new_thread(self._serve, (self._gone,))
        watch = Watch(thing, self._gone.put)
        watch.work = work
        self._watches.add(watch)
        return watch

    def forget(self, watch: Watch) -> None:
        self._watches.discard(watch)

    def _serve(self, gone: "SimpleQueue[Watch]") -> None:
        self._serving = True
        while True:
            watch = gone.get()
            self._watches.discard(watch)
            try:
                watch.work()
            except Exception as error:
                # What has closed by now has given everything back, or its owner's end does.
                logger.debug("an ending failed: %r", error)
            del watch


_endings = _Endings()
os.register_at_fork(after_in_child=_endings.begin)


def when_gone(thing: object, work: Callable[[], object]) -> Watch:
    """Have `work` done, in a thread of ours, as soon as nobody has `thing` any more. It may raise,
    in vain, and must not have `thing` itself."""
    return _endings.when_gone(thing, work)


def forget(watch: Watch) -> None:
    """There is nothing to do any more when it is gone."""
    _endings.forget(watch)


class _Exit:
    """What `with` calls at the end of a block, made anew for each: what nothing else has."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __get__(self, block: "Block | None", kind: type["Block"]) -> Callable[..., Any]:
        leave: Callable[..., Any] = getattr(kind if block is None else block, self._name)
        if block is None or block._watch is not None:
            # `ExitStack` calls it with the block. One that is entered already has its end.
            return leave
        held = partial(leave)
        block._watch = when_gone(held, block.end)
        return held


class Block:
    """A context manager of which `end` is called when its block is over, however that came: by its
    `leave`, or, where that was interrupted, by a thread of ours. `end` is done once and again to no
    harm, in any thread; what it undoes stands in the block before it is done."""

    _watch: Watch | None = None

    def end(self) -> object:
        """Give back whatever is held still."""
        raise NotImplementedError

    def leave(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """The block was left in order."""
        self.end()
        self._ended()

    async def aleave(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """The block was left in order, in asynchronous code."""
        self.leave(kind, error, trace)

    def _ended(self) -> None:
        """All is given back: nobody need look after it."""
        watch, self._watch = self._watch, None
        if watch is not None:
            forget(watch)

    if TYPE_CHECKING:

        def __exit__(
            self,
            kind: type[BaseException] | None,
            error: BaseException | None,
            trace: TracebackType | None,
        ) -> None: ...

        async def __aexit__(
            self,
            kind: type[BaseException] | None,
            error: BaseException | None,
            trace: TracebackType | None,
        ) -> None: ...

    else:
        __exit__ = _Exit("leave")
        __aexit__ = _Exit("aleave")
