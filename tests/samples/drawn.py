"""Inputs that Hypothesis draws: schemas, answers, tables and texts that nobody would write."""

import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from prefect_governor.blocks.errors import ConfigurationError, ItemFailed
from prefect_governor.flows.answers.shape import shape_of
from prefect_governor.flows.items.extraction import read_text
from prefect_governor.flows.items.item import Item
from prefect_governor.flows.items.sources import resolve_sources

_EXAMPLES = 50
_KEYWORDS = (
    "type", "properties", "items", "enum", "const", "anyOf", "allOf", "not", "$ref", "$defs",
    "required", "minLength", "multipleOf", "additionalProperties", "$schema", "prefixItems", "a",
)  # fmt: skip
_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["object", "array", "string", "#", "#/$defs/a", "https://example.com/x"])
)
JSON = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(_KEYWORDS) | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=20,
)
_OBJECTS = st.dictionaries(st.sampled_from(_KEYWORDS), JSON, max_size=5)
_WORDS = st.text(alphabet="{}[]`'\"\\,:jsonJSON<think>/ \nNaN0", max_size=60)
_CELLS = st.text(alphabet="ab1,;|\t\"'\\ \n\r\0\x1f\u2028é=-.", max_size=200)


def drawn(number: int, seconds: float) -> Counter[str]:
    """What became of inputs that are drawn for so long, at least some of each kind, the same for
    the same number. Whatever breaks is raised, by Hypothesis as small as it gets."""
    counts: Counter[str] = Counter()
    until = time.monotonic() + seconds
    while True:
        for kind, make in _KINDS.items():
            make(number, _telling(counts, kind))
        number += 1
        if time.monotonic() >= until:
            return counts


Tell = Callable[[str], None]


def _telling(counts: Counter[str], kind: str) -> Tell:
    def tell(came: str) -> None:
        counts[f"drawn {kind}: {came}"] += 1

    return tell


def _drawing(number: int) -> Callable[[Any], Any]:
    def decorate(test: Any) -> Any:
        return seed(number)(
            settings(
                max_examples=_EXAMPLES,
                database=None,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                phases=(Phase.generate, Phase.shrink),
            )(test)
        )

    return decorate


def _schemas(number: int, tell: Tell) -> None:
    @_drawing(number)
    @given(schema=_OBJECTS, value=JSON)
    def test(schema: dict[str, Any], value: Any) -> None:
        try:
            shape = shape_of(schema)
        except ConfigurationError:
            tell("refused")
            return
        assert shape is not None
        try:
            shape.read(json.dumps(value))
            tell("read")
        except ValueError as error:
            assert str(error)
            tell("refused")

    test()


def _answers(number: int, tell: Tell) -> None:
    @_drawing(number)
    @given(before=_WORDS, value=JSON, after=_WORDS, ascii_only=st.booleans())
    def test(before: str, value: Any, after: str, ascii_only: bool) -> None:
        shape = shape_of({"type": ["object", "array"]})
        assert shape is not None
        try:
            shape.read(before + json.dumps(value, ensure_ascii=ascii_only) + after)
            tell("read")
        except ValueError as error:
            assert str(error)
            tell("refused")

    test()


def _tables(number: int, tell: Tell) -> None:
    @_drawing(number)
    @given(text=_CELLS, name=st.sampled_from(["t.csv", "t.tsv", "t.yaml", "t.jsonl", "t.json"]))
    def test(text: str, name: str) -> None:
        tell(_read_table(name, text.encode()))

    test()


def _rows(number: int, tell: Tell) -> None:
    @_drawing(number)
    @given(rows=st.lists(JSON | _OBJECTS, max_size=6), alone=st.booleans())
    def test(rows: list[Any], alone: bool) -> None:
        if alone:
            tell(_read_table("t.json", json.dumps(rows).encode()))
        else:
            tell(_read_table("t.jsonl", "\n".join(map(json.dumps, rows)).encode()))

    test()


def _texts(number: int, tell: Tell) -> None:
    @_drawing(number)
    @given(data=st.binary(min_size=1, max_size=400) | st.text(min_size=1).map(str.encode),
           name=st.sampled_from(["a.txt", "a.xml", "a.html", "a.py", "a.md", "a"]))  # fmt: skip
    def test(data: bytes, name: str) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / name
            path.write_bytes(data)
            try:
                text = read_text(Item(key=name, source=str(path))).text
            except ItemFailed as error:
                assert str(error)
                tell("refused")
            else:
                assert text.strip() and "\0" not in text
                text.encode()
                tell("read")

    test()


def _read_table(name: str, data: bytes) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        try:
            items = resolve_sources([str(path)], cwd=folder, skipped=[], said=[])
        except ConfigurationError as error:
            assert str(error) and "\n" not in str(error)
            return "refused"
        for item in items:
            if item.text is not None:
                item.text.encode()
        assert len({item.key for item in items}) == len(items)
        return "read"


_KINDS: dict[str, Callable[[int, Tell], None]] = {
    "schema": _schemas,
    "answer": _answers,
    "table": _tables,
    "rows": _rows,
    "text": _texts,
}
