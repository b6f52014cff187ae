"""Money that was spent and of which the ledger has no call: charged to a budget's window.

After a ledger was lost, or an older one was put in its place, what is missing would stand open to
be spent a second time. So it is charged, as a sum of no known calls, with a row of the audit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from prefect_governor.blocks.errors import LedgerUnavailable
from prefect_governor.blocks.ledger.decision.batch import current_label
from prefect_governor.blocks.ledger.decision.store import Rows
from prefect_governor.blocks.ledger.summing import sum_of
from prefect_governor.blocks.machine.clock import Instant
from prefect_governor.blocks.money.usd import show_usd
from prefect_governor.blocks.records.budgets import Account
from prefect_governor.blocks.records.calls import Attribution, Usage
from prefect_governor.blocks.records.notices import Audit

# Of the flow that such money stands under in `budget show --by flow`.
CHARGED = "(charged by hand)"


@dataclass(frozen=True, slots=True)
class Charge:
    """What is charged: `wall` says when it was spent, in ns of the wall's clock, `model` on what.
    `tokens` are those of input and output together."""

    wall: int
    nano: int
    tokens: int = 0
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Why:
    """What the audit keeps of it."""

    by: str
    reason: str
    evidence: str | None = None


def charge(rows: Rows, accounts: Sequence[Account], charges: Sequence[Charge], why: Why) -> None:
    """Charge all of a chain of budgets, leaf first, each in the window that it was in then.

    A window of "run" has none by the time: it is charged in its latest one. A window is never
    before the latest that the budget was in at the end of what is charged.
    """
    for each in charges:
        purses = []
        for account in accounts:
            known = rows.account(account.key)
            if known is None:
                raise LedgerUnavailable(f"the ledger knows no budget {account.key!r}")
            then = Instant(rows.now.boot, min(each.wall, rows.now.wall))
            # In which window it was; that of a run is the latest.
            last = known[1] if known[0].window == "run" else None
            label = current_label(known[0], last, then)
            purse = rows.purse(known[0], label)
            before = show_usd(purse.spent_nano)
            purse.spent_nano += each.nano
            purse.spent_tokens += each.tokens
            rows.put_purse(purse)
            if known[1] is None or (known[0].window != "run" and label > known[1]):
                rows.put_label(account.key, label)
            purses.append((account.key, label))
            rows.add_audit(
                Audit(
                    "charged",
                    account.key,
                    why.by,
                    why.reason,
                    why.evidence,
                    f"spent {before} in {label}",
                    f"spent {show_usd(purse.spent_nano)}",
                    rows.now.wall,
                )
            )
        usage = Usage(each.nano, each.tokens, 0)
        who = Attribution(flow=CHARGED, model=each.model)
        rows.add_sums([sum_of(each.wall, tuple(purses), who, 0, usage)])
