"""Prices that people give by a model's name or by a pattern: which of them is a call's."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import lru_cache

from prefect_governor.blocks.prices.given import Given, price_by
from prefect_governor.blocks.prices.places import is_private
from prefect_governor.blocks.prices.tariffs import Price

Prices = Mapping[str, Price | Given]


def own_price(prices: Prices, model: str, *, host: str) -> Price | None:
    """The price that people gave a model; None where they gave none.

    What names the model, `provider/model` or the model alone, comes before a pattern, and the
    longer pattern before the shorter. That whatever matches a pattern is free is believed of a
    program on one's own machine or network alone.
    """
    if not prices:
        return None
    bare = model.split("/", 1)[-1]
    for name in (model, bare):
        if (found := prices.get(name)) is not None:
            return _priced(found, model)
    for pattern in _patterns(tuple(prices)):
        if fnmatchcase(model, pattern) or fnmatchcase(bare, pattern):
            found = prices[pattern]
            if not _is_free(found) or is_private(host):
                return _priced(found, model)
    return None


def free_elsewhere(prices: Prices, model: str) -> str | None:
    """The pattern that says that a model is free, though not where it is called."""
    bare = model.split("/", 1)[-1]
    for pattern in _patterns(tuple(prices)):
        if _is_free(prices[pattern]) and (
            fnmatchcase(model, pattern) or fnmatchcase(bare, pattern)
        ):
            return pattern
    return None


@dataclass(frozen=True)
class SavedPrices:
    """The prices of the saved Model blocks: by the model's name, and by the host where the block
    names one, as it then says what the model costs there. A text in place of a price says why
    there is none that can be used."""

    by_place: Mapping[tuple[str, str | None], Given | str] = field(default_factory=dict)

    def find(self, model: str, *, host: str) -> Price | str | None:
        """The price that a block states of a model, or why it cannot be used; None where no block
        is of it."""
        if not self.by_place:
            return None
        for name in (model, model.split("/", 1)[-1]):
            for place in (host, None):
                found = self.by_place.get((name, place))
                if found is not None:
                    return price_by(found, model) if isinstance(found, Given) else found
        return None


def _priced(found: Price | Given, model: str) -> Price:
    return price_by(found, model) if isinstance(found, Given) else found


def _is_free(found: Price | Given) -> bool:
    return isinstance(found, Given) and found.free


@lru_cache(maxsize=256)
def _patterns(names: tuple[str, ...]) -> tuple[str, ...]:
    found = [name for name in names if any(sign in name for sign in "*?[")]
    return tuple(sorted(found, key=lambda name: (-len(name), name)))
