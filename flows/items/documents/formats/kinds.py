"""What a file is: by its first bytes where they say it, else by its name. Pure."""

import re
import zlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from prefect_governor.flows.items.encodings.binary import SNIFFED_BYTES

Kind = Literal[
    "text",
    "pdf",
    "docx",
    "pptx",
    "xlsx",
    "doc",
    "ppt",
    "xls",
    "odt",
    "odp",
    "ods",
    "rtf",
    "epub",
    "email",
    "msg",
    "mhtml",
    "html",
    "notebook",
]

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
ZIP = (b"PK\x03\x04", b"PK\x05\x06")
GZIP = b"\x1f\x8b"
PDF = b"%PDF-"
RTF = b"{\\rtf"

# What a name says where the bytes do not.
SUFFIXES: Mapping[str, Kind] = MappingProxyType(
    {
        ".pdf": "pdf",
        ".docx": "docx",
        ".docm": "docx",
        ".dotx": "docx",
        ".dotm": "docx",
        ".pptx": "pptx",
        ".pptm": "pptx",
        ".ppsx": "pptx",
        ".potx": "pptx",
        ".xlsx": "xlsx",
        ".xlsm": "xlsx",
        ".doc": "doc",
        ".dot": "doc",
        ".ppt": "ppt",
        ".pps": "ppt",
        ".xls": "xls",
        ".odt": "odt",
        ".ott": "odt",
        ".odp": "odp",
        ".otp": "odp",
        ".ods": "ods",
        ".ots": "ods",
        ".rtf": "rtf",
        ".epub": "epub",
        ".eml": "email",
        ".msg": "msg",
        ".mht": "mhtml",
        ".mhtml": "mhtml",
        ".html": "html",
        ".htm": "html",
        ".xhtml": "html",
        ".ipynb": "notebook",
    }
)
# What people call them.
NAMES: Mapping[Kind, str] = MappingProxyType(
    {
        "text": "text",
        "pdf": "PDF",
        "docx": "Word document (.docx)",
        "pptx": "PowerPoint presentation (.pptx)",
        "xlsx": "Excel workbook (.xlsx)",
        "doc": "old Word document (.doc)",
        "ppt": "old PowerPoint presentation (.ppt)",
        "xls": "old Excel workbook (.xls)",
        "odt": "OpenDocument text",
        "odp": "OpenDocument presentation",
        "ods": "OpenDocument spreadsheet",
        "rtf": "RTF",
        "epub": "EPUB",
        "email": "email",
        "msg": "Outlook message",
        "mhtml": "MHTML",
        "html": "HTML",
        "notebook": "notebook",
    }
)
# Kinds that are a zip, a compound file: where the name says one and the bytes say neither, the file
# is broken, or something else.
ZIPPED: frozenset[Kind] = frozenset({"docx", "pptx", "xlsx", "odt", "odp", "ods", "epub"})
COMPOUND: frozenset[Kind] = frozenset({"doc", "ppt", "xls", "msg"})

_ARCHIVE = "an archive: unpack it first, and name the files in it"
_IMAGE = "an image: run it through OCR first"
_RECORDING = "audio or video: transcribe it first"
_DATA = "binary data: export it as text first"
_PROGRAM = "binary: no text for people is in it"
_APPLE = "an Apple iWork file: export it as PDF, or as .docx, .xlsx or .pptx"
_BOOK = "a Kindle or FictionBook file: convert it to .epub first (ebook-convert of Calibre)"
_PRINTED = "a printed page: convert it to PDF first"
_OLD = "a document that is read by its own program alone: save it as .docx or PDF first"
_MAILBOX = "a mailbox: export its messages as .eml or .msg first"
# Why files of these suffixes have no reader here.
UNREAD: Mapping[str, str] = MappingProxyType(
    {
        _ARCHIVE: ".7z .bz2 .cab .deb .dmg .egg .iso .jar .lz4 .rar .rpm .tar .tbz2 .tgz .txz .whl"
        " .xz .zip .zst",
        _IMAGE: ".avif .bmp .gif .heic .heif .ico .jp2 .jpeg .jpg .png .psd .tif .tiff .webp .raw"
        " .dng",
        _RECORDING: ".aac .aiff .avi .flac .flv .m4a .m4v .mkv .mov .mp3 .mp4 .mpeg .mpg .ogg .opus"
        " .wav .webm .wma .wmv",
        _DATA: ".accdb .arrow .avro .db .dbf .feather .h5 .hdf5 .mat .mdb .npy .npz .orc"
        " .pickle .pkl .rdata .rds .sas7bdat .sav .sqlite .sqlite3",
        _PROGRAM: ".a .bin .class .dll .dylib .eot .exe .lib .o .obj .otf .pyc .pyd .pyo .so .ttf"
        " .wasm .woff .woff2",
        _APPLE: ".key .numbers .pages",
        _BOOK: ".azw .azw3 .mobi",
        _PRINTED: ".djvu .oxps .ps .xps",
        _OLD: ".mpp .one .pub .vsd .vsdx .wpd .wps .xlsb",
        _MAILBOX: ".ost .pst",
    }
)
# Of these the bytes decide as well: text files have the same names (a private key, a log of one).
_ALSO_TEXT = frozenset(
    {".key", ".pages", ".numbers", ".ps", ".raw", ".one", ".sav", ".mat", ".pub"}
)
_REASONS: Mapping[str, str] = MappingProxyType(
    {suffix: reason for reason, suffixes in UNREAD.items() for suffix in suffixes.split()}
)
# What bytes without a reader begin with.
_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n", _IMAGE),
    (b"\xff\xd8\xff", _IMAGE),
    (b"GIF8", _IMAGE),
    (b"II*\0", _IMAGE),
    (b"MM\0*", _IMAGE),
    (b"7z\xbc\xaf\x27\x1c", _ARCHIVE),
    (b"Rar!\x1a\x07", _ARCHIVE),
    (b"BZh", _ARCHIVE),
    (b"\xfd7zXZ\0", _ARCHIVE),
    (b"\x28\xb5\x2f\xfd", _ARCHIVE),
    (b"ID3", _RECORDING),
    (b"OggS", _RECORDING),
    (b"fLaC", _RECORDING),
    (b"RIFF", _RECORDING),
    (b"\x1aE\xdf\xa3", _RECORDING),
    (b"SQLite format 3\0", _DATA),
    (b"PAR1", _DATA),
    (b"\x7fELF", _PROGRAM),
    (b"MZ", _PROGRAM),
)
_BOM = b"\xef\xbb\xbf"
_HTML = re.compile(
    rb"\s{0,99}(?:<\?xml[^>]{0,200}\?>\s{0,99})?<(?:!doctype\s+html|html)\b", re.IGNORECASE
)
_MIME = re.compile(rb"^MIME-Version:", re.IGNORECASE | re.MULTILINE)
# What the first members of a zipped document are called.
_OFFICE_PARTS = (
    b"mimetypeapplication/vnd.oasis.opendocument.",
    b"mimetypeapplication/epub+zip",
    b"[Content_Types].xml",
    b"_rels/.rels",
)

Container = Literal["zip", "compound", "gzip"]


def container_of(head: bytes) -> Container | None:
    """What a file whose members say what it is begins with."""
    if head.startswith(ZIP):
        return "zip"
    if head.startswith(OLE):
        return "compound"
    return "gzip" if head.startswith(GZIP) else None


def kind_of(suffix: str, head: bytes) -> Kind:
    """The kind of a file that is no container: its suffix (".doc") and its first bytes."""
    bare = head.removeprefix(_BOM).lstrip()
    if bare.startswith(PDF):
        return "pdf"
    if bare.startswith(RTF):
        return "rtf"
    said = SUFFIXES.get(suffix.lower(), "text")
    if said in COMPOUND or said == "rtf":
        # Programs write HTML, mail and plain text under such names.
        if _HTML.match(bare):
            return "html"
        return "mhtml" if _MIME.search(bare[:2000]) else "text"
    return said


def reason_unread(suffix: str, head: bytes, *, is_binary: bool) -> str | None:
    """Why a file with this suffix (".png"), whose first bytes are `head`, has no reader here, in
    words that say what would help; None for one that is read. `is_binary` says that `head` is no
    text."""
    suffix = suffix.lower()
    container = container_of(head)
    if suffix in SUFFIXES or container == "compound" or kind_of(suffix, head) in ("pdf", "rtf"):
        # Read, or a failure by name: whoever has such a file wants to know.
        return None
    if suffix in _REASONS and (is_binary or suffix not in _ALSO_TEXT):
        return _REASONS[suffix]
    if container == "zip":
        return None if any(part in head[:2000] for part in _OFFICE_PARTS) else _ARCHIVE
    if container == "gzip":
        return _reason_gzipped(head)
    return _reason_binary(head) if is_binary else None


def reason_named(suffix: str) -> str | None:
    """Why files of this suffix have no reader here; None where it says nothing."""
    return _REASONS.get(suffix.lower())


def reason_binary(suffix: str, head: bytes) -> str:
    """Why the bytes of a named file are no text, in words that say what would help."""
    return reason_named(suffix) or _reason_binary(head)


def _reason_gzipped(head: bytes) -> str | None:
    try:
        inner = zlib.decompressobj(31).decompress(head, SNIFFED_BYTES)
    except zlib.error:
        return None
    if inner[257:262] == b"ustar":
        return _ARCHIVE
    return _DATA if b"\0" in inner and container_of(inner) is None else None


def _reason_binary(head: bytes) -> str:
    for signature, reason in _SIGNATURES:
        if head.startswith(signature):
            return reason
    return _RECORDING if head[4:8] == b"ftyp" else "binary, and nothing here reads it"
