"""Word, PowerPoint and Excel, today's and the old ones: read by office-oxide, which takes headers,
footers, notes, comments, tables and text boxes along."""

import re
from types import ModuleType
from typing import Literal

from prefect_governor.blocks.errors import ItemFailed
from prefect_governor.flows.items.documents.formats.document import Extracted, named
from prefect_governor.flows.items.documents.formats.kinds import OLE, Kind, reason_named
from prefect_governor.flows.items.documents.formats.zips import member, opened

Office = Literal["docx", "pptx", "xlsx", "doc", "ppt", "xls"]

_PARTS: tuple[tuple[str, Kind], ...] = (("word/", "docx"), ("ppt/", "pptx"), ("xl/", "xlsx"))
_STREAMS: tuple[tuple[str, Kind], ...] = (
    ("WordDocument", "doc"),
    ("PowerPoint Document", "ppt"),
    ("Workbook", "xls"),
    ("Book", "xls"),
    ("__properties_version1.0", "msg"),
)
_PASSWORD = "it is protected by a password; save a copy without one"

_TRACKED = re.compile(rb"<w:(?:ins|del|moveFrom|moveTo)\s")
_VANISHED = re.compile(rb"<w:vanish\s*/>")
_EMBEDDED = re.compile(r"^(?:word|ppt|xl)/embeddings/([^/]+)$")
_NUMBERED = re.compile(r"^## Slide \d+$|^---$", re.MULTILINE)
_MEDIA = re.compile(r"^(?:word|ppt|xl)/media/[^/]+$")
_SLIDE = re.compile(r"^ppt/slides/slide\d+\.xml$")
_HIDDEN_SLIDE = re.compile(rb"<p:sld\b[^>]*\sshow=\"(?:0|false)\"")


def compound_kind(data: bytes) -> Kind:
    """What a compound file (OLE) is. Raises ItemFailed for one that needs a password, and for one
    of another program."""
    import olefile

    with olefile.OleFileIO(data) as file:
        streams = {path[0] for path in file.listdir()}
    if "EncryptedPackage" in streams or "EncryptionInfo" in streams:
        raise ItemFailed(_PASSWORD)
    for stream, kind in _STREAMS:
        if stream in streams:
            return kind
    raise ItemFailed(
        "it is a file of an old program that is none of Word, PowerPoint, Excel and Outlook; save"
        " it as PDF or text first"
    )


def zipped_kind(data: bytes, suffix: str) -> Kind:
    """What a zipped document is; its suffix (".vsdx") names what none reads. Raises ItemFailed for
    an archive that is none."""
    with opened(data) as archive:
        names = archive.namelist()
        declared = member(archive, "mimetype").strip()
    for end, kind in (("text", "odt"), ("presentation", "odp"), ("spreadsheet", "ods")):
        if declared.startswith(b"application/vnd.oasis.opendocument." + end.encode()):
            return kind  # type: ignore[return-value]
    if declared == b"application/epub+zip" or "META-INF/container.xml" in names:
        return "epub"
    for part, office in _PARTS:
        if any(name.startswith(part) for name in names):
            return office
    if reason := reason_named(suffix):
        raise ItemFailed(f"it is {reason}")
    raise ItemFailed(
        f"it is an archive of {len(names):,} files ({named(names, most=3)}): unpack it first, and"
        " name the files in it"
    )


def office(data: bytes, kind: Office) -> Extracted:
    """The text of an office file of this kind, as Markdown. Raises ItemFailed where it has none."""
    office_oxide = _library()
    notes = () if data.startswith(OLE) else _notes(data, kind)
    try:
        with office_oxide.Document.from_bytes(data, kind) as document:
            text = document.to_markdown()
    except office_oxide.OfficeOxideError as error:
        reason = " ".join(str(error).split())
        if "encrypt" in reason.lower() or "password" in reason.lower():
            raise ItemFailed(_PASSWORD) from None
        raise
    # A deck without words has its slides' numbers still.
    worded = text if _NUMBERED.sub("", text).strip() else ""
    return Extracted(worded.replace("\0", ""), notes)


def _library() -> ModuleType:
    """What reads them. Raises ItemFailed where it cannot be loaded on this system."""
    try:
        import office_oxide
    except ImportError as error:
        raise ItemFailed(
            f"office-oxide, which reads it, does not load on this system ({error}): its wheels need"
            " glibc 2.34 (Debian 12, RHEL 9, Ubuntu 22.04) or later, and building it elsewhere"
            " needs Rust; or save the file as PDF or text"
        ) from None
    return office_oxide


def _notes(data: bytes, kind: Kind) -> tuple[str, ...]:
    found = []
    with opened(data) as archive:
        names = archive.namelist()
        embedded = [match[1] for name in names if (match := _EMBEDDED.match(name))]
        if kind == "docx":
            body = member(archive, "word/document.xml")
            if _TRACKED.search(body):
                found.append("tracked changes are read as accepted")
            if _VANISHED.search(body):
                found.append("hidden text is left out")
        if kind == "pptx":
            slides = [name for name in names if _SLIDE.match(name)]
            hidden = [each for each in slides if _HIDDEN_SLIDE.search(member(archive, each))]
            if hidden:
                found.append(f"{len(hidden)} hidden slides are read as the others")
    if embedded:
        found.append(f"embedded files are not read: {named(embedded)}")
    return tuple(found)


def pictures(data: bytes) -> int:
    """How many pictures a zipped office file holds."""
    with opened(data) as archive:
        return sum(1 for name in archive.namelist() if _MEDIA.match(name))
