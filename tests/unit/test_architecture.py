"""The shape of the package: one arrow, no cycles, lazy imports, a counted public surface."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROOMS = {"api": "prefect_governor", "blocks": "prefect_governor.blocks"} | {
    "flows": "prefect_governor.flows"
}
MAX_LINES = 400

ERRORS = {
    "CallRefused",
    "ConfigurationError",
    "GovernorError",
    "ItemFailed",
    "LedgerUnavailable",
    "NotBounded",
    "NotGoverned",
    "NotPriced",
    "OverBudget",
    "QueueTimeout",
    "RunFailed",
    "RunStopped",
}
BLOCKS = {"Budget", "Governor", "Limit", "Model", "acompletion", "completion", "governed"}
BLOCKS |= {"aembedding", "aresponses", "embedding", "responses"}
BLOCKS |= {"BudgetAllocation", "Spend"}
FLOWS = {"GovernedTaskRunner", "Item", "Report", "afan_out", "fan_out", "publish_report"}
FLOWS |= {"aresearch", "research"}
SURFACE = {
    "prefect_governor": ERRORS | BLOCKS | FLOWS,
    "prefect_governor.blocks": ERRORS | BLOCKS,
    "prefect_governor.flows": FLOWS,
}

# Decisions and arithmetic: given everything, they know of no file, socket, process, clock or loop.
PURE = (
    "blocks/budget/money.py",
    "blocks/budget/reconcile.py",
    "blocks/budget/windows.py",
    "blocks/errors.py",
    "blocks/ledger/admission.py",
    "blocks/ledger/learned.py",
    "blocks/ledger/records.py",
    "blocks/limits/adaptive.py",
    "blocks/limits/derived.py",
    "blocks/limits/learned_limits.py",
    "blocks/limits/pace.py",
    "blocks/limits/rates.py",
    "blocks/limits/upstream.py",
    "blocks/wire/dialects/",
    "blocks/wire/fitting.py",
)
OUTSIDE_WORLD = {
    "asyncio",
    "httpx",
    "litellm",
    "os",
    "pathlib",
    "prefect",
    "random",
    "socket",
    "sqlite3",
    "subprocess",
    "threading",
    "time",
    "urllib",
}


@dataclass(frozen=True)
class Import:
    """One import of one module, where it stands."""

    module: str
    line: int
    at_module_level: bool


@dataclass(frozen=True)
class Module:
    name: str
    path: Path
    is_package: bool

    @property
    def shown(self) -> str:
        return str(self.path.relative_to(ROOT))


@cache
def modules() -> tuple[Module, ...]:
    found = []
    for room, package in ROOMS.items():
        for path in sorted((ROOT / room).rglob("*.py")):
            parts = path.relative_to(ROOT / room).with_suffix("").parts
            is_package = parts[-1] == "__init__"
            name = ".".join([package, *(parts[:-1] if is_package else parts)])
            found.append(Module(name, path, is_package))
    assert found
    return tuple(found)


@cache
def imports(module: Module) -> tuple[Import, ...]:
    """Every import outside of `if TYPE_CHECKING`, absolute names."""
    return tuple(_imports(ast.parse(module.path.read_text()), module, at_module_level=True))


def _imports(node: ast.AST, module: Module, *, at_module_level: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.Import):
            for each in child.names:
                yield Import(each.name, child.lineno, at_module_level)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"{module.shown}:{child.lineno}: a relative import"
            assert child.module is not None
            yield Import(child.module, child.lineno, at_module_level)
            for each in child.names:
                # `from package import module` imports the module.
                yield Import(f"{child.module}.{each.name}", child.lineno, at_module_level)
        else:
            is_function = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            yield from _imports(child, module, at_module_level=at_module_level and not is_function)


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def test_blocks_never_import_flows() -> None:
    wrong = [
        f"{module.shown}:{each.line} imports {each.module}"
        for module in modules()
        if within(module.name, ROOMS["blocks"])
        for each in imports(module)
        if within(each.module, ROOMS["flows"]) or each.module == ROOMS["api"]
    ]
    assert not wrong


def test_no_import_is_relative_or_of_a_folder_at_the_top() -> None:
    wrong = [
        f"{module.shown}:{each.line} imports {each.module}"
        for module in modules()
        for each in imports(module)
        if each.module.partition(".")[0] in {*ROOMS, "tests"}
    ]
    assert not wrong


def test_no_module_is_imported_in_a_cycle() -> None:
    known = {module.name for module in modules()}
    graph = {
        module.name: {
            each.module
            for each in imports(module)
            if each.at_module_level and each.module in known - {module.name}
        }
        for module in modules()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a cycle: {' -> '.join(error.args[1])}")


def test_litellm_is_imported_only_inside_functions() -> None:
    """Directly, or through a module that is a subclass of LiteLLM's and imports it to be one."""
    heavy = {
        module.name
        for module in modules()
        for each in imports(module)
        if each.at_module_level and within(each.module, "litellm")
    }
    wrong = [
        f"{module.shown}:{each.line} imports {each.module}"
        for module in modules()
        for each in imports(module)
        if each.at_module_level and each.module in heavy
    ]
    assert not wrong
    assert len(heavy) <= 1, heavy


def test_the_command_line_imports_prefect_only_inside_functions() -> None:
    wrong = [
        f"{module.shown}:{each.line}"
        for module in modules()
        if within(module.name, f"{ROOMS['flows']}.cli") or module.name.endswith("flows.server")
        for each in imports(module)
        if each.at_module_level and within(each.module, "prefect")
    ]
    assert not wrong


def test_pure_modules_know_nothing_of_the_world_outside() -> None:
    looked_at = [module for module in modules() if module.shown.startswith(PURE)]
    assert {each for each in PURE if any(one.shown.startswith(each) for one in looked_at)} == {
        *PURE
    }, "a pure module has moved: name its new place here"
    wrong = [
        f"{module.shown}:{each.line} imports {each.module}"
        for module in looked_at
        for each in imports(module)
        if each.module.partition(".")[0] in OUTSIDE_WORLD
    ]
    assert not wrong


def test_no_file_outgrows_its_noun() -> None:
    long = {
        module.shown: lines
        for module in modules()
        if (lines := len(module.path.read_text().splitlines())) > MAX_LINES
    }
    assert not long


@pytest.mark.parametrize("package", SURFACE)
def test_the_public_surface_is_counted(package: str) -> None:
    names = import_module(package).__all__
    assert set(names) == SURFACE[package]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("package", SURFACE)
def test_every_public_name_is_there_and_seen_by_dir_before_it_is_used(package: str) -> None:
    module = import_module(package)
    assert SURFACE[package] <= set(dir(module))
    for name in SURFACE[package]:
        assert callable(getattr(module, name))


@pytest.mark.parametrize("package", SURFACE)
def test_type_checkers_see_the_same_names(package: str) -> None:
    source = next(each for each in modules() if each.name == package and each.is_package)
    seen = {
        name.name
        for node in ast.walk(ast.parse(source.path.read_text()))
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for statement in node.body
        if isinstance(statement, ast.ImportFrom)
        for name in statement.names
    }
    assert seen == SURFACE[package]


def test_the_three_packages_give_the_same_objects() -> None:
    top = import_module("prefect_governor")
    for package in ("prefect_governor.blocks", "prefect_governor.flows"):
        for name in SURFACE[package]:
            assert getattr(top, name) is getattr(import_module(package), name)


def test_an_unknown_name_is_an_attribute_error() -> None:
    for package in SURFACE:
        with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
            import_module(package).Nothing  # noqa: B018


@pytest.mark.parametrize("package", [*SURFACE, "prefect_governor.flows.server"])
def test_importing_costs_neither_prefect_nor_litellm(package: str) -> None:
    program = f"import sys, {package}; print(*sorted({{'prefect', 'litellm'}} & {{*sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd="/"
    )
    assert done.stdout.split() == []
