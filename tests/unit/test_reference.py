"""docs/reference names all that the code has and no more; no document names a path that is dead."""

import importlib.util
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import click
import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

import prefect_governor
from prefect_governor.blocks.documents import notices
from prefect_governor.blocks.figures.observing import NotMeasured
from prefect_governor.blocks.figures.reconcile import Left, Matching, Settle, Void
from prefect_governor.blocks.ledger.decision.admission import Purse
from prefect_governor.blocks.ledger.decision.store import Spend
from prefect_governor.blocks.models.calls import REFUSED_ARGUMENTS
from prefect_governor.blocks.models.choice import KEY_VARIABLES
from prefect_governor.blocks.models.providers import (
    EMBEDDING_PROVIDERS,
    RESPONSES_PROVIDERS,
    TESTED_PROVIDERS,
)
from prefect_governor.blocks.records.budgets import Account, AccountState, Allocation
from prefect_governor.blocks.records.calls import Attribution, Bound, CallRecord, Usage
from prefect_governor.blocks.records.notices import Audit
from prefect_governor.flows.cli.budget import all as all_budgets
from prefect_governor.flows.cli.budget import formats, outcome
from prefect_governor.flows.cli.budget.view import (
    AllocationView,
    BudgetView,
    Holder,
    View,
    Waiting,
)
from prefect_governor.flows.cli.doctor import Finding, as_object
from prefect_governor.flows.cli.main import main
from prefect_governor.flows.deep_research.forecast import ResearchForecast
from prefect_governor.flows.deep_research.plan.plan import PlanTask
from prefect_governor.flows.deep_research.report import ResearchReport
from prefect_governor.flows.estimate.estimate import Forecast
from prefect_governor.flows.estimate.pace import Throughput
from prefect_governor.flows.items.skipped import Skipped
from prefect_governor.flows.report.model import ItemFile, ItemReport, Report
from tests import ROOT
from tests.architecture import modules

REFERENCE = ROOT / "docs" / "reference"
PYTHON = sorted((REFERENCE / "python").glob("*.md"))
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Of public classes: what only the package itself calls.
OWN_USE = {"account", "applies_to", "applies_to_task", "bind", "duplicate", "late", "terms"}
# What `with` does at the end of a block.
OWN_USE |= {"aleave", "end", "leave"}


def page(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


def tokens(text: str) -> Iterator[Token]:
    """All of a document in Markdown, what stands inside of lines too."""
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        yield token
        yield from token.children or ()


def codes(text: str) -> list[str]:
    """What stands between backticks."""
    return [token.content for token in tokens(text) if token.type == "code_inline"]


# The Python pages


def documented() -> set[str]:
    text = "\n".join(path.read_text(encoding="utf-8") for path in PYTHON)
    found = re.findall(r"^ *\.\. (?:auto\w+|py:function):: ([\w.]+)", text, re.MULTILINE)
    return {*found}


def test_every_public_name_is_documented() -> None:
    assert {name for name in documented() if "." not in name} >= {*prefect_governor.__all__}


@pytest.mark.parametrize("name", prefect_governor.__all__)
def test_every_public_member_of_a_public_class_is_documented(name: str) -> None:
    public = getattr(prefect_governor, name)
    if not isinstance(public, type):
        return
    members = {
        f"{name}.{member}"
        for kind in public.__mro__
        if kind.__module__.startswith("prefect_governor.")
        for member, value in vars(kind).items()
        if not member.startswith(("_", "model_")) and member not in OWN_USE
        if inspect.isfunction(value) or isinstance(value, (property, classmethod))
    }
    assert members <= documented()


def test_the_tested_providers_and_the_refused_arguments_are_those_of_the_code() -> None:
    text = page("python/calls.md")
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", text, re.MULTILINE))
    assert {name: {*codes(row)} for name, row in rows.items()} == {
        "completion": TESTED_PROVIDERS,
        "embedding": EMBEDDING_PROVIDERS,
        "responses": RESPONSES_PROVIDERS,
    }
    assert {*REFUSED_ARGUMENTS} <= {*codes(text)}


# Events and variables


def test_every_event_is_documented_and_no_other() -> None:
    headings = re.findall(r"^### `(.*)`$", page("events.md"), re.MULTILINE)
    alone = {
        notices.ENFORCEMENT_OFF,
        notices.DOCUMENT_INVALID,
        notices.DRAWS_LOST,
        notices.CIRCUIT_OPENED,
    }
    assert sorted(headings) == sorted({*notices.EVENTS.values()} | alone)


def option_rows(
    command: click.Command, path: tuple[str, ...] = ()
) -> Iterator[tuple[str, str, str]]:
    """Variable, option and command of every option that has one."""
    for each in command.params:
        if isinstance(each.envvar, str):
            yield each.envvar, each.opts[0], " ".join(path)
    if isinstance(command, click.Group):
        for name, inner in command.commands.items():
            yield from option_rows(inner, (*path, name))


def test_every_option_stands_with_its_variable_and_its_commands() -> None:
    found: dict[tuple[str, str], set[str]] = {}
    for variable, option, command in option_rows(main):
        found.setdefault((variable, option), set()).add(command)
    rows = re.findall(r"^\| `(\w+)` \| `(--\S+)` \| (.*) \|$", page("environment.md"), re.MULTILINE)
    assert {(row[0], row[1]): {*codes(row[2])} for row in rows} == found


def test_every_variable_of_the_code_is_documented_and_no_other() -> None:
    sources = "\n".join(module.source for module in modules())
    ours = re.compile(r"PREFECT_GOVERNOR_[A-Z_]*[A-Z]\b")
    of_options = {variable for variable, _, _ in option_rows(main)}
    assert {*ours.findall(page("environment.md"))} == of_options | {*ours.findall(sources)}
    read = re.findall(r"environ(?:\.get\(|\.setdefault\(|\[)\s*\"([A-Z_]+)\"", sources)
    assert len(read) > 10
    assert {*read, *KEY_VARIABLES.values()} <= {*codes(page("environment.md"))}


# JSON

ACCOUNT = AccountState("key", "name", "2026-11-24", 10**9, None)
CALL = CallRecord(
    "id", "unconfirmed", "owner", 1, Bound(1, 1, 1), None, "cut", None, None, 0, None, Attribution()
)
ALLOCATION = AllocationView(
    Allocation("key", "label", ()), Account("key", "name", 1, 1), Purse("key", "label", "name")
)
VIEW = View(
    "Governor",
    "name",
    datetime.now(timezone.utc),
    (BudgetView(ACCOUNT, "day", (), (CALL,), (ALLOCATION,)), BudgetView(ACCOUNT, "day")),
    by="model",
    spends=(("model", Spend(1, 1, 1, 1, 1, 1)),),
    waiting=(Waiting("limit", 1.0),),
    holders=(Holder(("limit",), CALL),),
    not_measured=(NotMeasured("model", "POST /path", 1, "why"),),
    audit=(Audit("raised", "key", "by", "why", None, "1", "2", 0),),
)
SETTLED = Settle(CALL, Usage(1, 1, 1), "usage.csv line 17")
RECONCILED = outcome.Outcome(
    "name",
    (CALL,),
    Matching((SETTLED,), (Void(CALL, "why"),), (Left("id", "why"),), 0, 0),
    (),
    VIEW,
    dry_run=True,
    asked=True,
)


def bare(kind: type[Any], **known: Any) -> dict[str, Any]:
    """The JSON of an estimate whose other fields are nothing."""
    return dict(kind(**{**dict.fromkeys(kind.__dataclass_fields__, 0), **known}).to_json())


def paths(value: Any, apart: tuple[str, ...], at: str = "") -> set[str]:
    """Every field by its path. What is told `apart` is not looked into."""
    if at in apart or not isinstance(value, (dict, list)):
        return {at}
    if isinstance(value, dict):
        inner = [paths(each, apart, f"{at}.{key}".lstrip(".")) for key, each in value.items()]
        return set().union(*inner)
    return {at}.union(*(paths(each, apart, f"{at}[]") for each in value if isinstance(each, dict)))


ITEM = ItemReport(
    key="a",
    state="succeeded",
    notes=("a note",),
    files=(ItemFile(name="files/a/b", bytes=1, sha256="c"),),
)
SKIPPED = Skipped(key="b", reason="why")
REPORT = Report(run_id="id", outcome="complete", items=[ITEM], skipped=[SKIPPED])
NOTED = REPORT.model_copy(update={"notes": ["a note"]})
RESEARCH = ResearchReport(
    **dict(REPORT), question="?", plan=[PlanTask(id="a", objective="b").model_dump(mode="json")]
)
SHOWN = formats.as_object(VIEW)
# By the table's heading: what it tells, and the parts of it that are told apart.
TABLES: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "`fan-out --json`": (NOTED.to_json(), ("items",)),
    "An item": (NOTED.items[0].to_json(), ()),
    "`research --json`": (
        {key: value for key, value in RESEARCH.to_json().items() if key not in NOTED.to_json()},
        (),
    ),
    "`estimate --json`": (
        bare(
            Forecast,
            throughputs=(Throughput("name", 1.0, "why", True, 1.0),),
            assumptions=(),
            notes=(),
            unreadable=(("key", "reason"),),
            skipped=(SKIPPED,),
        ),
        (),
    ),
    "`research --dry-run --json`": (bare(ResearchForecast), ()),
    "`budget show --json`": (
        {**SHOWN, "slots": [{"of": SHOWN["slots"][0]["of"]}]},
        ("reserved_calls", "unconfirmed_calls", "allocations", "parents"),
    ),
    "Without a name": (all_budgets._object(all_budgets.Row("Budget", "a")), ()),
    "A call that holds money": (formats.call_object(CALL), ()),
    "An allocation": (SHOWN["allocations"][0], ()),
    "`budget reconcile --json`": (
        outcome._object(RECONCILED),
        ("unconfirmed_calls", "budget"),
    ),
    "`doctor --json`": (as_object([Finding("ok", "it", "is well")]), ()),
}


@pytest.mark.parametrize("heading", TABLES)
def test_every_field_of_the_json_is_documented_and_no_other(heading: str) -> None:
    _, _, below = page("json.md").partition(f"# {heading}\n")
    table = re.split(r"^#", below, maxsplit=1, flags=re.MULTILINE)[0]
    fields = re.findall(r"^\| `([\w.\[\]]+)` \|", table, re.MULTILINE)
    value, apart = TABLES[heading]
    assert sorted(fields) == sorted(paths(value, apart))


def test_a_call_in_a_slot_has_the_fields_of_a_call() -> None:
    assert SHOWN["slots"][0].keys() - {"of"} == formats.call_object(CALL).keys()


# Paths, and the site


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_path_that_a_document_names_is_there(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    links = [
        str(token.attrs.get("href") or token.attrs.get("src"))
        for token in tokens(text)
        if token.type in ("link_open", "image")
    ]
    local = [each.partition("#")[0] for each in links if not re.match(r"[a-z]+:", each)]
    named = [
        each
        for each in codes(text)
        if re.fullmatch(r"(?:api|blocks|flows|tests|docs|deployments|\.ci)/[\w./-]*", each)
    ]
    missing = [each for each in local if each and not (document.parent / each).exists()]
    missing += [each for each in named if not (ROOT / each).exists()]
    assert not missing


@pytest.mark.skipif(
    importlib.util.find_spec("sphinx") is None,
    reason="Sphinx is not installed: `./run --group docs pytest` brings it",
)
def test_the_reference_is_built_without_a_warning_and_needs_no_network(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-W", "-q", str(REFERENCE), str(tmp_path)],
        capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    pages = [path.read_text(encoding="utf-8") for path in tmp_path.rglob("*.html")]
    loaded = re.compile(r'<(?:script|link|img)\b[^>]*(?:src|href)="(?:https?:)?//[^"]*"')
    assert len(pages) > len(PYTHON)
    assert not [found for text in pages for found in loaded.findall(text)]
