"""What an answer is kept under: what was asked, a slash, and of whom. Pure.

Where only what failed is asked again, an answer stands whichever model gave it: it is found by the
first half.
"""

import hashlib
import json
from collections.abc import Mapping

from prefect_governor.blocks.models.choice import ModelChoice


def hash_of(*parts: object) -> str:
    """A name for JSON values; for others, that of their text."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def name_of(asked: str, model: ModelChoice) -> str:
    """The name of an answer: `asked` names the question with all that it is answered from."""
    return f"{asked}/{hash_of(model.asked_of)}"


def what_of(name: str) -> str:
    """What was asked, of an answer's name."""
    return name.partition("/")[0]


def by_question(records: Mapping[tuple[str, str], str]) -> dict[tuple[str, str], list[str]]:
    """What is kept, by its key and by what was asked; of records by key and name."""
    found: dict[tuple[str, str], list[str]] = {}
    for (key, name), record in sorted(records.items()):
        what, slash, _ = name.partition("/")
        if slash:
            found.setdefault((key, what), []).append(record)
    return found
