"""The HTTP messages on both sides of an exchange: what is sent on, what is handed out."""

import hashlib
import json
from typing import Any
from urllib.parse import unquote

import httpx

from prefect_governor.blocks.records.calls import Reply
from prefect_governor.blocks.wire.replies.secrets import Secrets

REPLAYED_HEADER = "x-prefect-governor"
# What a provider's own records name a call by: OpenAI and many gateways keep it with the call.
REQUEST_ID_HEADER = "x-client-request-id"
_REQUEST_ID = REQUEST_ID_HEADER.encode()
_LENGTHS = frozenset({b"content-length", b"transfer-encoding"})
# What describes bytes that were decoded on their way through.
_OF_THE_BYTES = _LENGTHS | {b"content-encoding"}


def outgoing(request: httpx.Request, body: bytes, *, request_id: str) -> httpx.Request:
    """The request with the body that was measured and the id that it is kept under."""
    headers = [(k, v) for k, v in request.headers.raw if k.lower() not in _LENGTHS]
    if all(k.lower() != _REQUEST_ID for k, _ in headers):
        headers.append((_REQUEST_ID, request_id.encode()))
    return httpx.Request(
        request.method,
        request.url,
        headers=headers,
        content=body,
        extensions=request.extensions,
    )


def handed_out(response: httpx.Response, secrets: Secrets, **body: Any) -> httpx.Response:
    """The reply as the caller gets it: decoded, so without what described the coded bytes."""
    headers = [
        (name, value)
        for name, value in secrets.out_of_headers(response)
        if name.lower() not in _OF_THE_BYTES
    ]
    extensions = secrets.out_of_extensions(response)
    return httpx.Response(response.status_code, headers=headers, extensions=extensions, **body)


def replayed(kept: Reply, request: httpx.Request) -> httpx.Response:
    """A reply that was kept, in place of one that is asked for."""
    headers = {"content-type": kept.content_type, REPLAYED_HEADER: "replayed"}
    return httpx.Response(200, headers=headers, content=kept.body, request=request)


def request_hash(request: httpx.Request, body: bytes) -> str:
    """What makes two calls the same: method, address and body, its keys in order. Another server
    answers otherwise, be the model's name the same. (No query: a key may stand in it.)"""
    canonical = json.dumps(json.loads(body), sort_keys=True, separators=(",", ":"))
    url = request.url
    place = f"{url.scheme}://{url.netloc.decode('ascii')}{unquote(url.path)}"
    return hashlib.sha256(f"{request.method} {place}\n{canonical}".encode()).hexdigest()
