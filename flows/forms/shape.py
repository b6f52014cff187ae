"""A flow's parameters, as Prefect makes a form of them.

Prefect's form shows a union as tabs of type names, and refuses what is left empty where the schema
says a default of null. So each parameter has one type here, and none but what is wanted as a
default; the flow itself takes what it always took.
"""

import inspect
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Union, get_args, get_origin

from prefect import Flow
from pydantic import Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema, core_schema

Schema = Mapping[str, Any]


@dataclass(frozen=True)
class Shown:
    """One input of the form.

    Attributes:
        title: above it.
        description: below the title, one paragraph; what it means where it is left empty, too.
        schema: JSON schema of a value: its type, its bounds, examples.
        empty: it is empty at first, whatever the flow takes where nothing is said.
    """

    title: str
    description: str
    schema: Schema = field(default_factory=dict)
    empty: bool = False


def shape(flow: Flow[..., Any], inputs: Mapping[str, Shown]) -> None:
    """Make `inputs` the flow's form, in their order; what is not among them comes last, as its
    signature has it.

    `inspect.signature` of the flow is what Prefect makes a deployment's form of, whoever deploys
    it. That of its function (`flow.fn`) stays as it is, and so does what the flow takes.
    """
    parameters = inspect.signature(flow.fn).parameters
    if unknown := inputs.keys() - parameters.keys():
        raise TypeError(f"{flow.name} has no parameters {sorted(unknown)}")
    names = [*inputs, *(name for name in parameters if name not in inputs)]
    shaped = [_shaped(parameters[name], inputs.get(name)) for name in names]
    vars(flow)["__signature__"] = inspect.Signature(shaped)


def _shaped(parameter: inspect.Parameter, shown: Shown | None) -> inspect.Parameter:
    annotation: Any = _without_none(parameter.annotation)
    extra: dict[str, Any] = {}
    schema: Schema | None = None
    if shown is not None:
        extra = {"title": shown.title, "description": shown.description}
        annotation, schema = Any, shown.schema
    default = parameter.default
    # A default of null would be a value of no type that the form has.
    optional = default is None or default == () or (shown is not None and shown.empty)
    if default is not inspect.Parameter.empty and not optional:
        extra["default"] = default
    return inspect.Parameter(
        parameter.name,
        inspect.Parameter.KEYWORD_ONLY,
        annotation=Annotated[
            annotation,
            _InForm(schema, required=default is inspect.Parameter.empty),
            Field(json_schema_extra=extra),
        ],
    )


def _without_none(annotation: Any) -> Any:
    """`int` of `int | None`; any other union as it is."""
    if get_origin(annotation) not in (Union, types.UnionType):
        return annotation
    kinds = [each for each in get_args(annotation) if each is not type(None)]
    return kinds[0] if len(kinds) == 1 else annotation


class _InForm:
    """The schema of an input, in place of what its type would have."""

    def __init__(self, schema: Schema | None, *, required: bool) -> None:
        self._schema = schema
        self._required = required

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> CoreSchema:
        inner = handler(source)
        if self._required:
            return inner  # type: ignore[no-any-return]
        # A default that is made is in no schema, and what has one is not required.
        return core_schema.with_default_schema(inner, default_factory=lambda: None)

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return handler(core) if self._schema is None else dict(self._schema)
