"""The request of a row, in the words of its API."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from tests.integration.billing.table import Case

LIMIT = 200
# Where the path asks for a stream: how its end is written without one, and with one.
STREAMED = {
    "generate": (":generateContent", ":streamGenerateContent?alt=sse"),
    "converse": ("/converse", "/converse-stream"),
    "invoke": ("/invoke", "/invoke-with-response-stream"),
    "rawPredict": (":rawPredict", ":streamRawPredict"),
}
# Where a cloud takes Anthropic's messages, the version that it wants in the body.
VERSIONS = {"invoke": "bedrock-2023-05-31", "rawPredict": "vertex-2023-10-16"}


def url(case: Case) -> str:
    """Where the request goes."""
    row = case.row
    paths = {
        "chat": f"{case.base}/chat/completions",
        "responses": f"{case.base}/responses",
        "embeddings": f"{case.base}/embeddings",
        "messages": f"{case.base}/messages",
        "generate": f"{case.base}{row.place}/models/{row.model}:generateContent",
        "ollama": "/api/chat",
        "cohere": f"{case.base}/chat",
        "embed": f"{case.base}/embed",
        "embedContent": f"{case.base}{row.place}/models/{row.model}:embedContent",
        "ollamaEmbed": "/api/embed",
        "rerank": f"{case.base}/rerank",
        "converse": f"/model/{quote(row.model, safe='')}/converse",
        "invoke": f"/model/{quote(row.model, safe='')}/invoke",
        "rawPredict": f"{case.base}{row.place}/models/{row.model}:rawPredict",
    }
    path = paths[row.api] if row.path is None else row.path
    if row.stream and row.api in STREAMED:
        path = path.removesuffix(STREAMED[row.api][0]) + STREAMED[row.api][1]
    return case.origin + path


def body(case: Case) -> dict[str, Any]:
    """A text that names the row, a limit, and what the row asks for beside."""
    row = case.row
    text = f"{case.key}\n" + "word " * row.words
    asked: dict[str, Any] = {"model": row.model}
    if row.api == "chat":
        asked |= {"messages": [{"role": "user", "content": text}], "max_tokens": LIMIT}
    elif row.api == "responses":
        asked |= {"input": text, "max_output_tokens": LIMIT}
    elif row.api == "embed":
        asked |= {"texts": [text], "input_type": "search_query"}
    elif row.api == "rerank":
        asked |= {"query": "Who pays?", "documents": [text]}
    elif row.api == "embedContent":
        asked = {"content": {"parts": [{"text": text}]}}
    elif row.api in ("embeddings", "ollamaEmbed"):
        asked |= {"input": text}
    elif row.api in ("messages", "cohere"):
        asked |= {"messages": [{"role": "user", "content": text}], "max_tokens": LIMIT}
    elif row.api == "generate":
        asked = {
            "contents": [{"role": "user", "parts": [{"text": text}]}],
            "generationConfig": {"maxOutputTokens": LIMIT},
        }
    elif row.api == "converse":
        asked = {
            "messages": [{"role": "user", "content": [{"text": text}]}],
            "inferenceConfig": {"maxTokens": LIMIT},
        }
    elif row.api in VERSIONS:
        asked = {
            "anthropic_version": VERSIONS[row.api],
            "messages": [{"role": "user", "content": text}],
            "max_tokens": LIMIT,
        }
    else:
        asked |= {
            "messages": [{"role": "user", "content": text}],
            "options": {"num_predict": LIMIT},
            "stream": False,
        }
    if row.stream and row.api not in ("generate", "converse", "invoke"):
        asked["stream"] = True
    return _merged(asked, dict(row.asks), text)


PARTS = "parts"


def _merged(asked: dict[str, Any], asks: dict[str, Any], text: str) -> dict[str, Any]:
    """`parts` stand in the message, after its text."""
    parts = asks.pop(PARTS, None)
    if parts is not None:
        _put(asked, parts, text)
    for name, value in asks.items():
        if value is None:
            del asked[name]
        elif isinstance(value, dict) and isinstance(asked.get(name), dict):
            asked[name] = {**asked[name], **value}
        else:
            asked[name] = value
    return asked


def _put(asked: dict[str, Any], parts: list[Any], text: str) -> None:
    if "contents" in asked:
        asked["contents"][0]["parts"] += parts
    elif "input" in asked:
        content = [{"type": "input_text", "text": text}, *parts]
        asked["input"] = [{"role": "user", "content": content}]
    elif "inferenceConfig" in asked:
        asked["messages"][0]["content"] += parts
    else:
        asked["messages"][0]["content"] = [{"type": "text", "text": text}, *parts]
