"""Whether answers can be held against a JSON schema: its dialect, its references, what it asks for.

All of it is looked at once, before anything is asked, and nothing of it is fetched.
"""

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

from jsonschema.exceptions import SchemaError
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for
from jsonschema_specifications import REGISTRY as SPECIFICATIONS
from referencing import Resource, Specification
from referencing.exceptions import Unresolvable
from referencing.jsonschema import specification_with

from prefect_governor.blocks.errors import ConfigurationError

DEFAULT_DIALECT = "https://json-schema.org/draft/2020-12/schema"

# What says something and asks for nothing: of JSON Schema, and of OpenAPI's schemas.
_ANNOTATIONS = frozenset(
    (
        "title", "description", "default", "examples", "example", "deprecated", "readOnly",
        "writeOnly", "nullable", "format", "$schema", "$id", "id", "$anchor", "$dynamicAnchor",
        "$recursiveAnchor", "$vocabulary", "$comment", "$defs", "definitions", "contentEncoding",
        "contentMediaType", "contentSchema", "discriminator", "xml", "externalDocs", "strict",
        "then", "else", "minContains", "maxContains", "additionalItems",
    )
)  # fmt: skip
_REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
# Keywords whose schemas are held against the same value, not against a part of it.
_ONE_SCHEMA = ("not", "if", "then", "else")
_MANY_SCHEMAS = ("allOf", "anyOf", "oneOf")
# How providers' requests wrap a schema: beside it stand these and nothing else.
_WRAPPING = frozenset(("type", "name", "description", "strict"))
_WRAPPED = ("schema", "parameters", "input_schema")
_CLOSE = 0.8


@dataclass(frozen=True)
class CheckedSchema:
    """A schema that answers can be held against.

    Attributes:
        schema: as it is sent.
        validator: of the dialect that it names.
        notes: what a person should know of it.
    """

    schema: dict[str, Any]
    validator: Validator
    notes: tuple[str, ...] = ()


def checked(given: dict[str, Any]) -> CheckedSchema:
    """A schema as a person gave it, out of the wrapping of a provider's request too.

    Raises ConfigurationError: an unknown dialect, no valid schema, a reference that leads nowhere
    or away from here, a schema that refers to itself without an end, or one
    that is an example in place of a schema.
    """
    try:
        schema, notes = _unwrapped(given)
        dialect = schema.get("$schema", DEFAULT_DIALECT)
        kind = _validator_of(dialect)
        kind.check_schema(schema)
        walk = _Walk(kind, specification_with(dialect))
        walk.through(schema)
    except SchemaError as error:
        raise ConfigurationError(
            f"the schema is not a valid JSON schema, at {_where(error)}: {error.message}"
        ) from None
    except RecursionError:
        raise ConfigurationError(
            "the schema is nested too deeply to be checked: give the answer fewer levels"
        ) from None
    walk.check_ends()
    notes += walk.misspelled
    if not any(keyword in kind.VALIDATORS for keyword in schema):
        strange = [keyword for keyword in schema if keyword not in _ANNOTATIONS]
        if strange:
            raise ConfigurationError(
                f"the schema asks for nothing: {strange[0]!r} is no keyword of JSON Schema. Is it"
                ' an example of an answer? Write {"type": "object", "properties": {…}, "required":'
                " […]}"
            )
        notes.append("the schema asks for nothing: any JSON answer is taken")
    return CheckedSchema(schema, kind(schema, registry=SPECIFICATIONS), tuple(notes))


def _validator_of(dialect: Any) -> Any:
    nobody: Any = None
    kind = validator_for({"$schema": dialect}, nobody) if isinstance(dialect, str) else None
    if kind is None:
        raise ConfigurationError(
            f"the schema's $schema is {dialect!r}, which is no dialect of JSON Schema that is known"
            f" here: name one from draft 3 to {DEFAULT_DIALECT}, or leave $schema out"
        )
    return kind


def _unwrapped(given: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The schema within a `response_format`, a text format or a tool's definition."""
    inner: Any = given
    path = ""
    for outer in ("json_schema", "function", "format"):
        if isinstance(inner.get(outer), dict) and set(inner) <= {outer, "type"}:
            inner = inner[outer]
            path += f"{outer}."
    for name in _WRAPPED:
        if isinstance(inner.get(name), dict) and set(inner) - {name} <= _WRAPPING:
            if not isinstance(inner.get("name"), str):
                continue
            return inner[name], [
                f"the schema is what stands under {path}{name}: what is around it belongs to a"
                " provider's request"
            ]
    return given, []


@dataclass
class _Walk:
    """Looks at each schema in a schema, and at each that one refers to, once."""

    kind: Any
    specification: Specification[Any]
    misspelled: list[str] = field(default_factory=list)
    # Which schemas are held against the value that one of them is held against, by identity.
    _beside: dict[int, list[int]] = field(default_factory=dict)

    def through(self, schema: dict[str, Any]) -> None:
        resource = self.specification.create_resource(schema)
        self._look(resource, SPECIFICATIONS.resolver_with_root(resource))

    def check_ends(self) -> None:
        """Raises ConfigurationError where a schema leads to itself about one and the same value."""
        try:
            TopologicalSorter(self._beside).prepare()
        except CycleError:
            raise ConfigurationError(
                "the schema refers to itself without an end: a $ref back to a schema must stand"
                " under properties or items, so that each round is about a smaller part"
            ) from None

    def _look(self, resource: Resource[Any], resolver: Any) -> None:
        schema = resource.contents
        if not isinstance(schema, dict) or id(schema) in self._beside:
            return
        beside = self._beside[id(schema)] = [id(each) for each in _applied(schema)]
        self._check_keywords(schema)
        for keyword in _REFERENCES:
            reference = schema.get(keyword)
            if not isinstance(reference, str):
                continue
            try:
                found = resolver.lookup(reference)
            except Unresolvable:
                raise ConfigurationError(_unresolved(reference)) from None
            beside.append(id(found.contents))
            self._look(self.specification.create_resource(found.contents), found.resolver)
        for inner in resource.subresources():
            self._look(inner, resolver.in_subresource(inner))

    def _check_keywords(self, schema: dict[str, Any]) -> None:
        known = [*self.kind.VALIDATORS, *_ANNOTATIONS]
        for keyword in schema:
            if keyword in self.kind.VALIDATORS or keyword in _ANNOTATIONS:
                continue
            close = difflib.get_close_matches(keyword, known, n=1, cutoff=_CLOSE)
            if close:
                self.misspelled.append(
                    f"the schema's {keyword!r} is no keyword of JSON Schema and asks for nothing:"
                    f" {close[0]!r} is one"
                )


def _applied(schema: dict[str, Any]) -> Iterator[Any]:
    for keyword in _ONE_SCHEMA:
        if isinstance(schema.get(keyword), dict):
            yield schema[keyword]
    for keyword in _MANY_SCHEMAS:
        yield from schema.get(keyword) or ()
    for keyword in ("dependentSchemas", "dependencies"):
        yield from (schema.get(keyword) or {}).values()


def _unresolved(reference: str) -> str:
    if reference.startswith("#"):
        return (
            f"the schema's $ref {reference!r} leads nowhere: nothing stands there. Add it under"
            " $defs, or mend the reference"
        )
    return (
        f"the schema's $ref {reference!r} leads out of it, and nothing is fetched: copy what it"
        " names under $defs and refer to that"
    )


def _where(error: SchemaError) -> str:
    return "/".join(str(part) for part in error.absolute_path) or "its top"
