"""A publication on its way to the server: once, however often it is tried."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import httpx
from prefect.client.orchestration import PrefectClient, get_client
from prefect.client.schemas.actions import ArtifactCreate, ArtifactUpdate
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId
from prefect.client.schemas.objects import Artifact, FlowRun, State, StateType
from prefect.client.schemas.sorting import ArtifactSort
from prefect.logging import get_logger

from prefect_governor.flows.publications.publication import End, Publication

# Stands in a text for the id of the artifact that was created before it.
BESIDE = str(UUID(int=0))
# In an artifact's metadata: the attempt that it is of, and a digest of what it says.
ATTEMPT, CONTENT = "attempt", "content"
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.2, 2.0
# Of a run's artifacts, which are some seven an attempt: the newest.
_PAGE = 30
# What a server answers to an artifact that it will never take: bad, in conflict, too large.
_REFUSED = (400, 409, 413, 422)
_logger = get_logger("prefect_governor.report")


class ServerAway(Exception):
    """Prefect's server does not answer, or lets nobody in; `answered`: it did, with an error."""

    def __init__(self, problem: str = "", *, answered: bool = False) -> None:
        super().__init__(problem)
        self.answered = answered


async def write(publication: Publication) -> list[UUID]:
    """Create the artifacts that the run does not have, and end it where it has not ended.

    Those that an earlier try has created, or an earlier attempt that came to the same, are not
    created again. One that the server refuses costs a warning in the log. Returns the ids of those
    that were created.

    Raises:
        ServerAway: it does not answer, or lets nobody in; what was created by then stays.
        prefect.exceptions.ObjectNotFound: this server has no such run.
    """
    try:
        async with get_client() as client:
            run = await client.read_flow_run(UUID(publication.run_id))
            created = await _create(client, run, publication)
            await _end(client, run, publication)
            return created
    except (httpx.HTTPError, OSError) as error:
        answered = isinstance(error, httpx.HTTPStatusError)
        raise ServerAway(f"{type(error).__name__}: {error}", answered=answered) from error


async def written(
    publication: Publication,
    *,
    until: float,
    told: Callable[[str], None] = lambda problem: None,
    clock: Callable[[], float] = time.monotonic,
) -> bool:
    """Write it, also to a server that is away and back before `until`, on the monotonic clock.
    `told` hears once that it is away. False where it was not back."""
    pause, said = _FIRST_PAUSE_SECONDS, False
    while True:
        try:
            await write(publication)
        except ServerAway as away:
            if not said:
                said = True
                told(str(away))
            left = until - clock()
            if left <= 0:
                return False
            await asyncio.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        else:
            return True


def with_end(publication: Publication, state: "State[object]") -> Publication:
    """The publication that also ends the run, in this state."""
    end = End(state.type.value, state.name or state.type.value.title(), state.message or "")
    return replace(publication, end=end)


async def created_once(
    client: PrefectClient, wanted: ArtifactCreate, *, renewed: bool = False
) -> UUID:
    """The artifact of its run, created where the newest of its key says something else; or changed
    to what it says now (`renewed`). An earlier attempt may have made it."""
    run_id = wanted.flow_run_id
    all_there = [] if run_id is None else await _all(client, run_id)
    there = next((each for each in all_there if each.key == wanted.key), None)
    if there is None:
        return (await client.create_artifact(wanted)).id
    if (there.data, there.description) == (wanted.data, wanted.description):
        return there.id
    if not renewed:
        return (await client.create_artifact(wanted)).id
    changes = ArtifactUpdate(data=wanted.data, description=wanted.description)
    await client.update_artifact(there.id, changes)
    return there.id


async def _all(client: PrefectClient, flow_run_id: UUID) -> list[Artifact]:
    """A run's artifacts, the newest first."""
    of_the_run = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id]))
    return await client.read_artifacts(
        artifact_filter=of_the_run, sort=ArtifactSort.CREATED_DESC, limit=_PAGE
    )


async def _create(client: PrefectClient, run: FlowRun, publication: Publication) -> list[UUID]:
    created: list[UUID] = []
    if not publication.artifacts:
        return created
    all_there = await _all(client, run.id)
    before: UUID | None = None
    for kept in publication.artifacts:
        wanted = ArtifactCreate.model_validate(kept)
        if wanted.type == "progress":
            if run.run_count == publication.attempt:
                await _catch_up(client, wanted, all_there)
            continue
        of_key = [each for each in all_there if each.key == wanted.key]
        # One that waited may come after another attempt's.
        there = max(of_key, key=lambda each: _attempt(each) or 0, default=None)
        same = _same(wanted, there, of_key)
        if same is not None:
            before = same.id
            continue
        wanted.description = _older(wanted, there)
        if isinstance(wanted.data, str) and BESIDE in wanted.data:
            wanted.data = _linked(wanted.data, before)
        before = None
        try:
            before = (await client.create_artifact(wanted)).id
        except httpx.HTTPStatusError as error:
            if error.response.status_code not in _REFUSED:
                raise
            _logger.warning("The artifact %s was refused by Prefect: %s", wanted.key, error)
            continue
        created.append(before)
        await _supersede(client, there, wanted)
    return created


async def _catch_up(client: PrefectClient, wanted: ArtifactCreate, there: list[Artifact]) -> None:
    """The progress, of which a run has one for all of its attempts, where it stands at what its
    process told last."""
    told = next((each for each in there if each.key == wanted.key), None)
    if told is None or told.data != wanted.data:
        await created_once(client, wanted, renewed=True)


def _same(
    wanted: ArtifactCreate, newest: Artifact | None, others: list[Artifact]
) -> Artifact | None:
    """The artifact that says this already: an earlier try's, or an attempt's that nothing has come
    after."""
    content = (wanted.metadata_ or {}).get(CONTENT)
    for each in [*([newest] if newest is not None else []), *others]:
        of_this = each is newest or _attempt(each) == _attempt(wanted)
        if content and of_this and (each.metadata_ or {}).get(CONTENT) == content:
            return each
    return None


def _older(wanted: ArtifactCreate, there: Artifact | None) -> str | None:
    """Its description, which says so where another attempt has told more since."""
    older, newer = _attempt(wanted), _attempt(there)
    if older is None or newer is None or older >= newer:
        return wanted.description
    return _superseded(wanted.description, newer)


def _superseded(description: str | None, newer: int) -> str:
    return f"Superseded by attempt {newer} · {description}"


async def _supersede(client: PrefectClient, there: Artifact | None, wanted: ArtifactCreate) -> None:
    """Say of an earlier attempt's artifact that there is a newer one: a run's page has them in no
    order that anybody could give them."""
    older, newer = _attempt(there), _attempt(wanted)
    if there is None or older is None or newer is None or older >= newer:
        return
    said = _superseded(there.description, newer)
    await client.update_artifact(there.id, ArtifactUpdate(description=said))


def _attempt(artifact: Artifact | ArtifactCreate | None) -> int | None:
    text = ((artifact and artifact.metadata_) or {}).get(ATTEMPT, "")
    return int(text) if text.isdecimal() else None


def _linked(text: str, before: UUID | None) -> str:
    if before is not None:
        return text.replace(BESIDE, str(before))
    return "\n".join(line for line in text.split("\n") if BESIDE not in line)


async def _end(client: PrefectClient, run: FlowRun, publication: Publication) -> None:
    end, state = publication.end, run.state
    if end is None or state is None or run.run_count != publication.attempt:
        # Another attempt goes on.
        return
    if state.is_cancelling() and end.type == StateType.CRASHED.value:
        # Somebody wanted its end.
        end = replace(end, type=StateType.CANCELLED.value, name="Cancelled")
    went_on = state.is_running() or state.is_cancelling()
    taken_for_crashed = state.is_crashed() and end.type != state.type.value
    if not went_on and not taken_for_crashed:
        return
    wanted: State[object] = State(type=StateType(end.type), name=end.name, message=end.message)
    await client.set_flow_run_state(run.id, wanted, force=True)
