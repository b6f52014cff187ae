"""PDF, read by pypdf: its pages, form values and comments."""

import io
import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from prefect_governor.blocks.errors import ItemFailed
from prefect_governor.flows.items.documents.formats.document import Extracted, named

if TYPE_CHECKING:
    from pypdf import PdfReader

# Acrobat reads files that begin within so many bytes of their start (PDF 1.7, H.3, note 13).
_PREFIX = 1024
# Of what was read, so much without a meaning is a font that maps to no characters.
_MOST_GARBLED = 0.3
# Of one file's text: a small PDF may hold gigabytes of it.
_MOST_CHARACTERS = 50_000_000


def pdf(data: bytes) -> Extracted:
    """The text, page by page, then the values of its form and what was noted on it. Raises
    ItemFailed where it needs a password, and where no page holds text."""
    from pypdf import PasswordType, PdfReader

    # What it finds wrong in a file that it reads all the same is of no use to the run's reader.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    at = data.find(b"%PDF-", 0, _PREFIX + 5)
    if at < 0:
        raise ItemFailed("it does not begin like one")
    reader = PdfReader(io.BytesIO(data[at:]), strict=False)
    # Many files are encrypted under an empty password: they open for everybody.
    if reader.is_encrypted and reader.decrypt("") is PasswordType.NOT_DECRYPTED:
        raise ItemFailed(
            "it is protected by a password; save a copy without one (qpdf --decrypt --password=…)"
        )
    pages, broken = _pages(reader)
    without = [at for at, text in enumerate(pages, 1) if not text.strip() and at not in broken]
    more = [*_form(reader), *_comments(reader)]
    if not more and not any(text.strip() for text in pages):
        raise ItemFailed(_nothing(len(pages), broken))
    notes = []
    if without:
        notes.append(f"{_spans(without)} no text (scanned?)")
    if broken:
        first = min(broken)
        notes.append(f"{len(broken)} pages cannot be read (page {first}: {broken[first]})")
    notes += _remarks(reader, pages)
    return _joined(pages, more, tuple(notes))


def _nothing(pages: int, broken: dict[int, str]) -> str:
    if broken and len(broken) == pages:
        return f"none of its {pages} pages can be read: {broken[min(broken)]}"
    return f"its {pages} pages hold no text (a scan?); run it through OCR first"


def _pages(reader: "PdfReader") -> tuple[list[str], dict[int, str]]:
    """The text of each page, and by number those that cannot be read, with the reason."""
    texts: list[str] = []
    broken: dict[int, str] = {}
    size = 0
    for at in range(len(reader.pages)):
        try:
            text = reader.pages[at].extract_text()
        except (RecursionError, MemoryError):
            raise
        except Exception as error:
            # The library raises whatever a broken page makes it trip over.
            broken[at + 1] = " ".join(str(error).split())[:100] or type(error).__name__
            text = ""
        size += len(text)
        if size > _MOST_CHARACTERS:
            raise ItemFailed(f"it holds more than {_MOST_CHARACTERS:,} characters of text")
        texts.append(text.replace("\0", "\ufffd").strip("\n"))
    return texts, broken


def _form(reader: "PdfReader") -> list[str]:
    """The values of its form's fields, a line each."""
    lines = []
    for name, field in (reader.get_fields() or {}).items():
        value = field.get("/V")
        shown = _value(value)
        if shown and field.get("/FT") != "/Sig":
            lines.append(f"{field.get('/TU') or name}: {shown}")
    return ["Form fields:\n" + "\n".join(lines)] if lines else []


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(filter(None, map(_value, value)))
    shown = "" if value is None else str(value).strip()
    return "" if shown == "/Off" else shown.removeprefix("/")


def _comments(reader: "PdfReader") -> list[str]:
    lines = []
    for at, page in enumerate(reader.pages, 1):
        try:
            given = page.get("/Annots")
            annotations = [] if given is None else [each.get_object() for each in given]
            for each in annotations:
                said = str(each.get("/Contents") or "").strip()
                if said and each.get("/Subtype") in ("/Text", "/FreeText", "/Highlight", "/Stamp"):
                    who = str(each.get("/T") or "").strip()
                    lines.append(f"page {at}{f', {who}' if who else ''}: {said}")
        except (RecursionError, MemoryError):
            raise
        except Exception:
            # Comments of a broken page: its text says that it is broken.
            continue
    return ["Comments:\n" + "\n".join(lines)] if lines else []


def _remarks(reader: "PdfReader", pages: Sequence[str]) -> Iterator[str]:
    whole = "".join(pages)
    strange = sum(1 for each in whole if each == "\ufffd" or "\ue000" <= each <= "\uf8ff")
    if whole and strange > _MOST_GARBLED * len(whole):
        yield (
            "much of its text has no readable characters (a font that maps to none): run it through"
            " OCR"
        )
    try:
        attached = sorted({each.name for each in reader.attachment_list})
    except Exception:
        attached = []
    if attached:
        yield f"attached files are not read: {named(attached)}"
    if reader.xfa:
        yield "its form is one of Adobe's (XFA), of which no more than the pages is read"


def _spans(numbers: Sequence[int]) -> str:
    """Page numbers for people, and the verb: "pages 2 to 5 and 9 hold"."""
    spans: list[list[int]] = []
    for number in numbers:
        if spans and spans[-1][1] == number - 1:
            spans[-1][1] = number
        else:
            spans.append([number, number])
    shown = [f"{a}" if a == b else f"{a} to {b}" for a, b in spans]
    if len(numbers) == 1:
        return f"page {shown[0]} holds"
    last = shown.pop()
    return f"pages {', '.join(shown)}{' and ' if shown else ''}{last} hold"


def _joined(pages: Sequence[str], more: Sequence[str], notes: tuple[str, ...]) -> Extracted:
    starts: list[int] = []
    line = 1
    for text in pages:
        starts.append(line)
        line += text.count("\n") + 2
    return Extracted("\n\n".join((*pages, *more)), notes, tuple(starts))
