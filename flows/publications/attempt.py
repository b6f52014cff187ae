"""An attempt of a flow run, as its own process publishes it."""

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import httpx
from prefect.client.schemas.actions import ArtifactCreate
from prefect.client.schemas.objects import State, StateType
from prefect.context import FlowRunContext
from prefect.exceptions import PrefectSignal
from prefect.logging import get_logger
from prefect.settings import PREFECT_API_URL

from prefect_governor.blocks.machine.stops import current_stop
from prefect_governor.blocks.prefect_internals.waiting import result_of
from prefect_governor.flows.publications.keeping import Held, begin, supersede
from prefect_governor.flows.publications.publication import Begun, Publication, as_kept
from prefect_governor.flows.publications.writing import (
    ServerAway,
    with_end,
    write,
    written,
)

# How long a process waits for a server that does not answer, in seconds, before it leaves the
# report to the next: a server is restarted in 5 to 20 s.
PATIENCE_SECONDS = 30.0
LATE = "written when the server was back; the report is among the run's artifacts"

_logger = get_logger("prefect_governor.report")
_attempts: dict[str, "Attempt"] = {}
_lock = threading.Lock()


class Attempt:
    """What the server is to have of this attempt is on disk from its beginning to the server's
    last word, so that whoever comes next can write it where this process dies, or leaves a server
    that does not answer."""

    def __init__(self, publication: Publication) -> None:
        self._publication = publication
        self._held: Held | None = None
        self._written = False
        self._until = 0.0

    @property
    def has_begun(self) -> bool:
        """Whether it is of a run that tells its progress."""
        return self._publication.begun is not None

    def begin(self, begun: Begun) -> None:
        """Keep what is known now. What attempts before it left is in this one's report."""
        self._publication = replace(self._publication, begun=begun)
        supersede(self._publication.run_id, self._publication.attempt)
        self._held = begin(self._publication)

    async def publish(
        self,
        artifacts: Sequence[ArtifactCreate],
        *,
        state: "State[Any]",
        files: Sequence[str] = (),
        ordered: bool = False,
    ) -> None:
        """Create the artifacts, also on a server that is away for a while. `state` is how the run
        ends where its engine does not get to say so; `ordered`, that its process was told to end,
        and waits for no server. Raises nothing for a server that refuses or
        does not answer."""
        ending = state.model_copy(update={"message": f"{state.message} · {LATE}"})
        publication = replace(
            with_end(self._publication, ending),
            artifacts=tuple(map(as_kept, artifacts)),
            files=tuple(files),
            begun=None,
        )
        self._publication = publication
        if self._held is None:
            self._held = begin(publication)
        else:
            self._held.keep(publication)
        stop = current_stop()
        # Whoever ends the process gives it little time.
        stopped = ordered or (stop is not None and stop.is_set())
        self._until = time.monotonic() + (0 if stopped else PATIENCE_SECONDS)
        self._written = await self._write(replace(publication, end=None))

    def left(self, error: BaseException | None) -> None:
        """The runner of the run is left: its engine has said how it ended, or could not
        (`error`)."""
        with _lock:
            _attempts.pop(self._publication.run_id, None)
        held = self._held
        if held is None:
            return
        if not self._publication.artifacts:
            # Nobody made a report. What ended the process may have left one to make; one that
            # Prefect suspends goes on.
            ended = error is None or isinstance(error, Exception | PrefectSignal)
            (held.drop if ended else held.let_go)()
            return
        # Of an order to end, the engine says so after this.
        ordered = error is not None and not isinstance(error, Exception | PrefectSignal)
        unsaid = error is not None and (_is_away(error) or (ordered and not self._written))
        publication = self._publication if unsaid else replace(self._publication, end=None)
        if unsaid and self._written:
            self._until = time.monotonic() + PATIENCE_SECONDS
        if unsaid or not self._written:
            held.keep(publication)
            self._written = bool(result_of(self._write(publication)))
        if self._written:
            held.drop()
            return
        held.let_go()
        _logger.warning(
            "Prefect's server did not come back: the report is kept in %s, and written by the next"
            " run of this machine or `prefect-governor publish %s`",
            held.path,
            publication.run_id,
        )

    def given_up(self) -> None:
        """Nobody tells when the run's engine is done: what is not written by now is for others."""
        end = self._publication.end
        if end is not None and end.type == StateType.CRASHED.value:
            # The process is alive, and its engine says so.
            self._publication = replace(self._publication, end=None)
        self.left(None if self._written else ServerAway())

    async def _write(self, publication: Publication) -> bool:
        def away(problem: str) -> None:
            left = self._until - time.monotonic()
            if left > 0:
                _logger.warning(
                    "Prefect's server does not answer (%s): waiting up to %.0f s to write the"
                    " report",
                    problem,
                    left,
                )

        try:
            if self._until <= time.monotonic():
                await write(publication)
                return True
            return await written(publication, until=self._until, told=away)
        except ServerAway:
            return False
        except Exception as error:
            _logger.warning("The report's artifacts cannot be written: %r", error)
            # Trying again changes nothing.
            return True


def this_attempt() -> Attempt | None:
    """That of the flow run of the context; None outside of any."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return None
    run_id = str(context.flow_run.id)
    with _lock:
        found = _attempts.get(run_id)
        if found is not None:
            return found
        made = Attempt(
            Publication(run_id, context.flow_run.run_count, PREFECT_API_URL.value() or "")
        )
        when_left = getattr(context.task_runner, "when_left", None)
        if when_left is not None:
            when_left(made.left)
            _attempts[run_id] = made
        return made


def _is_away(error: BaseException) -> bool:
    """Whether an engine that says how a run ended fails by this because of the server."""
    if isinstance(error, httpx.HTTPStatusError):
        return error.response.status_code >= 500
    return isinstance(error, httpx.TransportError | OSError | ServerAway)


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    # What its parent publishes is none of the child's.
    _attempts.clear()


os.register_at_fork(after_in_child=_after_fork)
