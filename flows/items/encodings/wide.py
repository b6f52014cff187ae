"""UTF-16 and UTF-32 without a mark, told from binary. Pure."""

import unicodedata

_WIDE = (("utf-32-le", 4), ("utf-32-be", 4), ("utf-16-le", 2), ("utf-16-be", 2))
# As much as tells, in bytes.
_LOOKED_AT = 16384
# What no text is made of: unassigned, for private use, halves of characters, controls.
_ODD = frozenset({"Cn", "Co", "Cs", "Cc"})
_LINES = "\t\n\r\f"
# Of texts in 200 languages at most one character in fifty is odd; of other bytes every third.
_MOST_ODD = 0.05
# Scripts of a text stand together: bytes by chance spread over the whole of Unicode.
_MOST_PAGES_A_CHARACTER = 0.5


def wide_encoding(raw: bytes) -> str | None:
    """The encoding of a text in UTF-16 or UTF-32 that does not say so; None for anything else.

    Its spaces, line ends and digits have zeros on one side of them; bytes that are no text make
    characters that nobody assigned.
    """
    head = raw[:_LOOKED_AT]
    if b"\0" not in head:
        return None
    found = [
        (score, encoding)
        for encoding, width in _WIDE
        if len(raw) % width == 0 and (score := _likeness(head, encoding)) is not None
    ]
    return max(found)[1] if found else None


def _likeness(head: bytes, encoding: str) -> float | None:
    """How much like a text it is so, None for not at all."""
    try:
        text = head.decode(encoding)
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:
            return None
        text = head[: error.start].decode(encoding)
    if not text or "\0" in text:
        return None
    odd = sum(unicodedata.category(each) in _ODD and each not in _LINES for each in text)
    pages = len({ord(each) >> 8 for each in text})
    plain = sum(each in " \t\r\n" or (each.isascii() and each.isalnum()) for each in text)
    if odd > _MOST_ODD * len(text) or (not plain and len(text) > 1):
        return None
    if pages > 2 + _MOST_PAGES_A_CHARACTER * len(text):
        return None
    return (plain - 2 * odd - pages) / len(text)
