"""Azure's paths to OpenAI's APIs: deployments, versions by date, filters.

learn.microsoft.com/azure/ai-foundry/openai/reference, …/api-version-lifecycle,
…/concepts/content-filter, …/concepts/content-streaming.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs

import orjson

from tests.provider.answers.render import usage_json
from tests.provider.answers.replies import Answer
from tests.provider.books.bill import Price, Usage
from tests.provider.config import Config
from tests.provider.families.chat import ApiError, ChatRequest, read_json
from tests.provider.families.embeddings import EMBEDDINGS
from tests.provider.families.family import OPENAI_CHAT, Family
from tests.provider.families.responses import RESPONSES
from tests.provider.wire import Request

_FAMILIES: dict[str, Family] = {
    "chat/completions": OPENAI_CHAT,
    "responses": RESPONSES,
    "embeddings": EMBEDDINGS,
}
_PATH = re.compile(r"^/openai/(?:deployments/(?P<deployment>[^/]+)/|(?P<undated>v1)/)?(?P<end>.+)$")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?$")
_UNDATED = ("v1", "preview", "latest")
# Dated APIs before it refuse the field.
_TIERS_SINCE = "2025-10-01"
# Models that reason take no `max_tokens` (…/how-to/reasoning).
_REASONS = re.compile(r"^(o\d|gpt-5)")
_SAFE = {
    name: {"filtered": False, "severity": "safe"}
    for name in ("hate", "self_harm", "sexual", "violence")
}
_FILTERED = {**_SAFE, "violence": {"filtered": True, "severity": "medium"}}


def is_azures(path: str) -> bool:
    return path.startswith("/openai/")


def azure_family(request: Request, config: Config, prices: Mapping[str, Price]) -> Family:
    """What answers a call on a path of Azure's. Raises ApiError 401, 404 or 400."""
    path, _, query = request.path.partition("?")
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if not request.headers.get("api-key") and not (scheme.lower() == "bearer" and token.strip()):
        raise ApiError(
            401,
            "Access denied due to invalid subscription key or wrong API endpoint.",
            code="401",
        )
    found = _PATH.match(path)
    inner = _FAMILIES.get(found["end"]) if found is not None else None
    if found is None or inner is None or (found["deployment"] and found["end"] == "responses"):
        raise ApiError(404, "Resource not found", code="404")
    version = next(iter(parse_qs(query).get("api-version", ())), None)
    if found["undated"]:
        if version is not None and version not in _UNDATED:
            raise ApiError(400, "API version not supported", code="BadRequest")
    else:
        placed = found["deployment"] or found["end"] == "responses"
        if version is None or not _DATE.fullmatch(version) or not placed:
            raise ApiError(404, "Resource not found", code="404")
    return _Deployed(inner, found["deployment"], version, config, prices)


class _Deployed:
    """A deployment's answers, of OpenAI's families with what Azure adds to them."""

    def __init__(
        self,
        inner: Family,
        deployment: str | None,
        version: str | None,
        config: Config,
        prices: Mapping[str, Price],
    ) -> None:
        self._inner, self._deployment, self._version = inner, deployment, version
        self._config, self._prices = config, prices
        self.content_type, self.done = inner.content_type, inner.done

    def parse(self, raw: bytes, path: str) -> ChatRequest:
        """The request as OpenAI's, of the model behind the deployment that the path names."""
        body = read_json(raw)
        name = self._deployment or body.get("model")
        deployed = self._config.deployments.get(str(name))
        model = str(name) if deployed is None else deployed.model
        price = self._prices.get(model) if deployed is None else deployed.price
        if price is None:
            raise ApiError(
                404,
                "The API deployment for this resource does not exist.",
                code="DeploymentNotFound",
            )
        dated = self._version is not None and _DATE.fullmatch(self._version)
        if dated and "service_tier" in body and str(self._version) < _TIERS_SINCE:
            raise ApiError(400, "Unrecognized request argument supplied: service_tier")
        if self._inner is OPENAI_CHAT and "max_tokens" in body and _REASONS.match(model):
            raise ApiError(
                400,
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use"
                " 'max_completion_tokens' instead.",
                param="max_tokens",
                code="unsupported_parameter",
            )
        request = self._inner.parse(orjson.dumps({**body, "model": model}), path)
        request.price = price
        return request

    def written(self, request: ChatRequest, fresh: int, config: Config) -> tuple[int, int]:
        return self._inner.written(request, fresh, config)

    def whole(self, answer: Answer, **fields: Any) -> dict[str, Any]:
        reply = self._inner.whole(answer, **fields)
        if self._inner is not OPENAI_CHAT:
            return reply
        for choice in reply["choices"]:
            choice["content_filter_results"] = _SAFE
        return {**self._untiered(reply), "prompt_filter_results": [_prompt_results()]}

    def events(self, answer: Answer, **fields: Any) -> list[bytes]:
        """A chat's stream begins with what the filter says of the prompt, in a chunk without
        choices; the asynchronous filter says what it found of the answer at the end."""
        events = self._inner.events(answer, **fields)
        if self._inner is not OPENAI_CHAT:
            return events
        nobody = {"id": "", "object": "", "created": 0, "model": ""}
        found = [_event({**nobody, "choices": [], "prompt_filter_results": [_prompt_results()]})]
        for event in events:
            chunk = self._untiered(orjson.loads(event.removeprefix(b"data: ")))
            for choice in chunk["choices"]:
                choice["content_filter_results"] = {} if self._config.asynchronous_filter else _SAFE
            found.append(_event(chunk))
        if self._config.asynchronous_filter:
            offsets = {"check_offset": 44, "start_offset": 44, "end_offset": 198}
            choice = {
                "index": 0, "finish_reason": None, "content_filter_results": _SAFE,
                "content_filter_offsets": offsets,
            }  # fmt: skip
            found.append(_event({**nobody, "choices": [choice], "usage": None}))
        return found

    def _untiered(self, reply: dict[str, Any]) -> dict[str, Any]:
        """Dated APIs before the tiers name none."""
        if self._version is not None and self._version < _TIERS_SINCE:
            reply.pop("service_tier", None)
        return reply


def filtered(usage: Usage | None) -> ApiError:
    """The 400 for a prompt that the filter holds back, which is billed; with its usage where one is
    given."""
    error = ApiError(
        400,
        "The response was filtered due to the prompt triggering Azure OpenAI's content management"
        " policy. Please modify your prompt and retry.",
        code="content_filter",
        param="prompt",
    )
    body = orjson.loads(error.body)
    body["error"] |= {
        "type": None,
        "status": 400,
        "innererror": {
            "code": "ResponsibleAIPolicyViolation",
            "content_filter_result": _FILTERED,
        },
    }
    error.body = orjson.dumps(body if usage is None else {**body, "usage": usage_json(usage)})
    return error


def _prompt_results() -> dict[str, Any]:
    return {"prompt_index": 0, "content_filter_results": _SAFE}


def _event(chunk: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(chunk) + b"\n\n"
