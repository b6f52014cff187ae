"""`prefect-governor budget raise` and `lower`: a ceiling's document, and the ledger at once."""

import getpass
import socket
import time
from dataclasses import dataclass
from decimal import Decimal

from prefect_governor.blocks.budget import Budget
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.money.usd import parse_usd, show_usd, to_nano, to_usd
from prefect_governor.blocks.records.budgets import Account, AccountState, ceiling_in_full
from prefect_governor.blocks.records.notices import Audit
from prefect_governor.flows.cli.budget.documents import CeilingDocument, find_ceiling, write_ceiling
from prefect_governor.flows.cli.budget.text import figures, show_ceiling, waiting_line
from prefect_governor.flows.cli.budget.view import LOCAL, Source, View, open_source, read_view
from prefect_governor.flows.cli.terminal.terminal import say

MOST_TOKENS = 2**53


@dataclass(frozen=True)
class Change:
    """A ceiling that is about to change: where it stands, what it is, what it shall be."""

    way: str
    source: Source
    document: CeilingDocument
    after: Budget

    @property
    def before(self) -> Budget:
        return self.document.budget


def change_budget(
    way: str, name: str, amount: str | None, *, tokens: str | None, reason: str | None
) -> None:
    """Change a ceiling and print what became of it. `way` is "raise" or "lower".

    Raises ConfigurationError, LedgerUnavailable.
    """
    change = plan_change(way, name, amount, tokens=tokens)
    waiting = read_view(change.source).waiting
    after = apply_change(change, reason=reason or "")
    for line in _shown(change, after):
        print(line)
    for each in waiting:
        print(waiting_line(each))
    if gone := _spent_up(after.chain[0].state):
        say(gone)


def plan_change(way: str, name: str, amount: str | None, *, tokens: str | None) -> Change:
    """Read a ceiling, and what it shall be. Changes nothing.

    Args:
        way: "raise" or "lower".
        amount: in USD: the new ceiling, or with "+" or "-" what to add or take away.
        tokens: the same of total tokens.

    Raises ConfigurationError: there is no such ceiling, it stands in a script, or the change would
    go the other way.
    """
    if amount is None and tokens is None:
        raise ConfigurationError(
            f"say what to {way} it to: `prefect-governor budget {way} {name} 20` in USD, or"
            f" `--tokens N`"
        )
    if name.startswith(LOCAL):
        plain = name.removeprefix(LOCAL)
        raise ConfigurationError(
            f"the ceiling of {name} stands in the script that says"
            f" Governor.local({plain!r}, max_usd=…): change it there"
        )
    source = open_source(name)
    document = find_ceiling(name)
    fields = document.budget.model_dump()
    if amount is not None:
        before = None if document.budget.max_usd is None else Decimal(document.budget.max_usd)
        fields["max_usd"] = _usd(way, amount, before)
    if tokens is not None:
        fields["max_total_tokens"] = _tokens(way, tokens, document.budget.max_total_tokens)
    return Change(way, source, document, Budget.model_validate(fields))


def apply_change(change: Change, *, reason: str) -> View:
    """Write the document, then the ledger with the document's new version and a row of the audit.

    Raises ConfigurationError where the document was changed since it was read.
    """
    write_ceiling(change.document, change.after)
    source = open_source(change.source.name)
    account = _account_of(change, source)
    audit = Audit(
        action="raised" if change.way == "raise" else "lowered",
        subject=account.key,
        by=user_at_host(),
        reason=reason,
        evidence=None,
        before=_exact(change.before),
        after=_exact(change.after),
        wall=time.time_ns(),
    )

    def record(batch: Batch) -> None:
        batch.rows.add_audit(audit)

    source.desk.write(record).result()
    return read_view(source)


def user_at_host() -> str:
    """Who does this, for the audit: "ann@laptop"."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        # A container's user may have no name.
        user = "unknown"
    return f"{user}@{socket.gethostname()}"


def _usd(way: str, text: str, before: Decimal | None) -> Decimal:
    sign, amount = _signed(text)
    value = parse_usd(amount, name="the ceiling")
    if sign:
        value = _moved(way, sign, text, None if before is None else to_nano(before), to_nano(value))
    shown = None if before is None else show_usd(to_nano(before))
    return _checked(way, value, before, shown, f"{value:f} USD")


def _tokens(way: str, text: str, before: int | None) -> int:
    sign, amount = _signed(text.replace(",", "").replace("_", ""))
    if not amount.isdecimal() or int(amount) > MOST_TOKENS:
        raise ConfigurationError(f"--tokens must be a number of tokens, not {text!r}")
    value = int(amount)
    if sign:
        value = int(_moved(way, sign, text, before, value, unit=1))
    shown = None if before is None else f"{before:,} tokens"
    return int(_checked(way, Decimal(value), _decimal(before), shown, f"{value:,} tokens"))


def _signed(text: str) -> tuple[str, str]:
    """The sign of a relative amount, "" for an absolute one, and the amount."""
    text = text.strip()
    return (text[0], text[1:]) if text[:1] in ("+", "-") else ("", text)


def _moved(
    way: str, sign: str, text: str, before: int | None, by: int, *, unit: int = 10**9
) -> Decimal:
    if before is None:
        raise ConfigurationError(f"there is no ceiling yet that {text} could be counted from")
    if (sign == "+") != (way == "raise"):
        raise ConfigurationError(f"{text} is the other way: use `budget {_other(way)}`")
    value = before + by if sign == "+" else before - by
    if value < 0:
        raise ConfigurationError(f"{text} is more than the whole ceiling: the least is 0")
    return to_usd(value) if unit != 1 else Decimal(value)


def _checked(
    way: str, value: Decimal, before: Decimal | None, shown: str | None, wanted: str
) -> Decimal:
    if before is None:
        if way == "raise":
            raise ConfigurationError(
                f"it has no such ceiling, so there is nothing to raise; `budget lower` sets one"
                f" ({wanted})"
            )
        return value
    if value == before:
        raise ConfigurationError(f"its ceiling is {shown} already")
    if (value > before) != (way == "raise"):
        raise ConfigurationError(
            f"its ceiling is {shown}: {wanted} would {_other(way)} it; use `budget {_other(way)}`"
        )
    return value


def _other(way: str) -> str:
    return "lower" if way == "raise" else "raise"


def _decimal(value: int | None) -> Decimal | None:
    return None if value is None else Decimal(value)


def _account_of(change: Change, source: Source) -> Account:
    """The ledger's account of the document that was changed."""
    key = str(change.document.id)
    return next(each for each in source.accounts if each.key in (key, f"{key}/budget"))


def _nano(budget: Budget) -> int | None:
    return None if budget.max_usd is None else to_nano(budget.max_usd)


def _exact(budget: Budget) -> str:
    """A ceiling for the audit, every digit of it."""
    return ceiling_in_full(_nano(budget), budget.max_total_tokens)


def _shown(change: Change, after: View) -> list[str]:
    (state, window) = (after.chain[0].state, after.chain[0].window)
    per = "counted for ever" if window == "total" else f"per {window}"
    lines = [f"{change.document.kind} {change.document.name!r}, {per}"]
    for name, value in figures(state):
        text = value
        if name == "ceiling":
            before, now = (
                show_ceiling(_nano(each), each.max_total_tokens)
                for each in (change.before, change.after)
            )
            text = f"{before} → {now}"
        lines.append(f"  {name:<12} {text}")
    for above in after.chain[1:]:
        left = dict(figures(above.state))["left"]
        lines.append(f"under Budget {above.state.name!r}, which has {left} left")
    return lines


def _spent_up(state: AccountState) -> str | None:
    """A warning where a ceiling is below what is gone of it."""
    window = f" ({state.window})" if state.window not in ("", "total") else ""
    for ceiling, gone, what in (
        (
            state.ceiling_nano,
            state.spent_nano + state.unconfirmed_nano,
            show_usd(state.spent_nano + state.unconfirmed_nano),
        ),
        (
            state.ceiling_tokens,
            state.spent_tokens + state.unconfirmed_tokens,
            f"{state.spent_tokens + state.unconfirmed_tokens:,} tokens",
        ),
    ):
        if ceiling is not None and gone >= ceiling and gone:
            return (
                f"warning: {what} is spent or unconfirmed already: nothing more is admitted in this"
                f" window{window}"
            )
    return None
