"""Requests of OpenAI's dialects, planned; and what a provider may count of them at the most."""

import json
import math
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.blocks.prices.tokens import count_tokens
from prefect_governor.blocks.wire.dialects.openai.chat import OpenAIChat
from prefect_governor.blocks.wire.dialects.openai.responses import OpenAIResponses
from prefect_governor.blocks.wire.requests.plans import CallPlan
from tests.unit.blocks.wire.dialects.exchange import planned
from tests.unit.fakes import chat_request

O200K = "o200k_base"
_words = st.text(min_size=0, max_size=120)
# The premise of a bound: a provider counts up to 1.5 times what its tokenizer does.
whatever_is_asked = given(
    texts=st.lists(_words, min_size=1, max_size=5),
    tools=st.lists(_words, max_size=3),
    factor=st.floats(1.0, 1.5),
)


def chat_plan(
    *, model: str = "gpt-4o-mini", encoding: str | None = O200K, **fields: Any
) -> CallPlan:
    body = chat_request(model=model, **fields)
    return planned(OpenAIChat(), body, model=model, encoding=encoding)


def response_plan(
    *, model: str = "gpt-4o-mini", encoding: str | None = O200K, **fields: Any
) -> CallPlan:
    body = {"model": model, "input": "What is it?", "max_output_tokens": 20, **fields}
    return planned(OpenAIResponses(), body, model=model, encoding=encoding)


def most_counted(
    made: CallPlan, texts: Sequence[str], tools: Sequence[dict[str, Any]], factor: float
) -> int:
    """A provider's own arithmetic: 4 a message and 3 a request, the tools as JSON, its factor."""
    count = 3 + sum(4 + count_tokens(text, O200K) for text in texts)
    if tools:
        written = json.dumps(tools, ensure_ascii=False, separators=(",", ":"))
        count += count_tokens(written, O200K)
    ceiling = len(made.body) + 16 * (len(texts) + len(tools))
    return min(math.ceil(count * factor), ceiling)
