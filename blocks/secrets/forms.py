"""How a secret is written where it is quoted. Pure."""

import base64
import json
from functools import lru_cache
from urllib.parse import quote, quote_plus

# How a text is bytes, and bytes that are no UTF-8 a text.
ENCODING, ERRORS = "utf-8", "surrogateescape"
# Of base64 that begins so many bytes before a secret, the letters before those that the secret
# alone decides: a letter is six bits (RFC 4648, section 4).
_BEFORE = ((0, 0), (1, 2), (2, 3))
_URL_SAFE = str.maketrans("+/", "-_")
# Of a secret of several lines, such as a PEM key, each line that long is one by itself.
_LINE = 20


@lru_cache(maxsize=1024)
def forms_of(secret: str) -> frozenset[str]:
    """A secret as it stands, as JSON (once and twice), Python and URLs write it, in hex, and in
    base64 wherever it begins there."""
    found: set[str] = set()
    for each in (secret, *_lines(secret)):
        found |= {each, *_escaped(each), *_encoded(each.encode(ENCODING, ERRORS))}
    return frozenset(found)


def _lines(secret: str) -> list[str]:
    lines = [line.strip() for line in secret.splitlines()]
    return [] if len(lines) < 2 else [line for line in lines if len(line) >= _LINE]


def _escaped(secret: str) -> set[str]:
    raw = secret.encode(ENCODING, ERRORS)
    once = {_as_json(secret), _as_json(secret, ascii_only=False)}
    in_json = {*once, *(_as_json(each) for each in once)}
    in_urls = {quote(raw), quote(raw, safe=""), quote_plus(raw)}
    return {
        *in_json,
        *(each.replace("/", r"\/") for each in in_json),
        repr(secret)[1:-1],
        *in_urls,
        *(_lower_escapes(each) for each in in_urls),
    }


def _as_json(text: str, *, ascii_only: bool = True) -> str:
    return json.dumps(text, ensure_ascii=ascii_only)[1:-1]


def _lower_escapes(quoted: str) -> str:
    """`%2f` for `%2F`."""
    first, *rest = quoted.split("%")
    return "%".join([first, *(each[:2].lower() + each[2:] for each in rest)])


def _encoded(raw: bytes) -> set[str]:
    found = {raw.hex(), raw.hex().upper()}
    for shift, before in _BEFORE:
        letters = base64.b64encode(b"\0" * shift + raw).decode()
        # The last ones depend on what comes after it.
        whole = letters[before : (shift + len(raw)) * 8 // 6]
        for each in (whole, whole.translate(_URL_SAFE)):
            found |= {each, quote(each, safe=""), each.replace("/", r"\/")}
    return found
