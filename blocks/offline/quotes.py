"""What a passage is, and how running text is cut into sentences that remember their lines."""

import re
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

_BLANKS = re.compile(r"\s+")
# A sentence ends at its mark where what follows starts like a sentence; "e.g. Foo" does not.
_END = re.compile(
    r"(?<!\be\.g)(?<!\bi\.e)(?<!\betc)(?<!\bvs)(?<!\bcf)(?<!\bDr)(?<!\bMr)(?<!\bMs)(?<!\bNo)"
    r"[.!?][\"')\]*_`]*\s+(?=[\"'(\[*_`<]*[^\Wa-z_])|[\u3002\uff01\uff1f]\s*"
)
# A "sentence" longer than this is no sentence: a table, a dump, a minified file.
_LONGEST = 600


@dataclass(frozen=True)
class Quote:
    """The text at the lines `first` to `last` (from 1, both included), white space made single."""

    first: int
    last: int
    text: str


@dataclass(frozen=True)
class Passage:
    """One or more quotes that are shown together.

    `kind` is title, heading, doc, definition, field, sentence, item, row, comment, code or line;
    `context` names what it stands under: the headings above it, or the function it is in.
    """

    kind: str
    quotes: tuple[Quote, ...]
    context: str = ""

    @property
    def first(self) -> int:
        return self.quotes[0].first

    @property
    def last(self) -> int:
        return self.quotes[-1].last

    @property
    def text(self) -> str:
        return " ".join(quote.text for quote in self.quotes)


def one_line(text: str) -> str:
    """`text` with each run of white space made one blank, none at its ends."""
    return _BLANKS.sub(" ", text).strip()


def sentences(lines: Sequence[tuple[int, str]]) -> list[Quote]:
    """The sentences of numbered lines that belong together."""
    joined, starts, numbers = "", [], []
    for number, line in lines:
        text = one_line(line)
        if text:
            starts.append(len(joined))
            numbers.append(number)
            joined += text + " "
    found: list[Quote] = []
    begin = 0
    for end in [*(match.end() for match in _END.finditer(joined)), len(joined)]:
        for start in range(begin, end, _LONGEST):
            text = joined[start : min(start + _LONGEST, end)]
            if text.strip() and any(character.isalnum() for character in text):
                head = start + len(text) - len(text.lstrip())
                tail = start + len(text.rstrip()) - 1
                first = numbers[bisect_right(starts, head) - 1]
                last = numbers[bisect_right(starts, tail) - 1]
                found.append(Quote(first, last, text.strip()))
        begin = end
    return found
