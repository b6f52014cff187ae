"""`prefect-governor uninstall`, once its arguments are parsed."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.machine.home import state_folder
from prefect_governor.flows.cli.terminal.session import set_quiet
from prefect_governor.flows.cli.terminal.terminal import say
from prefect_governor.flows.server.server import (
    ensure_server,
    status,
    stop_server,
    use_server,
)

# What the names of the limits begin with that a governor makes in Prefect.
OF_GOVERNORS = "governor:"
_PAGE = 200


@dataclass(frozen=True)
class Found:
    """What there is to take out: ids by name, the blocks of the types, and the flow runs that are
    under way on the background server, which would go on without it."""

    limits: dict[str, UUID]
    in_use: int
    types: dict[str, UUID]
    blocks: tuple[str, ...]
    server: str | None
    runs: tuple[str, ...] = ()

    def __str__(self) -> str:
        blocks = f" with {', '.join(self.blocks)}" if self.blocks else ""
        parts = [
            *([f"limits {', '.join(self.limits)}"] if self.limits else []),
            *([f"block types {', '.join(self.types)}{blocks}"] if self.types else []),
            *([f"the background server {self.server}"] if self.server else []),
        ]
        return "; ".join(parts)


def run_uninstall(*, yes: bool, as_json: bool) -> None:
    """Take out what was put into Prefect, once a person says yes, and say what was taken and what
    stays.

    Raises ConfigurationError where nobody can be asked, where runs are under way on the server that
    would be stopped and nobody is asked, or where it cannot be used.
    """
    set_quiet()
    there = status()
    ours = None if there.server is None or there.configured_url else there.server.ui_url
    found = Found({}, 0, {}, (), ours)
    if there.configured_url or there.server is not None:
        use_server(ensure_server(on_progress=say))
        from prefect.client.orchestration import get_client

        with get_client(sync_client=True) as client:
            found = _look(client, ours)
            if yes and found.runs:
                first = found.runs[0]
                raise ConfigurationError(
                    f"the background server {ours} has {_count(found.runs)} under way, such as"
                    f" {first}: wait for them, or end them (`prefect flow-run ls --state Running`,"
                    " `prefect flow-run cancel ID`); then do this again"
                )
            if not (yes or not str(found) or _agreed(found)):
                say("nothing was taken out")
                sys.exit(2)
            _take_out(client, found)
    if found.server is not None:
        stop_server()
    left = None if there.server is None or ours is not None else there.server.ui_url
    _tell(found, left=left, as_json=as_json)


def _look(client: Any, server: str | None) -> Found:
    limits: dict[str, Any] = {}
    while page := client.read_global_concurrency_limits(limit=_PAGE, offset=len(limits)):
        limits |= {each.name: each for each in page}
    made = {name: each for name, each in limits.items() if name.startswith(OF_GOVERNORS)}
    types, blocks = _block_types(client)
    return Found(
        limits={name: each.id for name, each in sorted(made.items())},
        in_use=sum(each.active_slots for each in made.values()),
        types=types,
        blocks=tuple(blocks),
        server=server,
        # Another server goes on.
        runs=() if server is None else tuple(_runs(client)),
    )


def _runs(client: Any) -> list[str]:
    """The names of flow runs that are under way."""
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterState,
        FlowRunFilterStateType,
    )
    from prefect.client.schemas.objects import StateType

    running = FlowRunFilterStateType(any_=[StateType.RUNNING])
    found = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(state=FlowRunFilterState(type=running))
    )
    return sorted(each.name for each in found)


def _count(runs: tuple[str, ...]) -> str:
    return f"{len(runs):,} flow run{'' if len(runs) == 1 else 's'}"


def _block_types(client: Any) -> tuple[dict[str, UUID], list[str]]:
    """Those of ours that are registered, and the named blocks of them."""
    from prefect.exceptions import ObjectNotFound

    from prefect_governor.blocks import collection

    types: dict[str, UUID] = {}
    blocks: list[str] = []
    for name in collection.__all__:
        kind = getattr(collection, name)
        try:
            found = client.read_block_type_by_slug(kind.block_type_slug)
            documents = client.read_block_documents_by_type(
                kind.block_type_slug, include_secrets=False
            )
        except ObjectNotFound:
            continue
        types[kind.block_type_name] = found.id
        blocks += sorted(f"{name} {each.name}" for each in documents if each.name)
    return types, blocks


def _agreed(found: Found) -> bool:
    if sys.stdin is None or not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ConfigurationError(
            f"this would take out {found}. Nobody can be asked here: give --yes to do it"
        )
    used = f" {found.in_use} slots of the limits are taken just now." if found.in_use else ""
    lost = ""
    if found.runs:
        lost = f" That server has {_count(found.runs)} under way, such as {found.runs[0]}."
    return click.confirm(f"This takes out {found}.{used}{lost} Do it?", err=True)


def _take_out(client: Any, found: Found) -> None:
    # The types first: a governor whose block is gone makes no limit anew.
    for type_id in found.types.values():
        client.delete_block_type(type_id)
    for name in found.limits:
        client.delete_global_concurrency_limit_by_name(name)


def _tell(found: Found, *, left: str | None, as_json: bool) -> None:
    """`left` is a background server that PREFECT_API_URL stood before."""
    stays = [str(state_folder()), *([left] if left else [])]
    if as_json:
        taken = {
            "limits": list(found.limits),
            "block_types": list(found.types),
            "blocks": list(found.blocks),
            "server": found.server,
            "stays": stays,
        }
        click.echo(json.dumps(taken))
        return
    click.echo(f"taken out: {found}" if str(found) else "there was nothing to take out")
    click.echo(
        f"stays: {stays[0]} (the ledger, what runs answered);"
        " deployments, work pools and automations"
    )
    if left:
        click.echo(
            f"stays: the background server {left}, since PREFECT_API_URL is set:"
            " `prefect-governor server stop` ends it"
        )
    click.echo(f"the package itself: pip uninstall prefect-governor, with {Path(sys.executable)}")
