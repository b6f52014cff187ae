"""What a machine without a shared ledger has drawn of a budget's window. No I/O, no clock.

Money is nano-dollars (int), tokens are ints.
"""

from dataclasses import dataclass

# The marks of a budget's window that these figures stand in, by ceiling; the last is when the
# counter was read, on the boot's clock.
GRANTED = {"nano": "draws/granted_nano", "tokens": "draws/granted_tokens"}
ELSEWHERE = {"nano": "draws/elsewhere_nano", "tokens": "draws/elsewhere_tokens"}
SEEN = {"nano": "draws/seen_nano", "tokens": "draws/seen_tokens"}
WANTED = {"nano": "draws/wanted_nano", "tokens": "draws/wanted_tokens"}
# 1 where the counter is not to be had, so that nothing more is drawn.
LOST = {"nano": "draws/lost_nano", "tokens": "draws/lost_tokens"}
# What was given back, and nobody knows whether it has arrived.
RETURNING = {"nano": "draws/returning_nano", "tokens": "draws/returning_tokens"}

# What was asked for and is not known to be drawn: its reply was lost, or is under way.
ASKED = {"nano": "draws/asked_nano", "tokens": "draws/asked_tokens"}


@dataclass(frozen=True, slots=True)
class Drawn:
    """Of one of a budget's two ceilings.

    Attributes:
        granted: what was drawn here and not given back: spent, held, or left to spend.
        elsewhere: what of the ceiling could not be drawn here when the counter was last read:
            others have it.
        fresh: whether that was lately enough to refuse by. Else more may be left by now.
        wanted: how much more than `granted` the call needs that lacks most.
        lost: the counter is not to be had: nothing more is drawn.
    """

    granted: int = 0
    elsewhere: int = 0
    fresh: bool = False
    wanted: int = 0
    lost: bool = False

    def reach(self, ceiling: int) -> int:
        """What may ever be held of a ceiling here, by what is known."""
        if self.lost:
            return min(ceiling, self.granted)
        if not self.fresh:
            return ceiling
        return min(ceiling, max(self.granted, ceiling - self.elsewhere))

    def may_have(self, more: int, ceiling: int | None) -> bool:
        """Whether so much more may be left to draw."""
        return ceiling is not None and self.reach(ceiling) >= self.granted + more


@dataclass(frozen=True, slots=True)
class Drawing:
    """Of a budget's window, by ceiling. What it has no ceiling in is not drawn."""

    nano: Drawn
    tokens: Drawn
