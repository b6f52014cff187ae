"""Whether a deployment is to be held back, and when to look again. Pure."""

from dataclasses import dataclass
from typing import Literal

from prefect_governor.blocks.money.windows import Window
from prefect_governor.blocks.records.budgets import AccountState

# A tag of a deployment that is held back, and by which budget: the UI shows it on its page.
HELD_PREFIX = "held-by-budget:"

Step = Literal["hold", "release", "forget", "leave"]

# Once a window, a minute after it opens, whatever the clocks of server and ledger differ by.
_OPENINGS: dict[str, str] = {
    "hour": "1 * * * *",
    "day": "1 0 * * *",
    "week": "1 0 * * 1",
    "month": "1 0 1 * *",
}


def held_tag(budget: str) -> str:
    """The tag that a deployment has while a budget holds it back."""
    return f"{HELD_PREFIX}{budget}"


def opening_cron(window: Window) -> str | None:
    """A cron expression, in the budget's time zone, of the minute after each window opens; None for
    `run` and `total`, in which no next one does."""
    return _OPENINGS.get(window)


def share_gone(state: AccountState) -> int:
    """How much of a budget is gone, in whole percent: all of it, where a ceiling is 0."""
    if 0 in (state.ceiling_nano, state.ceiling_tokens):
        return max(100, state.share)
    return state.share


@dataclass(frozen=True)
class Held:
    """A deployment as it is: paused or not, and by which tags it is held back."""

    paused: bool
    tags: tuple[str, ...]


def next_step(found: Held, budget: str, *, share: int, at: int) -> Step:
    """What is to become of a deployment while `share` percent of a budget are spent or unconfirmed.

    "hold" pauses it and tags it, at `at` percent and above; one that another budget holds is tagged
    too, so that it runs again when both let it. "release" takes the tag off and lets it
    run again: only where it was this that paused it, and no other budget holds it. "forget" takes
    the tag off and leaves the pause as it is: a person let it run meanwhile, or another budget
    holds it still. A deployment that a person paused is left, and so is one that a person let run
    again at a share above `at`: its tag says that it was held once in this window.
    """
    ours = held_tag(budget)
    tagged = ours in found.tags
    others = any(tag.startswith(HELD_PREFIX) and tag != ours for tag in found.tags)
    if share >= at:
        return "leave" if tagged or (found.paused and not others) else "hold"
    if not tagged:
        return "leave"
    return "release" if found.paused and not others else "forget"
