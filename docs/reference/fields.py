"""`.. fields:: module:Model`: the fields of a pydantic model, a row each."""

import re
from collections.abc import Iterator
from pkgutil import resolve_name
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from docutils import nodes
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

# What a JSON schema says of a value, in words.
BOUNDS = {"minimum": "at least", "exclusiveMinimum": "more than", "maximum": "at most"}


def kind(annotation: Any) -> str:
    """A type as people write it, without what checks its values."""
    inner = get_args(annotation)
    if get_origin(annotation) is Annotated:
        return kind(inner[0])
    if get_origin(annotation) in (Union, UnionType):
        return " | ".join(map(kind, inner))
    if get_origin(annotation) is Literal:
        return " | ".join(map(repr, inner))
    name = getattr(annotation, "__name__", "None").replace("NoneType", "None")
    return f"{name}[{', '.join(map(kind, inner))}]" if inner else name


def meaning(field: FieldInfo, schema: dict[str, Any]) -> str:
    """The field's description, and the bounds of its value."""
    said = [field.description or f"{field.title}."]
    said += [f"{words} {schema[key]:,}" for key, words in BOUNDS.items() if key in schema]
    text = " ".join((said[0], f"({', '.join(said[1:])})" if said[1:] else "")).strip()
    return re.sub(r"([*`|_\\])", r"\\\1", text)


def rows(model: type[BaseModel]) -> Iterator[tuple[str, str, str]]:
    """The field with its type, its default, what it is."""
    schemas = model.model_json_schema(by_alias=False)["properties"]
    for name, field in model.model_fields.items():
        default = repr(field.get_default(call_default_factory=True))
        shown = "required" if field.is_required() else f"``{default}``"
        about = f"``{name}``: {kind(field.annotation)}"
        yield about.replace("|", r"\|"), shown, meaning(field, schemas[name])


class Fields(SphinxDirective):
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        found = [("field", "default", "what it is"), *rows(resolve_name(self.arguments[0]))]
        lines = [".. list-table::", "   :header-rows: 1", "   :widths: 34 16 50", ""]
        lines += [f"   * - {name}\n     - {shown}\n     - {said}" for name, shown, said in found]
        return self.parse_text_to_nodes("\n".join(lines))


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_directive("fields", Fields)
    return {"parallel_read_safe": True}
