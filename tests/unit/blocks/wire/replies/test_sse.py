"""Server-sent events are the same however their bytes are cut."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.blocks.wire.replies.sse import Event, EventSplitter

lines = st.lists(
    st.sampled_from([b"data: {}", b"data:[DONE]", b"data", b": ping", b"event: x", b"", b"id: 1"]),
    max_size=12,
)
ends = st.sampled_from([b"\n", b"\r\n", b"\r"])


def split(pieces: list[bytes]) -> list[Event]:
    splitter = EventSplitter()
    events = [event for piece in pieces for event in splitter.feed(piece)]
    return events + list(splitter.flush())


@given(lines=lines, end=ends, last=st.booleans(), cuts=st.lists(st.integers(0, 120), max_size=8))
def test_where_the_pieces_are_cut_changes_nothing(
    lines: list[bytes], end: bytes, last: bool, cuts: list[int]
) -> None:
    text = end.join(lines) + (end if last else b"")
    at = sorted({0, *(min(cut, len(text)) for cut in cuts), len(text)})
    pieces = [text[start:stop] for start, stop in pairwise(at)]
    expected = split([text])
    assert split(pieces) == expected
    assert split([text[index : index + 1] for index in range(len(text))]) == expected
    assert b"".join(event.raw for event in expected) == text


def test_data_of_several_lines_is_joined() -> None:
    assert [event.data for event in split([b"data: a\r\ndata:b\r\n\r\n: x\n\n"])] == [b"a\nb", None]


def test_an_event_is_given_as_soon_as_its_blank_line_is_there() -> None:
    splitter = EventSplitter()
    assert [event.data for event in splitter.feed(b"data: 1\n\nda")] == [b"1"]
    assert [event.data for event in splitter.feed(b"ta: 2\n\n")] == [b"2"]
