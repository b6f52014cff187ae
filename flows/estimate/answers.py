"""How long answers are where no past run tells. Pure.

Free text: the geometric mean of what people's questions were answered with in three published
sets, in tokens an answer on average: Alpaca 58 and ShareGPT 338 (Kwon et al. 2023, PagedAttention,
figure 11), LMSYS-Chat-1M 215 (Zheng et al. 2023, table 1). A run's own mean may well be half or
twice that, which is why an estimate without a past run says that it is a wide guess.

An answer that must validate is as long as its schema: what is required, with the shortest values,
is the least; every property, with values of usual length, is usual.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

USUAL_TOKENS = 160
LEAST_TOKENS = 8
# Tokens of a value: the least, and as models usually write it.
_STRING = (2, 12)
_FORMATTED = (3, 10)
_NUMBER = (1, 2)
_WORD = (1, 1)
# A name's quotes, colon and comma; the brackets around.
_PUNCTUATION = 4
_BRACKETS = 2
_USUAL_ELEMENTS = 3
_CHARACTERS_PER_TOKEN = 4
_DEEPEST = 6


@dataclass(frozen=True, slots=True)
class AnswerLengths:
    """Mean tokens of an answer over a run: what hardly any run is below, what is usual, and the
    most that an answer may have. `shaped`: a schema tells."""

    least: int
    usual: int
    most: int
    shaped: bool = False


def answer_lengths(schema: Mapping[str, Any] | None, *, limit: int) -> AnswerLengths:
    """What is known of answers of at most `limit` tokens, of a schema where there is one."""
    if schema is None:
        # A limit that people set near what they expect is reached by some answers.
        least, usual = LEAST_TOKENS, min(USUAL_TOKENS, limit // 2)
    else:
        least, usual = _value(schema, schema, 0)
    least = max(1, min(least, limit))
    return AnswerLengths(least, max(least, min(usual, limit)), limit, schema is not None)


def _value(schema: Any, root: Mapping[str, Any], depth: int) -> tuple[int, int]:
    """(least, usual) tokens of a value that a schema allows."""
    schema = _resolved(schema, root)
    if depth > _DEEPEST or not isinstance(schema, Mapping):
        return _STRING
    if "const" in schema or isinstance(schema.get("enum"), list):
        options = [schema["const"]] if "const" in schema else schema["enum"]
        lengths = [2 + len(str(each)) // _CHARACTERS_PER_TOKEN for each in options] or [1]
        return min(lengths), max(lengths)
    for word in ("anyOf", "oneOf"):
        if isinstance(schema.get(word), list) and schema[word]:
            options = [_value(each, root, depth + 1) for each in schema[word]]
            return min(each[0] for each in options), max(each[1] for each in options)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if isinstance(kind, list):
        kind = next((each for each in kind if each != "null"), "null")
    if kind == "object":
        return _object(schema, root, depth)
    if kind == "array":
        return _array(schema, root, depth)
    if kind in ("integer", "number"):
        return _NUMBER
    if kind in ("boolean", "null"):
        return _WORD
    return _FORMATTED if "format" in schema else _STRING


def _object(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> tuple[int, int]:
    properties = schema.get("properties")
    required = schema.get("required")
    least = usual = _BRACKETS
    for name, inner in (properties if isinstance(properties, Mapping) else {}).items():
        short, long = _value(inner, root, depth + 1)
        key = _PUNCTUATION + len(str(name)) // _CHARACTERS_PER_TOKEN
        usual += key + long
        if isinstance(required, list) and name in required:
            least += key // 2 + short
    return least, usual


def _array(schema: Mapping[str, Any], root: Mapping[str, Any], depth: int) -> tuple[int, int]:
    short, long = _value(schema.get("items", {}), root, depth + 1)
    fewest, most = _count(schema.get("minItems"), 0), _count(schema.get("maxItems"), 10**6)
    usual = max(fewest, min(most, _USUAL_ELEMENTS))
    return _BRACKETS + fewest * (short + 1), _BRACKETS + usual * (long + 1)


def _count(value: Any, otherwise: int) -> int:
    return value if isinstance(value, int) and value >= 0 else otherwise


def _resolved(schema: Any, root: Mapping[str, Any]) -> Any:
    """A schema with its local `$ref` followed, a few deep."""
    for _ in range(_DEEPEST):
        reference = schema.get("$ref") if isinstance(schema, Mapping) else None
        if not isinstance(reference, str) or not reference.startswith("#/"):
            break
        found: Any = root
        for name in reference.removeprefix("#/").split("/"):
            found = found.get(name, {}) if isinstance(found, Mapping) else {}
        schema = found
    return schema
