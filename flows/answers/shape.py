"""The shape an answer must have, and whether it has it. Pure but for reading a schema's file."""

import json
import re
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from jsonschema.exceptions import ValidationError, best_match
from pydantic import BaseModel

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.answers.found import json_of
from prefect_governor.flows.answers.schemas import CheckedSchema, checked

_LONGEST_PROBLEM = 200
_MOST_PROBLEMS = 5


@dataclass(frozen=True)
class Shape:
    """A JSON schema that answers must validate against."""

    checked: CheckedSchema

    @property
    def schema(self) -> dict[str, Any]:
        return self.checked.schema

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know of the schema."""
        return self.checked.notes

    @property
    def response_format(self) -> dict[str, Any]:
        """The schema as a chat completion's `response_format` has it."""
        # What OpenAI takes for a name, and no more of it.
        name = re.sub(r"[^A-Za-z0-9_-]", "_", str(self.schema.get("title") or "answer"))[:64]
        return {"type": "json_schema", "json_schema": {"name": name, "schema": self.schema}}

    def read(self, answer: str) -> Any:
        """The answer's value. Raises ValueError that says what is wrong, for the repair turn."""
        validator = self.checked.validator
        try:
            value = json_of(answer, suits=validator.is_valid)
            errors = list(islice(validator.iter_errors(value), _MOST_PROBLEMS))
        except RecursionError:
            raise ValueError("it is nested too deeply to be held against the schema") from None
        if errors:
            raise ValueError("; ".join(_problem(error) for error in errors))
        return value


def shape_of(schema: Any) -> Shape | None:
    """A shape from a pydantic model, a JSON schema, or None for free text.

    Raises ConfigurationError for what is none of these, or a schema that no answer can be held
    against.
    """
    if schema is None:
        return None
    if isinstance(schema, Shape):
        return schema
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        return Shape(checked(schema.model_json_schema()))
    if not isinstance(schema, dict):
        raise ConfigurationError(
            f"schema must be a pydantic model or a JSON schema, not {type(schema).__name__}"
        )
    return Shape(checked(schema))


def read_schema(path: Path) -> dict[str, Any]:
    """A JSON schema from a file. Raises ConfigurationError."""
    try:
        schema = json.loads(path.read_text(encoding="utf-8-sig"))
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
