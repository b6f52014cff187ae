"""Text as everything outside takes it, whatever a model wrote: half characters (lone surrogates)
have no UTF-8, and PostgreSQL, which Prefect's server may stand on, holds no NUL. Pure.

What a caller names things by (a label, a tag, a key) is looked at where it comes in, by `label` and
`labels`; in a ledger (`blocks/ledger/desk.py`) both stores hold the same.
Each medium has one place where text leaves for it, and that place asks here: artifacts
(`flows/report/artifact.py`), states, names and errors of task runs (`flows/runner/engine.py`),
parameters and errors of flow runs (`flows/run/flow.py`), events (`blocks/documents/notices.py`),
prompts (`flows/subagent/asking.py`), files (`blocks/machine/files.py`).
"""

import re
from collections.abc import Iterable
from typing import Any, TypeVar

from prefect_governor.blocks.errors import ConfigurationError, all_errors

E = TypeVar("E", bound=BaseException)

_HALF = re.compile("[\ud800-\udfff]")
# In the place of what cannot be held.
_INSTEAD = "\ufffd"


def encodable(text: str) -> str:
    """`text` without half characters."""
    return text if text.isascii() else _HALF.sub(_INSTEAD, text)


def storable(text: str) -> str:
    """`text` without half characters and NUL."""
    return encodable(text).replace("\x00", _INSTEAD)


def check_whole(text: str, name: str) -> None:
    """Raises ConfigurationError for half characters, as bytes that are no UTF-8 come from a command
    line: what a person meant is not known. `name` is what the caller calls it."""
    found = None if text.isascii() else _HALF.search(text)
    if found is not None:
        raise ConfigurationError(
            f"{name} is not UTF-8 text at character {found.start() + 1}: write it in UTF-8 (the"
            " shell's encoding may be another)"
        )


def label(value: object, name: str) -> str:
    """What a caller names something by, `storable`, of no subclass. Raises ConfigurationError for
    what is no text; `name` is what the caller calls it."""
    if not isinstance(value, str):
        raise ConfigurationError(
            f"{name} is a {type(value).__name__}, not a text: give str({name})"
        )
    return storable(str.__str__(value))


def labels(values: Iterable[object], name: str) -> tuple[str, ...]:
    """`label` for each of several. Raises ConfigurationError for one text in place of several too,
    which is as many as it has letters."""
    if isinstance(values, str):
        raise ConfigurationError(f"{name} is one text: give several, as in {name}=({values!r},)")
    return tuple(label(each, name) for each in values)


def storable_value(value: Any) -> Any:
    """A value of dicts, lists and tuples with all its texts `storable`; what they are held in is a
    dict or a list, other values are as they were."""
    if isinstance(value, str):
        # A text of a subclass, such as an enumeration's, stays one where nothing is wrong with it.
        clean = storable(value)
        return value if clean == value else clean
    if isinstance(value, dict):
        return {storable_value(key): storable_value(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [storable_value(each) for each in value]
    return value


def storable_error(error: E) -> E:
    """`error`, and what it came of, with all texts in it `storable`: its message and traceback go
    to states, logs and events, and its type is what a retry looks at."""
    for current in all_errors(error):
        # Those of a UnicodeError are what its text is made of, which is escaped.
        if not isinstance(current, UnicodeError):
            current.args = tuple(
                storable(each) if isinstance(each, str) else each for each in current.args
            )
        for name, value in vars(current).items():
            if isinstance(value, str) and storable(value) != value:
                vars(current)[name] = storable(value)
    return error
