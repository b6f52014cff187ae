"""The table of items: what a person reads first stands first, and is what it is in both UIs."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from prefect_governor.flows.deep_research.report import ResearchReport
from prefect_governor.flows.report.model import ItemFile, ItemReport, Report
from prefect_governor.flows.report.shown.amounts import FIGURE_SPACE
from prefect_governor.flows.report.shown.literal import literal
from prefect_governor.flows.report.table import rows

RENDERER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
UNSEEN = str.maketrans("", "", "\u200b\u200a")


def seen(text: str) -> str:
    """What a person sees of a cell."""
    return text.translate(UNSEEN)


def item(key: str, state: Any = "succeeded", **more: Any) -> ItemReport:
    return ItemReport(key=key, state=state, **more)


def table(*items: ItemReport, **more: Any) -> list[dict[str, str]]:
    return rows(Report(run_id="1", outcome="partial", items=list(items), **more))


def named(*names: str) -> ItemReport:
    files = tuple(ItemFile(name=f"files/item~0/{name}", bytes=1, sha256="0" * 64) for name in names)
    return item("item", files=files)


@pytest.mark.parametrize(
    "text",
    ["pkg/__init__.py", "__init__", "__all__ and __doc__", "a *not* b", "**x**", "~~x~~", "_a_",
     "*.py, *.md", "# a", "1. a", "- a", "> a", "---", "___", "[a]: b", "[a](b)", "![a](b)",
     "a\\_b", "C:\\[x]", "&lt;b&gt;", "<b>x</b>", "| a |", "``` a", "snake_case_name", "(_x_)"],
)  # fmt: skip
def test_a_key_is_the_same_where_cells_are_markdown_and_where_they_are_not(text: str) -> None:
    cell = literal(text)
    assert seen(cell) == text
    html = RENDERER.render(cell)
    for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&")):
        html = html.replace(entity, character)
    assert seen(html) == f"<p>{text}</p>\n"


@given(st.text(alphabet="_*~ab.[]()<>!&#;1-+= \\|é:/", max_size=24).map(str.strip))
def test_no_text_of_others_is_markup_in_a_cell(text: str) -> None:
    html = RENDERER.render(literal(text))
    for entity, character in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&")):
        html = html.replace(entity, character)
    # Hair spaces at the ends are stripped, as others are.
    assert seen(html) == (f"<p>{text}</p>\n" if text else "")


def test_a_key_that_has_underscores_is_found_by_its_name() -> None:
    assert "__init__" in literal("pkg/__init__.py")


def test_words_stand_before_figures_and_nothing_stands_in_an_empty_column() -> None:
    (total, _) = table(item("a"))
    assert list(total) == [
        "key", "state", "result", "usd", "input tokens", "output tokens", "calls", "attempts",
        "seconds",
    ]  # fmt: skip
    files = (ItemFile(name="files/a/x", bytes=1, sha256="0" * 64),)
    whole = table(item("a", "failed", reason="no", notes=("n",), files=files), files=["/r"])
    assert list(whole[0])[:7] == ["key", "state", "reason", "result", "notes", "files", "usd"]


def test_figures_of_a_column_have_one_precision_and_end_at_one_place() -> None:
    made = table(
        item("a", usd=Decimal("0.000044"), tokens={"input": 12_345, "output": 1}, seconds=0.5),
        item("b", usd=Decimal("1.5"), seconds=111.25),
        item("c", "not_started"),
    )
    for name in list(made[0])[3:]:
        column = [row[name] for row in made]
        assert len({len(seen(each)) for each in column}) == 1, (name, column)
        figures = [each for row in column if (each := seen(row).strip(FIGURE_SPACE))]
        decimals = {len(each.partition(".")[2]) for each in figures}
        assert len(decimals) <= 1
    assert [seen(row["usd"]) for row in made] == ["1.50004", "0.00004", "1.50000", "0.00000"]
    assert seen(made[1]["input tokens"]) == "12,345"
    assert seen(made[2]["input tokens"]).strip(FIGURE_SPACE) == "0"


def test_the_total_stands_first_and_adds_no_times() -> None:
    total, *_ = table(
        item("a", usd=Decimal(1), calls=2, seconds=3.0), item("b", "failed", usd=Decimal(2))
    )
    assert (total["key"], total["state"]) == ("total of 2 items", "1 succeeded")
    assert (seen(total["usd"]), seen(total["calls"])) == ("3.00", "2")
    assert seen(total["seconds"]).strip(FIGURE_SPACE) == ""


def test_a_research_s_questions_stand_beside_their_keys() -> None:
    plan = [{"id": "q1", "objective": "Which port is __it__?"}]
    found = item("q1", result={"answer": "It is 7.", "retrieved": {"a.md": ["7"]}})
    report = ResearchReport(run_id="1", outcome="complete", question="?", items=[found], plan=plan)
    total, one = rows(report)
    assert list(total)[:2] == ["key", "question"]
    assert seen(one["question"]) == "Which port is __it__?"
    assert one["result"] == "It is 7."


def test_where_the_rest_is_names_the_machine_that_has_it() -> None:
    report = Report(
        run_id="1", outcome="partial", items=[item("a"), item("b")], files=["/runs/r.jsonl"],
        host="worker-1",
    )  # fmt: skip
    *_, rest = rows(report, max_rows=1)
    assert rest["key"] == "… 1 more items"
    assert rest["result"] == "all of them are on worker-1: /runs/r.jsonl"


def test_files_are_named_as_their_item_knows_them() -> None:
    total, one, other = table(named("out/a.csv", "b c.md", "__init__.py"), item("other", "failed"))
    assert seen(one["files"]) == "out/a.csv, b c.md, __init__.py"
    assert other["files"] == total["files"] == ""


def test_many_files_are_counted_and_none_have_no_column() -> None:
    names = [f"{at:02}.txt" for at in range(25)]
    assert table(named(*names))[1]["files"].endswith("09.txt, and 15 more")
    assert "files" not in table(named())[0]
