"""Schemas as people write them, and answers as models give them: of each how it is taken."""

import json
from typing import Any

PERSON: dict[str, Any] = {
    "title": "Person of note",
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 1},
        "age": {"type": ["integer", "null"], "minimum": 0},
        "tags": {"type": "array", "items": {"enum": ["a", "b", 1, None]}, "maxItems": 3},
        "friend": {"$ref": "#/$defs/friend"},
    },
    "required": ["name"],
    "additionalProperties": False,
    "$defs": {"friend": {"anyOf": [{"type": "null"}, {"$ref": "#"}]}},
}
SCHEMAS: dict[str, bytes] = {
    name: json.dumps(schema, indent=1).encode()
    for name, schema in {
        "person": PERSON,
        "wrapped": {"type": "json_schema", "json_schema": {"name": "p", "schema": PERSON}},
        "old": {"$schema": "http://json-schema.org/draft-04/schema#", "id": "urn:x",
                "type": "object", "definitions": {"a": {"type": "number", "divisibleBy": 2}},
                "properties": {"a": {"$ref": "#/definitions/a"}}},
        "conditional": {"if": {"properties": {"a": {"const": 1}}}, "then": {"required": ["b"]},
                        "else": {"not": {"required": ["b"]}},
                        "propertyNames": {"pattern": "^.b?$"}},
        "many": {"allOf": [{"oneOf": [{"type": "string", "format": "date"}, {"type": "integer"}]},
                           {"dependentSchemas": {"a": {"prefixItems": [True, False]}}}]},
        "misspelled": {"type": "object", "propertys": {}, "requierd": ["a"]},
        "anchored": {"$defs": {"x": {"$anchor": "here", "type": "integer"}}, "$ref": "#here"},
        "example": {"name": "Ann", "age": 3},
    }.items()
}  # fmt: skip
_VALUE = '{"name": "Ann", "age": 3, "tags": ["a", 1, null], "friend": {"name": "Bo"}}'
ANSWERS: dict[str, bytes] = {
    name: answer.encode()
    for name, answer in {
        "plain": _VALUE,
        "marked": "\ufeff" + _VALUE,
        "fenced": f"Sure!\n```JSON\n{_VALUE}\n```\nHope it helps.",
        "thought": f"<think>It may be {{x}} or [1].</think>\n{_VALUE}",
        "words": f"It says [see 1] that {_VALUE} is [so], I (think).",
        "lenient": "{name: 'Ann', age: +3, /* no */ tags: ['a',], }",
        "several": f'{_VALUE} or else {{"name": "Cy"}} and [1, 2, 3]',
        "nan": '{"name": "Ann", "age": NaN, "tags": [Infinity]}',
        "cut": _VALUE[:40],
        "none": "I cannot answer this.",
    }.items()
}
