"""What is called where something leaves this process: to a file, a log, Prefect, a model, a person.

It comes back without the secrets that this process knows, with "[redacted]" in the place of each.
Each medium has one place that asks here: those that `blocks/machine/text.py` names, and kept
replies (`blocks/wire/exchange.py`), answers of models and of tools (`flows/subagent/asking.py`,
`flows/agent/tools.py`), the report (`flows/report/model.py`), what errors of governed code hold
(`blocks/claims/callables.py`), the terminal (`flows/cli/terminal/`). Log records come by themselves
(`logs.py`).
"""

from collections.abc import Mapping
from contextlib import suppress
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any, TypeVar

from prefect_governor.blocks.errors import all_errors
from prefect_governor.blocks.secrets import known
from prefect_governor.blocks.secrets.logs import guard_logs
from prefect_governor.blocks.secrets.names import secrets_in
from prefect_governor.blocks.secrets.scrubber import REDACTED, Scrubber

E = TypeVar("E", bound=BaseException)

_FIELDS = (MemberDescriptorType, GetSetDescriptorType)
# Whose requests and responses SDKs put on their errors.
_HTTP = frozenset({"httpx", "httpx2"})


def learn(*secrets: str | None) -> None:
    """Know these from now on. What is short, made of words or a short number is none."""
    known.learn(*secrets)
    _at_work()


def learn_named(named: Mapping[str, Any]) -> None:
    """Know those among arguments or fields, by their names, from now on."""
    known.learn(*secrets_in(named))
    _at_work()


def scrubbed(text: str) -> str:
    """A text that leaves."""
    return _at_work().out_of(text)


def scrubbed_bytes(data: bytes) -> bytes:
    """Bytes that leave."""
    return _at_work().out_of_bytes(data)


def scrubbed_value(value: Any) -> Any:
    """A value of dicts, lists and tuples that leaves; what it holds of others is left alone."""
    clean = _at_work()
    return clean.out_of_value(value) if clean else value


def scrubbed_error(error: E) -> E:
    """`error` that leaves, and what it came of: its arguments, attributes and notes, and the HTTP
    messages on it. Its message and traceback go to states, logs and events, and it may be pickled
    as a whole."""
    clean = _at_work()
    for current in all_errors(error) if clean else ():
        _scrub_fields(current, clean)
        held = vars(current)
        for name, value in [*held.items()]:
            if type(value).__module__.partition(".")[0] in _HTTP:
                _scrub_message(value, clean)
            elif (changed := _looked_through(value, clean)) is not value:
                held[name] = changed
    return error


def _at_work() -> Scrubber:
    clean = known.scrubber()
    if clean:
        guard_logs()
    return clean


def _looked_through(value: Any, clean: Scrubber) -> Any:
    """What an error holds; what cannot be looked through is left out, for it may hold anything."""
    try:
        return clean.out_of_value(value)
    except ValueError:
        return REDACTED


def _scrub_fields(error: BaseException, clean: Scrubber) -> None:
    """What an error has beside its `__dict__`: its arguments, and what Python's own are told by,
    such as the file of an OSError. The text of an exception group cannot be changed."""
    for kind in type(error).__mro__:
        for name, field in [*vars(kind).items()]:
            if name.startswith("__") or not isinstance(field, _FIELDS):
                continue
            value = getattr(error, name, None)
            changed = _looked_through(value, clean)
            if changed is REDACTED and isinstance(value, tuple):
                # That one alone is left out.
                changed = tuple(_looked_through(each, clean) for each in value)
            if changed is not value:
                with suppress(AttributeError):
                    setattr(error, name, changed)


def _scrub_message(message: Any, clean: Scrubber) -> None:
    """A request, or a response with its own."""
    held = vars(message)
    for other in ("request", "_request"):
        if (inner := held.get(other)) is not None:
            _scrub_message(inner, clean)
    headers = held.get("headers")
    for name, value in [] if headers is None else headers.multi_items():
        if (changed := clean.out_of(value)) is not value:
            headers[name] = changed
    address = held.get("url")
    if address is not None and (changed := clean.out_of(str(address))) != str(address):
        message.url = type(address)(changed)
    if isinstance(body := held.get("_content"), bytes):
        held["_content"] = clean.out_of_bytes(body)
