"""Excerpts that a search has chosen are quoted whole, by the lines of their source."""

from prefect_governor.blocks.offline.answering import answer
from tests.unit.blocks.offline.texts import EXCERPTED


def excerpts(text: str, *ranges: tuple[int, int]) -> list[dict[str, str]]:
    lines = text.split("\n")
    documents = [
        f'<document key="docs/fees.md:{first}-{last}">\n'
        + "\n".join(lines[first - 1 : last])
        + "\n</document>"
        for first, last in ranges
    ]
    return [{"role": "user", "content": "\n\n".join(["Who pays?", *documents])}]


def test_excerpts_are_quoted_whole_in_their_order_by_the_lines_of_their_source() -> None:
    reply = answer(excerpts(EXCERPTED, (6, 9), (3, 4)), max_tokens=600)
    assert reply.text.split("\n") == [
        "From 2 excerpts, offline extract (no model was called):",
        '- [docs/fees.md:6-9] "Say until when: reconcile --complete-until NOW"',
        '- [docs/fees.md:3-4] "A call is charged. One that was cut off is charged at its bound."',
    ]


def test_of_too_many_excerpts_the_first_are_quoted() -> None:
    all_of_them = excerpts(EXCERPTED, (3, 4), (6, 9))
    reply = answer(all_of_them, max_tokens=50)
    assert (reply.finish_reason, reply.text.count("\n- ")) == ("stop", 1)
    assert "A call is charged" in reply.text
    assert answer(all_of_them, max_tokens=20).finish_reason == "length"
