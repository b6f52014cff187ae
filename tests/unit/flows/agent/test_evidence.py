"""A citation stands only on lines that were really shown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.flows.agent.citations import Citation
from prefect_governor.flows.agent.evidence import (
    Evidence,
    check_citations,
    citations_in,
    merged,
)


@pytest.fixture
def evidence() -> Evidence:
    shown = Evidence()
    shown.add("docs/a.md", 10, 20)
    shown.add("docs/a.md", 21, 25)
    shown.add("b.txt", 1, 1)
    return shown


def test_a_citation_of_what_was_never_shown_is_taken_out_and_said(evidence: Evidence) -> None:
    text = "It is 7 [docs/a.md:12-14], not 8 [docs/a.md:26], nor 9 [c.md:1]. See [b.txt:1]."
    checked = check_citations(text, evidence)
    assert checked.text == "It is 7 [docs/a.md:12-14], not 8, nor 9. See [b.txt:1]."
    assert checked.kept == (Citation("docs/a.md", 12, 14), Citation("b.txt", 1, 1))
    assert checked.removed == ("[docs/a.md:26]", "[c.md:1]")


def test_ranges_that_touch_are_one(evidence: Evidence) -> None:
    assert evidence.holds(Citation("docs/a.md", 19, 23))
    assert evidence.to_json() == {"b.txt": [[1, 1]], "docs/a.md": [[10, 25]]}
    assert Evidence.of_json(evidence.to_json()) == evidence


def test_a_citation_that_reaches_beyond_what_was_shown_does_not_hold(evidence: Evidence) -> None:
    assert not evidence.holds(Citation("docs/a.md", 25, 26))
    assert not evidence.holds(Citation("docs/a.md", 20, 12))


def test_links_and_lists_are_no_citations() -> None:
    assert citations_in("[a link](http://x:80) [1] [x: y] a[3:4] [t](u.md:3)") == []


def test_a_source_may_hold_a_colon() -> None:
    assert citations_in("[C:/x y.md:3-4]") == [Citation("C:/x y.md", 3, 4)]


@given(
    spans=st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60)), max_size=12),
    first=st.integers(1, 60),
    length=st.integers(0, 10),
)
def test_what_holds_is_what_every_line_of_was_shown(
    spans: list[tuple[int, int]], first: int, length: int
) -> None:
    shown, lines = Evidence(), set()
    for one, other in spans:
        shown.add("a", one, other)
        lines |= set(range(one, other + 1))
    wanted = set(range(first, first + length + 1))
    assert shown.holds(Citation("a", first, first + length)) == (wanted <= lines)
    assert merged([shown, Evidence()]) == shown
