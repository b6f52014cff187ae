"""Jupyter notebooks, cell by cell, with what their outputs say in text."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from prefect_governor.blocks.errors import ItemFailed
from prefect_governor.flows.items.documents.formats.document import Extracted

# Colours of a terminal.
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_TEXTS = ("text/markdown", "text/latex", "text/plain", "application/json")


def notebook(source: str) -> Extracted:
    """The cells as Markdown: words as they are, code fenced, outputs beneath, of those that are
    pictures or pages none. Raises ItemFailed for what is no notebook."""
    try:
        given = json.loads(source)
    except ValueError as error:
        raise ItemFailed(f"it is no JSON: {error}") from None
    if not isinstance(given, Mapping):
        raise ItemFailed("it is no notebook: it holds no cells")
    # Before format 4 cells stood in worksheets.
    sheets = given.get("worksheets")
    cells = given.get("cells") or [
        cell
        for sheet in (sheets if isinstance(sheets, list) else [])
        if isinstance(sheet, Mapping)
        for cell in sheet.get("cells") or []
    ]
    if not isinstance(cells, list) or not cells:
        raise ItemFailed("it is no notebook: it holds no cells")
    language = _language(given)
    left_out: list[str] = []
    parts = [
        part
        for cell in cells
        if isinstance(cell, Mapping)
        for part in _cell(cell, language, left_out)
        if part.strip()
    ]
    notes = []
    if left_out:
        shown = ", ".join(sorted(set(left_out)))
        notes.append(f"{len(left_out)} outputs are left out: {shown}")
    return Extracted("\n\n".join(parts), tuple(notes))


def _language(given: Mapping[str, Any]) -> str:
    metadata = given.get("metadata")
    for name in ("language_info", "kernelspec"):
        info = metadata.get(name) if isinstance(metadata, Mapping) else None
        language = info and (info.get("name") if name == "language_info" else info.get("language"))
        if isinstance(language, str):
            return language
    return ""


def _text(value: Any) -> str:
    """A multi-line string of the format: one, or a list of its lines."""
    if isinstance(value, list):
        return "".join(map(str, value))
    if isinstance(value, (dict, int, float)):
        return json.dumps(value, ensure_ascii=False)
    return value if isinstance(value, str) else ""


def _cell(cell: Mapping[str, Any], language: str, left_out: list[str]) -> Iterator[str]:
    source = _text(cell.get("source", cell.get("input")))
    if cell.get("cell_type") != "code":
        yield source
        return
    if source.strip():
        yield f"```{language}\n{source}\n```"
    outputs = cell.get("outputs")
    said = [
        text
        for output in (outputs if isinstance(outputs, list) else [])
        if isinstance(output, Mapping) and (text := _output(output, left_out).strip())
    ]
    if said:
        yield "Output:\n```\n" + "\n".join(said) + "\n```"


def _output(output: Mapping[str, Any], left_out: list[str]) -> str:
    if output.get("output_type") in ("error", "pyerr"):
        return f"{_text(output.get('ename'))}: {_text(output.get('evalue'))}"
    if "text" in output and "data" not in output:
        return _ANSI.sub("", _text(output["text"]))
    data = output.get("data")
    if not isinstance(data, Mapping):
        return ""
    left_out += [kind for kind in data if isinstance(kind, str) and kind.startswith("image/")]
    for kind in _TEXTS:
        if kind in data:
            return _ANSI.sub("", _text(data[kind]))
    left_out += [kind for kind in data if isinstance(kind, str) and not kind.startswith("image/")]
    return ""
