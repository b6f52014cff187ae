"""Prefect's form: hints in JSON schemas, which its inputs are made of, a field that two
forms have, and what they leave empty."""

from typing import Annotated, Any

from pydantic import BaseModel, Field, SecretStr

from prefect_governor.blocks.prefect_internals.block_schemas import OF_BLOCKS
from prefect_governor.blocks.records.accepted import Unseen

# As a limit and a model ask it.
UnseenParts = Annotated[
    Unseen,
    Field(
        title="Unseen parts",
        description=(
            "What becomes of a call with a part whose size nobody sees (a file by id or URL, audio,"
            " an earlier response by id, a hosted search within its number of uses): 'refuse', or"
            " 'context' to bound it by the model's context window at its dearest rate."
        ),
    ),
]


def plain(schema: dict[str, Any]) -> None:
    """For `json_schema_extra` of a field that may be None: one input, to be left empty.

    The form shows a union as tabs of type names, each to be chosen before anything can be typed.
    """
    kinds = [each for each in schema.pop("anyOf") if each.get("type") != "null"]
    (kind,) = kinds
    schema.update(kind)
    schema.pop("default", None)


def unfilled(schema: dict[str, Any]) -> None:
    """For `json_schema_extra` of a section that may be None: its inputs are empty at first."""
    schema.pop("default", None)


def section(kind: type[BaseModel]) -> dict[str, Any]:
    """The schema of a model as part of another: its fields in place, nothing to be referred to."""
    schema = kind.model_json_schema()
    definitions = schema.pop("$defs", {})
    kept = {name: value for name, value in schema.items() if name not in OF_BLOCKS}
    placed: dict[str, Any] = _in_place(kept, definitions)
    return placed


def _in_place(schema: Any, definitions: dict[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_in_place(each, definitions) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if (name := schema.get("$ref")) is not None:
        return _in_place(definitions[name.rpartition("/")[2]], definitions)
    return {each: _in_place(value, definitions) for each, value in schema.items()}


def empty_is_none(value: Any) -> Any:
    """For a validator that runs before a field that may be None: what the form leaves empty."""
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    return None if isinstance(text, str) and not text.strip() else value
