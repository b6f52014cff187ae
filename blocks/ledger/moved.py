"""A ledger that was moved: what stands in it, and what whoever opens it is told. Pure.

The mark is written before anything is copied. From then on the ledger's own triggers refuse every
admission, so that whatever becomes of the move, at most one of the two is spent from.
"""

import json
from dataclasses import dataclass

# The key of `meta`, and the name of the triggers.
MOVED = "moved"


@dataclass(frozen=True, slots=True)
class Mark:
    """Where a ledger went, without a password, when that was said (ISO 8601, UTC), and whether all
    of it is there."""

    to: str
    at: str
    done: bool

    def to_text(self) -> str:
        return json.dumps({"to": self.to, "at": self.at, "done": self.done})

    @classmethod
    def of_text(cls, text: str) -> "Mark":
        found = json.loads(text)
        return cls(str(found["to"]), str(found["at"]), bool(found["done"]))

    @property
    def refusal(self) -> str:
        """What a call is refused with: short, as it stands in a trigger."""
        return f"the ledger {'was' if self.done else 'is being'} moved to {self.to}"


def told(place: str, text: str) -> str:
    """What whoever opens the ledger at `place` is told, of the mark in it."""
    mark = Mark.of_text(text)
    if mark.done:
        return (
            f"the ledger {place} was moved to {mark.to} on {mark.at}; it is kept as it was then,"
            " and nothing is spent from it. Set PREFECT_GOVERNOR_LEDGER_URL, or ledger_url of the"
            " Governor block, to where it went (for a file of this machine: unset them)"
        )
    return (
        f"the ledger {place} is being moved to {mark.to} (since {mark.at}): nothing is spent from"
        " it until that is done. Where the move was cut short, run the same `prefect-governor"
        " ledger move` again, which goes on, or with --cancel, which lets it be where it was"
    )
