"""Names of encodings, as people and documents write them. Pure."""

import codecs
import encodings.aliases
from difflib import get_close_matches

from prefect_governor.blocks.errors import ConfigurationError

# Codecs of Python that are no encodings of files.
_NONE = frozenset({"idna", "punycode", "undefined", "unicode-escape", "raw-unicode-escape"})
# What a web page means by a name that it has long been given for a smaller one, as browsers take it
# (https://encoding.spec.whatwg.org/#names-and-labels).
_ON_PAGES = {
    "ascii": "cp1252",
    "iso8859-1": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "shift_jis": "cp932",
    "x-sjis": "cp932",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "x-gbk": "gb18030",
    "euc_kr": "cp949",
    "ks_c_5601-1987": "cp949",
    "big5": "big5hkscs",
    "x-mac-roman": "mac-roman",
    "macintosh": "mac-roman",
    "x-mac-cyrillic": "mac-cyrillic",
}


def known_encodings() -> list[str]:
    """The encodings that there are, sorted."""
    return sorted(
        name
        for name in {each.replace("_", "-") for each in encodings.aliases.aliases.values()}
        if name_of(name) is not None
    )


def name_of(name: str) -> str | None:
    """The codec of a text encoding that somebody named; None where there is none."""
    try:
        codec = codecs.lookup(name.strip().strip("\"'")).name
        # What makes bytes of bytes, such as base64, is looked up as well.
        b"?".decode(codec, "replace")
    except (LookupError, ValueError):
        return None
    return None if codec.replace("_", "-") in _NONE else codec


def meant_by(label: str) -> str | None:
    """The codec that a document, or the server that sent it, means by a name."""
    label = label.strip().strip("\"'").lower()
    codec = name_of(label)
    return _ON_PAGES.get(codec or label, codec)


def check_encoding(name: str, *, option: str = "encoding") -> str:
    """The codec of an encoding that a person named. Raises ConfigurationError that says what there
    is."""
    if (codec := name_of(name)) is not None:
        return codec
    known = known_encodings()
    near = get_close_matches(name.lower().replace("_", "-"), known, n=3)
    hint = f"did you mean {' or '.join(near)}? " if near else ""
    raise ConfigurationError(
        f"{option}: there is no encoding {name!r}: {hint}known are {', '.join(known)}"
    )
