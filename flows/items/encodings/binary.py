"""Whether bytes are no text. Pure."""

from prefect_governor.flows.items.encodings.declared import marked
from prefect_governor.flows.items.encodings.wide import wide_encoding

# As much of a file as tells what it is.
SNIFFED_BYTES = 8192
_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
# Control characters that no text holds; ESC and form feed do occur in logs and sources.
_CONTROLS = bytes({*range(32)} - {7, 8, 9, 10, 11, 12, 13, 27})
_MOST_CONTROLS = 20


def is_binary(raw: bytes, *, encoding: str | None = None) -> bool:
    """Whether bytes, or a file that begins with them, are no text: a NUL near the beginning, or
    many control characters.

    UTF-16 and UTF-32 are text: by their mark, by what they are made of, or where a person says so
    (`encoding`).
    """
    if encoding is not None and encoding.lower().replace("_", "-").startswith(("utf-16", "utf-32")):
        return False
    if marked(raw) is not None:
        return False
    if raw.startswith(_OLE):
        return True
    if b"\0" in raw[:SNIFFED_BYTES]:
        return wide_encoding(raw) is None
    controls = len(raw) - len(raw.translate(None, _CONTROLS))
    return controls * _MOST_CONTROLS > len(raw)
