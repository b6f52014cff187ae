"""The citations in a text, in whatever form a model writes them. Pure.

One is asked for as `[source:12-18]`, or `[source:12]` for one line. Models also write several
sources or ranges in one bracket, `L12`, `lines 12 to 18`, `#L12-L18`, dashes of all kinds, blanks,
backticks, `【source†L12】`. All of these are read, and written again as they were asked for.
Brackets that are no citation (links, footnotes, times, ports) are none.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

_DASH = "-\u2010\u2011\u2012\u2013\u2014\u2015\u2212~"
_LINE = r"(?:lines?|ll?\.?|L|#L)?\s*"
_RANGE = re.compile(
    rf"\s*{_LINE}(\d{{1,9}})(?:\s*(?:[{_DASH}]+|\bto\b|\.\.\.?|…)\s*{_LINE}(\d{{1,9}}))?(?![\w.])",
    re.IGNORECASE,
)
# Between a source and its lines.
_MARK = re.compile(r"\s*[:#†,]\s*|\s+(?=(?:lines?|ll?\.?|L)\s*\d)", re.IGNORECASE)
_BETWEEN = re.compile(r"\s*(?:[,;&/]|\band\b)\s*", re.IGNORECASE)
_LEAD = re.compile(r"\s*(?:see|cf\.?|source|sources|ref)\b\s*:?\s*", re.IGNORECASE)
_SOURCE = re.compile(
    r"[^;\[\]【】†\n]+?(?=\s*[:#†]\s*(?:lines?|L|#L)?\s*\d|,?\s+(?:lines?|L)\s*\d)", re.I
)
# Around a source, or around all of it.
_QUOTES = "`'\"* \t<>\u201c\u201d\u2018\u2019"
_BRACKETS = re.compile(r"\[(?!\^)([^\[\]\n]{1,2000})\]|【([^【】\n]{1,2000})】")
# A page by its URL, with a path, so that a host and its port are none; its lines are the last
# number.
_URL = re.compile(
    rf"https?://[^\s/]+/[^\s]*?(?=\s*[:#†]\s*(?:lines?|L)?\s*\d+(?:\s*[{_DASH}]+\s*L?\d+)?"
    r"(?:$|[`'*>\s,;&]))",
    re.IGNORECASE,
)
_FILE_LIKE = re.compile(r"/|\\|\.\w{1,8}$")


@dataclass(frozen=True, slots=True, order=True)
class Citation:
    """Lines `first` to `last` (from 1, both included) of a source."""

    source: str
    first: int
    last: int

    def __str__(self) -> str:
        lines = f"{self.first}" if self.first == self.last else f"{self.first}-{self.last}"
        return f"[{self.source}:{lines}]"


@dataclass(frozen=True, slots=True)
class Cited:
    """A place in a text, `start` to `end`, where one or more citations stand, as `written`."""

    start: int
    end: int
    written: str
    citations: tuple[Citation, ...]


def cited_in(text: str, known: Collection[str] = ()) -> Iterator[Cited]:
    """Each place where something is cited, in order. `known` are names of sources: they are found
    whatever they hold, brackets and commas too; of others, only what looks like the name of one."""
    odd = sorted((name for name in known if "[" in name or "]" in name), key=len, reverse=True)
    names = sorted(known, key=len, reverse=True)
    at = 0
    while (opening := _next(text, at)) is not None:
        found = _of_odd(text, opening, odd) or _of_bracket(text, opening, names)
        if found is not None:
            yield found
        at = opening + 1 if found is None else found.end


def _next(text: str, at: int) -> int | None:
    places = [place for mark in "[【" if (place := text.find(mark, at)) >= 0]
    return min(places, default=None)


def _of_odd(text: str, at: int, odd: list[str]) -> Cited | None:
    """A bracket around a known source that has brackets in its name."""
    for name in odd:
        if not text.startswith(name, at + 1):
            continue
        mark = _MARK.match(text, at + 1 + len(name))
        lines = None if mark is None else _RANGE.match(text, mark.end())
        if lines is not None and text[lines.end() : lines.end() + 1] in ("]", "】"):
            end = lines.end() + 1
            return Cited(at, end, text[at:end], (_citation(name, lines),))
    return None


def _of_bracket(text: str, at: int, names: list[str]) -> Cited | None:
    match = _BRACKETS.match(text, at)
    if match is None:
        return None
    inside = match[1] if match[1] is not None else match[2]
    citations = _parsed(inside, names)
    if citations is None:
        # Only citations are written so; what this one means nobody knows.
        foreign = match[2] is not None and "†" in inside
        return Cited(at, match.end(), match[0], ()) if foreign else None
    return Cited(at, match.end(), match[0], tuple(dict.fromkeys(citations)))


def _parsed(inside: str, names: list[str]) -> list[Citation] | None:
    """The citations that a bracket holds; None where it holds anything else."""
    found: list[Citation] = []
    source: str | None = None
    rest = inside.strip(_QUOTES)
    while rest:
        if found:
            between = _BETWEEN.match(rest)
            if between is None:
                return None
            rest = rest[between.end() :].lstrip(_QUOTES)
            if not rest:
                return None
        lines = _RANGE.match(rest) if source is not None else None
        if lines is not None and _ends(rest, lines.end()):
            found.append(_citation(source or "", lines))
            rest = rest[lines.end() :].lstrip(_QUOTES)
            continue
        if (lead := _LEAD.match(rest)) is not None and not _starts(rest, names):
            rest = rest[lead.end() :].lstrip(_QUOTES)
        named = _named(rest, names)
        if named is None:
            return None
        source, rest = named
        lines = _RANGE.match(rest)
        if lines is None or not _ends(rest, lines.end()):
            return None
        found.append(_citation(source, lines))
        rest = rest[lines.end() :].lstrip(_QUOTES)
    return found or None


def _ends(rest: str, at: int) -> bool:
    after = rest[at:].lstrip(_QUOTES)
    return not after or _BETWEEN.match(after) is not None


def _starts(rest: str, names: list[str]) -> str | None:
    return next((name for name in names if rest.startswith(name)), None)


def _named(rest: str, names: list[str]) -> tuple[str, str] | None:
    """The source that stands first, and what stands after it and its mark."""
    for name in names:
        if rest.startswith(name):
            after = _unquoted(rest[len(name) :])
            if (mark := _MARK.match(after)) is not None:
                return name, after[mark.end() :]
    page = _URL.match(rest)
    match = page or _SOURCE.match(rest)
    if match is None:
        return None
    source = match[0].strip(_QUOTES)
    after = _unquoted(rest[match.end() :])
    mark = _MARK.match(after)
    if mark is None or not (page or _looks_like_one(source, after)):
        return None
    return source, after[mark.end() :]


def _unquoted(after: str) -> str:
    """Without what closes a quoted source; the blank before its lines stays."""
    return re.sub(r"^[`'\"*>\u201d\u2019]+", "", after)


def _looks_like_one(source: str, after: str) -> bool:
    """Of a name that nobody knows: a letter in it; and a name of a file, or a word whose lines
    follow at once, as a citation has them. `[at 12:30]`, `[note: 3]`, `[http://x:80]` are none."""
    if not re.search(r"[^\W\d_]", source) or "://" in source:
        return False
    if _FILE_LIKE.search(source):
        return True
    return not re.search(r"\s", source) and re.match(r"[:#†]\S", after) is not None


def _citation(source: str, lines: "re.Match[str]") -> Citation:
    return Citation(source, int(lines[1]), int(lines[2] or lines[1]))
