"""The provider: which path is a call, which is a look at the models, which is for the test."""

from __future__ import annotations

import asyncio
import time
import traceback
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any

import orjson
from pydantic import ValidationError

from tests.provider.books.export import export
from tests.provider.books.log import Book, Record
from tests.provider.config import Config
from tests.provider.families.anthropic import MESSAGES
from tests.provider.families.azure import azure_family, is_azures
from tests.provider.families.bedrock import family_at, in_form, is_bedrock
from tests.provider.families.chat import ApiError
from tests.provider.families.cohere import COHERE_CHAT
from tests.provider.families.embeddings import EMBEDDINGS
from tests.provider.families.family import OPENAI_CHAT, Family
from tests.provider.families.gemini import GEMINI
from tests.provider.families.ollama import OLLAMA_CHAT, OLLAMA_GENERATE
from tests.provider.families.rankings import (
    COHERE_EMBED,
    GEMINI_EMBED,
    GEMINI_EMBEDS,
    OLLAMA_EMBED,
    RERANK,
)
from tests.provider.families.responses import RESPONSES
from tests.provider.families.vertex import (
    VERTEX_CONTENT,
    VERTEX_MESSAGES,
    is_vertex,
    token_reply,
)
from tests.provider.service import Service
from tests.provider.wire import Exchange

FAMILIES: dict[str, Family] = {
    "/v1/chat/completions": OPENAI_CHAT,
    "/v1/responses": RESPONSES,
    "/v1/embeddings": EMBEDDINGS,
    "/v1/messages": MESSAGES,
    "/v2/chat": COHERE_CHAT,
    "/v1/embed": COHERE_EMBED,
    "/v2/embed": COHERE_EMBED,
    "/api/embed": OLLAMA_EMBED,
    ":embedContent": GEMINI_EMBED,
    ":batchEmbedContents": GEMINI_EMBEDS,
    "/v1/rerank": RERANK,
    "/v2/rerank": RERANK,
    "/api/chat": OLLAMA_CHAT,
    "/api/generate": OLLAMA_GENERATE,
    ":generateContent": GEMINI,
    ":streamGenerateContent": GEMINI,
}
VERTEX: dict[str, Family] = {
    ":generateContent": VERTEX_CONTENT,
    ":streamGenerateContent": VERTEX_CONTENT,
    ":rawPredict": VERTEX_MESSAGES,
    ":streamRawPredict": VERTEX_MESSAGES,
}


def family_of(method: str, path: str) -> Family:
    """Raises ApiError 404 where a path is no call's."""
    found = family_at(path) if method == "POST" else None
    if found is not None:
        return found
    end = f":{path.rpartition(':')[2]}" if "/models/" in path else path
    families = VERTEX if is_vertex(path) else FAMILIES
    if method != "POST" or end not in families:
        raise ApiError(404, f"Invalid URL ({method} {path})")
    return families[end]


class Provider:
    """Serves exchanges by a config that can be changed while it runs."""

    def __init__(
        self,
        config: Config,
        *,
        log_path: Path | None = None,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._raw: dict[str, Any] = config.model_dump(mode="json", exclude_unset=True)
        self._book = Book(clock_ns, log_path)
        self._service = Service(config, self._book, clock_ns)
        self._tasks: set[asyncio.Task[None]] = set()
        self._internal_errors = 0

    def arrive(self, exchange: Exchange) -> Callable[[], None]:
        """Called when a request is whole; what it returns is called when its turn has come."""
        request = exchange.request
        path = request.path.partition("?")[0]
        if path.startswith("/_provider/"):
            return lambda: self._control(exchange, path.removeprefix("/_provider/"))
        if path == "/token":
            return lambda: self._token(exchange)
        if request.method == "GET":
            return lambda: self._get(exchange, path)
        record = self._book.arrive(
            tag=request.headers.get("x-test-tag", ""),
            body_hash=blake2b(request.body, digest_size=16).hexdigest(),
            gone=not exchange.alive,
            request_id=request.headers.get("x-client-request-id", ""),
        )
        return lambda: self._start(exchange, record, path)

    def _start(self, exchange: Exchange, record: Record, path: str) -> None:
        task = asyncio.get_running_loop().create_task(self._run(exchange, record, path))
        # The loop holds tasks weakly: without this one could vanish in mid-flight.
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, exchange: Exchange, record: Record, path: str) -> None:
        try:
            if exchange.request.method == "POST" and is_azures(path):
                config = self._service.config
                family = azure_family(exchange.request, config, config.price_table())
            else:
                family = family_of(exchange.request.method, path)
            await self._service.chat(exchange, record, family)
        except ApiError as error:
            if error.limit is not None:
                self._book.throttle(record, error.limit)
            if is_bedrock(path):
                error = in_form(error)
            record.status = error.status
            exchange.send(error.status, error.body, headers=error.headers)
        except Exception:
            # A judge that is broken must be loud: on stderr, in the stats, and to the client.
            self._internal_errors += 1
            traceback.print_exc()
            exchange.drop()
        await exchange.drained()
        self._book.end(record)
        exchange.finish()

    def _get(self, exchange: Exchange, path: str) -> None:
        try:
            self._service.desk.authorize(exchange.request)
            exchange.send(200, self._service.desk.models(path))
        except ApiError as error:
            exchange.send(error.status, error.body)
        exchange.finish()

    def _token(self, exchange: Exchange) -> None:
        """Google's, which is no call of a model."""
        try:
            exchange.send(200, token_reply(exchange.request.body))
        except ApiError as error:
            exchange.send(error.status, error.body)
        exchange.finish()

    def _control(self, exchange: Exchange, name: str) -> None:
        try:
            exchange.send(200, self._controlled(exchange.request.method, name, exchange))
        except ApiError as error:
            exchange.send(error.status, error.body)
        except (ValidationError, orjson.JSONDecodeError, TypeError) as error:
            exchange.send(400, orjson.dumps({"error": {"message": str(error)}}))
        exchange.finish()

    def _controlled(self, method: str, name: str, exchange: Exchange) -> bytes:
        body = exchange.request.body
        match method, name:
            case "GET", "stats":
                stats = {**self._book.stats(), "internal_errors": self._internal_errors}
                return orjson.dumps(stats)
            case "GET", "log":
                return orjson.dumps(self._book.records)
            case "GET", "usage.csv" | "usage.jsonl":
                return export(self._book.records, name.removeprefix("usage."))
            case "GET", "config":
                pass
            case "POST", "config":
                changes = orjson.loads(body)
                self._configure({**self._raw, **changes}, set(changes))
            case "POST", "reset":
                if self._book.open_now:
                    calls = self._book.open_now
                    raise ApiError(409, f"{calls} calls are open: nothing was reset")
                raw = orjson.loads(body) if body else self._raw
                self._configure(raw, set(Config.model_fields))
                self._book.clear()
            case _:
                raise ApiError(404, f"no {method} /_provider/{name}")
        return self._service.config.model_dump_json().encode()

    def _configure(self, raw: dict[str, Any], changed: set[str]) -> None:
        self._service.apply(Config.model_validate(raw), changed)
        self._raw = raw
