"""AWS's signatures (SigV4), checked as AWS does: computed again with the secret that the key has.

docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hmac
import re
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from hashlib import sha256
from urllib.parse import parse_qsl, quote

from tests.provider.config import AwsKey
from tests.provider.families.chat import ApiError
from tests.provider.wire import Request

SCHEME = "AWS4-HMAC-SHA256"
SERVICE = "bedrock"
# A signature is good for so long.
SKEW_SECONDS = 300
_SHOWN = re.compile(
    rf"{SCHEME} Credential=(?P<key>[^/]+)/(?P<day>\d{{8}})/(?P<region>[a-z0-9-]+)"
    r"/(?P<service>[a-z]+)/aws4_request, ?SignedHeaders=(?P<names>[a-z0-9;-]+)"
    r", ?Signature=(?P<signature>[0-9a-f]{64})"
)
_NEEDED = frozenset({"host", "x-amz-date"})


def is_signed(request: Request) -> bool:
    return request.headers.get("authorization", "").startswith("AWS4-")


def check_signature(request: Request, keys: Mapping[str, AwsKey], *, now: float) -> None:
    """`now` in seconds since 1970. Raises ApiError 403 for a signature that does not hold."""
    shown = _SHOWN.fullmatch(request.headers["authorization"])
    if shown is None:
        raise ApiError(403, "Authorization header has an invalid form", code="IncompleteSignature")
    key = keys.get(shown["key"])
    if key is None or shown["service"] != SERVICE:
        raise _refused("The security token included in the request is invalid.")
    names = shown["names"].split(";")
    if names != sorted(names) or not _NEEDED.issubset(names):
        raise _refused("'Host' and 'X-Amz-Date' must be signed headers.")
    unsigned = {name for name in request.headers if name.startswith("x-amz-")} - set(names)
    if unsigned:
        raise _refused(f"{sorted(unsigned)} are not signed.")
    if request.headers.get("x-amz-security-token") != key.token:
        raise _refused("The security token included in the request is invalid.")
    date = request.headers["x-amz-date"]
    sent = datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc).timestamp()
    if abs(now - sent) > SKEW_SECONDS or not date.startswith(shown["day"]):
        raise _refused(f"Signature expired: {date} is too far from {time.gmtime(now)}")
    scope = "/".join((shown["day"], shown["region"], shown["service"], "aws4_request"))
    text = "\n".join((SCHEME, date, scope, sha256(_canonical(request, names)).hexdigest()))
    signing = f"AWS4{key.secret}".encode()
    for part in scope.split("/"):
        signing = hmac.digest(signing, part.encode(), "sha256")
    expected = hmac.digest(signing, text.encode(), "sha256").hex()
    if not hmac.compare_digest(expected, shown["signature"]):
        raise _refused(
            "The request signature we calculated does not match the signature you provided."
        )


def _refused(message: str) -> ApiError:
    return ApiError(403, message, code="InvalidSignatureException")


def _canonical(request: Request, names: list[str]) -> bytes:
    path, _, query = request.path.partition("?")
    pairs = sorted(parse_qsl(query, keep_blank_values=True))
    lines = [
        request.method,
        # Every service but S3 encodes what is encoded already.
        quote(path, safe="/-_.~"),
        "&".join(
            f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in pairs
        ),
        *(f"{name}:{' '.join(request.headers[name].split())}" for name in names),
        "",
        ";".join(names),
        sha256(request.body).hexdigest(),
    ]
    return "\n".join(lines).encode()
