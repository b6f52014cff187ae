"""The kind of flow that the ready flows are."""

import asyncio
import functools
import json
import os
from collections.abc import Callable, Coroutine, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

from prefect.client.schemas.objects import FlowRun
from prefect.context import FlowRunContext
from prefect.settings import PREFECT_API_KEY, PREFECT_API_URL
from pydantic import BaseModel

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.machine.stops import current_stop
from prefect_governor.blocks.machine.text import storable_error, storable_value
from prefect_governor.blocks.models.library.module import warm_up
from prefect_governor.blocks.prefect_internals.parameters import FlowOfManyItems
from prefect_governor.blocks.secrets.exits import learn, scrubbed_error, scrubbed_value
from prefect_governor.blocks.telemetry.switch import send
from prefect_governor.flows.items.item import Item
from prefect_governor.flows.items.reading import Reading, reading_of
from prefect_governor.flows.items.rows import table_kind
from prefect_governor.flows.items.skipped import Skipped
from prefect_governor.flows.items.sources import items_from
from prefect_governor.flows.items.spool import spool
from prefect_governor.flows.publications.attempt import this_attempt
from prefect_governor.flows.publications.publication import Begun
from prefect_governor.flows.report.model import Report
from prefect_governor.flows.run.control import Control, current_control
from prefect_governor.flows.run.job import Terms
from prefect_governor.flows.server.server import ensure_server, use_server
from prefect_governor.flows.tools.kit import kit_of

P = ParamSpec("P")
R = TypeVar("R")

# Prefect's server refuses parameters of 512 KiB and more.
MOST_PARAMETER_BYTES = 400 * 1024


class ReadyFlow(FlowOfManyItems[P, R]):
    """A flow that finds or starts a server where none is configured, and whose `items` may be many.

    Prefect would start a server for each process that calls a flow without one.
    """

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if not PREFECT_API_URL.value():
            use_server(ensure_server())
        # Of a profile, where it is in no variable.
        learn(PREFECT_API_KEY.value())
        # Before the flow's own span begins.
        send()
        return super().__call__(*args, **kwargs)

    def _kept(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """As whoever goes on with the run reads them again: files are sources, a pydantic model is
        its schema. Texts that are too many stand in a file, and files of which more is to be said
        than their names; those of an iterator are not known yet."""
        if isinstance(parameters.get("items"), Iterator):
            # They are read as the run gets to them, and once.
            parameters = {**parameters, "items": None}
        schema, items = parameters.get("schema"), parameters.get("items")
        if isinstance(schema, type) and issubclass(schema, BaseModel):
            parameters = {**parameters, "schema": schema.model_json_schema()}
        if isinstance(items, list | tuple) and any(_is_file(each) for each in items):
            return self._spooled(parameters)
        kept = scrubbed_value(self._as_json(parameters))
        storable = storable_value(kept)
        # A run that is run again has its items as they were.
        fit = storable == kept and len(json.dumps(kept)) < MOST_PARAMETER_BYTES
        if fit or not items:
            return cast("dict[str, Any]", storable)
        return self._spooled(parameters)

    def _spooled(self, parameters: dict[str, Any]) -> dict[str, Any]:
        kit = kit_of(parameters.get("tools"))
        reading = reading_of(parameters.get("reading"))
        skipped: list[Skipped] = []
        said: list[str] = []
        items = items_from(
            parameters["items"],
            whole_folders=kit is not None and kit.works_on_files,
            skipped=skipped,
            reading=reading,
            said=said,
        )
        if skipped or said or not all(_is_source(item, reading) for item in items):
            sources = [str(spool(items, skipped=skipped, said=said))]
        else:
            sources = [str(item.source or item.folder) for item in items]
        sources += parameters.get("sources") or []
        kept = self._as_json({**parameters, "items": None, "sources": sources})
        return cast("dict[str, Any]", scrubbed_value(storable_value(kept)))


def _is_source(item: Item, reading: Reading) -> bool:
    """Whether an item is a file or folder that is the same item as a source."""
    if item.source is None:
        return item.folder is not None
    return table_kind(Path(item.source), reading, yaml=True) is None


def _is_file(item: Any) -> bool:
    return isinstance(item, os.PathLike) or (isinstance(item, Item) and item.text is None)


@dataclass(frozen=True)
class ThisRun:
    """The flow run that a ready flow is in. `kept_as` names it in the ledger, where what finished
    outlives a flow run: it is found there by the run that goes on with this one."""

    flow_run: FlowRun
    control: Control
    kept_as: str

    @property
    def id(self) -> str:
        return str(self.flow_run.id)

    def started(
        self,
        command: str,
        terms: Terms,
        results: Path,
        *,
        items: Iterable[str] = (),
        more: bool = False,
        resumable: bool = True,
    ) -> None:
        """Tell whoever started it, and keep what is known of it for whoever tells of it where this
        process dies. As `Begun` has it."""
        if self.control.started is not None:
            self.control.started(self.id)
        attempt, ceiling = this_attempt(), terms.ceiling_usd
        if attempt is not None:
            attempt.begin(
                Begun(
                    command=command,
                    kept_as=self.kept_as,
                    results=str(results),
                    governor=terms.governor,
                    ceiling_usd=None if ceiling is None else str(ceiling),
                    items=tuple(items),
                    more=more,
                    resumable=resumable,
                )
            )


def this_run(name: str) -> ThisRun:
    """Raises ConfigurationError outside of a flow run."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        raise ConfigurationError(f"{name} is a flow: call it, not its function")
    # It will call: LiteLLM, which takes seconds, is imported while the rest is made ready.
    warm_up()
    flow_run = context.flow_run
    control = current_control.get() or Control()
    if (stop := current_stop()) is not None:
        # Whatever stops the flow run stops what it does.
        stop.include(control.stop)
    # A flow that is run again makes its subflows anew, under the same task runs of its own: what
    # these paid for is kept under that name.
    kept_as = control.kept_as or str(flow_run.parent_task_run_id or flow_run.id)
    return ThisRun(flow_run, control, kept_as)


def in_thread(function: Callable[P, Any]) -> Callable[P, Coroutine[Any, Any, Report]]:
    """A ready flow for async code: it runs in a thread, and is told to stop where its caller is
    cancelled."""

    @functools.wraps(function)
    async def call(*args: P.args, **kwargs: P.kwargs) -> Report:
        control = current_control.get() or Control()
        token = current_control.set(control)
        try:
            return cast(Report, await asyncio.to_thread(function, *args, **kwargs))
        except asyncio.CancelledError:
            # The thread goes on until what is in flight has ended; it starts nothing more.
            control.stop.set()
            raise
        finally:
            current_control.reset(token)

    return call


def ready_flow(**options: Any) -> "Callable[[Callable[P, R]], ReadyFlow[P, R]]":
    """`prefect.flow`, for a `ReadyFlow`."""

    def decorate(function: Callable[P, R]) -> ReadyFlow[P, R]:
        made = ReadyFlow(function, **options)

        @functools.wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                return function(*args, **kwargs)
            except BaseException as error:
                # Its text is the state's message.
                scrubbed_error(storable_error(error))
                raise

        made.fn = run
        return made

    return decorate
