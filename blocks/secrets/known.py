"""The secrets that this process knows: of its environment, as that is now, and those that it was
given or showed to somebody."""

import os
import threading
from collections.abc import Iterable, Mapping
from typing import Any

from prefect_governor.blocks.secrets.names import lasts, secrets_in
from prefect_governor.blocks.secrets.scrubber import Scrubber

# So many that were given, the latest: tokens are made anew every hour.
MOST_LEARNED = 64

_lock = threading.Lock()
_learned: dict[str, None] = {}
_of_environment: frozenset[str] = frozenset()
_seen: Mapping[Any, Any] = {}
_scrubber = Scrubber(())


def learn(*secrets: str | None) -> None:
    """Know these from now on, as far as they may be secrets."""
    new = [each for each in secrets if each is not None and each not in _learned and lasts(each)]
    if new:
        with _lock:
            _take(new)


def scrubber() -> Scrubber:
    """What knows all of them now."""
    if _environment() != _seen:
        with _lock:
            _read()
    return _scrubber


def _environment() -> Mapping[Any, Any]:
    # What os.environ holds, undecoded: compared in a microsecond, where its copy takes fifty.
    data = getattr(os.environ, "_data", None)
    return data if isinstance(data, dict) else dict(os.environ)


def _read() -> None:
    global _seen, _of_environment
    _seen = dict(_environment())
    before, _of_environment = _of_environment, frozenset(secrets_in(dict(os.environ)))
    # A program that takes its key out of the environment still has it.
    _take(sorted(before - _of_environment))


def _take(new: Iterable[str]) -> None:
    global _scrubber
    for each in new:
        _learned.pop(each, None)
        _learned[each] = None
    while len(_learned) > MOST_LEARNED:
        del _learned[next(iter(_learned))]
    _scrubber = Scrubber({*_of_environment, *_learned})


def _after_fork() -> None:
    global _lock
    # Somebody may have held it during the fork.
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
