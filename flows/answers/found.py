"""The one JSON value in a model's answer, whatever stands around it. Pure.

It is looked for as strict JSON first, and as JSON5 where it is not: trailing commas, single quotes,
comments. Nothing that is missing is made up: what is cut short is no value.
"""

import json
import math
import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import pyjson5

_THOUGHT = re.compile(r"\A.*</(?:think|thinking|thought|reasoning)>", re.DOTALL | re.IGNORECASE)
_FENCED = re.compile(r"```[ \t]*[\w+.-]*\s*(.*?)```", re.DOTALL)
_CLOSING = {"{": "}", "[": "]"}
_OPENING = re.compile(r"[\[{]")
_LIKE_JSON = re.compile(r"""[\[{]\s*["'\[{]""")
_DEEPEST = 200
# Characters that are looked through for brackets that close, in some 0.1 s, and values that are
# held against a schema: an answer of nothing but brackets would take minutes.
_MOST_LOOKED_AT = 1_000_000
_MOST_VALUES = 200


def json_of(answer: str, suits: Callable[[Any], bool] = lambda value: True) -> Any:
    """The JSON value of an answer: the whole of it, or the one in its Markdown fences, or the one
    object or list among its words, after what a model thought aloud.

    Where several are there, the one that `suits`; where none suits, the first, for its problems to
    be named. Raises ValueError: there is none, or several that are not the same suit.
    """
    text = answer.lstrip("\ufeff").strip()
    first: list[Any] = []
    for values in _readings(text):
        found = list(values)
        suiting = _distinct([value for value in found if suits(value)])
        if len(suiting) == 1:
            return suiting[0]
        if suiting:
            raise ValueError(f"it holds {len(suiting)} JSON values: answer with one")
        first = first or found
    if first:
        return first[0]
    return _strict(text)


def _readings(text: str) -> Iterator[Iterator[Any]]:
    """Where the value may stand, the surest place first."""
    yield _whole(text)
    said = _THOUGHT.sub("", text, count=1).strip()
    if said != text:
        yield _whole(said)
    fenced = (value for each in _FENCED.finditer(said) for value in _whole(each[1].strip()))
    yield islice(fenced, _MOST_VALUES)
    yield islice(_among_words(said), _MOST_VALUES)


def _whole(text: str) -> Iterator[Any]:
    value = _value(text)
    if value is not None:
        yield value[0]


def _among_words(text: str) -> Iterator[Any]:
    """The objects and lists of a text, none from within another."""
    at, looked_at = 0, 0
    while looked_at < _MOST_LOOKED_AT and (start := _next_opening(text, at)) is not None:
        closed, end = _end_of(text, start)
        looked_at += end - start
        if not closed:
            # It is cut short, or no JSON at all: a word in brackets before it may hide it.
            at = start + 1 if _LIKE_JSON.match(text, start) is None else len(text)
            continue
        yield from _whole(text[start:end])
        at = end


def _next_opening(text: str, at: int) -> int | None:
    found = _OPENING.search(text, at)
    return None if found is None else found.start()


def _end_of(text: str, start: int) -> tuple[bool, int]:
    """Whether a bracket closes the one at `start`, brackets in strings apart, and the place behind
    it; else how far was looked."""
    open_brackets: list[str] = []
    quote: str | None = None
    before = ""
    at = start
    while at < len(text):
        char = text[at]
        if quote is not None:
            if char == "\\":
                at += 1
            elif char == quote:
                quote = None
        elif char == '"' or (char == "'" and before in "{[,:"):
            quote = char
        elif char in _CLOSING:
            open_brackets.append(_CLOSING[char])
        elif open_brackets and char == open_brackets[-1]:
            open_brackets.pop()
            if not open_brackets:
                return True, at + 1
        elif char in "}]":
            return False, at + 1
        if not char.isspace():
            before = char
        at += 1
    return False, at


def _value(text: str) -> tuple[Any] | None:
    """The value that a text is, None where it is none."""
    try:
        return (_strict(text),)
    except ValueError:
        pass
    if text[:1] not in _CLOSING:
        return None
    try:
        value = pyjson5.decode(text, maxdepth=_DEEPEST)
    except (pyjson5.Json5Exception, RecursionError, ValueError):
        return None
    return (value,) if _is_finite(value) else None


def _strict(text: str) -> Any:
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error}") from None
    except RecursionError:
        raise ValueError("it is not JSON that can be read: it is nested too deeply") from None
    if not _is_finite(value):
        raise ValueError("it is not JSON: it holds a number that is too large")
    return value


def _no_constant(name: str) -> Any:
    raise ValueError(f"it is not JSON: {name} is no number of JSON's")


def _is_finite(value: Any) -> bool:
    waiting = [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, float) and not math.isfinite(each):
            return False
        if isinstance(each, dict):
            waiting += each.values()
        elif isinstance(each, list):
            waiting += each
    return True


def _distinct(values: list[Any]) -> list[Any]:
    """By what they are as JSON: 1 and true are two."""
    found: dict[str, Any] = {}
    for value in values:
        found.setdefault(json.dumps(value, sort_keys=True), value)
    return list(found.values())
