"""The secrets that a request shows, and what a provider answers without them.

Clients make the text of their errors of what a provider answers, and texts of errors go into logs,
states and reports. A reply is cleaned where it arrives, since only there the secret is known: no
pattern knows a key such as `abcDEF123`.
"""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from functools import cached_property
from http import HTTPStatus
from typing import Any

import httpx

from prefect_governor.blocks.secrets.exits import scrubbed, scrubbed_bytes
from prefect_governor.blocks.secrets.forms import ENCODING, ERRORS
from prefect_governor.blocks.secrets.names import is_secret
from prefect_governor.blocks.secrets.scrubber import Scrubber

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
# What nobody can have put a secret into.
_PHRASES = frozenset(each.phrase.encode() for each in HTTPStatus)
# A JSON web token (RFC 7519), which begins with `{"`.
_TOKEN = re.compile(rb"eyJ[\w-]*\.[\w-]+\.[\w-]*")


class Secrets:
    """What one request shows to prove who sends it."""

    def __init__(self, request: httpx.Request) -> None:
        shown: list[bytes] = []
        self._whose: bytes | None = None
        self._for_once: str | None = None
        for name, value in request.headers.raw:
            if name.lower() not in _HEADERS:
                continue
            if (signed := _SIGNED.match(value)) is not None:
                self._whose = signed[1]
                shown += [signed[1], signed[2]]
                self._for_once = signed[2].decode(ENCODING, ERRORS)
                continue
            # "Bearer <key>": the scheme is no secret.
            secret = value.split(b" ", 1)[-1] if name.lower() == b"authorization" else value
            shown.append(secret.strip())
        for parameter, text in request.url.params.multi_items():
            if parameter.lower() in _PARAMETERS:
                shown.append(text.encode())
        self._shown = sorted({each for each in shown if each}, key=len, reverse=True)
        self._texts = [each.decode(ENCODING, ERRORS) for each in self._shown]

    @property
    def lasting(self) -> list[str]:
        """Those that other requests show too: all but a signature."""
        return [each for each in self._texts if each != self._for_once]

    @cached_property
    def _scrubber(self) -> Scrubber:
        return Scrubber(each for each in self._texts if is_secret(each))

    @property
    def fingerprint(self) -> str:
        """Tells keys apart and is none: eight digits of a hash, "" without a key. A token that is
        made anew every hour, as Entra ID's for Azure, tells no account."""
        keys = (each for each in self._shown if not _TOKEN.fullmatch(each))
        whose = self._whose or next(keys, None)
        return "" if whose is None else hashlib.sha256(whose).hexdigest()[:8]

    def out_of(self, data: bytes) -> bytes:
        """`data` without them, and without what else this process knows."""
        return scrubbed_bytes(self._scrubber.out_of_bytes(data))

    def out_of_body(self, data: bytes, *, status: int, kept: bool = False) -> bytes:
        """A body, or an event of a stream, without them if it tells of an error or is to be kept.

        Other replies stay as they are: what a model wrote is not ours to change.
        """
        return self.out_of(data) if kept or status >= 400 or _ERROR.search(data) else data

    def are_in(self, body: bytes) -> bool:
        """Whether any is in a stream's body, also in pieces: each in an event of its own."""
        if self.out_of(body) != body:
            return True
        text = "\0".join(_pieced(body))
        return scrubbed(self._scrubber.out_of(text)) != text

    def out_of_headers(self, response: httpx.Response) -> list[tuple[bytes, bytes]]:
        """An error's headers without them."""
        if response.status_code < 400:
            return response.headers.raw
        return [(name, self.out_of(value)) for name, value in response.headers.raw]

    def out_of_extensions(self, response: httpx.Response) -> dict[str, object]:
        """A reply's extensions with a reason phrase that does not hold them."""
        extensions = dict(response.extensions)
        reason = extensions.get(_REASON)
        if isinstance(reason, bytes) and reason not in _PHRASES:
            extensions[_REASON] = self.out_of(reason)
        return extensions


def _pieced(body: bytes) -> Iterator[str]:
    """What the events of a stream say at each place of theirs, one after the other."""
    said: defaultdict[tuple[object, ...], list[str]] = defaultdict(list)
    for line in body.splitlines():
        with suppress(ValueError, RecursionError):
            _gather(json.loads(line.removeprefix(b"data:")), (), said)
    return ("".join(each) for each in said.values())


def _gather(
    value: Any, place: tuple[object, ...], said: dict[tuple[object, ...], list[str]]
) -> None:
    if isinstance(value, str):
        said[place].append(value)
    elif isinstance(value, dict | list):
        for name, each in value.items() if isinstance(value, dict) else enumerate(value):
            _gather(each, (*place, name), said)
