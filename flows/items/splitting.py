"""A text in parts that each fit a model. Pure; no character is lost."""

import re
from collections.abc import Callable, Iterator

# Where a cut hurts least, best first: after a blank line, a line, a sentence, a word.
_BOUNDARIES = (
    re.compile(r"\n[ \t]*\n+"),
    re.compile(r"\n"),
    re.compile(r"(?<=[.!?\u3002])[ \t]+"),
    re.compile(r"[ \t]+"),
)
# A better boundary is taken only if it leaves this share of the part that would fit.
_FULL_ENOUGH = 0.5
# To look for the very last character that fits takes three times as long as to within this part of
# as many characters as tokens fit.
_SLACK = 64


def split_text(
    text: str,
    *,
    max_tokens: int,
    count: Callable[[str], int],
    overlap_tokens: int = 0,
) -> Iterator[str]:
    """`text` in parts of at most `max_tokens` tokens by `count`, cut at the best boundary.

    With `overlap_tokens` 0 (the default) the parts joined are `text` again. Otherwise each part but
    the first begins with up to so many tokens of whole lines that end the part before. An empty
    text has no parts. Raises ValueError for `max_tokens` below 1, an overlap that is not below half
    of it, and a single character that does not fit.
    """
    if max_tokens < 1:
        raise ValueError(f"max_tokens must be at least 1, not {max_tokens}")
    if not 0 <= overlap_tokens * 2 < max(2, max_tokens):
        raise ValueError(
            f"overlap_tokens must be 0 or more and below half of {max_tokens}, not {overlap_tokens}"
        )
    return _parts(text, max_tokens, count, overlap_tokens)


def _parts(
    text: str, max_tokens: int, count: Callable[[str], int], overlap_tokens: int
) -> Iterator[str]:
    start = fresh = 0
    while fresh < len(text):
        end = _cut(text, start, fresh, max_tokens, count)
        if end <= fresh and start < fresh:
            # The overlap leaves no room for anything new.
            start = fresh
            continue
        if end <= fresh:
            raise ValueError(
                f"{text[start]!r} alone is more than {max_tokens} tokens; raise max_tokens"
            )
        yield text[start:end]
        start = end if overlap_tokens == 0 else _back(text, start, end, overlap_tokens, count)
        fresh = end


def _cut(text: str, start: int, fresh: int, max_tokens: int, count: Callable[[str], int]) -> int:
    """Where the part that begins at `start` ends; `fresh` or less if nothing new fits."""
    end = _furthest(text, start, max_tokens, count)
    if end >= len(text):
        return end
    least = max(fresh, start + int((end - start) * _FULL_ENOUGH))
    for boundary in _BOUNDARIES:
        places = [match.end() for match in boundary.finditer(text, least, end)]
        # A shorter text can count more tokens where a token is broken: such a place is passed over.
        for place in reversed(places):
            if place > fresh and count(text[start:place]) <= max_tokens:
                return place
    inside_line_end = text[end - 1 : end + 1] == "\r\n" and end - 1 > fresh
    if inside_line_end and count(text[start : end - 1]) <= max_tokens:
        return end - 1
    return end


def _furthest(text: str, start: int, max_tokens: int, count: Callable[[str], int]) -> int:
    """The largest end found whose text from `start` fits, but for a little where the part is long;
    `start` if no character does."""
    width = 4 * max_tokens
    while start + width < len(text) and count(text[start : start + width]) <= max_tokens:
        width *= 2
    low, high = start, min(len(text), start + width)
    if high == len(text) and count(text[start:]) <= max_tokens:
        # Of the rest nothing is left for a call of its own.
        return high
    slack = max_tokens // _SLACK
    while low < high and (low == start or high - low > slack):
        middle = (low + high + 1) // 2
        if count(text[start:middle]) <= max_tokens:
            low = middle
        else:
            high = middle - 1
    return low


def _back(text: str, start: int, end: int, overlap_tokens: int, count: Callable[[str], int]) -> int:
    """Where the next part begins, so that whole lines of this one are said again."""
    begin = end
    while (place := text.rfind("\n", start, begin - 1) + 1) > start:
        if count(text[place:end]) > overlap_tokens:
            break
        begin = place
    return begin
