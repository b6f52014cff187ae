"""What may be cited is what was given: at each cut, a citation of what was cut away is narrowed or
removed, and said."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.flows.agent.citations import Citation
from prefect_governor.flows.agent.corpus import MOST_LINES, Corpus, Extract
from prefect_governor.flows.agent.evidence import (
    Checked,
    Evidence,
    check_citations,
    merged,
)
from prefect_governor.flows.agent.showing import Citing, Excerpts, Told
from prefect_governor.flows.agent.tools import (
    MOST_CHARACTERS,
    corpus_tools,
    noting,
    tools_of,
)
from prefect_governor.flows.deep_research.finding import MOST_IN_PROMPT, Finding, in_prompt
from prefect_governor.flows.deep_research.lead import checked_answer
from prefect_governor.flows.items.item import Item

WIDE = "a line with a good many words in it, " * 10
SOURCES = 3


@pytest.fixture
def corpus() -> Corpus:
    """Files of 500 lines, of which a tool shows some 60 at most; and one of a single long line."""
    lines = "\n\n".join(f"Port {at}: {WIDE}" for at in range(250))
    texts = {f"ports-{at}.md": lines for at in range(SOURCES)}
    return Corpus(
        [
            *(Item(key=name, text=text) for name, text in texts.items()),
            Item(key="short.md", text="\n".join(["word"] * (MOST_LINES + 50))),
            Item(key="minified.js", text="x" * (2 * MOST_CHARACTERS)),
        ]
    )


async def called(corpus: Corpus, tool: str, **arguments: object) -> Told:
    return await tools_of(corpus_tools(corpus))[tool].call(json.dumps(arguments))


def numbered_in(text: str) -> dict[str, set[int]]:
    """The numbers of the lines that stand in a tool's answer, by source, read as a model does."""
    found: dict[str, set[int]] = {}
    source = ""
    for line in text.split("\n"):
        if head := re.fullmatch(r"\[(.+):\d+-\d+\](, page \d+)?", line):
            source = head[1]
        elif number := re.match(r" *(\d+)  ", line):
            found.setdefault(source, set()).add(int(number[1]))
    return found


def lines_of(evidence: Evidence) -> dict[str, set[int]]:
    return {
        source: {line for first, last in ranges for line in range(first, last + 1)}
        for source, ranges in evidence.to_json().items()
    }


async def test_of_a_read_that_is_cut_only_what_is_left_may_be_cited(corpus: Corpus) -> None:
    told = await called(corpus, "read", source="ports-0.md")
    assert len(told.text) < MOST_CHARACTERS + 100 and "… cut: lines " in told.text
    shown = lines_of(told.lines)
    assert shown == numbered_in(told.text)
    last = max(shown["ports-0.md"])
    assert last < MOST_LINES
    checked = check_citations(f"So [ports-0.md:1-{MOST_LINES}], so [ports-0.md:300].", told.lines)
    assert checked.text == f"So [ports-0.md:1-{last}], so."
    assert checked.removed == ("[ports-0.md:300]",) and len(checked.narrowed) == 1
    assert len(checked.notes) == 2


async def test_of_a_search_that_is_cut_the_passages_that_are_left_may_be_cited(
    corpus: Corpus,
) -> None:
    # Together they are twice what an answer may hold.
    told = await called(corpus, "search_corpus", query="port words", most=20)
    whole = Excerpts(corpus.search("port words", most=20)).within()
    assert len(whole.text) > MOST_CHARACTERS
    assert lines_of(told.lines) == numbered_in(told.text)
    lost = sum(map(len, lines_of(whole.lines).values())) - sum(
        map(len, lines_of(told.lines).values())
    )
    assert lost > 0 and "… cut: " in told.text


async def test_a_read_beyond_the_most_lines_is_no_more_than_these(corpus: Corpus) -> None:
    told = await called(corpus, "read", source="short.md", first=1, last=10_000)
    assert lines_of(told.lines) == {"short.md": set(range(1, MOST_LINES + 1))}
    checked = check_citations(f"[short.md:{MOST_LINES}-{MOST_LINES + 9}]", told.lines)
    assert checked.text == f"[short.md:{MOST_LINES}]" and checked.narrowed


async def test_a_line_that_is_too_long_by_itself_is_shown_as_far_as_it_goes(corpus: Corpus) -> None:
    told = await called(corpus, "read", source="minified.js")
    assert len(told.text) <= MOST_CHARACTERS + 100
    assert told.text.endswith("\n… cut: the rest of line 1 of minified.js")
    assert check_citations("It is x [minified.js:1].", told.lines).removed == ()


extracts = st.builds(
    lambda name, first, lines: Extract(name, first, first + len(lines) - 1, "\n".join(lines)),
    st.sampled_from(["a.md", "b [1].md", "docs/c.md"]),
    st.integers(1, 99_999),
    # A line of a text that was cut at its lines is never empty here: `numbered` shows no last one.
    st.lists(st.text("xyz 1:[]-", min_size=1, max_size=30), min_size=1, max_size=12),
)


@given(st.lists(extracts, min_size=1, max_size=5), st.integers(1, 700))
def test_what_a_cut_text_shows_is_what_it_says_it_shows(found: list[Extract], most: int) -> None:
    told = Excerpts(found).within(most)
    assert lines_of(told.lines) == numbered_in(told.text)
    whole = Excerpts(found).within()
    assert lines_of(whole.lines) == numbered_in(whole.text)
    if len(whole.text) <= most:
        assert told.text == whole.text
    if told.text != whole.text:
        text, _, said = told.text.rpartition("\n… cut: ")
        least = len("[docs/c.md:99999-99999]\n99999  x")
        assert said and len(text) <= max(most, least)


FINDING = Finding(
    "a",
    "Early [a.md:1-2]. " + "x" * MOST_IN_PROMPT + " Late [a.md:7-8].",
    {"a.md": [[1, 30]], "b.md": [[1, 9]]},
)


def test_of_a_result_in_a_prompt_only_what_its_part_cites_may_be_cited() -> None:
    text = in_prompt({"a": FINDING})
    assert "[a.md:1-2]" in text and "Late" not in text and "`read_result` with task 'a'" in text
    lines = FINDING.as_told(MOST_IN_PROMPT).lines
    # Neither what was cut away, nor what the other agent saw and did not tell of.
    checked = check_citations("[a.md:1-3] [a.md:7] [a.md:20] [b.md:1]", lines)
    assert checked.text.strip() == "[a.md:1-2]"
    assert checked.removed == ("[a.md:7]", "[a.md:20]", "[b.md:1]") and checked.narrowed


def test_the_whole_result_shows_all_that_it_cites_and_a_cut_one_its_beginning() -> None:
    whole = Citing(FINDING.answer, FINDING.shown).within(MOST_CHARACTERS)
    assert lines_of(whole.lines) == {"a.md": {1, 2, 7, 8}}
    # Cut inside of a citation, which is none then.
    cut = Citing(FINDING.answer, FINDING.shown).within(len(FINDING.answer) - 4)
    assert lines_of(cut.lines) == {"a.md": {1, 2}} and "… cut: 4 characters more" in cut.text


def test_a_synthesis_cites_what_the_findings_cite() -> None:
    checked = checked_answer("So [a.md:1], so [a.md:1-8], so [b.md:3].", [FINDING])
    assert checked["answer"] == "So [a.md:1], so [a.md:1-2] [a.md:7-8], so."
    assert checked["removed"] == ["[b.md:3]"] and len(checked["narrowed"]) == 1


def test_an_agent_of_the_users_own_gets_text_and_may_cite_all_of_it(corpus: Corpus) -> None:
    noted: list[Told] = []
    read = noting(tools_of(corpus_tools(corpus))["read"], noted.append)
    text = read("ports-0.md", first=1, last=100)
    assert type(text) is str and len(text) > MOST_CHARACTERS // 2
    found = merged(each.lines for each in noted)
    assert lines_of(found) == {"ports-0.md": set(range(1, 101))} == numbered_in(text)
    assert found.holds(Citation("ports-0.md", 1, 100))


def test_what_was_done_to_citations_is_said() -> None:
    assert Checked("", (), ("[x:1]",), ("[a:1-3] to [a:1]",)).notes == (
        "citations of what was never retrieved were removed: [x:1]",
        "citations were narrowed to what was retrieved: [a:1-3] to [a:1]",
    )
