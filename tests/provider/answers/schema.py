"""A minimal instance of a JSON schema."""

from __future__ import annotations

import math
from typing import Any

_FORMATS = {
    "date": "2024-01-01",
    "date-time": "2024-01-01T00:00:00Z",
    "time": "00:00:00Z",
    "email": "a@example.com",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def minimal(schema: dict[str, Any], root: dict[str, Any] | None = None, filler: str = "") -> Any:
    """The smallest value that `schema` allows: required properties, no more items than it must.

    Strings are `filler` where lengths allow. Knows type, enum, const, default-less objects, arrays,
    bounds, local `$ref`, `anyOf`/`oneOf` (its first that is not null) and `allOf`; `pattern`, `not`
    and conditions are not read.
    """
    root = schema if root is None else root
    schema = _resolved(schema, root)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["enum"][0]
    for word in ("anyOf", "oneOf"):
        if word in schema:
            options = [option for option in schema[word] if option.get("type") != "null"]
            return minimal((options or schema[word])[0], root, filler)
    kinds = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kinds, list):
        kinds = next((kind for kind in kinds if kind != "null"), "null")
    match kinds:
        case "object":
            properties = schema.get("properties", {})
            return {
                name: minimal(properties.get(name, {}), root, filler)
                for name in schema.get("required", [])
            }
        case "array":
            count = schema.get("minItems", 0)
            return [minimal(schema.get("items", {}), root, filler) for _ in range(count)]
        case "boolean":
            return False
        case "null":
            return None
        case "integer" | "number":
            return _number(schema, whole=kinds == "integer")
        case _:
            return _string(schema, filler)


def _resolved(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """The schema with its `$ref` followed and its `allOf` merged in."""
    if "$ref" in schema:
        target: Any = root
        for step in schema["$ref"].removeprefix("#").strip("/").split("/"):
            target = target[step] if step else target
        schema = {**_resolved(target, root), **{k: v for k, v in schema.items() if k != "$ref"}}
    if "allOf" in schema:
        merged = {key: value for key, value in schema.items() if key != "allOf"}
        for part in schema["allOf"]:
            part = _resolved(part, root)
            properties = {**merged.get("properties", {}), **part.get("properties", {})}
            required = [*merged.get("required", []), *part.get("required", [])]
            merged = {**merged, **part}
            if properties:
                merged |= {"properties": properties, "required": list(dict.fromkeys(required))}
        schema = merged
    return schema


def _number(schema: dict[str, Any], *, whole: bool) -> int | float:
    step = schema.get("multipleOf", 1 if whole else None)
    low = schema.get("minimum", -math.inf)
    high = schema.get("maximum", math.inf)
    above = schema.get("exclusiveMinimum")
    below = schema.get("exclusiveMaximum")
    if step is None:
        value = _middle(low, high, above, below)
    else:
        first = 0 if low == -math.inf else math.ceil(low / step) * step
        if above is not None and first <= above:
            first = (math.floor(above / step) + 1) * step
        last = high if below is None else min(high, (math.ceil(below / step) - 1) * step)
        value = first if first <= last else math.floor(last / step) * step
    return int(value) if whole else value


def _middle(low: float, high: float, above: float | None, below: float | None) -> float:
    """0 where it is allowed, else a value that the bounds allow."""
    low = low if above is None else max(low, above)
    high = high if below is None else min(high, below)
    if low < 0 < high or (low == 0 and above != 0) or (high == 0 and below != 0):
        return 0
    if math.isinf(high):
        return low + 1
    return high - 1 if math.isinf(low) else (low + high) / 2


def _string(schema: dict[str, Any], filler: str) -> str:
    if schema.get("format") in _FORMATS:
        return _FORMATS[schema["format"]]
    shortest = int(schema.get("minLength", 0))
    longest = schema.get("maxLength")
    return filler.ljust(shortest, "x")[:longest]
