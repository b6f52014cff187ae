"""The shape an answer must have, and whether it has it. Pure but for reading a schema's file."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError, best_match
from pydantic import BaseModel

from prefect_governor.blocks.errors import ConfigurationError

_LONGEST_PROBLEM = 200


@dataclass(frozen=True)
class Shape:
    """A JSON schema that answers must validate against."""

    schema: dict[str, Any]

    @property
    def response_format(self) -> dict[str, Any]:
        """The schema as a chat completion's `response_format` has it."""
        # What OpenAI takes for a name, and no more of it.
        name = re.sub(r"[^A-Za-z0-9_-]", "_", str(self.schema.get("title") or "answer"))[:64]
        return {"type": "json_schema", "json_schema": {"name": name, "schema": self.schema}}

    def read(self, answer: str) -> Any:
        """The answer's value. Raises ValueError that says what is wrong, for the repair turn."""
        value = json_of(answer)
        errors = list(Draft202012Validator(self.schema).iter_errors(value))
        if errors:
            raise ValueError("; ".join(_problem(error) for error in errors[:5]))
        return value


def shape_of(schema: Any) -> Shape | None:
    """A shape from a pydantic model, a JSON schema, or None for free text.

    Raises ConfigurationError for what is none of these, or is not a valid JSON schema.
    """
    if schema is None:
        return None
    if isinstance(schema, Shape):
        return schema
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        return Shape(schema.model_json_schema())
    if not isinstance(schema, dict):
        raise ConfigurationError(
            f"schema must be a pydantic model or a JSON schema, not {type(schema).__name__}"
        )
    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as error:
        where = "/".join(str(part) for part in error.absolute_path) or "its top"
        raise ConfigurationError(
            f"the schema is not a valid JSON schema, at {where}: {error.message}"
        ) from None
    return Shape(schema)


def read_schema(path: Path) -> dict[str, Any]:
    """A JSON schema from a file. Raises ConfigurationError."""
    try:
        schema = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"--schema {path}: {error.strerror}") from None
    except ValueError as error:
        raise ConfigurationError(f"--schema {path} is not JSON: {error}") from None
    except RecursionError:
        raise ConfigurationError(f"--schema {path} is nested too deeply") from None
    if not isinstance(schema, dict):
        raise ConfigurationError(f"--schema {path} must hold a JSON object")
    shape_of(schema)
    return schema


def _problem(error: ValidationError) -> str:
    deepest = best_match([error]) or error
    where = ".".join(str(part) for part in deepest.absolute_path)
    text = f"{where}: {deepest.message}" if where else deepest.message
    # The value comes first and may be long, what is wrong with it last.
    return (
        text if len(text) <= _LONGEST_PROBLEM else f"{text[:60]} … {text[60 - _LONGEST_PROBLEM :]}"
    )


def json_of(answer: str) -> Any:
    """The JSON of a reply, in a Markdown fence or not. Raises ValueError: what is wrong with it."""
    try:
        return json.loads(unfenced(answer))
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error}") from None
    except RecursionError:
        raise ValueError("it is not JSON that can be read: it is nested too deeply") from None


def unfenced(answer: str) -> str:
    """Models like to wrap JSON in a Markdown fence."""
    text = answer.strip()
    if text.startswith("```") and text.endswith("```"):
        text = text[3:-3].strip()
        text = text.removeprefix("json")
    return text
