"""What a digest tells: each source as one thing, and nothing that was told before."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.flows.digest.changes import Changes, compare, remembered
from prefect_governor.flows.digest.page import message, page
from prefect_governor.flows.report.model import ItemReport, Report

EVIL = "x</h1>\n# y\n\n```\n<script>z</script> [a](javascript:b) @everyone"


def item(
    key: str, result: object = "yes", *, calls: int = 0, state: str = "succeeded"
) -> ItemReport:
    return ItemReport.model_validate(
        {"key": key, "state": state, "result": result, "calls": calls, "reason": None}
    )


def report(*items: ItemReport) -> Report:
    return Report(run_id="r", outcome="complete", items=list(items))


def told(before: dict[str, str], *items: ItemReport, present: tuple[str, ...] = ()) -> Changes:
    return compare(before, report(*items), present=present)


def after(before: dict[str, str], *items: ItemReport) -> dict[str, str]:
    return {**before, **remembered(before, told(before, *items))}


def keys(items: tuple[ItemReport, ...]) -> list[str]:
    return [each.key for each in items]


def test_the_first_digest_tells_all_and_the_next_nothing_that_is_as_it_was() -> None:
    first = told({}, item("a", calls=1), item("b", calls=1))
    assert first.first and keys(first.new) == ["a", "b"]
    again = told(after({}, item("a", calls=1), item("b", calls=1)), item("a"), item("b"))
    assert not again.any and not again.first and keys(again.kept) == ["a", "b"]


def test_what_is_asked_anew_is_changed_though_the_answer_is_the_same() -> None:
    before = after({}, item("a", calls=1), item("b", calls=1))
    assert keys(told(before, item("a", calls=1), item("b")).changed) == ["a"]


def test_text_that_is_again_as_it_once_was_costs_nothing_and_is_told_as_changed() -> None:
    before = after({}, item("a", "one", calls=1))
    before = after(before, item("a", "two", calls=1))
    assert keys(told(before, item("a", "one")).changed) == ["a"]


def test_what_failed_is_told_each_time_and_its_first_answer_is_new() -> None:
    before = after({}, item("a", calls=1, state="failed"))
    assert keys(told(before, item("a", state="failed")).unanswered) == ["a"]
    assert keys(told(before, item("a", calls=1)).new) == ["a"]


def test_an_answer_stands_while_its_source_fails() -> None:
    before = after({}, item("a", "one", calls=1))
    before = after(before, item("a", None, state="over_budget"))
    assert keys(told(before, item("a", "one")).kept) == ["a"]


def test_a_run_that_did_not_get_to_an_item_says_of_none_that_it_was_removed() -> None:
    before = after({}, item("a", calls=1), item("b", calls=1), item("c", calls=1))
    assert told(before, item("a"), present=("b",)).removed == ("c",)


def test_what_was_removed_is_told_once_and_new_where_it_comes_back() -> None:
    before = after({}, item("a", calls=1), item("b", calls=1))
    gone = told(before, item("a"))
    assert gone.removed == ("b",)
    before = after(before, item("a"))
    assert told(before, item("a")).removed == ()
    assert keys(told(before, item("a"), item("b")).new) == ["b"]


@given(
    before=st.dictionaries(st.sampled_from("abcdef"), st.sampled_from(["", "gone", "0" * 64])),
    now=st.lists(
        st.tuples(
            st.sampled_from("abcdef"),
            st.sampled_from(["succeeded", "failed", "not_started"]),
            st.integers(0, 1),
        ),
        unique_by=lambda each: each[0],
    ),
    present=st.sets(st.sampled_from("abcdef")),
)
def test_each_source_is_told_as_one_thing_and_the_same_again_is_no_news(
    before: dict[str, str], now: list[tuple[str, str, int]], present: set[str]
) -> None:
    items = [item(key, state=state, calls=calls) for key, state, calls in now]
    changes = compare(before, report(*items), present=present)
    groups = (changes.new, changes.changed, changes.kept, changes.unanswered)
    assert sorted(each.key for group in groups for each in group) == sorted(key for key, *_ in now)
    assert not {*changes.removed} & {*(key for key, *_ in now), *present}
    then = {**before, **remembered(before, changes)}
    second = compare(
        then, report(*[item(key, state=state) for key, state, _ in now]), present=present
    )
    assert not second.new and not second.changed and not second.removed


@pytest.mark.parametrize("result", [EVIL, {"finding": EVIL}])
def test_an_answer_can_break_out_of_neither_the_page_nor_the_message(result: object) -> None:
    from markdown_it import MarkdownIt

    changes = told({"gone": "1"}, item(EVIL, result, calls=1), item("f", state="failed"))
    html = MarkdownIt("commonmark", {"html": True}).render(
        page(changes, report(), ask=EVIL, undelivered=[EVIL])
    )
    assert "<script" not in html and "<a " not in html
    assert html.count("<h1>") == 1
    said = message(changes, report(), link=None)
    assert len(said.splitlines()) == 7


def test_a_digest_of_very_many_changes_is_cut_with_the_number_of_the_rest() -> None:
    changes = told({}, *[item(f"k{at:03d}", "long " * 2_000, calls=1) for at in range(300)])
    text = page(changes, report(), ask="?")
    assert "… and 100 more." in text and text.count("### ") == 200
    said = message(changes, report(), link="http://here")
    assert "… and 280 more" in said and len(said) < 6_000 and said.endswith("http://here")
