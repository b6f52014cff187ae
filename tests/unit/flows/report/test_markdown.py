"""The summary and the table: well-formed whatever the items hold."""

import json
import re
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from prefect_governor.flows.report.keys import artifact_key
from prefect_governor.flows.report.markdown import code, escape, summary
from prefect_governor.flows.report.model import (
    BudgetReport,
    ItemReport,
    LimitsReport,
    Report,
    tally,
)
from prefect_governor.flows.report.shown.amounts import bar, usd
from prefect_governor.flows.report.table import rows, shown

# GitHub's flavour without its autolinks, and with raw HTML let through: the laxest renderer.
RENDERER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])

EVIL = "a|b\n# c <img src=x onerror=alert(1)> **d** [e](javascript:f) `g` https://h.i ~~j~~ &lt;"


def report(*items: ItemReport, **changes: object) -> Report:
    values: dict[str, object] = {"run_id": "r", "outcome": "partial", "items": list(items)}
    return Report.model_validate({**values, **changes})


def item(
    key: str = "a", state: str = "failed", reason: str | None = "no", **more: object
) -> ItemReport:
    return ItemReport.model_validate({"key": key, "state": state, "reason": reason, **more})


def tags(html: str) -> set[str]:
    return set(re.findall(r"<(\w+)", html))


def test_item_text_can_neither_break_the_table_nor_inject_html() -> None:
    html = RENDERER.render(summary(report(item(key=EVIL, reason=EVIL), notes=[EVIL], reason=EVIL)))
    assert tags(html) <= {
        "h1", "h2", "p", "table", "thead", "tbody", "tr", "th", "td", "strong", "code",
        "ul", "li", "blockquote",
    }  # fmt: skip
    (row,) = re.findall(r"<tr>\s*<td[^>]*>1</td>(.*?)</tr>", html, re.S)
    assert row.count("<td") == 3
    assert "https://" not in summary(report(item(reason=EVIL)))


@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_escaped_text_is_shown_as_it_is(text: str) -> None:
    html = RENDERER.render("x " + escape(text))
    assert tags(html) == {"p"}
    shown_text = html.removeprefix("<p>x").removesuffix("</p>\n").strip()
    for entity, plain in (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&amp;", "&")):
        shown_text = shown_text.replace(entity, plain)
    assert shown_text == " ".join("".join(c if c.isprintable() else " " for c in text).split())


@given(st.text(alphabet="_*`|~ab.[]()<>&\\\\ ", min_size=1, max_size=20), st.booleans())
def test_a_key_is_code_and_shown_as_it_is(text: str, in_table: bool) -> None:
    flat = " ".join(text.split())
    made = code(text, in_table=in_table)
    html = RENDERER.render(f"| a |\n| --- |\n| {made} |\n" if in_table else f"x {made}")
    found = re.search(r"<td>(.*)</td>" if in_table else r"<p>x ?(.*)</p>", html, re.S)
    assert found is not None
    told = re.sub("</?code>", "", found[1])
    for entity, plain in (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&")):
        told = told.replace(entity, plain)
    assert told == flat


@pytest.mark.parametrize("start", ["# a", "- a", "+ a", "1. a", "1) a", "===", "---", "> a"])
def test_text_at_the_start_of_a_line_opens_no_block(start: str) -> None:
    assert tags(RENDERER.render(escape(start))) == {"p"}


def test_summary_says_outcome_money_bottleneck_causes_and_how_to_go_on() -> None:
    text = summary(
        report(
            item("a.md", "succeeded", None, usd=Decimal("0.5")),
            item("b.md", "over_budget", "needs $1.00"),
            budget=BudgetReport(
                ceiling_usd=Decimal(2),
                spent_usd=Decimal(1),
                unconfirmed_usd=Decimal("0.5"),
                name="llm-team",
            ),
            limits=LimitsReport(bottleneck="requests_per_minute", cap=20, max_in_flight=19),
            files=["/tmp/out.jsonl"],
            notes=["enforcement is off"],
        )
    )
    for expected in (
        "# Partial: 1 of 2 items succeeded, 1 over budget",
        "| over budget | 1 |",
        "$1.50 of $2.00 (75%) in llm-team",
        "███████████████░░░░░",
        "$0.50 of it is unconfirmed",
        r"At most 19 in flight under a cap of 20; held back by **requests\_per\_minute**",
        r"| 1 | over budget | needs \$1.00 | `b.md` |",
        "Raise the ceiling of llm-team first",
        "- `/tmp/out.jsonl`",
        "> enforcement is off",
    ):
        assert expected in text


def test_what_ended_a_run_before_its_items_is_its_heading() -> None:
    text = summary(report(outcome="failed", reason="no plan: schema: it said: I *cannot*"))
    assert text.startswith(r"# Failed: no plan: schema: it said: I \*cannot\*" + "\n")
    assert "there were no items" not in text


def test_a_raise_is_advised_only_where_money_was_short() -> None:
    assert "Raise the ceiling" not in summary(report(item()))
    complete = summary(report(item(state="succeeded"), outcome="complete"))
    assert "How to go on" not in complete


def test_a_budget_s_name_is_text_and_never_markup() -> None:
    text = summary(report(item(state="over_budget"), budget=BudgetReport(name="a` **b**")))
    assert r"Raise the ceiling of a\` \*\*b\*\* first" in text


def test_what_is_promised_of_a_retry_is_so() -> None:
    partial = report(item("a"), item("b", "failed", "no"))
    assert "runs only what is missing" not in summary(partial)
    resumable = partial.model_copy(update={"resumable": True})
    assert "runs only what is missing" in summary(resumable)


def test_bad_answers_are_no_matter_of_a_retry_and_the_command_that_asks_them_stands_there() -> None:
    command = "prefect-governor fan-out --resume r --retry-failed --model OTHER"
    advice = {"what": "to ask 1 with a bad answer anew", "command": command, "price": "pays $0.01"}
    text = summary(report(item("a", "failed", "refused: no"), resumable=True, advice=[advice]))
    assert "1 bad answer that was paid for fail again as they are, unasked" in text
    assert f"- To ask 1 with a bad answer anew, on the command line: `{command}` (pays" in text


def test_a_cell_makes_no_link_image_or_tag() -> None:
    hostile = "![x](http://a.example/) [y](http://b.example) <img src=z> </td><!-- a < b"
    (_, row) = rows(report(item("k", "succeeded", result=hostile)))
    assert "](" not in row["result"] and "![" not in row["result"]
    assert "<img" not in row["result"] and "</td" not in row["result"]
    assert row["result"].replace("\u200b", "").replace("\u200a", "") == hostile


@pytest.mark.parametrize(
    ("part", "whole", "filled"), [("0", "2", 0), ("1.99", "2", 19), ("2", "2", 20), ("0", "0", 20)]
)
def test_the_bar_is_full_only_when_nothing_is_left(part: str, whole: str, filled: int) -> None:
    assert bar(Decimal(part), Decimal(whole)) == "█" * filled + "░" * (20 - filled)


def test_small_money_is_never_rounded_to_nothing() -> None:
    amounts = ["2", "0.0113", "0.000000001", "0", "1234.5"]
    assert [usd(Decimal(amount)) for amount in amounts] == [
        "$2.00", "$0.0113", "$0.000000001", "$0.00", "$1,234.50",
    ]  # fmt: skip


def test_a_table_too_long_or_too_large_says_where_the_rest_is() -> None:
    many = report(
        *[item(f"k{n}", "succeeded", None, result="x" * 500) for n in range(50)],
        files=["/tmp/all.jsonl"],
    )
    cut = rows(many, max_rows=20)
    assert len(cut) == 22
    assert cut[-1]["key"] == "… 30 more items"
    assert cut[-1]["result"] == f"all of them are on {many.host}: /tmp/all.jsonl"
    assert set(cut[-1]) == set(cut[0])
    small = rows(many, max_bytes=5_000)
    assert len(json.dumps(small)) < 5_400
    assert len(small) < 21
    assert len(rows(many)) == 51


def test_a_table_holds_what_databases_take() -> None:
    (_, row) = rows(report(item("a\x00\ud800", "failed", "b\x00", result={"c": "\ud800"})))
    json.dumps(row, ensure_ascii=False).encode()
    assert "\x00" not in json.loads(json.dumps(row))["key"]


def test_a_result_is_shown_short_and_on_one_line() -> None:
    assert shown("two\nlines") == "two lines"
    assert shown({"a": ["ü", 1]}) == '{"a": ["ü", 1]}'
    assert len(shown("x" * 1000)) == 200
    assert shown(None) == ""


@pytest.mark.parametrize(
    ("parts", "key"),
    [(("Review All!", "items"), "review-all-items"), (("___",), "report"), (("ünï", "x"), "n-x")],
)
def test_artifact_keys_are_lowercase_and_dashes(parts: tuple[str, ...], key: str) -> None:
    assert artifact_key(*parts) == key


def test_what_a_report_does_not_know_it_does_not_say_and_nothing_twice() -> None:
    items = [ItemReport(key="a", state="succeeded"), ItemReport(key="b", state="not_started")]
    said = tally(items)
    for reason, heading in (
        (f"the process died: {said}", "the process died"),
        (f"stopped early: {said}; told to end", "stopped early: told to end"),
    ):
        text = summary(Report(run_id="r", outcome="partial", reason=reason, items=items))
        assert text.count(said) == 1
        assert text.split("\n\n")[1] == heading
        # Nobody counted what was in flight.
        assert "in flight" not in text
