"""A JSON value of a schema, filled with what a document says: extraction, not understanding.

Strings are passages that rank best for the ask and the property's name and description; arrays of
objects take one passage an element; numbers are read from the passage that names them, else 0;
booleans are false; of an enum, the first value that the text holds, else the first.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prefect_governor.blocks.offline.quotes import Passage
from prefect_governor.blocks.offline.ranking import Ranking, is_overview

_DEEPEST = 8
_MOST_SEARCHED = 2_000
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?![\w.]*\w)")
_TITLE = re.compile(r"title|name|label|headline|subject|heading|topic", re.IGNORECASE)
_OVERALL = re.compile(r"summary|overview|abstract|description|purpose|gist", re.IGNORECASE)
_PATH = re.compile(r"^(?:file|path|file_?name|file_?path|source|document|key)$", re.IGNORECASE)
_LINE = re.compile(r"^(?:line|line_?(?:no|number)|start_?line|first_?line)$", re.IGNORECASE)
_FORMATS = {
    "date": (re.compile(r"\b\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])\b"), "1970-01-01"),
    "date-time": (
        re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)"),
        "1970-01-01T00:00:00Z",
    ),
    "time": (re.compile(r"\b[01]\d:[0-5]\d:[0-5]\dZ"), "00:00:00Z"),
    "email": (re.compile(r"\b[\w.+-]+@[\w-]+\.[\w.]*\w"), "nobody@example.invalid"),
    "uri": (re.compile(r"\bhttps?://[^\s<>\"')\]]+[\w/]"), "about:blank"),
    "uuid": (
        re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"),
        "00000000-0000-0000-0000-000000000000",
    ),
}


def fill(
    schema: Mapping[str, Any],
    ask: str,
    documents: Sequence[tuple[str, Ranking]],
    *,
    longest: int,
    most: int,
) -> Any:
    """A value of `schema` from `documents` (key, ranking), the first of which is the subject.

    `longest` bounds a string in characters, `most` an array in elements, unless the schema asks
    for more. A `pattern` that nothing in the text matches is not met.
    """
    key, ranking = documents[0] if documents else ("", Ranking([]))
    return _Filler(schema, ask, key, ranking, longest, most).value(schema, _Place())


@dataclass(frozen=True)
class _Place:
    """Where in the schema: the property's words, the passage in hand, and how deep."""

    name: str = ""
    about: str = ""
    focus: Passage | None = None
    depth: int = 0


class _Filler:
    def __init__(
        self,
        root: Mapping[str, Any],
        ask: str,
        key: str,
        ranking: Ranking,
        longest: int,
        most: int,
    ) -> None:
        self._root, self._ask, self._key, self._ranking = root, ask, key, ranking
        self._longest, self._most = longest, most
        self._text = "\n".join(passage.text for passage in ranking.passages)
        self._used: set[str] = set()

    def value(self, schema: Any, place: _Place) -> Any:
        schema = self._resolved(schema)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._one_of(schema["enum"])
        kind = _type_of(schema)
        if kind == "object":
            return self._object(schema, place)
        if kind == "array":
            return self._array(schema, place)
        if kind in {"integer", "number"}:
            return _within(self._number(place), schema, whole=kind == "integer")
        if kind == "boolean":
            return False
        return None if kind == "null" else self._string(schema, place)

    def _resolved(self, schema: Any) -> dict[str, Any]:
        """The schema behind references and combinations; of alternatives the first that says."""
        if not isinstance(schema, Mapping):
            return {}
        found = dict(schema)
        for _ in range(_DEEPEST):
            if isinstance(reference := found.pop("$ref", None), str):
                found = {**self._pointed(reference), **found}
            elif parts := found.pop("allOf", None):
                merged = _merged([self._resolved(part) for part in parts])
                found = _merged([merged, found])
            elif options := found.pop("anyOf", None) or found.pop("oneOf", None):
                resolved = [self._resolved(option) for option in options]
                chosen = next((o for o in resolved if _type_of(o) != "null"), resolved[0])
                found = {**found, **chosen}
            else:
                break
        return found

    def _pointed(self, reference: str) -> dict[str, Any]:
        at: Any = self._root
        for part in reference.removeprefix("#").strip("/").split("/"):
            name = part.replace("~1", "/").replace("~0", "~")
            at = at.get(name, {}) if isinstance(at, Mapping) and part else at
        return dict(at) if isinstance(at, Mapping) else {}

    def _object(self, schema: Mapping[str, Any], place: _Place) -> dict[str, Any]:
        required = set(schema.get("required", ()))
        # Within an object no two strings are to be the same quote, as far as there are others.
        outer, self._used = self._used, set()
        found: dict[str, Any] = {}
        for name, each in schema.get("properties", {}).items():
            if place.depth >= _DEEPEST and name not in required:
                continue
            if place.depth >= 2 * _DEEPEST:
                found[name] = None
                continue
            about = f"{name} {self._resolved(each).get('description', '')}"
            inner = _Place(name, about, place.focus, place.depth + 1)
            found[name] = self.value(each, inner)
        self._used = outer
        return found

    def _array(self, schema: Mapping[str, Any], place: _Place) -> list[Any]:
        fewest = int(schema.get("minItems", 0))
        most = max(fewest, min(self._most, int(schema.get("maxItems", self._most))))
        items = self._resolved(schema.get("items", {}))
        if place.depth >= _DEEPEST:
            most = fewest
        if "enum" in items:
            held = [value for value in items["enum"] if _holds(self._text, value)]
            rest = [value for value in items["enum"] if value not in held]
            return [*held[:most], *rest[: max(0, fewest - len(held))]]
        passages = self._passages(place)[:most]
        found: list[Any] = []
        for passage in [*passages, *([None] * max(0, fewest - len(passages)))]:
            self._used.clear()
            inner = _Place(place.name, place.about, passage, place.depth + 1)
            value = self.value(items, inner)
            if not (schema.get("uniqueItems") and value in found):
                found.append(value)
        return found[:most]

    def _passages(self, place: _Place) -> list[Passage]:
        """The passages that speak of a place, best first."""
        if _OVERALL.search(place.name) or (not place.name and is_overview(self._ask)):
            return self._ranking.best(self._ranking.central(self._ask), spread=True)
        asked = self._ranking.scores(self._ask)
        named = self._ranking.scores(place.about)
        scores = [a + 1.5 * n for a, n in zip(asked, named, strict=True)]
        if not any(scores):
            scores = self._ranking.central(self._ask)
        return self._ranking.best(scores)

    def _string(self, schema: Mapping[str, Any], place: _Place) -> str:
        longest = max(1, min(self._longest, int(schema.get("maxLength", self._longest))))
        fewest = int(schema.get("minLength", 0))
        if (known := _FORMATS.get(schema.get("format", ""))) is not None:
            match = known[0].search(self._text)
            return match.group() if match else known[1]
        candidates = self._candidates(place)
        if pattern := schema.get("pattern"):
            return _matching(pattern, [*candidates, *self._text.split("\n")], self._text)
        text = next((each for each in candidates if each not in self._used), "")
        text = text or (candidates[0] if candidates else "")
        if not _TITLE.search(place.name):
            self._used.add(text)
        if len(text) > max(longest, fewest):
            cut = max(longest, fewest)
            text = text[: max(fewest, 0) or cut] if cut < 2 else text[: cut - 1].rstrip() + "…"
        return text if len(text) >= fewest else text.ljust(fewest, "…")

    def _candidates(self, place: _Place) -> list[str]:
        """Strings for a place, best first."""
        focus = place.focus
        if _PATH.match(place.name):
            return [self._key]
        if _TITLE.search(place.name):
            named = [focus] if focus else [p for p in self._ranking.passages if p.kind == "title"]
            named = named or list(self._ranking.passages[:1])
            return [_name_of(passage) for passage in named] or [self._key]
        passages = self._passages(place)
        if focus is not None:
            passages = [focus, *(each for each in passages if each != focus)]
        elif _OVERALL.search(place.name) and len(passages) > 1:
            first, second = sorted(passages[:2], key=lambda passage: passage.first)
            return [f"{first.text} {second.text}", *(each.text for each in passages)]
        return [each.text for each in passages]

    def _number(self, place: _Place) -> float:
        if _LINE.match(place.name):
            passages = [place.focus] if place.focus else self._passages(place)
            return passages[0].first if passages and passages[0] else 0
        scores = self._ranking.scores(place.name)
        for passage in self._ranking.best(scores):
            if match := _NUMBER.search(passage.text[:_MOST_SEARCHED]):
                return float(match.group())
        return 0

    def _one_of(self, values: Sequence[Any]) -> Any:
        return next((value for value in values if _holds(self._text, value)), values[0])


def _type_of(schema: Mapping[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((each for each in kind if each != "null"), "null")
    if kind is None:
        kind = "object" if "properties" in schema else "array" if "items" in schema else "string"
    return str(kind)


def _merged(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for part in parts:
        properties = {**found.get("properties", {}), **part.get("properties", {})}
        required = [*found.get("required", ()), *part.get("required", ())]
        found = {**found, **part}
        if properties:
            found["properties"] = properties
        if required:
            found["required"] = required
    return found


def _within(number: float, schema: Mapping[str, Any], *, whole: bool) -> float:
    """The number nearest to `number` that the schema's bounds allow."""
    step = schema.get("multipleOf") or (1 if whole else None)
    # An exclusive bound is left by one step; where there is none, by a little.
    margin = step or 1e-6
    lows = [schema.get("minimum"), _shifted(schema.get("exclusiveMinimum"), margin)]
    highs = [schema.get("maximum"), _shifted(schema.get("exclusiveMaximum"), -margin)]
    number = max([number, *(low for low in lows if low is not None)])
    number = min([number, *(high for high in highs if high is not None)])
    if step:
        number = round(number / step) * step
    return int(number) if whole or number == int(number) else number


def _shifted(bound: float | None, by: float) -> float | None:
    return None if bound is None or isinstance(bound, bool) else bound + by


def _holds(text: str, value: Any) -> bool:
    if not isinstance(value, str) or not value:
        return False
    return re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text, re.IGNORECASE) is not None


def _matching(pattern: str, candidates: Sequence[str], text: str) -> str:
    """What matches `pattern`: a whole candidate, else a part of the text, else the first."""
    try:
        whole = re.compile(pattern)
        loose = re.compile(pattern.removeprefix("^").removesuffix("$"))
    except re.error:
        return candidates[0] if candidates else ""
    found = next((each for each in candidates if whole.search(each)), None)
    if found is None and (match := loose.search(text)) is not None and whole.search(match.group()):
        found = match.group()
    return found if found is not None else (candidates[0] if candidates else "")


def _name_of(passage: Passage) -> str:
    """A short name: what a definition defines, else the words before the first pause."""
    text = passage.quotes[0].text
    if match := re.match(r"(?:async )?(?:def|class|func|function|fn) (\w+)", text):
        return match.group(1)
    return re.split(r"[:;.,(]\s|\s[-\u2013\u2014]\s", text, maxsplit=1)[0].rstrip(".:")
