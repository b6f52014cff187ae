"""The secrets that a request shows, and what a provider answers without them.

Clients make the text of their errors of what a provider answers, and texts of errors go into logs,
states and reports. A reply is cleaned where it arrives, since only there the secret is known: no
pattern knows a key such as `abcDEF123`.
"""

import hashlib
import json
import re
from urllib.parse import quote, quote_plus

import httpx

REDACTED = b"[redacted]"
# A shorter value is a placeholder, and its letters may stand in any word.
SHORTEST = 8
# So is one that is made of words: "lm-studio", "not-needed". No provider gives out such keys.
_WORDS = re.compile(rb"[a-z]{1,16}([-_ ][a-z]{1,16}){0,3}")

_HEADERS = frozenset(
    {b"authorization", b"x-api-key", b"api-key", b"x-goog-api-key", b"x-amz-security-token"}
)
# A signature of AWS's, which is another for each request: who signs is told by the access key
# (docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html).
_SIGNED = re.compile(rb"AWS4-[^ ]+ Credential=([^/, ]+)/.*Signature=([0-9a-f]+)")
_PARAMETERS = frozenset(
    {"key", "api-key", "api_key", "apikey", "access_token", "token", "sig", "signature"}
)
# A reply of OpenAI's responses says `"error": null` where there is none. Within a text that a model
# wrote the quotes are escaped.
_ERROR = re.compile(rb'"error"\s*:\s*(?!null\b)')
_REASON = "reason_phrase"
# A JSON web token (RFC 7519), which begins with `{"`.
_TOKEN = re.compile(rb"eyJ[\w-]*\.[\w-]+\.[\w-]*")


class Secrets:
    """What one request shows to prove who sends it."""

    def __init__(self, request: httpx.Request) -> None:
        shown: list[bytes] = []
        self._whose: bytes | None = None
        for name, value in request.headers.raw:
            if name.lower() not in _HEADERS:
                continue
            if (signed := _SIGNED.match(value)) is not None:
                self._whose = signed[1]
                shown += [signed[1], signed[2]]
                continue
            # "Bearer <key>": the scheme is no secret.
            secret = value.split(b" ", 1)[-1] if name.lower() == b"authorization" else value
            shown.append(secret.strip())
        for parameter, text in request.url.params.multi_items():
            if parameter.lower() in _PARAMETERS:
                shown.append(text.encode())
        self._shown = sorted({each for each in shown if each}, key=len, reverse=True)
        found: set[bytes] = set()
        for secret in self._shown:
            if len(secret) >= SHORTEST and not _WORDS.fullmatch(secret):
                found |= {secret, *_escaped(secret)}
        # A secret that holds another goes first.
        self._secrets = sorted(found, key=len, reverse=True)

    @property
    def fingerprint(self) -> str:
        """Tells keys apart and is none: eight digits of a hash, "" without a key. A token that is
        made anew every hour, as Entra ID's for Azure, tells no account."""
        keys = (each for each in self._shown if not _TOKEN.fullmatch(each))
        whose = self._whose or next(keys, None)
        return "" if whose is None else hashlib.sha256(whose).hexdigest()[:8]

    def out_of(self, data: bytes) -> bytes:
        """`data` without them."""
        for secret in self._secrets:
            data = data.replace(secret, REDACTED)
        return data

    def out_of_body(self, data: bytes, *, status: int) -> bytes:
        """A body, or an event of a stream, without them if it tells of an error.

        Other replies stay as they are: what a model wrote is not ours to change.
        """
        return self.out_of(data) if status >= 400 or _ERROR.search(data) else data

    def out_of_headers(self, response: httpx.Response) -> list[tuple[bytes, bytes]]:
        """An error's headers without them."""
        if response.status_code < 400:
            return response.headers.raw
        return [(name, self.out_of(value)) for name, value in response.headers.raw]

    def out_of_extensions(self, response: httpx.Response) -> dict[str, object]:
        """A reply's extensions with a reason phrase that does not hold them."""
        extensions = dict(response.extensions)
        if isinstance(reason := extensions.get(_REASON), bytes):
            extensions[_REASON] = self.out_of(reason)
        return extensions


def _escaped(secret: bytes) -> tuple[bytes, ...]:
    """How JSON or a URL may write it."""
    written = json.dumps(secret.decode("latin-1"))[1:-1].encode()
    in_urls = (quote(secret, safe=""), quote_plus(secret))
    return written, written.replace(b"/", rb"\/"), *(each.encode() for each in in_urls)
