"""The keys of a report's items and of its artifacts: the same run makes the same ones. Pure."""

import re
from collections.abc import Sequence


def item_keys(count: int, given: Sequence[str] | None) -> tuple[list[str], list[str]]:
    """A key for every item, in order and each once, and notes about what was wrong with `given`.

    Without `given`: `item-0003`. (The names of task runs end in random letters, or reach the API
    too late to be relied on; a key may depend on neither.)

    By now the work is paid for, so a `given` that does not fit raises nothing: a note says it.
    """
    made = [f"item-{place:04d}" for place in range(1, count + 1)]
    if given is None:
        return made, []
    if len(given) != count:
        return made, [f"{len(given)} keys were given for {count} items, so the keys are made up"]
    wanted = [str(key) for key in given]
    keys = _each_once(wanted)
    return keys, [] if keys == wanted else ["some keys were given twice and are numbered"]


def _each_once(wanted: Sequence[str]) -> list[str]:
    taken = set(wanted)
    used: set[str] = set()
    keys: list[str] = []
    for key in wanted:
        unique, number = key, 1
        while unique in used or (number > 1 and unique in taken):
            number += 1
            unique = f"{key} ({number})"
        used.add(unique)
        keys.append(unique)
    return keys


def artifact_key(*parts: str) -> str:
    """An artifact's key of these parts: lowercase letters, digits and dashes only."""
    slug = re.sub(r"[^a-z0-9]+", "-", "-".join(parts).lower()).strip("-")
    return slug or "report"
