"""What Prefect's form makes of our Blocks, told by their schemas: needs no browser."""

import ast
import json
from decimal import Decimal
from typing import Any

import pytest
from prefect.blocks.core import Block
from pydantic import ValidationError

from prefect_governor import Budget, Governor, Limit, Model, Sandbox
from prefect_governor.blocks.documents.notices import DOCUMENT_INVALID


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


@pytest.mark.parametrize("kind", [Governor, Budget, Model, Sandbox])
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


def test_model_that_the_form_saves_untouched_is_one() -> None:
    # What each of the two UIs saves. The default one shows defaults, and saves none of them.
    for saved in (
        {"allow_untested_provider": False, "price": {"free": False}},
        {"name": "openai/gpt-4o-mini", "unseen": "refuse", "price": {"free": False}},
    ):
        model = Model.model_validate(saved)
        assert (model.name, model.price) == ("openai/gpt-4o-mini", None)


@pytest.mark.parametrize(("field", "kind"), [("limits", Governor), ("prices", Governor),
                                             ("fallbacks", Model), ("name", Model)])  # fmt: skip
def test_example_that_the_form_shows_can_be_pasted(field: str, kind: type[Block]) -> None:
    (example,) = kind.model_json_schema()["properties"][field].get("examples") or [
        kind.model_json_schema()["properties"][field]["default"]
    ]
    needed = {"budget": {"max_usd": 1}} if kind is Governor else {}
    kind.model_validate({**needed, field: example})


@pytest.mark.parametrize("kind", [Governor, Budget, Model, Sandbox])
def test_snippet_of_the_ui_loads_the_block(kind: type[Block]) -> None:
    text = str(kind.get_code_example())
    assert text.startswith("```python\n")
    code = text.removeprefix("```python\n").rstrip().removesuffix("```")
    parsed = ast.parse(code)
    assert f'{kind.__name__}.load("BLOCK_NAME")' in code
    imports = [each for each in parsed.body if isinstance(each, ast.Import | ast.ImportFrom)]
    exec(compile(ast.Module(list(imports), []), "snippet", "exec"), {})


@pytest.mark.parametrize("kind", [Governor, Budget, Model])
def test_description_says_where_what_is_wrong_is_told(kind: type[Block]) -> None:
    description = str(kind.get_description())
    assert "prefect-governor doctor" in description
    assert DOCUMENT_INVALID in description


def test_limit_on_all_calls_stands_once() -> None:
    governor = Governor(budget=Budget(max_usd=1), max_concurrent=3, limits=[Limit(tag="llm")])
    assert governor.every_limit == (Limit(max_concurrent=3), Limit(tag="llm"))
    assert Governor(budget=Budget(max_usd=1)).every_limit == ()
    with pytest.raises(ValidationError, match="there twice"):
        Governor(budget=Budget(max_usd=1), max_concurrent=3, limits=[Limit(max_concurrent=4)])


def test_secret_of_a_model_is_a_password_in_the_form() -> None:
    key = Model.model_json_schema()["properties"]["api_key"]
    assert (key["type"], key["format"]) == ("string", "password")
    assert Model.model_json_schema()["secret_fields"] == ["api_key"]


def test_what_the_form_leaves_out_is_none() -> None:
    assert Limit.model_validate({"max_concurrent": 4}).tag is None
    assert Budget.model_validate({"max_usd": 1, "window": "day"}).parent is None
