"""What waits to be written to Prefect's server: written by whoever of us comes next, once."""

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from urllib.parse import urlsplit
from uuid import UUID

from prefect.exceptions import ObjectNotFound
from prefect.logging import get_logger
from prefect.settings import PREFECT_API_URL

from prefect_governor.blocks.context.settings import under_these_settings
from prefect_governor.blocks.prefect_internals.waiting import result_of
from prefect_governor.flows.publications.keeping import Held, any_waiting, hold, waiting
from prefect_governor.flows.publications.publication import (
    End,
    Publication,
    as_kept,
    without_user,
)
from prefect_governor.flows.publications.writing import ServerAway, write
from prefect_governor.flows.recovery.lost import DIED, lost_report, read_left
from prefect_governor.flows.report.artifacts import artifacts_of
from prefect_governor.flows.report.progress import last_word

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
TOLD_LATER = "the report is among the run's artifacts"

_logger = get_logger("prefect_governor.report")
_sweeping = threading.Lock()
# What this process has asked this server for in vain: it is another one's.
_of_others: set[str] = set()


@dataclass(frozen=True)
class Swept:
    """What became of a publication: `written`, or why not, in a person's words."""

    publication: Publication
    written: bool
    said: str


def publish_waiting(run: str | None = None, *, any_server: bool = False) -> Iterator[Swept]:
    """Write what waits for the server of this process and is nobody's, of one run or all.

    `any_server`: also what was kept for a server of another address, where it has the run.
    """
    here = PREFECT_API_URL.value() or ""
    for publication in waiting():
        if run is not None and not publication.run_id.startswith(run):
            continue
        if not any_server and not is_same_server(publication.api_url, here):
            continue
        if run is None and publication.name in _of_others:
            continue
        held = hold(publication.name)
        if held is None:
            yield Swept(publication, False, "its process is at it")
            continue
        try:
            swept = _written(held)
        finally:
            held.let_go()
        yield swept
        if not swept.written and run is None and swept.said.startswith(_AWAY):
            return


_AWAY = "Prefect's server does not answer"
_REFUSED = "Prefect's server does not take it"


def _written(held: Held) -> Swept:
    publication = held.publication
    try:
        if not publication.artifacts:
            publication = _of_lost_run(publication)
            held.keep(publication)
        result_of(write(publication))
    except ServerAway as away:
        # What it does not take of one run keeps no other back.
        return Swept(publication, False, f"{_REFUSED if away.answered else _AWAY}: {away}")
    except ObjectNotFound:
        _of_others.add(publication.name)
        return Swept(publication, False, "Prefect's server has no such run")
    except Exception as error:
        return Swept(publication, False, f"{type(error).__name__}: {error}")
    held.drop()
    return Swept(publication, True, "written")


def _of_lost_run(publication: Publication) -> Publication:
    """What the server is to have of a run whose process died as it went on."""
    begun = publication.begun
    if begun is None:
        return publication
    report = lost_report(publication, begun, read_left(begun))
    run_id = UUID(publication.run_id)
    artifacts = [
        last_word(report, key_prefix=begun.command, flow_run_id=run_id, said=DIED),
        *artifacts_of(
            report,
            key_prefix=begun.command,
            flow_run_id=run_id,
            attempt=publication.attempt,
        ),
    ]
    message = f"{report.reason} · {TOLD_LATER}"
    return replace(
        publication,
        artifacts=tuple(map(as_kept, artifacts)),
        files=tuple(report.files),
        end=End("CRASHED", "Crashed", message),
    )


def sweep_in_background() -> None:
    """Write what waits, if something does, while this process goes on with its own; a thread at a
    time. Tries each once."""
    if not any_waiting() or not _sweeping.acquire(blocking=False):
        return
    thread = threading.Thread(
        target=under_these_settings(_sweep), name="governor-publications", daemon=True
    )
    thread.start()


def _sweep() -> None:
    try:
        for swept in publish_waiting():
            if swept.written:
                _logger.info("Published the report of run %s", swept.publication.run_id)
    except Exception as error:
        _logger.warning("The reports that wait cannot be published: %r", error)
    finally:
        _sweeping.release()


def is_same_server(one: str, other: str) -> bool:
    """Whether two addresses may be of one server: a server of this machine may have got another
    port as it was started again. It is asked for the run in any case."""
    one, other = without_user(one), without_user(other)
    first, second = urlsplit(one), urlsplit(other)
    if first.hostname in _LOOPBACK and second.hostname in _LOOPBACK:
        return True
    return one.rstrip("/") == other.rstrip("/")


def _after_fork() -> None:
    global _sweeping
    _sweeping = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
