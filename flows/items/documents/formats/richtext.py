"""RTF, read by striprtf."""

import re

from prefect_governor.flows.items.documents.formats.document import Extracted

# striprtf leaves out what these hold; as plain groups they are read where they stand.
_MARGINS = re.compile(r"\\(?:header|footer|footnote|annotation)[lrf]?(?![a-z])")
# An escaped one is none.
_BRACES = re.compile(r"\\.|[{}]", re.DOTALL)
# What it takes for text: a font's or a picture's bytes, which can be megabytes.
_BYTES = re.compile(r"[0-9a-fA-F\s]{4000,}")


def rich_text(data: bytes) -> Extracted:
    """The text, with headers, footers and footnotes where they stand."""
    from striprtf.striprtf import rtf_to_text

    # RTF is ASCII; what is not is escaped by its own code page.
    source = _with_margins(data.decode("latin-1"))
    plain = _BYTES.sub(" ", source)
    text: str = rtf_to_text(plain, errors="replace")  # type: ignore[no-untyped-call]
    return Extracted(re.sub(r"\n{3,}", "\n\n", text).replace("\0", "").strip())


def _with_margins(source: str) -> str:
    """The source, with its headers and notes as paragraphs where they stand."""
    parts: list[str] = []
    at = 0
    for found in _MARGINS.finditer(source):
        if found.start() < at:
            continue
        end = _end_of_group(source, found.end())
        parts += (source[at : found.start()], "\\par ", source[found.end() : end], "\\par ")
        at = end
    return "".join((*parts, source[at:]))


def _end_of_group(source: str, at: int) -> int:
    """Where the group ends in which `at` stands."""
    depth = 0
    for brace in _BRACES.finditer(source, at):
        if brace[0] == "{":
            depth += 1
        elif brace[0] == "}":
            depth -= 1
            if depth < 0:
                return brace.start()
    return len(source)
