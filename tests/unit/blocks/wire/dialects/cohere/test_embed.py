"""Cohere's embeddings: text alone, settled by the units that were billed."""

import json
from typing import Any

import pytest

from prefect_governor.blocks.errors import NotBounded
from prefect_governor.blocks.prices.tariffs import UsageParts
from prefect_governor.blocks.wire.dialects import dialect_of
from prefect_governor.blocks.wire.dialects.cohere.embed import CohereEmbed
from prefect_governor.blocks.wire.requests.plans import Billed, CallPlan
from tests.unit.blocks.wire.dialects.exchange import planned
from tests.unit.prices import priced


def embedding(**fields: Any) -> CallPlan:
    body = {"model": "embed-v4.0", "input_type": "search_query", "texts": ["x"], **fields}
    return planned(CohereEmbed(), body, model="cohere_chat/embed-v4.0")


def read(**units: Any) -> Billed | None:
    return CohereEmbed().read(json.dumps({"meta": {"billed_units": units}}).encode())


def test_coheres_paths_are_not_taken_for_those_of_others() -> None:
    for path in ("/v1/embed", "/v2/embed"):
        assert isinstance(dialect_of("POST", path), CohereEmbed)
    for path in ("/v1/embeddings", "/api/chat"):
        assert not isinstance(dialect_of("POST", path), CohereEmbed)


def test_the_lists_two_names_of_cohere_are_one() -> None:
    for name in ("embed-v4.0", "embed-english-v3.0", "command-r-08-2024"):
        assert priced(f"cohere/{name}") == priced(f"cohere_chat/{name}")


def test_texts_are_bounded_by_their_bytes() -> None:
    assert embedding(texts=["ä" * 50, "b" * 100]).input_tokens >= 200
    assert embedding(texts=["x"]).output_tokens == 0


def test_units_of_text_are_the_bill_and_those_of_images_are_not_priced() -> None:
    assert read(input_tokens=7) == Billed(UsageParts(7, 0), "standard")
    assert read(input_tokens=7.0, text_tokens=7) == Billed(UsageParts(7, 0), "standard")
    for units in ({}, {"input_tokens": 0}, {"input_tokens": 7, "images": 1}):
        assert read(**units) is None


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"images": ["data:image/png;base64,x"]}, "`images`"),
        ({"inputs": [{"content": [{"type": "image_url"}]}]}, "'image_url'"),
        ({"inputs": [{"content": "x"}]}, "`inputs`"),
        ({"inputs": ["x"]}, "`inputs`"),
        ({"texts": [1]}, "`texts`"),
    ],
)
def test_what_has_no_bound_is_refused_by_name(fields: dict[str, Any], part: str) -> None:
    with pytest.raises(NotBounded, match=part):
        embedding(**fields)
