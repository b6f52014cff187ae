"""A schema is met whatever the text is, and filled with what it says."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from prefect_governor.blocks.offline.answering import answer
from prefect_governor.blocks.offline.passages import lines_of
from tests.unit.blocks.offline.texts import MARKDOWN, PYTHON, ask, flat

SCHEMA = {
    "type": "object",
    "$defs": {
        "Finding": {
            "type": "object",
            "properties": {
                "title": {"type": "string"},
                "evidence": {"type": "string", "description": "the sentence that shows it"},
                "line": {"type": "integer", "minimum": 1},
                "severity": {"enum": ["critical", "jams", "low"]},
                "children": {"type": "array", "items": {"$ref": "#/$defs/Finding"}},
            },
            "required": ["title", "evidence", "line", "severity"],
            "additionalProperties": False,
        }
    },
    "properties": {
        "summary": {"type": "string", "minLength": 10, "maxLength": 200},
        "findings": {"type": "array", "items": {"$ref": "#/$defs/Finding"}, "minItems": 1},
        "safe": {"type": "boolean"},
        "pages_an_hour": {"type": "integer"},
        "owner": {"anyOf": [{"type": "string", "format": "email"}, {"type": "null"}]},
        "version": {"type": "string", "pattern": r"^v\d+\.\d+$"},
        "kind": {"const": "guide"},
        "ratio": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
        "tags": {"type": "array", "items": {"enum": ["paper", "zebra", "ink"]}},
    },
    "required": ["summary", "findings", "safe", "pages_an_hour", "version", "kind", "ratio"],
    "additionalProperties": False,
}


def filled(schema: dict[str, Any], text: str = MARKDOWN, max_tokens: int = 4000) -> Any:
    shape = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    question = "What goes wrong?"
    reply = answer(ask(question, text), max_tokens=max_tokens, response_format=shape)
    assert reply.output_tokens <= max_tokens
    value = json.loads(reply.text)
    Draft202012Validator(schema).validate(value)
    return value


def test_a_schema_is_filled_with_what_the_text_says() -> None:
    value = filled(SCHEMA)
    lines = lines_of(MARKDOWN)
    assert value["pages_an_hour"] == 1200
    assert value["version"] == "v2.4"
    assert value["owner"] == "press@example.org"
    assert value["tags"] == ["paper", "ink"]
    assert value["safe"] is False
    for finding in value["findings"]:
        below = flat(" ".join(line.lstrip("> ") for line in lines[finding["line"] - 1 :]))
        assert flat(finding["evidence"]).rstrip("…")[:40] in below
    assert len({finding["line"] for finding in value["findings"]}) == len(value["findings"])


def test_a_schema_is_still_met_where_room_is_short() -> None:
    full = len(json.dumps(filled(SCHEMA)))
    assert len(json.dumps(filled(SCHEMA, max_tokens=160))) < full


def _schemas() -> st.SearchStrategy[dict[str, Any]]:
    names = st.sampled_from(["title", "summary", "line", "file", "count", "notes", "when"])
    bounds = st.integers(0, 30)
    leaf = st.one_of(
        st.just({"type": "boolean"}),
        st.just({"type": ["null", "string"]}),
        st.builds(lambda low: {"type": "integer", "minimum": low, "maximum": low + 3}, bounds),
        st.builds(lambda low: {"type": "integer", "exclusiveMinimum": low}, bounds),
        st.builds(lambda low: {"type": "number", "exclusiveMaximum": low}, bounds),
        st.builds(lambda n: {"type": "string", "minLength": n, "maxLength": n + 5}, bounds),
        st.sampled_from(["date", "date-time", "uuid", "uri", "email"]).map(
            lambda name: {"type": "string", "format": name}
        ),
        st.just({"enum": ["red", "green", 3]}),
        st.just({"anyOf": [{"type": "null"}, {"type": "integer"}]}),
    )
    return st.recursive(
        leaf,
        lambda inner: st.one_of(
            st.builds(
                lambda items, low: {
                    "type": "array",
                    "items": items,
                    "minItems": low,
                    "maxItems": low + 2,
                },
                inner,
                st.integers(0, 3),
            ),
            st.dictionaries(names, inner, min_size=1, max_size=4).map(
                lambda each: {"type": "object", "properties": each, "required": sorted(each)}
            ),
        ),
        max_leaves=8,
    )


@settings(max_examples=150, deadline=None)
@given(_schemas(), st.sampled_from([MARKDOWN, PYTHON, "One line.", "--"]))
def test_a_filled_schema_validates(schema: dict[str, Any], text: str) -> None:
    filled(schema, text)
