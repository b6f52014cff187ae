"""The model calls that were let go uncounted, for the log and for the reports of their runs."""

import logging
import os
import threading
from collections import Counter, OrderedDict

from prefect_governor.blocks.context.scope import attribution, current_scope
from prefect_governor.blocks.secrets.exits import scrubbed

logger = logging.getLogger("prefect_governor.budget")

RUNS_REMEMBERED = 1024
# Places that are told of, so that a path with an id in it fills no log.
PLACES_REMEMBERED = 256

_lock = threading.Lock()
_said: set[str] = set()
_by_run: "OrderedDict[str, Counter[str]]" = OrderedDict()


def note_passed(place: str, why: str) -> None:
    """A model call of the context goes to `place` (host and path, or a model's name) uncounted.

    Logged as a warning, once a place and process, and counted for the run's report.
    """
    here = current_scope.get()
    place, why = scrubbed(place), scrubbed(why)
    runs = {None if here is None else here.run_id, attribution(model="").flow_run_id} - {None}
    with _lock:
        for run in runs:
            counts = _by_run.setdefault(str(run), Counter())
            if place in counts or len(counts) < PLACES_REMEMBERED:
                counts[place] += 1
            _by_run.move_to_end(str(run))
        while len(_by_run) > RUNS_REMEMBERED:
            _by_run.popitem(last=False)
        first = place not in _said and len(_said) < PLACES_REMEMBERED
        if first:
            _said.add(place)
    if first:
        logger.warning("a model call to %s passed uncounted: %s", place, why)


def passed_notes(run: str | None) -> tuple[str, ...]:
    """Lines for the report of a run, by its own id or its flow run's, of what passed uncounted in
    this process. Empty where nothing did."""
    with _lock:
        counts = dict(_by_run.get(run or "", {}))
    return tuple(
        f"{counts[place]} model call{'s' * (counts[place] != 1)} to {place} passed uncounted"
        for place in sorted(counts)
    )


def _after_fork() -> None:
    global _lock
    # Somebody may have held it during the fork.
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
