"""What is to be said of how sources were read: notes on items, and what was left out. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from prefect_governor.flows.items.skipped import Skipped
from prefect_governor.flows.report.model import ItemReport

_NAMED = 3


@dataclass(frozen=True, slots=True)
class Saying:
    """So many files or items of which the same is to be said; `keys` are up to 3 of them."""

    reason: str
    count: int
    keys: tuple[str, ...]


def grouped_notes(items: Sequence[ItemReport]) -> list[Saying]:
    """The notes of items, the most frequent first, ties in input order."""
    return _grouped((note, item.key) for item in items for note in item.notes)


def grouped_skips(skipped: Sequence[Skipped]) -> list[Saying]:
    """What was left out by its reason, the most frequent first, ties in input order."""
    return _grouped((each.reason, each.key) for each in skipped)


def _grouped(said: Iterable[tuple[str, str]]) -> list[Saying]:
    groups: dict[str, list[str]] = {}
    for reason, key in said:
        groups.setdefault(reason, []).append(key)
    found = [Saying(reason, len(keys), tuple(keys[:_NAMED])) for reason, keys in groups.items()]
    return sorted(found, key=lambda group: -group.count)
