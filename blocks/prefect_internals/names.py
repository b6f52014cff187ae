"""The look-up of a name that Prefect does not document, and what is said where it is gone.

Every private name that the package needs is looked up here, by the room's other files alone. One
that a version of Prefect does not have is said once, in the log, and its caller goes the way that
Prefect documents, which is slower or does less.
"""

import inspect
import logging
import threading
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# The versions of Prefect that the room's tests and the runner's table passed with, lowest first.
CHECKED = ("3.8.0", "3.8.8", "3.9.1")

logger = logging.getLogger("prefect_governor.prefect")

_told: set[str] = set()
_lock = threading.Lock()


def find(place: str, name: str, *, instead: str) -> Any:
    """What a module of Prefect holds under a name (with dots: of a class in it), None where it
    holds none. `instead` says what is done then, for the log."""
    try:
        found: Any = import_module(place)
        for part in name.split("."):
            found = _member(found, part)
    except (ImportError, AttributeError):
        _missing(f"{place}.{name}", instead=instead)
        return None
    return found


def finds(place: str, *names: str, instead: str) -> bool:
    """Whether a module of Prefect holds all of the names."""
    return all(find(place, name, instead=instead) is not None for name in names)


def takes(place: str, name: str, parameter: str, *, instead: str) -> bool:
    """Whether a function of Prefect has a parameter."""
    function = find(place, name, instead=instead)
    if function is None:
        return False
    if parameter in inspect.signature(function).parameters:
        return True
    _missing(f"{place}.{name}({parameter}=)", instead=instead)
    return False


def read(owner: Any, name: str, *, instead: str) -> tuple[Any, ...]:
    """The value of an object's private attribute, alone in a tuple; nothing where there is none."""
    try:
        return (_member(owner, name),)
    except AttributeError:
        _missing(f"{type(owner).__name__}.{name}", instead=instead)
        return ()


def _is_there(file: Path) -> bool:
    return file.exists()


def _member(owner: Any, name: str) -> Any:
    # The fields of a model are no attributes of its class.
    fields = getattr(owner, "model_fields", {}) if isinstance(owner, type) else {}
    return fields[name] if name in fields else getattr(owner, name)


def has_module(place: str, *, instead: str) -> bool:
    """Whether Prefect has a module. Imports nothing of it."""
    spec = find_spec("prefect")
    parts = place.split(".")[1:]
    for folder in (spec and spec.submodule_search_locations) or ():
        if _is_there(Path(folder, *parts).with_suffix(".py")):
            return True
    _missing(place, instead=instead)
    return False


def _missing(name: str, *, instead: str) -> None:
    # Of what goes the same other way, the first that is missed.
    with _lock:
        if instead in _told:
            return
        _told.add(instead)
    logger.warning(
        "Prefect %s has no %s: %s. Checked with Prefect %s; a newer prefect-governor may know this"
        " one.", version("prefect"), name, instead, ", ".join(CHECKED),
    )  # fmt: skip
