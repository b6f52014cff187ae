"""The tools that were asked for, checked: nothing is opened yet."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Any

from prefect_governor.blocks.documents.documents import load_block
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.prefect_internals.waiting import result_of
from prefect_governor.blocks.sandbox import Sandbox
from prefect_governor.blocks.sandboxes.folder import workspace_bounds
from prefect_governor.blocks.work.runtime import Runtime
from prefect_governor.blocks.workspaces.bounds import BOUNDS, WorkspaceBounds
from prefect_governor.flows.agent.callables import imported, source_of
from prefect_governor.flows.agent.tools import Tool, tools_of
from prefect_governor.flows.mcp.serving import Serving, ready_serving
from prefect_governor.flows.tools.bench import Bench, MakeCell
from prefect_governor.flows.tools.code import python_tool, shell_tool
from prefect_governor.flows.tools.files import read_tool, search_tool
from prefect_governor.flows.web.settings import NO_SEARCHER, WebSettings, web_of
from prefect_governor.flows.web.tools import web_tools
from prefect_governor.flows.web.web import Web

_ON_FILES: dict[str, Callable[[Bench], Tool]] = {
    "python": python_tool,
    "shell": shell_tool,
    "read": read_tool,
    "search": search_tool,
}
PROGRAMS = frozenset({"python", "shell"})
WEB = "web"
NAMES = (*_ON_FILES, WEB)
_OF_THE_WEB = ("fetch", "web_search")


@dataclass(frozen=True)
class Kit:
    """Tools of the sub-agents of a fan-out, or of a research.

    Attributes:
        names: of ours, in the order of `NAMES`.
        own: tools of the user's own.
        make_cell: makes a sandbox, where programs are run.
        ran_in: names that sandbox, as JSON. Answers that are there stand, whatever they were made
            in; what programs said in another one does not.
        bounds: what an item's workspace may hold.
        web: what may be done on the web, None for nothing.
        mcp: servers of more tools.
    """

    names: tuple[str, ...]
    own: tuple[Tool, ...] = ()
    make_cell: MakeCell | None = None
    ran_in: Any = None
    bounds: WorkspaceBounds = BOUNDS
    web: WebSettings | None = None
    mcp: Serving = field(default_factory=Serving)

    @property
    def works_on_files(self) -> bool:
        """Whether a folder is one item, with its files in the item's workspace."""
        return any(name in _ON_FILES for name in self.names)

    @property
    def runs_programs(self) -> bool:
        return not PROGRAMS.isdisjoint(self.names)

    @property
    def searches(self) -> bool:
        """Whether the web is searched."""
        return self.web is not None and self.web.provider is not None

    @property
    def search_usd(self) -> Decimal:
        """What one search of the web costs; 0 where none is made."""
        return self.web.search_usd if self.web is not None and self.searches else Decimal(0)

    @property
    def without(self) -> tuple[str, ...]:
        """What a run with it will have to do without, a sentence each."""
        return (NO_SEARCHER,) if self.web is not None and not self.searches else ()

    def on(self, bench: Bench) -> list[Tool]:
        """The tools of one item's files."""
        return [_ON_FILES[name](bench) for name in self.names if name in _ON_FILES]

    def beside(self, web: Web | None, runtime: Callable[[], Runtime]) -> list[Tool]:
        """The tools that are the same for all items: the web's, paid for by the governor of
        `runtime`, and the user's own."""
        return [*([] if web is None else web_tools(web, runtime)), *self.own]

    @cached_property
    def schemas(self) -> list[dict[str, Any]]:
        """All of them, as a model is told of them. MCP servers are asked for theirs, once; raises
        ConfigurationError where one cannot be."""
        nowhere: Any = None
        web = None if self.web is None else Web(self.web, Path(os.devnull))
        ours = [*self.on(nowhere), *self.beside(web, nowhere)]
        self.mcp.check_beside(ours)
        return [tool.schema for tool in (*ours, *self.mcp.tools)]

    @cached_property
    def answered_from(self) -> list[Any]:
        """What of it shapes answers, as JSON."""
        own = [source_of(tool.function) for tool in self.own]
        return [self.schemas, own, None if self.web is None else self.web.name]


def kit_of(tools: Sequence[Any] | None) -> Kit | None:
    """The kit of names, functions and "package.module:name"s; None for none. Nothing can be run
    with it yet.

    Raises ConfigurationError for a name that is none of ours, and for two tools of one name.
    """
    if not tools:
        return None
    if isinstance(tools, str):
        tools = [part.strip() for part in tools.split(",") if part.strip()]
    named = {each for each in tools if isinstance(each, str) and ":" not in each}
    if unknown := sorted(named - {*NAMES}):
        raise ConfigurationError(
            f"there is no tool {unknown[0]!r}: tools are {', '.join(NAMES)}; one of your own is a"
            " function, or names one as 'package.module:name'"
        )
    others = [each for each in tools if not (isinstance(each, str) and each in named)]
    own = tools_of([imported(each, "tool") for each in others])
    if taken := sorted({*own} & {*named, *(_OF_THE_WEB if WEB in named else ())}):
        raise ConfigurationError(f"{taken[0]!r} is the name of a tool of ours: give yours another")
    return Kit(tuple(name for name in NAMES if name in named), tuple(own.values()))


def ready_kit(
    tools: Sequence[Any] | None,
    *,
    sandbox: str | None,
    mcp: Any = None,
    folder: Path,
    web: bool = False,
    **hosts: Any,
) -> Kit | None:
    """`kit_of`, with the sandbox that its programs run in: the saved block of a name, or the
    default; with the web as `web_of` has it, where `web` or a tool says so, and with the servers of
    `mcp`.

    Raises ConfigurationError besides where there is no such block, nothing to run in it, or no way
    to run it here; the message says what mends that.
    """
    kit = kit_of(tools)
    settings = web_of(web or (kit is not None and WEB in kit.names), **hosts)
    if settings is not None:
        kit = replace(kit or Kit(()), web=settings)
    runs_programs = kit is not None and kit.runs_programs
    serving = ready_serving(mcp, folder=folder, sandbox=sandbox)
    if serving:
        kit = replace(kit or Kit(()), mcp=serving)
    if sandbox is not None and not runs_programs and not serving.programs:
        raise ConfigurationError(
            f"sandbox {sandbox!r} is for programs: name python or shell in tools, or an MCP server"
            " that is one, or leave it out"
        )
    if kit is None or not runs_programs:
        return kit
    block = Sandbox() if sandbox is None else load_block(Sandbox, sandbox)
    try:
        result_of(block.chosen())
    except ConfigurationError as error:
        programs = " and ".join(name for name in kit.names if name in PROGRAMS)
        raise ConfigurationError(f"the tools {programs} cannot be given: {error}") from None
    return replace(
        kit,
        make_cell=block.cell,
        ran_in=[block.runtime, block.image, block.bounds.model_dump(mode="json")],
        bounds=workspace_bounds(block.bounds),
    )
