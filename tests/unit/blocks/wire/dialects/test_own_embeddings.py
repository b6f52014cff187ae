"""Gemini's and Ollama's own embeddings: text alone, settled by what the reply counts."""

import json
from typing import Any

import pytest

from prefect_governor.blocks.errors import NotBounded, NotGoverned
from prefect_governor.blocks.prices.tariffs import UsageParts
from prefect_governor.blocks.wire.dialects import dialect_of
from prefect_governor.blocks.wire.dialects.gemini.embed import GeminiEmbed
from prefect_governor.blocks.wire.dialects.ollama_embed import OllamaEmbed
from prefect_governor.blocks.wire.dialects.openai.embeddings import OpenAIEmbeddings
from prefect_governor.blocks.wire.requests.plans import Billed, CallPlan, Dialect
from tests.unit.blocks.wire.dialects.exchange import planned

BATCH = "/v1beta/models/gemini-embedding-001:batchEmbedContents"
TEXT = {"parts": [{"text": "x" * 100}]}


def gemini(**body: Any) -> CallPlan:
    return planned(GeminiEmbed(), body, model="gemini/gemini-embedding-001", path=BATCH)


def ollama(**fields: Any) -> CallPlan:
    body = {"model": "any", "input": "x", **fields}
    return planned(OllamaEmbed(), body, model="ollama/any")


@pytest.mark.parametrize(
    ("path", "dialect"),
    [(BATCH, GeminiEmbed), (BATCH.replace("batchEmbedContents", "embedContent"), GeminiEmbed),
     ("/api/embed", OllamaEmbed), ("/api/embeddings", OpenAIEmbeddings)],
)  # fmt: skip
def test_each_path_has_its_own(path: str, dialect: type[Dialect]) -> None:
    assert isinstance(dialect_of("POST", path), dialect)


def test_vertexs_paths_are_not_taken_for_geminis() -> None:
    with pytest.raises(NotGoverned):
        dialect_of("POST", "/v1/projects/p/locations/l/publishers/google/models/m:embedContent")


def test_texts_are_bounded_by_their_bytes_one_or_many() -> None:
    assert gemini(content=TEXT).input_tokens >= 100
    many = [
        {"model": "models/gemini-embedding-001", "content": TEXT, "task_type": "RETRIEVAL_QUERY"}
    ] * 3
    assert gemini(requests=many).input_tokens >= 300
    assert ollama(input=["x" * 100, "y" * 100]).input_tokens >= 200


@pytest.mark.parametrize(
    ("body", "part"),
    [
        ({"content": {"parts": [{"inlineData": {"mimeType": "image/png"}}]}}, "'inlineData'"),
        ({"content": {"parts": [{"text": "x", "fileData": {}}]}}, "'fileData, text'"),
        ({"content": {}}, "a part"),
        ({"requests": [{"content": TEXT, "contents": TEXT}]}, "`contents`"),
        ({"requests": [], "next_years": 1}, "`nextYears`|`next_years`"),
        ({"requests": "x"}, "`requests`"),
        # The price is that of the path's.
        ({"content": TEXT, "model": "models/dearer"}, "models/dearer"),
        ({"requests": [{"content": TEXT, "model": "dearer"}]}, "dearer"),
        ({"requests": [], "model": "models/dearer"}, "models/dearer"),
    ],
)
def test_what_is_no_text_has_no_bound_at_gemini(body: dict[str, Any], part: str) -> None:
    with pytest.raises(NotBounded, match=part):
        gemini(**body)


@pytest.mark.parametrize("given", [None, 7, [1], ["x", {"image": "y"}]])
def test_what_is_no_text_has_no_bound_at_ollama(given: Any) -> None:
    with pytest.raises(NotBounded, match="`input`"):
        ollama(input=given)


@pytest.mark.parametrize(
    ("dialect", "reply", "tokens"),
    [
        (GeminiEmbed(), {"usageMetadata": {"promptTokenCount": 7}}, 7),
        (GeminiEmbed(), {"usageMetadata": {}}, None),
        (GeminiEmbed(), {"embedding": {}}, None),
        (OllamaEmbed(), {"prompt_eval_count": 7}, 7),
        (OllamaEmbed(), {"prompt_eval_count": 0}, None),
        (OllamaEmbed(), {}, None),
    ],
)
def test_only_what_the_reply_counts_is_settled(
    dialect: Dialect, reply: dict[str, Any], tokens: int | None
) -> None:
    expected = None if tokens is None else Billed(UsageParts(tokens, 0), "standard")
    assert dialect.read(json.dumps(reply).encode()) == expected
    assert dialect.read(b"no JSON") is None
