"""A document's text out of its bytes, by whatever reads its kind. Pure, but for the time it takes:
`workers.py` bounds that."""

import zlib
from collections.abc import Callable
from functools import partial
from pathlib import PurePath
from typing import TypeVar, get_args

from prefect_governor.blocks.errors import ItemFailed
from prefect_governor.flows.items.documents.formats.books import epub
from prefect_governor.flows.items.documents.formats.document import Document, Extracted, in_a_line
from prefect_governor.flows.items.documents.formats.embedded import without_embedded
from prefect_governor.flows.items.documents.formats.kinds import (
    NAMES,
    ZIPPED,
    Kind,
    container_of,
    kind_of,
    reason_binary,
)
from prefect_governor.flows.items.documents.formats.mail import eml, mhtml, msg
from prefect_governor.flows.items.documents.formats.markup import html
from prefect_governor.flows.items.documents.formats.notebooks import notebook
from prefect_governor.flows.items.documents.formats.office import (
    Office,
    compound_kind,
    office,
    pictures,
    zipped_kind,
)
from prefect_governor.flows.items.documents.formats.opendocument import opendocument
from prefect_governor.flows.items.documents.formats.pdf import pdf
from prefect_governor.flows.items.documents.formats.richtext import rich_text
from prefect_governor.flows.items.encodings import Decoded, decoded, is_binary
from prefect_governor.flows.items.encodings.binary import SNIFFED_BYTES

# What a compressed file may become, in bytes: what one that is not may be.
MAX_FILE_BYTES = 50 * 2**20

_Given = TypeVar("_Given")
_Found = TypeVar("_Found")

_READERS: dict[Kind, Callable[[bytes], Extracted]] = {
    "pdf": pdf,
    "odt": opendocument,
    "odp": opendocument,
    "ods": opendocument,
    "rtf": rich_text,
    "epub": epub,
    "email": eml,
    "msg": msg,
    "mhtml": mhtml,
    **{each: partial(office, kind=each) for each in get_args(Office)},
}
_OF_TEXT: dict[Kind, Callable[[str], Extracted]] = {"html": html, "notebook": notebook}


def is_plain(suffix: str, data: bytes) -> bool:
    """Whether a file is text that nothing has to be taken out of."""
    head = data[:SNIFFED_BYTES]
    return container_of(head) is None and kind_of(suffix, head) == "text"


def document_of(key: str, data: bytes, *, suffix: str, encoding: str | None = None) -> Document:
    """The text of a file's bytes. Its `suffix` (".html") says what cannot be told by them,
    `encoding` what a text is encoded in where that is known. CPU-bound.

    Raises ItemFailed, in words that say what would help, for what is binary, is broken, needs a
    password, unpacks to too much or holds no text.
    """
    if not data:
        raise ItemFailed("the file is empty")
    name = PurePath(key)
    head = data[:SNIFFED_BYTES]
    if container_of(head) == "gzip":
        data, suffix = _unzipped(data), name.with_suffix("").suffix
        head = data[:SNIFFED_BYTES]
    kind = _kind(suffix, data)
    extracted = _text(suffix, data, encoding) if kind == "text" else _read(kind, data, encoding)
    text, left_out = without_embedded(_clean(extracted.text))
    if not text.strip():
        raise ItemFailed(_nothing(kind, data))
    notes = (*extracted.notes, left_out) if left_out else extracted.notes
    return Document(key, text, kind, extracted.pages, tuple(map(in_a_line, notes)))


def _kind(suffix: str, data: bytes) -> Kind:
    head = data[:SNIFFED_BYTES]
    container = container_of(head)
    if container == "zip":
        return _guarded("file", lambda given: zipped_kind(given, suffix), data)
    if container == "compound":
        return _guarded("file", compound_kind, data)
    if container == "gzip":
        raise ItemFailed("it is compressed twice: unpack it first")
    kind = kind_of(suffix, head)
    if kind in ZIPPED:
        raise ItemFailed(f"the {NAMES[kind]} cannot be read: it does not begin like one (no zip)")
    return kind


def _unzipped(data: bytes) -> bytes:
    reader = zlib.decompressobj(31)
    try:
        found = reader.decompress(data, MAX_FILE_BYTES + 1)
    except zlib.error as error:
        raise ItemFailed(f"the gzip file cannot be read: {error}") from None
    if len(found) > MAX_FILE_BYTES:
        raise ItemFailed(
            f"the gzip file is too large: it unpacks to more than {MAX_FILE_BYTES:,} bytes"
        )
    if not reader.eof:
        raise ItemFailed("the gzip file cannot be read: it is cut off")
    if found[257:262] == b"ustar":
        raise ItemFailed("it is an archive: unpack it first, and name the files in it")
    return found


def _text(suffix: str, data: bytes, encoding: str | None) -> Extracted:
    head = data[:SNIFFED_BYTES]
    if encoding is None and is_binary(head):
        raise ItemFailed(f"the file is {reason_binary(suffix, head)}")
    return _extracted(decoded(data, encoding=encoding))


def _extracted(found: Decoded) -> Extracted:
    return Extracted(found.text, (found.note,) if found.note else ())


def _read(kind: Kind, data: bytes, encoding: str | None) -> Extracted:
    if kind in _OF_TEXT:
        if is_binary(data[:SNIFFED_BYTES]):
            raise ItemFailed(f"the {NAMES[kind]} is binary, not text")
        source = _extracted(decoded(data, encoding=encoding))
        found = _guarded(NAMES[kind], _OF_TEXT[kind], source.text)
        return Extracted(found.text, (*source.notes, *found.notes))
    return _guarded(NAMES[kind], _READERS[kind], data)


def _nothing(kind: Kind, data: bytes) -> str:
    if kind == "text":
        return "the file holds only white space"
    held = pictures(data) if kind in ("docx", "pptx") else 0
    more = f" but {held} pictures; run it through OCR first" if held else ""
    return f"the {NAMES[kind]} holds no text{more}"


def _clean(text: str) -> str:
    """What every consumer can take: one kind of line end, no NUL, nothing that UTF-8 refuses."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
    return text.encode("utf-8", "replace").decode("utf-8")


def _guarded(name: str, extract: Callable[[_Given], _Found], data: _Given) -> _Found:
    """Run an extraction library over a file that anybody may have made."""
    try:
        return extract(data)
    except ItemFailed as error:
        raise ItemFailed(f"the {name} cannot be read: {in_a_line(error)}") from None
    except RecursionError:
        raise ItemFailed(f"the {name} cannot be read: it is nested too deeply") from None
    except MemoryError:
        raise ItemFailed(f"the {name} cannot be read: it needs too much memory") from None
    except Exception as error:
        # The libraries raise whatever a broken file makes them trip over: KeyError, struct.error.
        reason = in_a_line(error, most=200) or type(error).__name__
        raise ItemFailed(f"the {name} cannot be read: {reason}") from error
    except BaseException as error:
        # What a library in Rust trips over is no Exception.
        if type(error).__name__ != "PanicException":
            raise
        raise ItemFailed(f"the {name} cannot be read: it is broken") from None
