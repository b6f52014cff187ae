"""What a text says of its own encoding: byte order marks, XML, HTML, Python's comment. Pure."""

import codecs
import re

from prefect_governor.flows.items.encodings.names import name_of

# UTF-32's begins as UTF-16's does.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Where a page must say it (https://html.spec.whatwg.org/multipage/semantics.html#charset).
_HEAD_BYTES = 1024
_XML = re.compile(rb"^\s*<\?xml\b[^>]*?\bencoding\s*=\s*[\"']([A-Za-z][\w.:-]*)[\"']")
_META = re.compile(rb"<meta\b[^>]*?\bcharset\s*=\s*[\"']?\s*([A-Za-z][\w.:-]*)", re.IGNORECASE)
_CSS = re.compile(rb'^@charset "([A-Za-z][\w.:-]*)";')
# PEP 263, in one of the first two lines.
_CODING = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-_.a-zA-Z0-9]+)")


def marked(raw: bytes) -> tuple[str, int] | None:
    """The encoding that a byte order mark tells, and the mark's length."""
    return next(((encoding, len(mark)) for mark, encoding in _MARKS if raw.startswith(mark)), None)


def declared_in(raw: bytes) -> str | None:
    """The name of the encoding that a text without a mark says it is in. What can be read as ASCII
    is in none that ASCII is no part of, such as EBCDIC, whatever a heading says."""
    name = _named_in(raw[:_HEAD_BYTES])
    return None if name is None or not _holds_ascii(name) else name


def _holds_ascii(name: str) -> bool:
    codec = name_of(name)
    if codec is None or codec.startswith(("utf-16", "utf-32")):
        # What these are taken for is told by who decodes it.
        return True
    try:
        return name.encode().decode(codec) == name
    except ValueError:
        return False


def _named_in(head: bytes) -> str | None:
    if found := _XML.search(head) or _CSS.search(head):
        return found[1].decode("ascii")
    if head.lstrip()[:1] == b"<" and (found := _META.search(head)):
        return found[1].decode("ascii")
    for line in head.split(b"\n", 2)[:2]:
        if found := _CODING.match(line):
            return found[1].decode("ascii")
        if line.strip() and not line.lstrip().startswith(b"#"):
            break
    return None
