"""AWS's signatures (SigV4) of requests whose body is not the one that was signed.

A client signs what it would send; what is sent is the body that was measured, with its own limit of
output and perhaps a smaller one. Where the credentials are at hand the request is signed anew, at
the time that it is sent. Where they are not it goes with the very bytes that were signed, or it is
refused: never with a signature that does not hold. The signing is botocore's.

docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from typing import Any

import httpx

from prefect_governor.blocks.errors import NotBounded
from prefect_governor.blocks.wire.requests.plans import CallPlan

AUTHORIZATION = "authorization"
_SIGNED = re.compile(
    r"AWS4-HMAC-SHA256 Credential=[^/, ]+/\d{8}/(?P<region>[^/, ]+)/(?P<service>[^/, ]+)"
    r"/aws4_request, ?SignedHeaders=(?P<headers>[^, ]+), ?Signature=[0-9a-f]+"
)
# What is made with the signature.
_MADE = frozenset(
    {AUTHORIZATION, "host", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256",
     "content-length"}
)  # fmt: skip

# botocore's credentials of the running call.
_credentials: ContextVar[Any] = ContextVar("aws_credentials", default=None)


@contextmanager
def signing_with(credentials: Any) -> Iterator[None]:
    """Requests that are signed and made inside are signed anew with these credentials, botocore's.
    None: they are not known."""
    token = _credentials.set(credentials)
    try:
        yield
    finally:
        _credentials.reset(token)


def is_signed(request: httpx.Request) -> bool:
    """Whether a request shows a signature of AWS's."""
    return str(request.headers.get(AUTHORIZATION, "")).startswith("AWS4-")


def credentials_of(request: httpx.Request) -> Any:
    """What a signed request may be signed anew with; None where that is not known, or it is not
    signed."""
    known = _credentials.get()
    if known is None or not _SIGNED.fullmatch(request.headers.get(AUTHORIZATION, "")):
        return None
    return known


def signed_anew(request: httpx.Request, credentials: Any) -> httpx.Request:
    """The request, signed for its body, for the region and by the headers that it was signed for
    and by before."""
    from botocore.auth import SigV4Auth
    from botocore.awsrequest import AWSRequest

    before = _SIGNED.fullmatch(request.headers[AUTHORIZATION])
    assert before is not None
    names = [name for name in before["headers"].split(";") if name not in _MADE]
    again = AWSRequest(
        method=request.method,
        url=str(request.url),
        data=request.content,
        headers={name: request.headers[name] for name in names if name in request.headers},
    )
    frozen = credentials.get_frozen_credentials()
    SigV4Auth(frozen, before["service"], before["region"]).add_auth(again)
    for name in _MADE - {"host", "content-length"}:
        if name in request.headers:
            del request.headers[name]
        if name in again.headers:
            request.headers[name] = again.headers[name]
    return request


def sealed(plan: CallPlan, body: bytes) -> CallPlan:
    """The plan of a request that is sent with the bytes that its client has signed, for all of the
    output that it asks for. Raises NotBounded where it would have to be sent otherwise."""
    if _canonical(body) != _canonical(plan.body):
        raise NotBounded(
            "the request was signed by a client whose AWS credentials are not known here, and "
            "would have to be changed before it is sent, so its output has no bound. Set its "
            "limit (max_tokens; Converse's inferenceConfig.maxTokens), or call the model through "
            "acompletion, whose requests the governor signs itself"
        )
    return replace(plan, body=body, least_output_tokens=None)


def _canonical(body: bytes) -> str:
    return json.dumps(json.loads(body, object_pairs_hook=_once), sort_keys=True)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise NotBounded(
            "the signed request's body has a key twice, which may be read one way here and another "
            "elsewhere, so the call has no bound"
        )
    return found
