"""Takes known secrets out of whatever is written. Pure.

Nothing is guessed: a text that holds none of them comes back as the same object.
"""

from collections.abc import Iterable, Iterator
from typing import Any, AnyStr

from prefect_governor.blocks.secrets.forms import ENCODING, ERRORS, forms_of

REDACTED = "[redacted]"
# So deep a value is looked through; JSON of such a depth is read by few.
_DEEPEST = 100


class Scrubber:
    """Knows `secrets`, each in all its forms. False where there are none."""

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = {form for secret in secrets for form in forms_of(secret)}
        self._forms = tuple(sorted(forms))
        self._shortest = min(map(len, forms), default=0)
        self._in_bytes = tuple(sorted({each.encode(ENCODING, ERRORS) for each in forms}))

    def __bool__(self) -> bool:
        return bool(self._forms)

    def out_of(self, text: str) -> str:
        """`text` with "[redacted]" in the place of each secret, however it is written there."""
        return text if len(text) < self._shortest else _without(text, self._forms, REDACTED)

    def out_of_bytes(self, data: bytes) -> bytes:
        """The same of bytes."""
        if len(data) < self._shortest:
            return data
        return _without(data, self._in_bytes, REDACTED.encode())

    def out_of_value(self, value: Any) -> Any:
        """The same of all texts and bytes in a value of dicts, lists and tuples; what holds none is
        as it was, and so are other values.

        Raises ValueError for a value that holds itself, or is nested too deeply to look through.
        """
        return self._out_of(value, set())

    def _out_of(self, value: Any, around: set[int]) -> Any:
        """`around` are the ids of what `value` stands in."""
        if isinstance(value, str):
            return self.out_of(value)
        if isinstance(value, bytes):
            return self.out_of_bytes(value)
        if not isinstance(value, dict) and type(value) not in (list, tuple):
            return value
        if id(value) in around or len(around) >= _DEEPEST:
            raise ValueError("it holds itself, or is nested too deeply")
        around.add(id(value))
        try:
            return self._out_of_parts(value, around)
        finally:
            around.remove(id(value))

    def _out_of_parts(self, value: Any, around: set[int]) -> Any:
        if isinstance(value, dict):
            names = [self._out_of(key, around) for key in value]
            held = [self._out_of(each, around) for each in value.values()]
            if _same(names, value) and _same(held, value.values()):
                return value
            return dict(zip(names, held, strict=True))
        several = [self._out_of(each, around) for each in value]
        return value if _same(several, value) else type(value)(several)


def _same(made: Iterable[Any], given: Iterable[Any]) -> bool:
    return all(one is other for one, other in zip(made, given, strict=True))


def _without(data: AnyStr, forms: tuple[AnyStr, ...], instead: AnyStr) -> AnyStr:
    # `in` is faster than any one pass of an automaton or an alternation in Python: see
    # docs/decisions/isolation/0047-one-scrubber.md.
    found = [form for form in forms if form in data]
    if not found:
        return data
    places = sorted(place for form in found for place in _places(data, form))
    kept = data[:0]
    end = 0
    for first, last in places:
        if first >= end:
            kept += data[end:first] + instead
        # Those that overlap go together: of what is left of one nobody knows what it is.
        end = max(end, last)
    return kept + data[end:]


def _places(data: AnyStr, form: AnyStr) -> Iterator[tuple[int, int]]:
    at = data.find(form)
    while at >= 0:
        yield at, at + len(form)
        at = data.find(form, at + 1)
