"""The encoding that bytes look most like, where nothing says it and it is not UTF-8.

A detector's guess as it is: docs/decisions/items/0063-encodings.md has what was measured.
"""

import re

# What is never met in files today and short texts are taken for: EBCDIC, UTF-7, HZ.
_UNMET = (
    "cp1026", "cp1140", "cp273", "cp424", "cp500", "cp875", "hz", "utf-7",
)  # fmt: skip
# So few bytes tell nothing but what is commonest: Windows' encodings of Latin letters.
_SHORT_BYTES, _FEW = 64, 3
_LATIN = ("cp1252", "cp1250", "cp1254", "cp1257")
_OLD = ("cp437", "cp85", "cp86", "mac")
# A sign between letters, and those that do stand there: apostrophes, hyphens, dashes, ellipses.
_WITHIN_WORD = re.compile(r"(?<=[A-Za-z])([^\x00-\x7f])(?=[A-Za-z])")
_IN_WORDS = "\u2018\u2019\u00b4\u00ad\u2013\u2014\u2026\u00a0\u00b7"
_HIGH = bytes(range(128, 256))
_LETTER = re.compile(rb"[A-Za-z]")
# How a text in one of the encodings of ISO 2022, whose bytes are all ASCII, goes over to another
# set of characters.
_SHIFT = re.compile(rb"\x1b\$[@AB(]|\x1b\([IJ]|\x1b\$\)C")


def shifts(raw: bytes) -> bool:
    """Whether it is in an encoding whose bytes are ASCII and mean others: ISO 2022."""
    return _SHIFT.search(raw) is not None and raw.isascii()


def guessed(raw: bytes) -> str | None:
    """The codec's name; None where it looks like no text at all."""
    from chardet import detect

    high = len(raw) - len(raw.translate(None, _HIGH))
    few = len(raw) <= _SHORT_BYTES and high <= min(_FEW, len(_LETTER.findall(raw)) - 1)
    found = detect(
        raw,
        # All of it: else what stands further on may not be decoded by the answer.
        max_bytes=max(1, len(raw)),
        prefer_superset=False,
        compat_names=False,
        include_encodings=_LATIN if few else None,
        exclude_encodings=None if few else _UNMET,
    )
    return _or_windows(raw, found["encoding"])


def _or_windows(raw: bytes, guess: str | None) -> str | None:
    """The guess, but where an encoding of DOS or of old Macs puts a sign within a word, and that of
    Windows a letter: names in a few lines of a table tell a detector little."""
    if (
        guess is None
        or not guess.startswith(_OLD)
        or not _sign_in_word(raw.decode(guess, "replace"))
    ):
        return guess
    try:
        return guess if _sign_in_word(raw.decode(_LATIN[0])) else _LATIN[0]
    except UnicodeDecodeError:
        return guess


def _sign_in_word(text: str) -> bool:
    return any(
        not each[1].isalpha() and each[1] not in _IN_WORDS for each in _WITHIN_WORD.finditer(text)
    )
