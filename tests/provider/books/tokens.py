"""The provider's own token count: tiktoken's, over what was sent, times a factor."""

from __future__ import annotations

import importlib.util
import math
import os
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    import tiktoken

PER_MESSAGE = 4
PER_REQUEST = 3
# P1's premise: no more input tokens than the body's bytes and this many a message and tool.
OVERHEAD_CEILING = 16

_O200K_NAMES = ("gpt-4o", "gpt-4.1", "gpt-5", "o1", "o3", "o4")


def encoding_name(model: str) -> str:
    """`o200k_base` for the newer OpenAI names, else `cl100k_base`."""
    bare = model.rsplit("/", 1)[-1]
    return "o200k_base" if bare.startswith(_O200K_NAMES) else "cl100k_base"


@lru_cache(maxsize=4)
def encoding(name: str) -> tiktoken.Encoding:
    """The tiktoken encoding, read from the files that LiteLLM ships (nothing is downloaded)."""
    if "TIKTOKEN_CACHE_DIR" not in os.environ:
        # find_spec of the top package only: it does not import LiteLLM, which costs seconds.
        spec = importlib.util.find_spec("litellm")
        if spec is not None and spec.submodule_search_locations:
            folder = Path(spec.submodule_search_locations[0])
            shipped = folder / "litellm_core_utils" / "tokenizers"
            os.environ["TIKTOKEN_CACHE_DIR"] = str(shipped)
    import tiktoken

    return tiktoken.get_encoding(name)


@lru_cache(maxsize=8192)
def count_text(text: str, encoding_of: str) -> int:
    """Tokens of `text`; special tokens' names count as ordinary text."""
    return len(encoding(encoding_of).encode_ordinary(text))


def cut_text(text: str, encoding_of: str, tokens: int) -> str:
    """The longest prefix of whole characters within `tokens` tokens of `text`."""
    codec = encoding(encoding_of)
    return codec.decode(codec.encode_ordinary(text)[:tokens], errors="ignore")


def scaled(tokens: int, factor: Fraction) -> int:
    """`tokens` times `factor`, rounded up."""
    return math.ceil(tokens * factor)


def count_input(
    body: dict[str, Any],
    body_bytes: int,
    *,
    factor: Fraction,
    image_tokens: int,
    encoding_of: str,
) -> int:
    """Input tokens billed for a chat request.

    Message contents, names and tool calls, 4 a message and 3 a request, the tools and the response
    schema as JSON; times `factor`, rounded up; at most the body's bytes plus 16 a message and tool.
    An image costs `image_tokens` on top of that, since its bytes do not bound it.
    """
    messages = body["messages"]
    tools = body.get("tools") or []
    count = PER_REQUEST
    images = 0
    for message in messages:
        count += PER_MESSAGE
        content = message.get("content")
        if isinstance(content, str):
            count += count_text(content, encoding_of)
        elif isinstance(content, list):
            for part in content:
                if part.get("type") in {"image_url", "input_image"}:
                    images += 1
                else:
                    count += count_text(str(part.get("text", "")), encoding_of)
        if message.get("name"):
            count += count_text(str(message["name"]), encoding_of)
        if message.get("tool_calls"):
            count += count_text(orjson.dumps(message["tool_calls"]).decode(), encoding_of)
    for extra in (tools, body.get("response_format")):
        if extra:
            count += count_text(orjson.dumps(extra).decode(), encoding_of)
    ceiling = body_bytes + OVERHEAD_CEILING * (len(messages) + len(tools))
    return min(scaled(count, factor), ceiling) + images * image_tokens
