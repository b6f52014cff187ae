"""Every form of citation that models write is read; brackets that are none are left alone."""

import pytest

from prefect_governor.flows.agent.citations import Citation, cited_in
from prefect_governor.flows.agent.evidence import Evidence, check_citations

A, B = "docs/a.md", "b.txt"
INIT, COMMAS, BRACKETS = "src/__init__.py", "odd, name; (x).md", "a[1].md"
ROW, UMLAUT, BLANKS = "T-1", "\u00dcbersicht.md", "C:/x y.md"
PAGE = "https://a.org/b?c=d"
KNOWN = (PAGE, A, B, INIT, COMMAS, BRACKETS, ROW, UMLAUT, BLANKS)


def a(first: int, last: int | None = None, source: str = A) -> Citation:
    return Citation(source, first, last or first)


FORMS: dict[str, list[Citation]] = {
    # As it is asked for.
    "[docs/a.md:12]": [a(12)],
    "[docs/a.md:12-14]": [a(12, 14)],
    # Blanks and dashes.
    "[docs/a.md: 12-14]": [a(12, 14)],
    "[docs/a.md : 12 - 14]": [a(12, 14)],
    "[ docs/a.md:12 ]": [a(12)],
    "[docs/a.md:12\u201314]": [a(12, 14)],
    "[docs/a.md:12\u201414]": [a(12, 14)],
    "[docs/a.md:12\u221214]": [a(12, 14)],
    "[docs/a.md:12\u201014]": [a(12, 14)],
    "[docs/a.md:12\u201114]": [a(12, 14)],
    "[docs/a.md:12\u201214]": [a(12, 14)],
    "[docs/a.md:12\u201514]": [a(12, 14)],
    "[docs/a.md:12~14]": [a(12, 14)],
    "[docs/a.md:12--14]": [a(12, 14)],
    "[docs/a.md:12 to 14]": [a(12, 14)],
    "[docs/a.md:12..14]": [a(12, 14)],
    "[docs/a.md:12...14]": [a(12, 14)],
    # Lines by name.
    "[docs/a.md:L12]": [a(12)],
    "[docs/a.md:L12-L14]": [a(12, 14)],
    "[docs/a.md:L12-14]": [a(12, 14)],
    "[docs/a.md#L12]": [a(12)],
    "[docs/a.md#L12-L14]": [a(12, 14)],
    "[docs/a.md:l. 12]": [a(12)],
    "[docs/a.md:ll. 12-14]": [a(12, 14)],
    "[docs/a.md: line 12]": [a(12)],
    "[docs/a.md: lines 12-14]": [a(12, 14)],
    "[docs/a.md, line 12]": [a(12)],
    "[docs/a.md, lines 12-14]": [a(12, 14)],
    "[docs/a.md lines 12-14]": [a(12, 14)],
    "[docs/a.md lines 12 to 14]": [a(12, 14)],
    "[docs/a.md L12]": [a(12)],
    "[docs/a.md:line 12]": [a(12)],
    # Several ranges of one source.
    "[docs/a.md:12, 14]": [a(12), a(14)],
    "[docs/a.md:12-14, 20-22]": [a(12, 14), a(20, 22)],
    "[docs/a.md:12-14,20]": [a(12, 14), a(20)],
    "[docs/a.md:12; 14]": [a(12), a(14)],
    "[docs/a.md:12 and 14]": [a(12), a(14)],
    "[docs/a.md:12 & 14]": [a(12), a(14)],
    "[docs/a.md:L12, L14-L16]": [a(12), a(14, 16)],
    "[docs/a.md lines 12 and 14]": [a(12), a(14)],
    # Several sources.
    "[docs/a.md:12; b.txt:1]": [a(12), a(1, source=B)],
    "[docs/a.md:12, b.txt:1]": [a(12), a(1, source=B)],
    "[docs/a.md:12-14;b.txt:1]": [a(12, 14), a(1, source=B)],
    "[docs/a.md:12 and b.txt:1]": [a(12), a(1, source=B)],
    "[docs/a.md:12, 14; b.txt:1]": [a(12), a(14), a(1, source=B)],
    "[docs/a.md:12][b.txt:1]": [a(12), a(1, source=B)],
    # Quoted, or with a word before.
    "[`docs/a.md`:12]": [a(12)],
    "[`docs/a.md:12-14`]": [a(12, 14)],
    "[**docs/a.md**:12]": [a(12)],
    '["docs/a.md":12]': [a(12)],
    "[\u201cdocs/a.md\u201d, line 12]": [a(12)],
    "[see docs/a.md:12]": [a(12)],
    "[source: docs/a.md:12]": [a(12)],
    "[Source: docs/a.md, lines 12-14]": [a(12, 14)],
    "`[docs/a.md:12]`": [a(12)],
    "([docs/a.md:12])": [a(12)],
    "[docs/a.md:12](docs/a.md#L12)": [a(12)],
    # Other brackets.
    "\u3010docs/a.md:12-14\u3011": [a(12, 14)],
    "\u3010docs/a.md\u2020L12-L14\u3011": [a(12, 14)],
    "\u3010docs/a.md\u202012\u3011": [a(12)],
    # Odd names.
    "[src/__init__.py:3]": [a(3, source=INIT)],
    "[__init__.py:3]": [a(3, source="__init__.py")],
    "[odd, name; (x).md:3-4]": [a(3, 4, COMMAS)],
    "[a[1].md:3]": [a(3, source=BRACKETS)],
    "[T-1:3]": [a(3, source=ROW)],
    "[\u00dcbersicht.md:3]": [a(3, source=UMLAUT)],
    "[C:/x y.md:3-4]": [a(3, 4, BLANKS)],
    "[T-1, line 3; odd, name; (x).md, lines 3-4]": [a(3, source=ROW), a(3, 4, COMMAS)],
    # Of what nobody knows, what looks like a source.
    "[never/seen.md:3]": [a(3, source="never/seen.md")],
    "[never.md, line 3]": [a(3, source="never.md")],
    "[T-99:3]": [a(3, source="T-99")],
    # Pages by their URLs, known and not.
    "[https://a.org/b?c=d:12-14]": [a(12, 14, PAGE)],
    "[https://a.org/b?c=d:12, 14]": [a(12, source=PAGE), a(14, source=PAGE)],
    "[https://a.org/b?c=d#L12-L14]": [a(12, 14, PAGE)],
    "[https://a.org/b?c=d:12; docs/a.md:3]": [a(12, source=PAGE), a(3)],
    "[https://never.org/x:12-14]": [a(12, 14, "https://never.org/x")],
    "[https://never.org/:12]": [a(12, source="https://never.org/")],
    "[https://never.org:8080/x:12]": [a(12, source="https://never.org:8080/x")],
    "[https://never.org/Talk:1984:3]": [a(3, source="https://never.org/Talk:1984")],
    "[https://never.org/a,b;c:3; https://never.org/d:4]": [
        a(3, source="https://never.org/a,b;c"),
        a(4, source="https://never.org/d"),
    ],
}
NO_CITATIONS = (
    "[a link](http://x:80)",
    "[http://x:80]",
    "[https://x.org/a/b]",
    "[https://x.org:443/a]",
    "[see https://x.org/a: a page]",
    "[1]",
    "[1, 2]",
    "[^1]",
    "[x]",
    "[ ]",
    "[x: y]",
    "a[3:4]",
    "[t](u.md:3)",
    "[at 12:30]",
    "[Tuesday 12:30]",
    "[note: 3]",
    "[John 3:16]",
    "[ratio 3:1]",
    "[12:30]",
    "[0.1.0]",
    "[sic]",
    "[docs/a.md]",
    "[docs/a.md:]",
    "[docs/a.md:twelve]",
    "[docs/a.md:12 is wrong]",
    "[docs/a.md:1234567890]",
    "[]",
    "[[",
    "]",
    "\u3010\u91cd\u8981\u3011",
    "[2026-11-29]",
    "[v1.2:3.4]",
)


def test_the_table_holds_what_it_promises() -> None:
    assert len(FORMS) >= 60


@pytest.mark.parametrize("written", FORMS)
def test_form_is_read(written: str) -> None:
    found = [each for place in cited_in(f"It is so {written}.", KNOWN) for each in place.citations]
    assert found == FORMS[written]


@pytest.mark.parametrize("written", FORMS)
def test_what_is_kept_is_written_as_it_was_asked_for_and_reads_the_same(written: str) -> None:
    shown = Evidence()
    for each in FORMS[written]:
        shown.add(each.source, each.first, each.last)
    checked = check_citations(f"It is so {written}.", shown)
    assert set(checked.kept) == {*FORMS[written]} and not checked.removed and not checked.narrowed
    for each in FORMS[written]:
        assert str(each) in checked.text
    assert check_citations(checked.text, shown).text == checked.text


@pytest.mark.parametrize("written", FORMS)
def test_what_was_never_shown_is_taken_out_whatever_its_form(written: str) -> None:
    other = Evidence()
    for name in KNOWN:
        other.add(name, 900, 901)
    checked = check_citations(f"It is so {written}.", other)
    assert not checked.kept and checked.removed
    for each in FORMS[written]:
        assert str(each) not in checked.text


@pytest.mark.parametrize("text", NO_CITATIONS)
def test_brackets_that_are_no_citation_are_left_alone(text: str) -> None:
    shown = Evidence()
    shown.add(A, 10, 25)
    said = f"It is so {text}, they say."
    assert check_citations(said, shown).text == said


def test_what_reaches_beyond_what_was_shown_is_narrowed_and_said() -> None:
    shown = Evidence()
    shown.add(A, 10, 12)
    shown.add(A, 20, 25)
    checked = check_citations("So [docs/a.md:8-22]; and [docs/a.md:11; b.txt:4].", shown)
    assert checked.text == "So [docs/a.md:10-12] [docs/a.md:20-22]; and [docs/a.md:11]."
    assert checked.kept == (a(10, 12), a(20, 22), a(11))
    assert checked.removed == ("[b.txt:4]",)
    removed, narrowed = checked.notes
    assert "[b.txt:4]" in removed
    assert "[docs/a.md:8-22] to [docs/a.md:10-12] [docs/a.md:20-22]" in narrowed


def test_a_mark_that_only_citations_have_is_taken_out_where_nobody_knows_what_it_cites() -> None:
    shown = Evidence()
    shown.add(A, 1, 9)
    checked = check_citations("It is so\u30104:0\u2020source\u3011.", shown)
    assert checked.text == "It is so." and checked.removed
