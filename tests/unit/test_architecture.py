"""The shape of the package: one arrow, no cycles, lazy imports, a counted public surface."""

import ast
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from tests import ROOT
from tests.architecture import (
    INTERNALS,
    ORDER,
    PACKAGES,
    PAGE,
    Module,
    arrows,
    cycle,
    docstring,
    does_import,
    drawn,
    imports,
    may_import,
    modules,
    needed,
    private_touches,
    within,
)

MAX_LINES = 400
# A folder, without what is inside its folders.
MAX_FILES = 16
MAX_FILES_AT_THE_TOP = 8

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
    "SandboxLost",
}
BLOCKS = {"Budget", "Governor", "Limit", "Model", "acompletion", "completion", "governed"}
BLOCKS |= {"aembedding", "aresponses", "embedding", "responses"}
BLOCKS |= {"BudgetAllocation", "Sandbox", "SandboxResult", "Spend"}
BLOCKS |= {"governor_error", "install", "retry_condition_fn"}
FLOWS = {"GovernedTaskRunner", "Item", "Report", "afan_out", "fan_out", "publish_report"}
FLOWS |= {"aresearch", "research"}
SURFACE = {
    "prefect_governor": ERRORS | BLOCKS | FLOWS,
    "prefect_governor.blocks": ERRORS | BLOCKS,
    "prefect_governor.flows": FLOWS,
}

# Decisions and arithmetic: given everything, they know of no file, socket, process, clock or loop.
PURE = (
    "blocks/errors.py",
    "blocks/figures/reconcile.py",
    "blocks/ledger/decision/admission.py",
    "blocks/ledger/decision/learned.py",
    "blocks/limits/adaptive.py",
    "blocks/limits/derived.py",
    "blocks/limits/learned_limits.py",
    "blocks/limits/pace.py",
    "blocks/limits/rates.py",
    "blocks/limits/upstream.py",
    "blocks/money/",
    "blocks/records/",
    "blocks/wire/dialects/",
    "blocks/wire/requests/",
    "flows/mcp/offers.py",
    "flows/web/network/addresses.py",
    "flows/web/network/bodies.py",
    "flows/web/plain.py",
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


def test_blocks_never_import_flows() -> None:
    wrong = [
        f"{module.shown}:{each.line} imports {each.module}"
        for module in modules()
        if within(module.name, PACKAGES["blocks"])
        for each in imports(module)
        if within(each.module, PACKAGES["flows"]) or each.module == PACKAGES["api"]
    ]
    assert not wrong


def test_no_import_is_relative_or_of_a_folder_at_the_top() -> None:
    wrong = [
        f"{module.shown}:{each.line} imports {each.module}"
        for module in modules()
        for each in imports(module)
        if each.module.partition(".")[0] in {*PACKAGES, "tests"}
    ]
    assert not wrong


def test_no_module_needs_itself_by_whatever_way() -> None:
    """Lazy imports and those for type checkers count like any other."""
    assert cycle(needed(modules())) is None


@pytest.mark.parametrize(
    "planted",
    [
        "from prefect_governor.blocks.wire.transport import GovernedTransport",
        "def later():\n    from prefect_governor.blocks.wire.transport import GovernedTransport",
        "if TYPE_CHECKING:\n    from prefect_governor.blocks.wire import transport",
        "class A:\n    def f(self):\n        import prefect_governor.blocks.wire.transport",
    ],
    ids=["at the top", "in a function", "for type checkers", "in a method"],
)
def test_a_planted_circle_is_found(planted: str) -> None:
    """The scope knows nothing of the transport, which finds it."""
    name = "prefect_governor.blocks.context.scope"
    changed = [
        replace(each, source=f"{each.source}\n{planted}\n") if each.name == name else each
        for each in modules()
    ]
    found = cycle(needed(changed))
    assert found is not None
    assert {name, "prefect_governor.blocks.wire.transport"} <= {*found}


def test_no_room_imports_one_that_stands_above_it() -> None:
    assert sorted(arrows()) == sorted(ORDER), "a room is new or gone: give it its place in ORDER"
    place = {room: at for at, room in enumerate(ORDER)}
    wrong = [
        f"{room} imports {other}, which stands above it: {line}"
        for room, others in arrows().items()
        for other, line in others.items()
        if place[other] > place[room]
    ]
    assert not wrong


def test_what_prefect_does_not_document_is_touched_in_one_room() -> None:
    wrong = [
        line for module in modules() if module.room != INTERNALS for line in private_touches(module)
    ]
    assert not wrong, "take it from the room that has the way beside it: blocks/prefect_internals"


@pytest.mark.parametrize(
    "planted",
    [
        "from prefect._internal.uuid7 import uuid7",
        "def later():\n    import prefect._internal.concurrency",
        "from prefect.utilities.annotations import quote",
        "from prefect.server.schemas import states",
        "from prefect.task_engine import run_task_sync",
        "run.__var__.set(1)",
        "print(block._block_document_id)",
        "state.aresult(retry_result_failure=False)",
        "vars(context)['GLOBAL_SETTINGS_CONTEXT'] = None",
        "class A:\n    def serialize_parameters(self): ...",
        "found = 'NotReady'",
    ],
)
def test_a_planted_touch_is_found(planted: str) -> None:
    name = "prefect_governor.flows.runner.lane"
    lane = next(each for each in modules() if each.name == name)
    assert private_touches(replace(lane, source=f"{lane.source}\n{planted}\n"))
    assert not private_touches(lane)


def packages() -> list[Module]:
    """The rooms that are folders, without the two that hold them and the one of the names."""
    return [each for each in modules() if each.is_package and each.room.count(".")]


@pytest.mark.parametrize("package", packages(), ids=lambda package: package.room)
def test_a_room_says_what_is_in_it_what_it_imports_and_where_to_begin(package: Module) -> None:
    text = docstring(package)
    assert len(text.splitlines()) >= 3
    assert may_import(package) == does_import(package)
    begin = re.search(r"^Begin with: (.*)", text, re.DOTALL | re.MULTILINE)
    assert begin
    named = re.findall(r"[\w/]+\.py", begin[1])
    assert named or "this file" in begin[1]
    assert not [name for name in named if not (package.path.parent / name).exists()]


def tracked() -> list[Path]:
    done = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [path for name in done.stdout.split("\0") if name and (path := ROOT / name).exists()]


def test_no_folder_holds_more_than_a_person_takes_in() -> None:
    """Of the package, the tests and the docs alike."""
    files = Counter(path.parent.relative_to(ROOT) for path in tracked())
    wrong = {
        str(folder): count
        for folder, count in files.items()
        if count > (MAX_FILES_AT_THE_TOP if str(folder) in ("blocks", "flows") else MAX_FILES)
    }
    assert not wrong


def test_the_map_shows_the_rooms_as_they_are() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == drawn(page), "draw it again: ./run python -m tests.architecture"


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
        if module.room in ("flows.server", "flows.cli") or module.name.endswith(".commands")
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
    """Tests too."""
    long = {
        str(path.relative_to(ROOT)): lines
        for path in tracked()
        if path.suffix == ".py" and (lines := len(path.read_text().splitlines())) > MAX_LINES
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
        for node in ast.walk(ast.parse(source.source))
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


@pytest.mark.parametrize("package", [*SURFACE, "prefect_governor.flows.server.server"])
def test_importing_costs_neither_prefect_nor_litellm(package: str) -> None:
    program = f"import sys, {package}; print(*sorted({{'prefect', 'litellm'}} & {{*sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd="/"
    )
    assert done.stdout.split() == []
