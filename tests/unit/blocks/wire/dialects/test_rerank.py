"""Rankings: bounded in searches or in tokens, whichever the price is of."""

import json
import math
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.blocks.errors import NotBounded
from prefect_governor.blocks.prices.prices import load_price
from prefect_governor.blocks.prices.tariffs import UsageParts
from prefect_governor.blocks.prices.tokens import count_tokens
from prefect_governor.blocks.wire.dialects import dialect_of
from prefect_governor.blocks.wire.dialects.rerank import Rerank
from prefect_governor.blocks.wire.requests.plans import Billed, CallPlan
from tests.unit.blocks.wire.dialects.exchange import planned
from tests.unit.prices import priced

BY_SEARCH, BY_TOKEN = "cohere_chat/rerank-v3.5", "voyage/rerank-2.5"
_texts = st.text(min_size=0, max_size=3000)


def ranking(model: str = BY_SEARCH, **fields: Any) -> CallPlan:
    body = {"model": "rerank", "query": "Who pays?", "documents": ["A law."], **fields}
    return planned(Rerank(), body, model=model)


def read(**reply: Any) -> Billed | None:
    return Rerank().read(json.dumps(reply).encode())


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank", "/providers/cohere/v2/rerank"])
def test_paths_that_end_so_are_known(path: str) -> None:
    assert isinstance(dialect_of("POST", path), Rerank)


def test_the_list_prices_rankings_by_the_search_or_by_the_token() -> None:
    search, token = priced(BY_SEARCH), priced(BY_TOKEN)
    assert (search.search_fee, search.input) == (Decimal("0.002"), Decimal(0))
    assert search.mode == token.mode == "rerank"
    assert (token.search_fee, token.input) == (None, Decimal("0.00000005"))
    assert priced("cohere/rerank-v3.5") == search
    # What is 0 by the search and by the token is a gap in the list.
    assert load_price("nvidia_nim/nvidia/nv-rerankqa-mistral-4b-v3") is None


@pytest.mark.parametrize(
    ("documents", "searches"),
    [(["A law."], 1), (["A law."] * 100, 1), (["A law."] * 101, 2), ([], 1), (["x" * 60_000], 2)],
)
def test_a_search_is_of_a_hundred_documents_and_of_a_long_one_less(
    documents: list[str], searches: int
) -> None:
    made = ranking(documents=documents)
    assert (made.searches, made.input_tokens) == (searches, 0)
    assert made.bound(priced(BY_SEARCH)).nano == searches * 2_000_000


def test_what_a_provider_puts_between_query_and_document_makes_a_chunk_more() -> None:
    """A token a byte, as of a script that the tokenizer does not know, and a few to part them."""
    assert ranking(query="q" * 10, documents=["d" * 489] * 100).searches == 2


@given(query=_texts, documents=st.lists(_texts, max_size=6))
def test_no_provider_counts_more_than_the_bound(query: str, documents: list[str]) -> None:
    asked, tokens = (
        count_tokens(query, "cl100k_base"),
        [count_tokens(each, "cl100k_base") for each in documents],
    )
    made = ranking(BY_TOKEN, query=query, documents=documents)
    assert made.input_tokens >= asked * len(tokens) + sum(tokens)
    room = max(1, 500 - asked)
    chunks = sum(max(1, math.ceil(each / room)) for each in tokens)
    assert ranking(query=query, documents=documents).searches >= math.ceil(chunks / 100)


def test_what_is_billed_is_read_as_each_provider_says_it() -> None:
    units = {"search_units": 2.0}
    assert read(meta={"billed_units": units}) == Billed(UsageParts(0, 0, searches=2), "standard")
    assert read(usage={"total_tokens": 9}) == Billed(UsageParts(9, 0), "standard")
    spent = {"prompt_tokens": 9, "completion_tokens": 0, "total_tokens": 9}
    assert read(usage=spent) == Billed(UsageParts(9, 0), "standard")


@pytest.mark.parametrize(
    "reply",
    [{}, {"usage": None}, {"usage": {"total_tokens": 0}}, {"meta": {"billed_units": {}}},
     {"meta": {"billed_units": {"search_units": 1, "images": 3}}}, {"meta": 7},
     {"meta": {"billed_units": {"input_tokens": 1, "output_tokens": 3}}}],
)  # fmt: skip
def test_a_reply_that_does_not_say_it_settles_nothing(reply: dict[str, Any]) -> None:
    assert read(**reply) is None


def test_units_that_the_price_is_not_of_settle_nothing() -> None:
    tokens, searches = (
        read(usage={"total_tokens": 9}),
        read(meta={"billed_units": {"search_units": 1}}),
    )
    assert tokens is not None and searches is not None
    assert tokens.is_priced(priced(BY_TOKEN)) and not tokens.is_priced(priced(BY_SEARCH))
    assert searches.is_priced(priced(BY_SEARCH)) and not searches.is_priced(priced(BY_TOKEN))


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"query": {"image": "x"}}, "`query`"),
        ({"documents": "x"}, "`documents`"),
        ({"documents": [{"image": "https://example.com/a.png"}]}, "`documents`"),
        ({"documents": [{"text": "x", "image": "y"}]}, "`documents`"),
        ({"next_years": 1}, "`next_years`"),
    ],
)
def test_what_has_no_bound_is_refused_by_name(fields: dict[str, Any], part: str) -> None:
    with pytest.raises(NotBounded, match=part):
        ranking(**fields)


def test_output_that_costs_more_than_input_has_no_bound() -> None:
    with pytest.raises(NotBounded, match="price of output"):
        ranking("gpt-4o-mini")
