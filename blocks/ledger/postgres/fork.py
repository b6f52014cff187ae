"""What happens to PostgreSQL sessions when a process forks: they stay the parent's."""

import os
import threading
import weakref
from typing import Protocol


class Forked(Protocol):
    """Something with sessions.

    A child that spoke on its parent's session, or closed it, would end the parent's; one that kept
    its socket open would hide the parent's death from the server.
    """

    def before_fork(self) -> None:
        """Wait until nothing is under way."""

    def after_fork(self, *, in_child: bool) -> None:
        """Go on. A child lets go of what it inherited without a word to the server."""


_known: "weakref.WeakSet[Forked]" = weakref.WeakSet()
_forking: list[Forked] = []
_fork = threading.Lock()


def tell_of_forks(each: Forked) -> None:
    """From now on, for as long as it lives."""
    with _fork:
        _known.add(each)


def _before_fork() -> None:
    _fork.acquire()
    for each in list(_known):
        each.before_fork()
        _forking.append(each)


def _after_fork(*, in_child: bool) -> None:
    while _forking:
        _forking.pop().after_fork(in_child=in_child)
    _fork.release()


os.register_at_fork(
    before=_before_fork,
    after_in_parent=lambda: _after_fork(in_child=False),
    after_in_child=lambda: _after_fork(in_child=True),
)
