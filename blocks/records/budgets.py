"""A budget and its allocations, as the ledger has them. Plain values: no I/O, no clock.

Money is nano-dollars (int), tokens are ints.
"""

from dataclasses import dataclass

from prefect_governor.blocks.money.usd import to_usd
from prefect_governor.blocks.money.windows import Window


@dataclass(frozen=True, slots=True)
class Account:
    """A budget as the ledger knows it. `version` orders the documents it came from."""

    key: str
    name: str
    ceiling_nano: int | None
    ceiling_tokens: int | None
    window: Window = "total"
    time_zone: str = "UTC"
    version: str = ""


# Under a saved governor the offline model's calls are drawn on it: they are billed by nobody, so no
# team's money goes. It has no ceiling; a run's own, and a script's, are drawn on as well.
NOMINAL = Account("offline/nominal", "the offline model (nominal)", None, None)
# What a governor names in place of a database where its machines have none in common, and what
# their ledgers are then known by together.
PREFECT_API = "prefect-api"
# What the keys of accounts begin with that are no saved block's.
UNSAVED = ("local/", "run/")


@dataclass(frozen=True, slots=True)
class Allocation:
    """A part of a chain of budgets, set aside for one consumer.

    Its ceiling and what was spent of it stand in an account and a purse of its own, `key`; what is
    left of it is held in every purse of `within` (account, window label; nearest first), where it
    was set aside. Calls under it draw on those very windows, whatever the time is by then.

    Attributes:
        label: what it is for, in people's words.
        group: allocations of one group (a run's) give back to and redraw from each other.
        elastic: it redraws, and others of its group may redraw from it; a fixed one (the closing
            synthesis) does neither.
        owner: the process at whose death its rest returns; None where it outlives its maker (a
            shard on another machine).
        closed: its rest was given back; calls still in flight settle into it all the same.
    """

    key: str
    label: str
    within: tuple[tuple[str, str], ...]
    group: str | None = None
    elastic: bool = False
    owner: str | None = None
    closed: bool = False


def ceiling_in_full(nano: int | None, tokens: int | None) -> str:
    """A ceiling for the audit, every digit of it: "5 USD and 1000 tokens"."""
    parts = [] if nano is None else [f"{to_usd(nano).normalize():f} USD"]
    parts += [] if tokens is None else [f"{tokens} tokens"]
    return " and ".join(parts) or "none"


@dataclass(frozen=True, slots=True)
class AccountState:
    """A budget's figures in its current window: in nano-dollars (1e-9 USD), and in tokens.

    Attributes:
        key: names it in the ledger.
        name: what people call it.
        window: the window's label, such as "2026-11-24"; empty where nothing was spent yet.
        ceiling_nano: None where there is none in US dollars.
        ceiling_tokens: None where there is none in tokens.
        spent_nano: billed.
        unconfirmed_nano: the bounds of calls whose outcome nobody knows.
        reserved_nano: the bounds of calls in flight.
        spent_tokens: as `spent_nano`, input and output together.
        unconfirmed_tokens: as `unconfirmed_nano`.
        reserved_tokens: as `reserved_nano`.
        allocated_nano: set aside in allocations, and not spent yet.
        allocated_tokens: as `allocated_nano`.
        elsewhere_nano: drawn by other machines, where they have no ledger in common.
        elsewhere_tokens: as `elsewhere_nano`.
    """

    key: str
    name: str
    window: str
    ceiling_nano: int | None
    ceiling_tokens: int | None
    spent_nano: int = 0
    unconfirmed_nano: int = 0
    reserved_nano: int = 0
    spent_tokens: int = 0
    unconfirmed_tokens: int = 0
    reserved_tokens: int = 0
    allocated_nano: int = 0
    allocated_tokens: int = 0
    elsewhere_nano: int = 0
    elsewhere_tokens: int = 0

    @property
    def share(self) -> int:
        """How much of the ceiling is spent or unconfirmed, as `percent_gone` has it."""
        return percent_gone(
            (self.ceiling_nano, self.spent_nano + self.unconfirmed_nano + self.elsewhere_nano),
            (
                self.ceiling_tokens,
                self.spent_tokens + self.unconfirmed_tokens + self.elsewhere_tokens,
            ),
        )


def percent_gone(*ceilings: tuple[int | None, int]) -> int:
    """How much of a ceiling is gone, in whole percent rounded down, of ceilings and what is gone of
    each: of the one that most is gone of. 0 without a ceiling and for one of 0."""
    return max((gone * 100 // ceiling for ceiling, gone in ceilings if ceiling), default=0)
