"""Text out of bytes of any encoding; how it was told is said where it was not plain.

First what is declared (a byte order mark, XML, HTML, Python's comment, the server that sent it),
then UTF-8, also where a few bytes of it are broken, then a guess.
"""

from dataclasses import dataclass

from prefect_governor.blocks.errors import ItemFailed
from prefect_governor.flows.items.encodings.binary import is_binary
from prefect_governor.flows.items.encodings.declared import declared_in, marked
from prefect_governor.flows.items.encodings.guessing import guessed, shifts
from prefect_governor.flows.items.encodings.names import meant_by, name_of
from prefect_governor.flows.items.encodings.wide import wide_encoding

BINARY = "the file is binary, not text"
# So many characters of more than one byte for a byte that is not UTF-8 make it UTF-8: in other
# encodings such characters come about by chance, one in five of what is no ASCII at the most.
_GOOD_FOR_ONE_BAD = 4
_REPLACED = "\ufffd"


@dataclass(frozen=True)
class Decoded:
    """A text, the codec that it was read with, and what a person should know of it, None where
    nothing."""

    text: str
    encoding: str
    note: str | None = None


def decoded(raw: bytes, *, declared: str | None = None, encoding: str | None = None) -> Decoded:
    """The text of `raw`, without a byte order mark; its line ends are left as they are.

    Args:
        declared: the encoding that whoever sent it said, such as HTTP's charset.
        encoding: a codec that decides, whatever the bytes say.

    Raises ItemFailed for bytes that are no text.
    """
    if encoding is not None:
        return _as_told(raw, encoding)
    if (found := marked(raw)) is not None:
        codec, length = found
        return _replacing(raw[length:], codec, f"not all {codec.upper()}")
    if is_binary(raw):
        raise ItemFailed(BINARY)
    if b"\0" in raw and (wide := wide_encoding(raw)) is not None:
        return _replacing(raw, wide, f"not all {wide.upper()}", f"encoding guessed: {wide}")
    return _plain(raw, declared or declared_in(raw))


def _as_told(raw: bytes, encoding: str) -> Decoded:
    if is_binary(raw, encoding=encoding):
        raise ItemFailed(BINARY)
    return _replacing(raw, encoding, f"not all {encoding}", _looks_otherwise(raw, encoding))


def _looks_otherwise(raw: bytes, encoding: str) -> str | None:
    """What a person should know who told one encoding for files of which one is in another."""
    codec = name_of(encoding) or encoding
    mark = marked(raw)
    if mark is not None:
        by = mark[0]
    elif not raw.isascii() and _strictly(raw, "utf-8") is not None:
        by = "utf-8"
    else:
        return None
    # Any of UTF-16 reads its own mark; utf-8-sig is UTF-8.
    if by.startswith(codec) or codec.startswith(by):
        return None
    return f"read as {encoding}, as told, though by its bytes it is {by}"


def _plain(raw: bytes, declared: str | None) -> Decoded:
    """What has no mark and no zeros."""
    note = None
    utf8 = _strictly(raw, "utf-8")
    if declared is not None:
        codec = meant_by(declared)
        # What says that it is in UTF-16 and can be read so far is not (as browsers take it).
        codec = "utf-8" if codec is not None and codec.startswith(("utf-16", "utf-32")) else codec
        if codec is None:
            note = f"declared as {declared[:40]!r}, which is no encoding"
        elif utf8 is not None and not raw.isascii() and codec != "utf-8":
            # By chance nothing else is.
            return Decoded(utf8, "utf-8", f"declared as {codec}, read as the UTF-8 that it is")
        elif (text := _strictly(raw, codec)) is not None:
            return Decoded(text, codec)
        else:
            note = f"declared as {codec}, which it is not"
    if shifts(raw):
        found = _guess(raw)
        if found is not None:
            return found
    if utf8 is not None:
        return Decoded(utf8, "utf-8", note)
    found = _nearly_utf8(raw) or _guess(raw)
    if found is None:
        raise ItemFailed(BINARY)
    return Decoded(found.text, found.encoding, "; ".join(filter(None, (note, found.note))))


def _guess(raw: bytes) -> Decoded | None:
    codec = guessed(raw)
    if codec is None:
        return None
    return _replacing(raw, codec, f"not all {codec}", f"encoding guessed: {codec}")


def _nearly_utf8(raw: bytes) -> Decoded | None:
    """A text in UTF-8 of which some bytes are broken, or that was cut within a character."""
    text = raw.decode("utf-8", "replace")
    own = raw.count(_REPLACED.encode())
    bad = text.count(_REPLACED) - own
    good = sum(not each.isascii() for each in text) - bad
    return _replacing(raw, "utf-8", "not all UTF-8") if good >= _GOOD_FOR_ONE_BAD * bad else None


def _replacing(raw: bytes, codec: str, broken: str, note: str | None = None) -> Decoded:
    """Decoded, with what is broken replaced and counted."""
    text = _strictly(raw, codec)
    if text is None:
        text = raw.decode(codec, "replace")
        own = raw.count(_REPLACED.encode(codec)) if codec.startswith("utf") else 0
        count = text.count(_REPLACED) - own
        places = "1 place" if count == 1 else f"{count:,} places"
        said = f"{broken}: what is broken is replaced by {_REPLACED} in {places}"
        note = said if note is None else f"{note}; {said}"
    return Decoded(text.removeprefix("\ufeff"), codec, note)


def _strictly(raw: bytes, codec: str) -> str | None:
    try:
        return raw.decode(codec).removeprefix("\ufeff")
    except (UnicodeDecodeError, ValueError):
        return None
