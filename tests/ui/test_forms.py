"""What Prefect's form makes of our Blocks, told by their schemas: needs no browser."""

import json
from decimal import Decimal
from typing import Any

import pytest
from prefect.blocks.core import Block

from prefect_governor import Budget, Governor, Limit, Model


def _properties(kind: type[Block]) -> dict[str, dict[str, Any]]:
    schema = kind.model_json_schema()
    found = dict(schema["properties"])
    for name, inner in {**schema.get("definitions", {}), **found}.items():
        found |= {f"{name}.{key}": value for key, value in inner.get("properties", {}).items()}
    return found


def test_governor_refers_to_no_budget_block_for_the_form_to_copy() -> None:
    schema = Governor.model_json_schema()
    assert schema["block_schema_references"] == {}
    assert schema["required"] == ["budget"]
    assert schema["properties"]["budget"]["type"] == "object"
    assert "governor-budget" not in json.dumps(schema)


@pytest.mark.parametrize("kind", [Governor, Budget])
def test_every_field_is_one_input_with_a_title_and_a_description(kind: type[Block]) -> None:
    for name, field in _properties(kind).items():
        assert "anyOf" not in field, f"{name}: tabs of type names in the form"
        assert field.get("title"), name
        assert field.get("description"), name


@pytest.mark.parametrize("usd", ["5", "0.35", "0.000000001", "123456.789"])
def test_money_is_stored_as_the_number_that_the_form_shows(usd: str) -> None:
    stored = Budget(max_usd=usd).model_dump()["max_usd"]
    assert isinstance(stored, float)
    assert Budget(max_usd=json.loads(json.dumps(stored))).max_usd == Decimal(usd)


def test_secret_of_a_model_is_a_password_in_the_form() -> None:
    key = Model.model_json_schema()["properties"]["api_key"]
    assert (key["type"], key["format"]) == ("string", "password")
    assert Model.model_json_schema()["secret_fields"] == ["api_key"]


def test_what_the_form_leaves_out_is_none() -> None:
    assert Limit.model_validate({"max_concurrent": 4}).tag is None
    assert Budget.model_validate({"max_usd": 1, "window": "day"}).parent is None
