"""Embeddings cost their input alone, and never more than its bound."""

import json
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.blocks.errors import NotBounded, NotGoverned
from prefect_governor.blocks.prices.prices import Price, Rates, Tariff
from prefect_governor.blocks.prices.tokens import count_tokens
from prefect_governor.blocks.wire.dialects import DIALECTS, dialect_of
from prefect_governor.blocks.wire.dialects.openai.embeddings import OpenAIEmbeddings
from prefect_governor.blocks.wire.requests.plans import CallPlan
from tests.unit.blocks.wire.dialects.exchange import planned
from tests.unit.prices import priced

DIALECT = OpenAIEmbeddings()
MODEL = "text-embedding-3-small"
CL100K = "cl100k_base"


def plan(*, encoding: str | None = CL100K, **fields: Any) -> CallPlan:
    body = {"model": MODEL, "input": "What is it?", **fields}
    return planned(DIALECT, body, model=MODEL, encoding=encoding)


@pytest.mark.parametrize("path", ["/v1/embeddings", "/embeddings", "/api/v1/embeddings/"])
def test_gateways_are_known_by_the_end_of_the_path(path: str) -> None:
    assert isinstance(dialect_of("POST", path), OpenAIEmbeddings)


def test_path_that_bills_and_that_none_knows_is_refused_with_the_fix() -> None:
    with pytest.raises(NotGoverned, match=r"/v1/completions .* Use the chat completions"):
        dialect_of("POST", "/v1/completions")
    with pytest.raises(NotGoverned, match=r"Call the models one by one"):
        dialect_of("POST", "/v1/batches")
    with pytest.raises(NotGoverned, match=r"OpenAI embeddings"):
        dialect_of("POST", "/v1/images/generations")


def test_no_path_is_claimed_by_two_dialects() -> None:
    for path in ("/v1/chat/completions", "/v1/responses", "/v1/embeddings"):
        assert sum(each.matches("POST", path) for each in DIALECTS) == 1


def test_bound_is_of_the_input_alone() -> None:
    text = "The quick brown fox jumps over the lazy dog. " * 50
    made = plan(input=[text, text])
    local = 2 * count_tokens(text, CL100K)
    assert (made.input_tokens, made.output_tokens) == (math.ceil(1.5 * local) + 16 * 3, 0)
    assert made.local_input_tokens == local
    assert made.bound(priced(MODEL)).nano == made.input_tokens * 20
    # There is no answer to cut.
    assert made.least_output_tokens is None


def test_output_price_that_is_not_zero_is_not_charged() -> None:
    odd = Price(Tariff(Rates(Decimal("0.0000000055"), Decimal(1))))
    assert plan().bound(odd).nano == math.ceil(plan().input_tokens * Decimal("5.5"))


@pytest.mark.parametrize("encoding", [CL100K, None])
def test_tokens_are_counted_already_whatever_their_tokenizer_is(encoding: str | None) -> None:
    assert plan(input=[1, 2, 3, 4], encoding=encoding).input_tokens == 6 + 16 * 2
    lists = [[100_000] * 10, [7] * 10]
    assert plan(input=lists, encoding=encoding).input_tokens == 30 + 16 * 3


def test_bytes_bound_texts_where_no_tokenizer_is_known() -> None:
    made = plan(encoding=None)
    assert made.input_tokens == len(made.body) + 16 * 2


@given(st.lists(st.text(max_size=99), min_size=1, max_size=6), st.floats(1.0, 1.5))
def test_no_provider_within_the_premise_counts_more_than_the_bound(
    texts: list[str], factor: float
) -> None:
    made = plan(input=texts)
    count = sum(count_tokens(text, CL100K) for text in texts)
    ceiling = len(made.body) + 16 * len(texts)
    assert min(math.ceil(count * factor), ceiling) <= made.input_tokens


@pytest.mark.parametrize(
    "given_input",
    [None, [], {}, 3, ["a", 3], [[1], "a"], [{"image": "x"}], [[True]], [1.5], [["a"]]],
)
def test_input_that_has_no_bound_is_refused(given_input: Any) -> None:
    with pytest.raises(NotBounded, match="`input`"):
        plan(input=given_input)


@pytest.mark.parametrize("field", ["messages", "images", "max_tokens", "never_heard_of"])
def test_unknown_field_is_refused_by_name(field: str) -> None:
    with pytest.raises(NotBounded, match=f"`{field}`"):
        plan(**{field: "x"})


def test_fields_that_change_no_bound_pass() -> None:
    assert plan(dimensions=256, encoding_format="base64", user="u").body


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"prompt_tokens": 10, "total_tokens": 10}, 10),
        ({"total_tokens": 10}, 10),
        ({"prompt_tokens": 10}, 10),
        ({"prompt_tokens": 10, "total_tokens": 12}, 12),
    ],
)
def test_usage_is_the_larger_count(usage: dict[str, Any], tokens: int) -> None:
    found = DIALECT.read(json.dumps({"data": [], "usage": usage}).encode())
    assert found is not None
    assert (found.parts.input_tokens, found.parts.output_tokens) == (tokens, 0)
    assert found.usage(priced(MODEL), plan()).nano == tokens * 20


@pytest.mark.parametrize(
    "reply",
    [{}, {"usage": None}, {"usage": {}}, {"usage": {"prompt_tokens": 0, "total_tokens": 0}},
     {"usage": {"prompt_tokens": -3}}, {"usage": {"prompt_tokens": True}}, [], None],
)  # fmt: skip
def test_reply_whose_bill_cannot_be_trusted_is_none(reply: Any) -> None:
    assert DIALECT.read(json.dumps(reply).encode()) is None
