"""Bytes that stand in a text, as base64: pictures, fonts, files. They say nothing to a model, and
are billed by the character. Pure."""

import re

_URI = re.compile(
    r"data:(?P<type>[a-z]+/[\w.+-]{1,80})?(?:;[\w-]{1,40}=[^,;\"'\s]{1,80}){0,4};base64,"
    # No space is next after the first ones, or they are shared out in every way there is.
    r"(?:\s*(?=\S)[A-Za-z0-9+/=%\s]{64,}(?=[\"')<>\]])|[A-Za-z0-9+/=%]{64,})",
    re.IGNORECASE,
)
# What PNG, JPEG, GIF, WebP and WAV, TIFF, PDF, zip (office files), gzip, old office files, Ogg, MP3
# and fonts begin with.
_BEGINNINGS = {
    "iVBORw0KGgo": "a PNG image",
    "/9j/": "a JPEG image",
    "R0lGOD": "a GIF image",
    "UklGR": "a RIFF file",
    "SUkqA": "a TIFF image",
    "TU0AK": "a TIFF image",
    "JVBERi0": "a PDF",
    "UEsDB": "a zip or office file",
    "H4sIA": "a gzip file",
    "0M8R4KGx": "an old office file",
    "T2dnUw": "an Ogg file",
    "SUQzA": "an MP3 file",
    "d09GR": "a font",
}
_BASE64 = re.compile(
    rf"(?<![A-Za-z0-9+/])(?P<begins>{'|'.join(map(re.escape, _BEGINNINGS))})[A-Za-z0-9+/]{{48,}}"
    # Lines that are nothing but base64, as mail, cards and XML break it, and the last of them.
    r"(?:\r?\n[ \t]*[A-Za-z0-9+/]{56,})*"
    r"(?:\r?\n[ \t]*[A-Za-z0-9+/]{4,}={0,2}(?=[ \t]*(?:\r?\n|$|[\"'<])))?={0,2}"
)


def without_embedded(text: str) -> tuple[str, str | None]:
    """The text without the bytes that are embedded in it, and a note of what was taken out."""
    if ";base64," not in text and not any(each in text for each in _BEGINNINGS):
        return text, None
    found: dict[str, int] = {}
    characters = 0

    def taken(match: re.Match[str], what: str, left: str) -> str:
        nonlocal characters
        found[what] = found.get(what, 0) + 1
        characters += len(match[0])
        return left

    def uri(match: re.Match[str]) -> str:
        what = match["type"] or "data"
        return taken(match, what, f"data:{what};base64,…")

    def plain(match: re.Match[str]) -> str:
        return taken(match, _BEGINNINGS[match["begins"]], "…")

    text = _BASE64.sub(plain, _URI.sub(uri, text))
    if not found:
        return text, None
    shown = ", ".join(
        f"{what}{f', {count} times' if count > 1 else ''}" for what, count in found.items()
    )
    return text, f"embedded bytes are left out: {shown} ({characters:,} characters)"
