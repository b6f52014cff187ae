"""Which processes the ledger has taken leave of. Pure."""

from collections.abc import Collection

# How long a process that has told something may be unknown to the ledger, in seconds: it is there
# with its first write, which waits for the run's server and for its turn.
UNKNOWN_SECONDS = 30.0


class Leaving:
    """What was seen of them so far. All times are of one clock, in seconds."""

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._heard: dict[str, float] = {}

    def gone(self, told: Collection[str], living: Collection[str], now: float) -> set[str]:
        """Those that have told something and are in the ledger no more, or never came to be.
        `living` is to be read after `told`."""
        self._known.update(each for each in told if each in living)
        return {
            each
            for each in told
            if each not in living
            and (each in self._known or now - self._heard.setdefault(each, now) >= UNKNOWN_SECONDS)
        }
