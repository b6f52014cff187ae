"""A text's passages: the sentences, headings and definitions that may be quoted from it.

Pure. Lines are counted from 1 and end at `\\n`, `\\r\\n` or `\\r`, as editors count them. A quote
is what stands at its lines, with each run of white space made one blank.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from prefect_governor.blocks.offline.python_source import python_passages
from prefect_governor.blocks.offline.quotes import Passage, Quote, one_line, sentences

__all__ = [
    "LONGEST_PARAGRAPH",
    "Passage",
    "Quote",
    "Shape",
    "lines_of",
    "paragraphs_of",
    "passages_of",
    "shape_of",
]

# Characters of a paragraph, if its sentences allow it.
LONGEST_PARAGRAPH = 480
# How many lines below its colon what is announced may begin: a blank one, and the mark of a fence.
_ANNOUNCED = 3

Shape = Literal["python", "markdown", "lines", "prose"]

_PYTHON = (".py", ".pyi", ".pyw")
_MARKED_UP = (".md", ".markdown", ".mdx", ".rst", ".html", ".htm", ".docx")
_BY_LINE = (
    *(".toml", ".yaml", ".yml", ".json", ".jsonl", ".ini", ".cfg", ".conf", ".env", ".csv", ".tsv"),
    *(".sh", ".bash", ".js", ".ts", ".jsx", ".tsx", ".go", ".rs", ".java", ".c", ".h", ".cpp"),
    *(".cs", ".rb", ".php", ".sql", ".lua", ".swift", ".kt", ".scala", ".log", ".lock", ".xml"),
)
_LOOKS_PYTHON = re.compile(r"^(?:async def |def |class )\w+.*:|^(?:from [\w.]+ )?import \w", re.M)
_ATX = re.compile(r"^ {0,3}(#{1,6})[ \t]+(.*\S)")
_UNDERLINE = re.compile(r"^ {0,3}(=+|-+|~+|\^+)[ \t]*$")
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})")
_ITEM = re.compile(r"^[ \t]*(?:[-*+]|\d{1,4}[.)])[ \t]+(?=\S)")
_BADGE = re.compile(r"^\s*(?:\[?!\[|<(?!https?:)[a-zA-Z/!])")
_SETTING = re.compile(r"^\s*[\w.\"'\[\]-]+\s*[:=]")
_DEFINES = re.compile(
    r"^\s*(?:export |pub |public |static |async |abstract |final )*"
    r"(?:func|function|fn|class|struct|enum|trait|interface|impl|type|module|CREATE TABLE)\b"
)
_COMMENT = re.compile(r"^\s*(?:#|//|--|/\*+|\*|;)\s*(?=\w)")


def lines_of(text: str) -> list[str]:
    """The text's lines as an editor numbers them; line 1 is element 0."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def shape_of(text: str, name: str = "") -> Shape:
    """How the text is to be read, by its name's suffix, else by what it looks like."""
    suffix = name.lower()
    if suffix.endswith(_PYTHON):
        return "python"
    if suffix.endswith(_MARKED_UP):
        return "markdown"
    if suffix.endswith(_BY_LINE):
        return "lines"
    if len(_LOOKS_PYTHON.findall(text)) > 1:
        return "python"
    if any(_ATX.match(line) for line in lines_of(text)):
        return "markdown"
    return "prose"


def passages_of(text: str, name: str = "") -> list[Passage]:
    """The passages of `text`, in the order of their lines; empty where it holds only blanks."""
    lines = lines_of(text)
    shape = shape_of(text, name)
    found: list[Passage] | None = None
    if shape == "python":
        found = python_passages(lines)
        shape = "lines" if found is None else shape
    if shape == "markdown":
        found = list(_markdown(lines))
    elif shape == "lines":
        found = list(_by_line(lines))
    elif shape == "prose":
        found = list(_prose(lines))
    return sorted(found or [], key=lambda passage: (passage.first, passage.last))


def paragraphs_of(text: str, name: str = "") -> list[Passage]:
    """The passages of `text` that belong together as one each: what stands under one heading
    without a blank line between, up to `LONGEST_PARAGRAPH` characters. A sentence says what it says
    beside those around it; a row of a table stands alone; what ends with a colon goes with what it
    announces."""
    found: list[list[Passage]] = []
    for passage in passages_of(text, name):
        if found and _go_together(found[-1], passage):
            found[-1].append(passage)
        else:
            found.append([passage])
    return [_joined(parts) for parts in found]


def _go_together(parts: Sequence[Passage], passage: Passage) -> bool:
    last = parts[-1]
    apart = {"title", "heading", "row"}
    if last.kind in apart or passage.kind in apart or last.context != passage.context:
        return False
    gap = _ANNOUNCED if last.text.endswith(":") else 1
    length = sum(len(each.text) for each in parts) + len(passage.text)
    return passage.first <= last.last + gap and length <= LONGEST_PARAGRAPH


def _joined(parts: Sequence[Passage]) -> Passage:
    kind = max(parts, key=lambda each: len(each.text)).kind
    return Passage(kind, tuple(quote for each in parts for quote in each.quotes), parts[0].context)


def _by_line(lines: Sequence[str]) -> Iterator[Passage]:
    for number, line in enumerate(lines, 1):
        text = one_line(line)
        if not any(character.isalnum() for character in text):
            continue
        if _DEFINES.match(line):
            kind = "definition"
        else:
            kind = "comment" if _COMMENT.match(line) else "line"
        yield Passage(kind, (Quote(number, number, text),))


def _prose(lines: Sequence[str]) -> Iterator[Passage]:
    for block in _blocks(lines):
        texts = [text for _, text in block]
        settings = sum(bool(_SETTING.match(text)) for text in texts)
        unended = sum(len(text) < 60 and text.rstrip()[-1:] not in ".!?:;," for text in texts)
        if len(texts) > 1 and max(settings, unended) * 2 > len(texts):
            for number, text in block:
                yield Passage("line", (Quote(number, number, one_line(text)),))
        else:
            for quote in sentences(block):
                yield Passage("sentence", (quote,))


def _blocks(lines: Sequence[str]) -> Iterator[list[tuple[int, str]]]:
    """Runs of lines without a blank one between them, numbered."""
    block: list[tuple[int, str]] = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            block.append((number, line))
        elif block:
            yield block
            block = []
    if block:
        yield block


class _Outline:
    """The headings above a line of Markdown."""

    def __init__(self) -> None:
        self._open: list[tuple[int, str]] = []
        self._titled = False

    def enter(self, level: int, text: str) -> str:
        """Go below a heading; `title` for the first one, `heading` for the others."""
        self._open = [(above, name) for above, name in self._open if above < level]
        self._open.append((level, text))
        kind = "heading" if self._titled else "title"
        self._titled = True
        return kind

    @property
    def path(self) -> str:
        return " > ".join(text for _, text in self._open)


def _markdown(lines: Sequence[str]) -> Iterator[Passage]:
    outline = _Outline()
    at = _after_front_matter(lines)
    block: list[tuple[int, str]] = []
    while at < len(lines):
        line = lines[at]
        fence, atx = _FENCE.match(line), _ATX.match(line)
        underlined = bool(block) and len(block) == 1 and _UNDERLINE.match(line)
        if underlined and not _ITEM.match(block[0][1]) and "|" not in block[0][1]:
            number, text = block.pop()
            level = 1 if line.strip()[0] == "=" else 2
            yield _heading(outline, level, number, text)
        elif fence or atx or not line.strip():
            yield from _paragraph(block, outline.path)
            block = []
            if fence:
                end = _fence_end(lines, at, fence.group(1))
                yield from _fenced(lines[at + 1 : end], at + 2, outline.path)
                at = end
            elif atx:
                text = re.sub(r"[ \t]#+$", "", atx.group(2))
                yield _heading(outline, len(atx.group(1)), at + 1, text)
        else:
            block.append((at + 1, line))
        at += 1
    yield from _paragraph(block, outline.path)


def _heading(outline: _Outline, level: int, number: int, text: str) -> Passage:
    text = one_line(text)
    context = outline.path
    return Passage(outline.enter(level, text), (Quote(number, number, text),), context)


def _after_front_matter(lines: Sequence[str]) -> int:
    if lines[:1] != ["---"]:
        return 0
    return next((at + 1 for at, line in enumerate(lines[1:60], 1) if line.strip() == "---"), 0)


def _fence_end(lines: Sequence[str], start: int, mark: str) -> int:
    """Where the fence that opens at `start` closes; the text's end where it never does."""
    return next(
        (
            at
            for at in range(start + 1, len(lines))
            if lines[at].strip().startswith(mark) and not lines[at].strip().strip(mark[0])
        ),
        len(lines),
    )


def _fenced(lines: Sequence[str], first: int, context: str) -> Iterator[Passage]:
    for block in _blocks(lines):
        for start in range(0, len(block), 4):
            part = block[start : start + 4]
            text = one_line(" ".join(text for _, text in part))
            quote = Quote(first + part[0][0] - 1, first + part[-1][0] - 1, text)
            yield Passage("code", (quote,), context)


def _paragraph(block: Sequence[tuple[int, str]], context: str) -> Iterator[Passage]:
    """A paragraph, list, quotation or table between two blank lines."""
    if len(block) > 1 and "|" in block[0][1] and _rules_a_table(block[1][1]):
        header = one_line(block[0][1])
        for number, text in block[2:]:
            row = Quote(number, number, one_line(text).strip("| ") or one_line(text))
            # The columns' names are for the ranking; a reader sees only what stands above them.
            yield Passage("row", (row,), f"{context}\n{header}")
        return
    for run in _runs(block):
        if _BADGE.match(run[0][1]):
            continue
        if _ITEM.match(run[0][1]):
            kind, start = "item", [(run[0][0], _ITEM.sub("", run[0][1], count=1)), *run[1:]]
        else:
            kind, start = "sentence", [(number, text.lstrip("> \t")) for number, text in run]
        for quote in sentences(start):
            yield Passage(kind, (quote,), context)


def _rules_a_table(line: str) -> bool:
    return "|" in line and "-" in line and not line.strip(" \t:|-")


def _runs(block: Iterable[tuple[int, str]]) -> Iterator[list[tuple[int, str]]]:
    run: list[tuple[int, str]] = []
    for number, text in block:
        if run and (_ITEM.match(text) or _BADGE.match(text) or _BADGE.match(run[-1][1])):
            yield run
            run = []
        run.append((number, text))
    if run:
        yield run
