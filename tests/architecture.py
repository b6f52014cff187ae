"""The package as its source has it: modules, their imports wherever they stand, rooms, their order.

A room is a folder. `python -m tests.architecture` draws the rooms into docs/architecture.md.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from tests import ROOT

PACKAGES = {
    "api": "prefect_governor",
    "blocks": "prefect_governor.blocks",
    "flows": "prefect_governor.flows",
}
PAGE = ROOT / "docs" / "architecture.md"

# From the ground up: a room imports those before it, and no other. What stands at the top of a
# folder is a room by itself.
ORDER = (
    "lazy",
    "blocks.errors",
    "blocks.prefect_internals",
    "blocks.money",
    "blocks.machine",
    "blocks.workspaces",
    "blocks.secrets",
    "blocks.records",
    "blocks.telemetry",
    "blocks.prices",
    "blocks.limits",
    "blocks.terms",
    "blocks.ledger.decision",
    "blocks.ledger",
    "blocks.ledger.sqlite",
    "blocks.ledger.postgres",
    "blocks.ledger.life",
    "blocks.context",
    "blocks.wire.replies",
    "blocks.wire.requests",
    "blocks.wire.dialects.openai",
    "blocks.wire.dialects.anthropic",
    "blocks.wire.dialects.gemini",
    "blocks.wire.dialects.cohere",
    "blocks.wire.dialects.bedrock",
    "blocks.wire.dialects",
    "blocks.wire",
    "blocks.offline",
    "blocks.models.library",
    "blocks.models",
    "blocks.bypass",
    "blocks.bypass.hooks",
    "blocks.leases",
    "blocks.draws",
    "blocks.documents",
    "blocks.statements",
    "blocks.work",
    "blocks.claims",
    "blocks.sandboxes",
    "blocks.sandboxes.bubblewrap",
    "blocks.sandboxes.docker.inside",
    "blocks.sandboxes.docker",
    "blocks.figures",
    "blocks.budget",
    "blocks.governor",
    "blocks.model",
    "blocks.sandbox",
    "blocks.collection",
    "blocks",
    "flows.server",
    "flows.items.encodings",
    "flows.items.documents.formats",
    "flows.items.documents",
    "flows.items.tables",
    "flows.items",
    "flows.answers",
    "flows.agent",
    "flows.web.network",
    "flows.web",
    "flows.mcp",
    "flows.tools",
    "flows.report.shown",
    "flows.publications",
    "flows.report",
    "flows.recovery",
    "flows.handfuls",
    "flows.runner",
    "flows.run.log",
    "flows.run",
    "flows.forms",
    "flows.subagent",
    "flows.shards",
    "flows.estimate",
    "flows.deep_research.plan",
    "flows.deep_research",
    "flows.deep_research.shared",
    "flows.digest",
    "flows.fan_out_flow",
    "flows.research_flow",
    "flows.digest_flow",
    "flows.cli.terminal",
    "flows.cli.budget",
    "flows.cli.ledger",
    "flows.automations",
    "flows.unconfirmed",
    "flows.reconcile_flow",
    "flows.cli.doctor",
    "flows.cli.init",
    "flows.cli.research",
    "flows.cli",
    "flows",
    "prefect_governor",
)


@dataclass(frozen=True)
class Import:
    """One import of one module, where it stands. `runs` is False under `if TYPE_CHECKING`."""

    module: str
    line: int
    at_module_level: bool
    runs: bool = True


@dataclass(frozen=True)
class Module:
    name: str
    path: Path
    is_package: bool
    source: str

    @property
    def shown(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def room(self) -> str:
        """The folder that it is in; itself at the top of a folder."""
        inner = self.name.removeprefix("prefect_governor.")
        return inner if self.is_package or inner.count(".") <= 1 else inner.rpartition(".")[0]


@cache
def modules() -> tuple[Module, ...]:
    """Every module of the package."""
    found = []
    for folder, package in PACKAGES.items():
        for path in sorted((ROOT / folder).rglob("*.py")):
            parts = path.relative_to(ROOT / folder).with_suffix("").parts
            is_package = parts[-1] == "__init__"
            name = ".".join([package, *(parts[:-1] if is_package else parts)])
            found.append(Module(name, path, is_package, path.read_text(encoding="utf-8")))
    return tuple(found)


@cache
def imports(module: Module) -> tuple[Import, ...]:
    """Every import that stands in it: at its top, inside functions, for type checkers alone."""
    return tuple(_imports(ast.parse(module.source), module, at_module_level=True, runs=True))


def _imports(
    node: ast.AST, module: Module, *, at_module_level: bool, runs: bool
) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for each in child.names:
                yield Import(each.name, child.lineno, at_module_level, runs)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"{module.shown}:{child.lineno}: a relative import"
            assert child.module is not None
            yield Import(child.module, child.lineno, at_module_level, runs)
            for each in child.names:
                # `from package import module` imports the module.
                name = f"{child.module}.{each.name}"
                yield Import(name, child.lineno, at_module_level, runs)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            for body, run in ((child.body, False), (child.orelse, runs)):
                yield from _imports(
                    ast.Module(body, []), module, at_module_level=at_module_level, runs=run
                )
        else:
            is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _imports(
                child, module, at_module_level=at_module_level and not is_function, runs=runs
            )


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def needed(among: Iterable[Module]) -> dict[str, dict[str, int]]:
    """Which of these modules each needs, and the line that says so. `from a.b import c` needs `a.b`
    only for what is no module itself."""
    known = {module.name: module for module in among}
    graph: dict[str, dict[str, int]] = {}
    for module in known.values():
        lines: dict[str, int] = {}
        found = imports(module)
        for at, each in enumerate(found):
            if each.module not in known or each.module == module.name:
                continue
            names = [
                one.module for one in found[at + 1 :]
                if one.line == each.line and one.module.rpartition(".")[0] == each.module
            ]  # fmt: skip
            if names and all(name in known for name in names):
                continue
            lines.setdefault(each.module, each.line)
        graph[module.name] = lines
    return graph


def cycle(graph: Mapping[str, Iterable[str]]) -> list[str] | None:
    """The names of one circle, None where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return [str(name) for name in error.args[1]]
    return None


@cache
def arrows() -> dict[str, dict[str, str]]:
    """Of each room the others that it imports, and a line where it does."""
    by_name = {module.name: module for module in modules()}
    found: dict[str, dict[str, str]] = {module.room: {} for module in modules()}
    for name, lines in needed(modules()).items():
        module = by_name[name]
        for other, line in lines.items():
            room = by_name[other].room
            if room != module.room:
                found[module.room].setdefault(room, f"{module.shown}:{line} imports {other}")
    return found


def docstring(module: Module) -> str:
    return ast.get_docstring(ast.parse(module.source)) or ""


def may_import(package: Module) -> set[str]:
    """The rooms that a room's docstring names."""
    told = re.search(r"^May import: (.*?)\.\n", docstring(package), re.DOTALL | re.MULTILINE)
    assert told, f"{package.shown} does not say what it may import"
    names = {*told[1].replace("\n", " ").split(", ")}
    return names - {"nothing of the package"}


def does_import(package: Module) -> set[str]:
    """The rooms that it imports, as docstrings name them: those beside it without the folder that
    both are in, and all of `blocks` by that name from `flows`."""
    top = package.room.partition(".")[0]
    others = {*arrows()[package.room]} - {"lazy"}
    return {
        each.removeprefix(f"{top}.") if within(each, top) else each.partition(".")[0]
        for each in others
    }


# What Prefect does not document, which one room may touch.

INTERNALS = "blocks.prefect_internals"
# Modules whose names are Prefect's own, and what stands in them alone.
_PRIVATE_MODULES = (
    "prefect.engine",
    "prefect.flow_engine",
    "prefect.server",
    "prefect.task_engine",
)
# Names that nobody else has: wherever one stands, it is Prefect's.
PRIVATE_NAMES = {
    "AsyncClientContext", "AsyncTaskRunEngine", "BaseFlowRunEngine", "ConcurrencyLeaseHolder",
    "GLOBAL_SETTINGS_CONTEXT", "NotReady", "StopVisiting", "SyncClientContext",
    "SyncTaskRunEngine", "WatcherThreadCancelScope", "__var__", "_add_prefect_done_callback",
    "_block_document_id", "_block_document_name", "_final_state", "_from_block_document",
    "_started", "_wait_for_dependencies", "_wrapped_future", "asset_context", "begin_run",
    "block_document_id", "block_schema_references", "call_flow_fn", "call_task_fn",
    "model_construct",
    "raise_if_flow_run_suspension_requested", "refresh_global_settings_context",
    "retry_result_failure", "root_settings_context", "run_context", "run_coro_as_sync",
    "serialize_parameters", "setup_run_context", "transaction_context", "uuid7",
    "visit_collection",
}  # fmt: skip
# Those that others have too: Prefect's where they are imported from it.
_PRIVATE_IMPORTS = {"quote", "schema_extra", "ResultRecord", "ResultRecordMetadata"}


def private_touches(module: Module) -> list[str]:
    """Where a module imports or touches what Prefect does not document."""
    found = []
    for node in ast.walk(ast.parse(module.source)):
        what = next((each for each in _touched(node) if _is_private(each)), None)
        if what is not None:
            found.append(f"{module.shown}:{getattr(node, 'lineno', 0)} touches {what}")
    return found


def _touched(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [each.name for each in node.names]
    if isinstance(node, ast.ImportFrom):
        return [f"{node.module}.{each.name}" for each in node.names]
    if isinstance(node, ast.Attribute):
        return [node.attr]
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return [node.name]
    if isinstance(node, ast.keyword):
        return [node.arg or ""]
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return [node.value]
    return []


def _is_private(what: str) -> bool:
    if what in PRIVATE_NAMES or what.startswith("Upstream task run"):
        return True
    if not within(what, "prefect") or not re.fullmatch(r"[\w.]+", what):
        return False
    name = what.rpartition(".")[2]
    return (
        any(each.startswith("_") for each in what.split("."))
        or any(within(what, each) for each in _PRIVATE_MODULES)
        or name in PRIVATE_NAMES | _PRIVATE_IMPORTS
    )


# The drawing: rooms at the top of a folder with what is inside them, and only those arrows that do
# not follow from others.


def _outer(room: str) -> str:
    return ".".join(room.split(".")[:2])


def _below(graph: Mapping[str, set[str]], room: str) -> set[str]:
    found: set[str] = set()
    ahead = list(graph[room])
    while ahead:
        each = ahead.pop()
        if each not in found:
            found.add(each)
            ahead += graph[each]
    return found


def _id(room: str) -> str:
    return room.replace(".", "_")


def drawing() -> str:
    """The rooms of `blocks/` and `flows/` in Mermaid."""
    packages = {module.room: module for module in modules() if module.is_package}
    graph: dict[str, set[str]] = {}
    for room, others in arrows().items():
        if _outer(room) in packages and room.count("."):
            mine = graph.setdefault(_outer(room), set())
            mine |= {_outer(each) for each in others if each.count(".")} - {_outer(room)}
    graph = {room: {each for each in others if each in graph} for room, others in graph.items()}
    lines = ["flowchart TD"]
    for top in ("flows", "blocks"):
        lines.append(f'  subgraph {top}["{top}/"]')
        for room in reversed(ORDER):
            if room in graph and room.startswith(f"{top}."):
                inner = [each for each in ORDER if within(each, room) and each != room]
                names = "".join(f"<br/>· {each.removeprefix(f'{room}.')}" for each in inner)
                lines.append(f'    {_id(room)}["{room.removeprefix(f"{top}.")}{names}"]')
        lines.append("  end")
    for room in reversed(ORDER):
        below = graph.get(room, set())
        implied = {each for other in below for each in _below(graph, other)}
        lines += [f"  {_id(room)} --> {_id(each)}" for each in sorted(below - implied)]
    return "\n".join(lines)


_BEGIN, _END = "<!-- rooms: begin -->", "<!-- rooms: end -->"


def drawn(page: str) -> str:
    """The page with the drawing as the code is now."""
    before, _, rest = page.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n```mermaid\n{drawing()}\n```\n{_END}{after}"


def main() -> None:
    PAGE.write_text(drawn(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
