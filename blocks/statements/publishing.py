"""Keeps a governor's page of money on the server: one artifact, a version a day."""

import re
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterKey,
)
from prefect.client.schemas.objects import Artifact
from prefect.client.schemas.sorting import ArtifactSort

from prefect_governor.blocks.documents.deployments import deployment_names
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.machine.election import Electing
from prefect_governor.blocks.machine.text import storable_value
from prefect_governor.blocks.money.windows import window_label
from prefect_governor.blocks.records.budgets import Account
from prefect_governor.blocks.secrets.exits import scrubbed_value
from prefect_governor.blocks.statements.page import page
from prefect_governor.blocks.statements.statement import MOST_ROWS, Statement, read_statement

# How often it is written anew at most while money is spent, and after runs that end one after
# another, in seconds.
EVERY_SECONDS = 300.0
SOON_SECONDS = 10.0
# So many versions are kept, a day each.
MOST_VERSIONS = 92


def page_key(governor: str) -> str:
    """The artifact's key: lowercase letters, digits and dashes only."""
    return re.sub(r"[^a-z0-9]+", "-", f"governor-{governor}-money".lower()).strip("-")


class Publisher:
    """The page of one governor, in one process. One of those that share an election writes it.

    Args:
        accounts: the governor's budgets as they are now, leaf first.
    """

    def __init__(
        self,
        governor: str,
        accounts: Callable[[], Sequence[Account]],
        desk: LedgerDesk,
        election: Electing,
        *,
        clock: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.key = page_key(governor)
        self._governor = governor
        self._accounts = accounts
        self._desk = desk
        self._election = election
        self._clock = clock
        self._wall = wall
        self._looked = clock()
        self._soon = False
        self._shown: object = None

    def soon(self) -> None:
        """A run has ended: its money is to be seen soon."""
        self._soon = True

    def tick(self, last: bool = False) -> None:
        """Write the page anew, where it is time to, or for the last time here.

        Raises what Prefect's client raises, LedgerUnavailable.
        """
        since = self._clock() - self._looked
        due = since >= EVERY_SECONDS or (self._soon and since >= SOON_SECONDS)
        if not (last or due):
            return
        ended, self._soon = self._soon or last, False
        self._looked = self._clock()
        held = self._held()
        if held == self._shown or not any(gone for _, gone, _ in held):
            # Nothing was spent, or nothing since.
            return
        if self._election.won():
            self._publish(young=ended)
            self._shown = held

    def close(self) -> None:
        """Stand down, or drop what a forked child inherited."""
        self._election.close()

    def _held(self) -> tuple[tuple[str, int, int | None], ...]:
        found = []
        for each in self._accounts():
            known = self._desk.store.read_purse(each.key)
            if known is not None:
                purse = known[1]
                gone = purse.spent_nano + purse.unconfirmed_nano
                found.append((f"{each.key} {purse.label}", gone, known[0].ceiling_nano))
        return tuple(found)

    def _publish(self, *, young: bool) -> None:
        """`young`: also where another machine's process wrote it within the last minutes."""
        now = self._wall()
        with get_client(sync_client=True) as client:
            latest = _versions(client, self.key, most=1)
            if not young and latest and now - _seconds(latest[0].updated) < EVERY_SECONDS:
                return
            statement = read_statement(self._governor, self._accounts(), self._desk, at=now)
            fields: dict[str, str] = {
                "key": self.key,
                "type": "markdown",
                "description": f"What governor {self._governor!r} has spent, and what is left",
                "data": page(statement, _deployments(client, statement)),
            }
            fields = scrubbed_value(storable_value(fields))
            # Not by `create_artifact` and its like, which tell an event of each.
            zone = statement.budgets[0].account.time_zone
            if latest and _day(_seconds(latest[0].created), zone) == _day(now, zone):
                changed = {name: fields[name] for name in ("data", "description")}
                client.request(
                    "PATCH", "/artifacts/{id}", json=changed, path_params={"id": latest[0].id}
                ).raise_for_status()
                return
            client.request("POST", "/artifacts/", json=fields).raise_for_status()
            for old in _versions(client, self.key, most=MOST_ROWS, after=MOST_VERSIONS):
                client.delete_artifact(old.id)


def _versions(
    client: SyncPrefectClient, key: str, *, most: int, after: int = 0
) -> "list[Artifact]":
    """The page's versions, the youngest first."""
    found: list[Artifact] = client.read_artifacts(
        artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])),
        sort=ArtifactSort.CREATED_DESC,
        limit=most,
        offset=after,
    )
    return found


def _deployments(client: SyncPrefectClient, statement: Statement) -> dict[str, str]:
    """The names of the deployments that are shown."""
    shown = statement.deployments[:MOST_ROWS]
    return deployment_names(client, [UUID(key) for key, _ in shown if key is not None])


def _day(at: float, time_zone: str) -> str:
    return window_label("day", time_zone=time_zone, wall_seconds=at, run_id=None)


def _seconds(instant: datetime | None) -> float:
    return 0.0 if instant is None else instant.astimezone(timezone.utc).timestamp()
