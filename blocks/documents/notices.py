"""What the ledger has to tell, told as Prefect events: for Automations, and in the event feed.

An event is about the document of a budget. A notice stays in the ledger until Prefect's API has
taken its event, so each is told at least once; one that is told twice has the same id.
"""

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, UUID, uuid5

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.events import emit_event
from prefect.events.schemas.events import Event
from prefect.exceptions import ObjectNotFound

from prefect_governor.blocks.documents.documents import root_of
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.machine.election import Election
from prefect_governor.blocks.machine.text import storable, storable_value
from prefect_governor.blocks.records.notices import Notice
from prefect_governor.blocks.secrets.exits import scrubbed, scrubbed_value

PREFIX = "prefect-governor.budget"
ENFORCEMENT_OFF = "prefect-governor.enforcement.off"
DOCUMENT_INVALID = f"{PREFIX}.document-invalid"
DRAWS_LOST = f"{PREFIX}.draws-lost"
CIRCUIT_OPENED = "prefect-governor.circuit-breaker.opened"
EVENTS = {
    "ceiling_share": f"{PREFIX}.share-spent",
    "over_budget": f"{PREFIX}.over-budget",
    "unconfirmed": f"{PREFIX}.unconfirmed",
    "bound_exceeded": f"{PREFIX}.bound-exceeded",
    "resumed": f"{PREFIX}.resumed",
    "ceiling_changed": f"{PREFIX}.ceiling-changed",
    "throttled": f"{PREFIX}.throttled",
}

# How often the ledger is asked, in seconds, and how much is told at once.
LOOK_SECONDS = 1.0
MOST = 200
# What belongs to no document of the API that is spoken to is another's to tell; for so long.
FOREIGN_SECONDS = 86_400

_LOCAL = "local/"


class Teller:
    """Tells the notices of one ledger to one Prefect API. One process of those that share `folder`
    does at a time.

    Args:
        folder: where the election's lock lives.
        api: names the Prefect API.
    """

    def __init__(
        self,
        desk: LedgerDesk,
        folder: Path,
        api: str,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._desk = desk
        name = uuid5(NAMESPACE_URL, f"{desk.store.ledger_id} {api}").hex
        self._election = Election(folder / f"{name}.teller")
        self._clock = clock
        self._wall = wall
        self._looked: float | None = None
        # The keepers of several governors share a teller.
        self._telling = threading.Lock()
        self._known: dict[str, bool] = {}

    def tick(self, last: bool = False) -> None:
        """Tell what there is, where it is time to look or it is for the last time here.

        Raises what Prefect's client raises.
        """
        if not self._telling.acquire(blocking=False):
            return
        try:
            now = self._clock()
            if not last and self._looked is not None and now - self._looked < LOOK_SECONDS:
                return
            self._looked = now
            if self._election.won():
                self.tell()
        finally:
            self._telling.release()

    def tell(self) -> int:
        """Tell what there is now. Returns how many events Prefect has taken."""
        found = self._desk.write(lambda batch: batch.rows.notices(MOST)).result()
        if not found:
            return 0
        with get_client(sync_client=True) as client:
            ours = [each for each in found if self._is_ours(client, each)]
            events = [event_of(each, self._desk.store.ledger_id) for each in ours]
            if events:
                send(client, events)
        done = {each.id for each in ours if each.id is not None}
        done |= {each.id for each in found if each.id is not None and self._is_over(each)}
        if done:
            self._desk.write(lambda batch: batch.rows.remove_notices(done)).result()
        return len(events)

    def close(self) -> None:
        """Stand down, or drop what a forked child inherited."""
        self._election.close()

    def _is_ours(self, client: SyncPrefectClient, notice: Notice) -> bool:
        """Whether it is about a document of this API. A ledger may serve two, development's and
        production's. What has no document, a run's own ceiling, is told wherever it is seen."""
        if notice.subject.startswith(_LOCAL):
            return False
        document = _document(notice.subject)
        if document is None:
            return True
        if str(document) not in self._known:
            try:
                client.read_block_document(document, include_secrets=False)
            except ObjectNotFound:
                self._known[str(document)] = False
            else:
                self._known[str(document)] = True
        return self._known[str(document)]

    def _is_over(self, notice: Notice) -> bool:
        local = notice.subject.startswith(_LOCAL)
        return local or self._wall() - notice.wall / 1e9 > FOREIGN_SECONDS


def event_of(notice: Notice, ledger_id: str) -> Event:
    """A notice as Prefect's event. The same notice is the same event, however often it is told."""
    labels = {"prefect-governor.budget.window": notice.window}
    # What Automations match stands in labels: they do not look into the payload.
    if (share := notice.payload.get("share")) is not None:
        labels["prefect-governor.budget.share"] = f"{share * 100:.0f}"
    return _event(
        {
            "id": uuid5(NAMESPACE_URL, f"prefect-governor/{ledger_id}/{notice.id}/{notice.kind}"),
            "occurred": datetime.fromtimestamp(notice.wall / 1e9, tz=timezone.utc),
            "event": EVENTS[notice.kind],
            "resource": _resource(notice.subject, notice.name, labels),
            "related": _related(notice),
            "payload": {"window": notice.window, **notice.payload},
        }
    )


def alarm(
    event: str,
    subject: str,
    name: str,
    payload: Mapping[str, Any],
    *,
    budget: tuple[str, str] | None = None,
    **labels: str,
) -> Event:
    """An event that does not come from the ledger, about the document `subject`. `budget` is the
    id and the name of the document of the budget that it matters to, where that is another."""
    return _event(
        {
            "event": event,
            "resource": _resource(subject, name, labels),
            "related": [_budget(*(budget or (subject, name)))],
            "payload": dict(payload),
        }
    )


def tell_circuit_opened(reason: str, accounts: Iterable[str]) -> None:
    """An event about the flow run that runs here: it stopped itself, as no further call can do
    better. Returns at once; outside a flow run nothing is told."""
    from prefect.runtime import flow_run

    run = flow_run.get_id()
    if run is None:
        return
    document = next((each for each in accounts if _document(each) is not None), None)
    emit_event(
        CIRCUIT_OPENED,
        resource={
            "prefect.resource.id": f"prefect.flow-run.{run}",
            "prefect.resource.name": flow_run.get_name() or str(run),
        },
        related=[] if document is None else [_budget(document, None)],
        payload={"reason": scrubbed(storable(reason))},
    )


def send(client: SyncPrefectClient, events: Iterable[Event]) -> None:
    """Hand events to Prefect's API; returns once it has taken them."""
    client.request(
        "POST", "/events", json=[each.model_dump(mode="json") for each in events]
    ).raise_for_status()


def _event(fields: dict[str, Any]) -> Event:
    """An event of whatever text."""
    return Event.model_validate(scrubbed_value(storable_value(fields)))


def _document(subject: str) -> UUID | None:
    try:
        return UUID(root_of(subject))
    except ValueError:
        return None


def _resource_id(subject: str) -> str:
    document = _document(subject)
    if document is None:
        return f"{PREFIX}.{subject}"
    return f"prefect.block-document.{document}"


def _resource(subject: str, name: str, labels: Mapping[str, str]) -> dict[str, str]:
    return {
        "prefect.resource.id": _resource_id(subject),
        "prefect.resource.name": name,
        **labels,
    }


def _budget(subject: str, name: str | None) -> dict[str, str]:
    labels = {"prefect.resource.id": _resource_id(subject), "prefect.resource.role": "budget"}
    if name is not None:
        labels["prefect.resource.name"] = name
    return labels


def _related(notice: Notice) -> list[dict[str, str]]:
    related = [_budget(notice.subject, notice.name)]
    run = notice.payload.get("flow_run_id")
    if run is not None:
        related.append(
            {
                "prefect.resource.id": f"prefect.flow-run.{run}",
                "prefect.resource.role": "flow-run",
            }
        )
    return related
