"""An item's text: read from its file, decoded, and taken out of PDF, DOCX and HTML.

Blocking: call it in a worker thread. Whatever keeps a file from being read is an `ItemFailed` that
names the reason, so that one bad file is one failed item.
"""

import codecs
import io
import logging
import re
import stat
import zipfile
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal

from prefect_governor.blocks.errors import ItemFailed
from prefect_governor.blocks.workspaces.bounds import BOUNDS, WorkspaceBounds
from prefect_governor.flows.items.reading import AS_IT_IS, Reading
from prefect_governor.flows.items.trees import tree_text

if TYPE_CHECKING:
    from prefect_governor.flows.items.item import Item

Kind = Literal["text", "pdf", "docx", "html"]

MAX_FILE_BYTES = 50 * 2**20
# A DOCX is a zip: this bounds what it may become in memory.
MAX_UNPACKED_BYTES = 4 * MAX_FILE_BYTES
SNIFFED_BYTES = 8192

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_COMMONEST = "cp1252"
_HTML = frozenset({".html", ".htm", ".xhtml"})
_XML_PROLOG = re.compile(rb"^\s*<\?xml[^>]*\?>")
# Control characters that no text holds; ESC and form feed do occur in logs and sources.
_CONTROLS = bytes({*range(32)} - {7, 8, 9, 10, 11, 12, 13, 27})
_MANY_BLANK_LINES = re.compile(r"\n{3,}")


@dataclass(frozen=True)
class Document:
    """An item's text. `pages` holds the line on which each page begins; empty without pages.
    `notes` are what a person should know of how it was read, a line each."""

    key: str
    text: str
    kind: Kind = "text"
    pages: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()

    def page_of(self, line: int) -> int | None:
        """The page, from 1, that a line, from 1, stands on."""
        return bisect_right(self.pages, line) or None


def read_text(
    item: "Item",
    *,
    max_bytes: int = MAX_FILE_BYTES,
    bounds: WorkspaceBounds = BOUNDS,
    reading: Reading = AS_IT_IS,
) -> Document:
    """The item's own text, else that of the file it names, as `reading` says; of a folder, which
    may hold as much as `bounds` say, the names in it.

    Raises ItemFailed where there is none: the file is gone, may not be read, is no regular file, is
    larger than `max_bytes`, is binary, needs a password, holds no text, or is empty.
    """
    if item.text is not None:
        if not item.text.strip():
            raise ItemFailed("the item's text is empty")
        return Document(item.key, item.text, notes=item.notes)
    if item.folder is not None:
        return Document(item.key, tree_text(Path(item.folder), bounds))
    if item.source is None:
        raise ItemFailed("the item has neither a text nor a file")
    path = Path(item.source)
    data = _bytes_of(path, max_bytes)
    document = document_of(item.key, data, suffix=path.suffix, reading=reading)
    return replace(document, notes=(*item.notes, *document.notes)) if item.notes else document


def _bytes_of(path: Path, max_bytes: int) -> bytes:
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise ItemFailed("it is a folder, not a file")
        if not stat.S_ISREG(found.st_mode):
            raise ItemFailed("it is not a regular file")
        with path.open("rb") as file:
            # One byte more than allowed tells a file that has grown since.
            data = file.read(max_bytes + 1)
    except FileNotFoundError:
        raise ItemFailed("the file is gone") from None
    except PermissionError:
        raise ItemFailed("permission denied: the file may not be read by this user") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ItemFailed(f"the file cannot be read: {reason}") from None
    if len(data) > max_bytes:
        raise ItemFailed(
            f"the file is too large: {max(found.st_size, len(data)):,} bytes,"
            f" at most {max_bytes:,} are read"
        )
    if not data:
        raise ItemFailed("the file is empty")
    return data


def document_of(key: str, data: bytes, *, suffix: str, reading: Reading = AS_IT_IS) -> Document:
    """The text of a file's bytes, as `reading` says; its `suffix` (".html") says what cannot be
    told by them. Raises ItemFailed as `read_text`."""
    document = _document(key, suffix.lower(), data)
    if not document.text.strip():
        raise ItemFailed("the file holds only white space")
    return document


def _document(key: str, suffix: str, data: bytes) -> Document:
    if data.lstrip()[:5] == b"%PDF-":
        text, pages = _guarded("PDF", _pdf, data)
        return Document(key, text, "pdf", pages)
    if suffix == ".pdf":
        raise ItemFailed("the PDF cannot be read: it does not begin like one")
    if suffix == ".docx":
        return Document(key, _guarded("DOCX", _docx, data), "docx")
    if suffix in _HTML:
        return Document(key, _guarded("HTML", _html, data), "html")
    return Document(key, decode(data))


def _guarded(name: str, extract: Callable[[bytes], Any], data: bytes) -> Any:
    """Run an extraction library over a file that anybody may have made."""
    try:
        return extract(data)
    except ItemFailed:
        raise
    except RecursionError:
        raise ItemFailed(f"the {name} cannot be read: it is nested too deeply") from None
    except MemoryError:
        raise ItemFailed(f"the {name} cannot be read: it needs too much memory") from None
    except Exception as error:
        # The libraries raise whatever a broken file makes them trip over: KeyError, struct.error.
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ItemFailed(f"the {name} cannot be read: {reason}") from error


def decode(data: bytes) -> str:
    """Text of any encoding: by its byte order mark, as UTF-8, else as it looks most like.

    Line ends become `\\n`. Raises ItemFailed for bytes that are no text.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            try:
                return _clean(data.decode(encoding))
            except UnicodeDecodeError:
                break
    if looks_binary(data[:SNIFFED_BYTES]):
        raise ItemFailed("the file is binary, not text")
    try:
        return _clean(data.decode(_utf16_by_zeros(data) or "utf-8"))
    except UnicodeDecodeError:
        pass
    from charset_normalizer import from_bytes

    matches = list(from_bytes(data))
    if not matches:
        raise ItemFailed("the file's text is in no encoding that can be told; save it as UTF-8")
    best = matches[0]
    alike = [
        each for each in matches if (each.chaos, each.coherence) == (best.chaos, best.coherence)
    ]
    # Among those that look as good, or where no language was recognized, the commonest by far.
    if best.coherence == 0 or any(each.encoding == _COMMONEST for each in alike):
        try:
            return _clean(data.decode(_COMMONEST))
        except UnicodeDecodeError:
            pass
    return _clean(str(best))


def looks_binary(head: bytes) -> bool:
    """Whether a file that begins with `head` is no text: a NUL or many control characters.

    UTF-16 and UTF-32 are text: by their mark, or by a zero in every other byte.
    """
    if any(head.startswith(mark) for mark, _ in _BOMS) or _utf16_by_zeros(head):
        return False
    if head.startswith(_OLE) or b"\0" in head:
        return True
    controls = len(head) - len(head.translate(None, _CONTROLS))
    return controls * 20 > len(head)


def _utf16_by_zeros(data: bytes) -> str | None:
    """UTF-16 without a mark: mostly-Latin text has its zeros on one side of each pair."""
    head = data[:SNIFFED_BYTES]
    pairs = len(head) // 2
    if pairs < 2 or len(data) % 2:
        return None
    low, high = head[0::2].count(0), head[1::2].count(0)
    if high * 2 > pairs and low == 0:
        return "utf-16-le"
    return "utf-16-be" if low * 2 > pairs and high == 0 else None


def _clean(text: str) -> str:
    """What every consumer can take: one kind of line end, no NUL, nothing that UTF-8 refuses."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
    return text.encode("utf-8", "replace").decode("utf-8")


def _pdf(data: bytes) -> tuple[str, tuple[int, ...]]:
    from pypdf import PasswordType, PdfReader

    # What it finds wrong in a file that it reads all the same is of no use to the run's reader.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    reader = PdfReader(io.BytesIO(data), strict=False)
    # Many files are encrypted under an empty password: they open for everybody.
    if reader.is_encrypted and reader.decrypt("") is PasswordType.NOT_DECRYPTED:
        raise ItemFailed("the PDF is protected by a password; save a copy without one")
    parts: list[str] = []
    starts: list[int] = []
    line = 1
    for page in reader.pages:
        text = _clean(page.extract_text()).strip("\n")
        starts.append(line)
        parts.append(text)
        line += text.count("\n") + 2
    joined = "\n\n".join(parts)
    if not joined.strip():
        raise ItemFailed(
            f"the PDF's {len(parts)} pages hold no text (a scan?); run it through OCR first"
        )
    return joined, tuple(starts)


def _docx(data: bytes) -> str:
    if data.startswith(_OLE):
        raise ItemFailed(
            "the DOCX is protected by a password or in the old .doc format; save it as plain .docx"
        )
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        unpacked = sum(part.file_size for part in archive.infolist())
    if unpacked > MAX_UNPACKED_BYTES:
        raise ItemFailed(
            f"the DOCX is too large: {unpacked:,} bytes unpacked,"
            f" at most {MAX_UNPACKED_BYTES:,} are read"
        )
    import mammoth

    file: IO[bytes] = io.BytesIO(data)
    result = mammoth.convert_to_html(file, convert_image=lambda image: [])
    text = _markdown_of(result.value)
    if not text:
        raise ItemFailed("the DOCX holds no text")
    return text


def _html(data: bytes) -> str:
    if looks_binary(data[:SNIFFED_BYTES]):
        raise ItemFailed("the HTML is binary, not text")
    # The prolog of XHTML only makes the parser warn.
    text = _markdown_of(_XML_PROLOG.sub(b"", data, count=1))
    if not text:
        raise ItemFailed("the HTML holds no text (a page that scripts fill?)")
    return text


def _markdown_of(markup: str | bytes) -> str:
    """HTML as Markdown, which keeps headings, lists and tables for whoever reads it."""
    from bs4 import BeautifulSoup
    from markdownify import MarkdownConverter

    soup = BeautifulSoup(markup, "html.parser")
    title = soup.title.get_text(" ", strip=True) if soup.title else ""
    titled = soup.find("h1") is not None
    for unread in soup(["script", "style", "noscript", "template", "head", "svg"]):
        unread.decompose()
    body = MarkdownConverter(heading_style="ATX").convert_soup(soup)
    text = _MANY_BLANK_LINES.sub("\n\n", _clean(body)).strip()
    return f"# {title}\n\n{text}".strip() if title and text and not titled else text
