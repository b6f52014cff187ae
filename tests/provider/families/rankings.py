"""What is read and nothing is written: rankings, as Cohere, Voyage and others have them, and the
embeddings of Cohere, Gemini and Ollama."""

from __future__ import annotations

import math
import re
from typing import Any

from tests.provider.answers.replies import Answer
from tests.provider.books.bill import Usage
from tests.provider.books.tokens import count_text, encoding_name
from tests.provider.books.used import amended
from tests.provider.config import Config
from tests.provider.families.chat import ApiError, ChatRequest, read_json
from tests.provider.families.cohere import known
from tests.provider.families.embeddings import vector

# docs.cohere.com/reference/rerank, docs.voyageai.com/reference/reranker-api,
# docs.together.ai/reference/rerank-1.
_RANKS = frozenset(
    {"model", "query", "documents", "top_n", "top_k", "return_documents", "rank_fields",
     "max_tokens_per_doc", "max_chunks_per_doc", "truncation", "priority"}
)  # fmt: skip
# docs.cohere.com/reference/embed
_EMBEDS = frozenset(
    {"model", "texts", "inputs", "input_type", "embedding_types", "truncate", "max_tokens",
     "output_dimension", "priority"}
)  # fmt: skip
# Whose rankings are billed by the search: cohere.com/pricing.
_BY_SEARCH = re.compile(r"^rerank-(v[34]|english|multilingual)")
_CHUNK, _DOCUMENTS = 500, 100


class _Unwritten:
    """What is answered without a token of output."""

    content_type = "application/json"
    done: tuple[bytes, ...] = ()

    def written(self, request: ChatRequest, fresh: int, config: Config) -> tuple[int, int]:
        return 0, 0

    def events(
        self, answer: Answer, *, include_usage: bool, chunk_tokens: int, **fields: Any
    ) -> list[bytes]:
        raise NotImplementedError("never streamed")


def _read(model: str, texts: list[str], counted: int, searches: int = 0) -> ChatRequest:
    return ChatRequest(
        body={},
        model=model,
        messages=[{"role": "user", "content": each} for each in texts],
        max_output=0,
        choices=len(texts),
        stream=False,
        include_usage=True,
        service_tier="default",
        counted=counted,
        searches=searches,
    )


class Rerank(_Unwritten):
    """`/v1/rerank` and `/v2/rerank`."""

    def parse(self, raw: bytes, path: str) -> ChatRequest:
        """The query is read with each document; one that is long is split, and each chunk is a
        document."""
        body = read_json(raw)
        known(body, _RANKS, needs=("model", "query", "documents"))
        model, encoding_of = body["model"], encoding_name(body["model"])
        documents = [_text(each) for each in body["documents"]]
        query = count_text(body["query"], encoding_of)
        tokens = [count_text(each, encoding_of) for each in documents]
        room = max(1, _CHUNK - query)
        chunks = sum(max(1, math.ceil(each / room)) for each in tokens)
        searches = math.ceil(chunks / _DOCUMENTS) if _BY_SEARCH.search(model) else 0
        return _read(model, documents, query * len(tokens) + sum(tokens), searches)

    def whole(
        self, answer: Answer, *, reply_id: str, model: str, usage: Usage | None, **_: Any
    ) -> dict[str, Any]:
        scored = [
            {"index": at, "relevance_score": round(1 / (at + 2), 4)}
            for at in range(len(answer.choices))
        ]
        if not model.startswith("rerank-v") and not _BY_SEARCH.search(model):
            # As Voyage and Jina have it.
            reply: dict[str, Any] = {"object": "list", "model": model, "data": scored}
            reply["results"] = scored
            if usage is None:
                return reply
            return {**reply, "usage": amended({"total_tokens": usage.input}, usage)}
        reply = {"id": reply_id, "results": scored, "meta": {"api_version": {"version": "2"}}}
        if usage is not None:
            units = (
                {"search_units": float(usage.searches)}
                if usage.searches
                else {"total_tokens": usage.input}
            )
            reply["meta"]["billed_units"] = amended(units, usage)
        return reply


class Embed(_Unwritten):
    """`/v1/embed` and `/v2/embed`."""

    def parse(self, raw: bytes, path: str) -> ChatRequest:
        body = read_json(raw)
        known(body, _EMBEDS, needs=("model", "input_type"))
        texts = body.get("texts") or [
            "".join(part["text"] for part in each["content"]) for each in body.get("inputs") or []
        ]
        if not 0 < len(texts) <= 96:
            raise ApiError(400, "invalid request: 1 to 96 texts.")
        encoding_of = encoding_name(body["model"])
        return _read(body["model"], texts, sum(count_text(each, encoding_of) for each in texts))

    def whole(
        self, answer: Answer, *, reply_id: str, model: str, usage: Usage | None, **_: Any
    ) -> dict[str, Any]:
        vectors = [vector(f"{at} {each.text}") for at, each in enumerate(answer.choices)]
        meta: dict[str, Any] = {"api_version": {"version": "2"}}
        if usage is not None:
            meta["billed_units"] = amended({"input_tokens": usage.input}, usage)
        return {
            "id": reply_id,
            "embeddings": {"float": vectors},
            "texts": [],
            "meta": meta,
            "response_type": "embeddings_by_type",
        }


# ai.google.dev/api/embeddings
_OF_A_TEXT = frozenset({"model", "content", "taskType", "title", "outputDimensionality"})
_MODEL = re.compile(r"/models/([^/:]+):(embedContent|batchEmbedContents)")


class GeminiEmbed(_Unwritten):
    """`…/models/{model}:embedContent`, or `:batchEmbedContents`."""

    def __init__(self, *, batch: bool) -> None:
        self._batch = batch

    def parse(self, raw: bytes, path: str) -> ChatRequest:
        body, found = read_json(raw), _MODEL.search(path)
        if found is None:
            raise ApiError(404, f"no model in {path}")
        texts: list[str] = []
        for each in body.get("requests") or [] if self._batch else [body]:
            known(each, _OF_A_TEXT, needs=("content", "model") if self._batch else ("content",))
            if self._batch and each["model"] != f"models/{found[1]}":
                raise ApiError(400, "The model of each request must be the path's.")
            texts.append("".join(part["text"] for part in each["content"]["parts"]))
        encoding_of = encoding_name(found[1])
        return _read(found[1], texts, sum(count_text(each, encoding_of) for each in texts))

    def whole(
        self, answer: Answer, *, reply_id: str, model: str, usage: Usage | None, **_: Any
    ) -> dict[str, Any]:
        found = [{"values": vector(f"{at}")} for at, _ in enumerate(answer.choices)]
        reply: dict[str, Any] = {"embeddings": found} if self._batch else {"embedding": found[0]}
        if usage is None:
            return reply
        return {**reply, "usageMetadata": amended({"promptTokenCount": usage.input}, usage)}


class OllamaEmbed(_Unwritten):
    """`/api/embed`."""

    def parse(self, raw: bytes, path: str) -> ChatRequest:
        body = read_json(raw)
        given = body.get("input")
        texts = [given] if isinstance(given, str) else given
        if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
            raise ApiError(400, "invalid input type")
        encoding_of = encoding_name(str(body.get("model")))
        counted = sum(count_text(each, encoding_of) for each in texts)
        return _read(str(body.get("model")), texts, counted)

    def whole(
        self, answer: Answer, *, reply_id: str, model: str, usage: Usage | None, **_: Any
    ) -> dict[str, Any]:
        vectors = [vector(f"{at}") for at, _ in enumerate(answer.choices)]
        reply: dict[str, Any] = {"model": model, "embeddings": vectors, "total_duration": 1}
        return reply if usage is None else {**reply, "prompt_eval_count": usage.input}


def _text(document: Any) -> str:
    if isinstance(document, str):
        return document
    if isinstance(document, dict) and isinstance(document.get("text"), str):
        return str(document["text"])
    raise ApiError(400, "invalid request: documents must be texts.")


RERANK = Rerank()
COHERE_EMBED = Embed()
GEMINI_EMBED = GeminiEmbed(batch=False)
GEMINI_EMBEDS = GeminiEmbed(batch=True)
OLLAMA_EMBED = OllamaEmbed()
