"""A schema is looked at once, before anything is asked: what no answer can be held against is
refused, and what does not mean what it seems to is said."""

from typing import Any

import pytest

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.answers.schemas import checked

OBJECT: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}}}


def _deep(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"$ref": "#/$defs/Missing"}, "'#/\\$defs/Missing' leads nowhere"),
        ({**OBJECT, "properties": {"a": {"$ref": "#/$defs/X"}}, "$defs": {}}, "leads nowhere"),
        ({"$ref": "https://example.com/schema.json"}, "nothing is fetched"),
        ({"items": {"$ref": "other.json#/a"}}, "nothing is fetched"),
        ({"$ref": "#anchor"}, "leads nowhere"),
        ({"$ref": "#"}, "without an end"),
        ({"anyOf": [{"type": "string"}, {"$ref": "#"}]}, "without an end"),
        (
            {
                "$ref": "#/$defs/a",
                "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}},
            },
            "without an end",
        ),
        ({"$schema": "https://example.com/mine", "type": "object"}, "no dialect"),
        ({"$schema": 7, "type": "object"}, "no dialect"),
        ({"type": "strng"}, "not a valid JSON schema, at type"),
        ({"type": "object", "required": "a"}, "not a valid JSON schema, at required"),
        ({"type": "string", "pattern": "("}, "not a .regex."),
        ({"patternProperties": {"[": {}}}, "not a .regex."),
        ({"name": "string", "price": 0}, "example of an answer"),
        (_deep(2_000), "nested too deeply"),
    ],
)
def test_a_schema_that_nothing_can_be_held_against_is_refused(
    schema: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        checked(schema)


TREE: dict[str, Any] = {
    "$ref": "#/$defs/Node",
    "$defs": {
        "Node": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
            },
            "required": ["name"],
            "additionalProperties": False,
        }
    },
}


def test_a_schema_may_refer_to_itself_about_a_part() -> None:
    validator = checked(TREE).validator
    assert validator.is_valid({"name": "a", "children": [{"name": "b"}]})
    assert not validator.is_valid({"name": "a", "children": [{"nam": "b"}]})


def test_a_reference_into_what_is_no_keyword_is_looked_at_too() -> None:
    with pytest.raises(ConfigurationError, match="leads nowhere"):
        checked({"$ref": "#/mine/a", "mine": {"a": {"$ref": "#/mine/b"}}})


@pytest.mark.parametrize(
    ("dialect", "refused", "taken"),
    [
        # Up to draft 4 a boolean says whether the bound itself is left out.
        ("http://json-schema.org/draft-04/schema#", 5, 6),
        ("https://json-schema.org/draft/2020-12/schema", 4, 5),
    ],
)
def test_a_schema_is_read_by_its_own_dialect(dialect: str, refused: int, taken: int) -> None:
    schema: dict[str, Any] = {"$schema": dialect, "type": "integer", "minimum": 5}
    if "04" in dialect:
        schema["exclusiveMinimum"] = True
    validator = checked(schema).validator
    assert not validator.is_valid(refused)
    assert validator.is_valid(taken)


def test_its_own_dialects_schema_may_be_referred_to_and_is_not_fetched() -> None:
    schema = {"$ref": "http://json-schema.org/draft-07/schema#"}
    assert checked(schema).validator.is_valid({"type": "string"})


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({}, "any JSON answer is taken"),
        ({"title": "Finding", "description": "What was found"}, "any JSON answer is taken"),
        ({**OBJECT, "requried": ["a"]}, "'requried' is no keyword of JSON Schema"),
        ({**OBJECT, "properties": {"a": {"type": "string", "maxlength": 3}}}, "'maxLength' is one"),
        ({**OBJECT, "additionalproperties": False}, "'additionalProperties' is one"),
    ],
)
def test_what_asks_for_nothing_is_said(schema: dict[str, Any], words: str) -> None:
    (note,) = checked(schema).notes
    assert words in note


@pytest.mark.parametrize("schema", [OBJECT, TREE, {**OBJECT, "x-mine": 1}, {"enum": [1]}])
def test_of_an_ordinary_schema_nothing_is_said(schema: dict[str, Any]) -> None:
    assert checked(schema).notes == ()


@pytest.mark.parametrize(
    "wrapped",
    [
        {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": OBJECT}},
        {"name": "x", "schema": OBJECT},
        {"format": {"type": "json_schema", "name": "x", "schema": OBJECT}},
        {"type": "function", "function": {"name": "x", "description": "d", "parameters": OBJECT}},
        {"name": "x", "description": "d", "input_schema": OBJECT},
    ],
)
def test_a_schema_is_taken_out_of_the_wrapping_of_a_request(wrapped: dict[str, Any]) -> None:
    found = checked(wrapped)
    assert found.schema == OBJECT
    assert "stands under" in found.notes[0]
