"""Vertex AI's paths: the project, the location and the model stand in them, the token is one that
`/token` gave for a signed claim, and a location or a lane may cost more."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, unquote

import orjson

from tests.provider.families.anthropic import Messages
from tests.provider.families.chat import ApiError, ChatRequest, read_json
from tests.provider.families.gemini import GenerateContent

TOKEN = "ya29.of-the-strict-provider"
# As Google documents it, and as Anthropic's SDK sends it.
_VERSION = re.compile(r"^(vertex-2023-10-16|20\d\d-\d\d-\d\d)$")
LANE_HEADER = "x-vertex-ai-llm-shared-request-type"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_PATH = re.compile(
    r"^/v1(?:beta1)?/projects/(?P<project>[a-z][a-z0-9-]+)/locations/(?P<location>[a-z0-9-]+)"
    r"/publishers/(?P<publisher>google|anthropic)/models/(?P<model>[^/:]+):(?P<verb>\w+)$"
)
_VERBS = {
    "google": ("generateContent", "streamGenerateContent"),
    "anthropic": ("rawPredict", "streamRawPredict"),
}


def token_reply(body: bytes) -> bytes:
    """The reply to `POST /token`. Raises ApiError 400 for what is no signed claim of a service
    account (developers.google.com/identity/protocols/oauth2/service-account)."""
    form = parse_qs(body.decode())
    assertion = form.get("assertion", [""])[0].split(".")
    if form.get("grant_type") != [_GRANT] or len(assertion) != 3 or not assertion[2]:
        raise ApiError(400, "invalid_grant")
    claim = orjson.loads(base64.urlsafe_b64decode(assertion[1] + "=="))
    if "https://www.googleapis.com/auth/cloud-platform" not in claim.get("scope", ""):
        raise ApiError(400, "invalid_scope")
    return orjson.dumps({"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"})


def is_vertex(path: str) -> bool:
    return "/publishers/" in path


def admit(headers: Mapping[str, str], path: str) -> None:
    """Raises ApiError 401 without the token, 404 for a path that is none of Vertex AI's."""
    if headers.get("authorization") != f"Bearer {TOKEN}":
        raise ApiError(401, "Request had invalid authentication credentials.")
    found = _PATH.match(unquote(path.partition("?")[0]))
    if found is None or found["verb"] not in _VERBS[found["publisher"]]:
        raise ApiError(404, f"no such publisher model: {path}")


def placed(request: ChatRequest, headers: Mapping[str, str], path: str) -> ChatRequest:
    """The request at the price of its lane, else of its location."""
    found = _PATH.match(unquote(path.partition("?")[0]))
    lane = headers.get(LANE_HEADER)
    if found is None or lane == "standard":
        lane = None
    elif lane is None and found["location"] != "global":
        lane = "regional"
    return replace(request, service_tier=lane or "default")


class VertexContent(GenerateContent):
    """`…/publishers/google/models/{model}:generateContent`."""

    def whole(self, answer: Any, *, tier: str, **fields: Any) -> dict[str, Any]:
        return _with_traffic(super().whole(answer, tier=tier, **fields), tier)

    def events(self, answer: Any, *, tier: str, **fields: Any) -> list[bytes]:
        found = []
        for event in super().events(answer, tier=tier, **fields):
            chunk = orjson.loads(event.removeprefix(b"data: "))
            found.append(b"data: " + orjson.dumps(_with_traffic(chunk, tier)) + b"\r\n\r\n")
        return found


def _with_traffic(reply: dict[str, Any], tier: str) -> dict[str, Any]:
    if "usageMetadata" in reply:
        lane = "" if tier in ("default", "regional") else f"_{tier.upper()}"
        reply["usageMetadata"]["trafficType"] = f"ON_DEMAND{lane}"
    return reply


class VertexMessages(Messages):
    """`…/publishers/anthropic/models/{model}:rawPredict`."""

    def parse(self, raw: bytes, path: str) -> ChatRequest:
        body = read_json(raw)
        found = _PATH.match(unquote(path.partition("?")[0]))
        if found is None:
            raise ApiError(404, f"no model in {path}")
        if not _VERSION.match(str(body.get("anthropic_version"))):
            raise ApiError(400, "anthropic_version: Field required")
        if "model" in body:
            raise ApiError(400, "model: Extra inputs are not permitted")
        if (body.get("stream") is True) != (found["verb"] == "streamRawPredict"):
            raise ApiError(400, f"stream: not what {found['verb']} does")
        return super().parse(orjson.dumps({**body, "model": found["model"]}), path)


VERTEX_CONTENT, VERTEX_MESSAGES = VertexContent(), VertexMessages()
