"""Samples: a language's text in one of its encodings, so many bytes of it."""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

# Bytes, and how many samples of so many.
SIZES = {100: 8, 1_000: 6, 10_000: 3, 100_000: 1}
# What people write where an encoding lacks the character, by its code point.
_INSTEAD = {
    0x2019: "'", 0x2018: "'", 0x201C: '"', 0x201D: '"', 0x201E: '"', 0x2013: "-", 0x2014: "-",
    0x2026: "...", 0x2022: "*", 0xA0: " ", 0xAB: '"', 0xBB: '"', 0x2BC: "'", 0x200C: " ",
    0x200E: "", 0x200F: "", 0x2212: "-", 0x219: "\u015f", 0x21B: "\u0163", 0x218: "\u015e",
    0x21A: "\u0162",
}  # fmt: skip


@dataclass(frozen=True)
class Sample:
    """`raw` is `text` in an encoding."""

    language: str
    encoding: str
    size: int
    text: str
    raw: bytes


def samples(language: str, encoding: str, paragraphs: list[str]) -> Iterator[Sample]:
    """Those of one language in one encoding, without those that are plain ASCII."""
    fit = _fit("\n".join(paragraphs), encoding)
    lines = [line for line in fit.split("\n") if line.strip()]
    for size, number in SIZES.items():
        for at in range(number):
            text = _of_size(lines, at * len(lines) // number, size, encoding)
            raw = text.encode(encoding)
            if not raw.isascii() or encoding.startswith("iso2022"):
                yield Sample(language, encoding, size, text, raw)


def _fit(text: str, encoding: str) -> str:
    """The text without what the encoding lacks."""
    made = []
    for each in unicodedata.normalize("NFC", text):
        for candidate in (each, _INSTEAD.get(ord(each), "")):
            try:
                candidate.encode(encoding)
            except UnicodeEncodeError:
                continue
            made.append(candidate)
            break
    return "".join(made)


def _of_size(lines: list[str], start: int, size: int, encoding: str) -> str:
    made: list[str] = []
    length, at = 0, start
    while length < size:
        made.append(lines[at % len(lines)] + "\n")
        length += len(made[-1].encode(encoding))
        at += 1
    text = "".join(made)
    while (over := len(text.encode(encoding)) - size) > 0:
        text = text[: -max(1, over // 3)]
    return text
