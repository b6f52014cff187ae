"""Callables of the user's own: by what name a run's parameters have them, and what names what they
do."""

import functools
import importlib
import inspect
import json
import tokenize
from typing import Any

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.agent.tools import Tool


def imported(given: Any, what: str) -> Any:
    """A callable, or the one that "package.module:name" names: a deployed run's parameters are
    JSON."""
    if isinstance(given, Tool) or callable(given):
        return given
    if not isinstance(given, str) or given.count(":") != 1:
        raise ConfigurationError(
            f"a {what} is a function, or names one as 'package.module:name', not {given!r}"
        )
    module, name = given.split(":")
    try:
        found = inspect.getattr_static(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise ConfigurationError(f"the {what} {given!r} cannot be imported: {error}") from None
    if not (isinstance(found, Tool) or callable(found)):
        raise ConfigurationError(f"the {what} {given!r} is no function")
    return found


def _kind_of(value: object) -> str:
    return type(value).__qualname__


def source_of(function: Any) -> list[str]:
    """A callable's name and source: of a function, of the class of an object, of what a partial
    calls with what. Code without a source is named by its compiled form."""
    if isinstance(function, functools.partial):
        # An object's text may hold its address, which is another in each process.
        given = json.dumps([function.args, function.keywords], sort_keys=True, default=_kind_of)
        return [*source_of(function.func), given]
    named = function if hasattr(function, "__qualname__") else type(function)
    name = f"{getattr(named, '__module__', '')}.{named.__qualname__}"
    try:
        return [name, inspect.getsource(inspect.unwrap(named))]
    # The file may be another by now, or no Python: a notebook's, a page's.
    except (OSError, TypeError, SyntaxError, tokenize.TokenError):
        code = getattr(named, "__code__", None)
        return [name] if code is None else [name, code.co_code.hex(), repr(code.co_names)]
