"""What the doctor finds of a budget's money: how much is left in the window of now, and whether it
is counted in the ledger that is used here."""

import socket
import time
from collections.abc import Iterator
from pathlib import Path

from prefect_governor.blocks.documents.identity import elsewhere, variable_name
from prefect_governor.blocks.ledger.decision.store import Store
from prefect_governor.blocks.money.usd import show_usd
from prefect_governor.blocks.money.windows import window_label
from prefect_governor.blocks.records.budgets import PREFECT_API, Account
from prefect_governor.blocks.work.ledgers import LEDGER_URL, home_of
from prefect_governor.flows.cli.doctor.documents import Saved
from prefect_governor.flows.cli.doctor.finding import Finding


def charged(store: Store | None, account: Account) -> tuple[int, int]:
    """Nano-dollars and tokens that are spent, unconfirmed, set aside or drawn by other machines of
    a budget, in the window of now. A run's own window begins with the run."""
    if store is None or account.window == "run":
        return 0, 0
    label = window_label(
        account.window, time_zone=account.time_zone, wall_seconds=time.time(), run_id=None
    )
    known = store.read_purse(account.key, label)
    if known is None:
        return 0, 0
    purse = known[1]
    nano, tokens = purse.elsewhere()
    return (
        purse.spent_nano + purse.unconfirmed_nano + purse.allocated_nano + nano,
        purse.spent_tokens + purse.unconfirmed_tokens + purse.allocated_tokens + tokens,
    )


def of_money(about: str, account: Account, store: Store | None, *, on: str = "") -> Finding:
    """What is left of a budget. `on`: what it draws on, in words."""
    nano, tokens = charged(store, account)
    parts, empty = [], False
    if account.ceiling_nano is not None:
        left = max(0, account.ceiling_nano - nano)
        parts.append(f"{show_usd(left)} of {show_usd(account.ceiling_nano)} left")
        empty |= left == 0
    if account.ceiling_tokens is not None:
        left = max(0, account.ceiling_tokens - tokens)
        parts.append(f"{left:,} of {account.ceiling_tokens:,} tokens left")
        empty |= left == 0
    per = "" if account.window == "total" else f" per {account.window}"
    text = f"{', '.join(parts) or 'no ceiling of its own'}{per if parts else ''}{on}"
    if not empty:
        return Finding("ok", about, text)
    return Finding("warn", about, f"{text}: nothing is admitted", *_raise(account, nano, tokens))


def _raise(account: Account, nano: int, tokens: int) -> tuple[str, str]:
    """Twice as much as is gone is a beginning, where the ceiling is not that."""
    todo = "wait for the next window, or raise it"
    if account.window == "total":
        todo = "raise it"
    if account.ceiling_nano is not None and nano >= account.ceiling_nano:
        more = max(nano, 10**9) / 1e9
        return todo, f"prefect-governor budget raise {account.name} {nano / 1e9 + more:.2f}"
    return todo, (
        f"prefect-governor budget raise {account.name} --tokens {tokens + max(tokens, 1000)}"
    )


def of_place(saved: Saved, store: Store | None, url: str | None) -> Iterator[Finding]:
    """Whether a document's money is counted in this ledger: two would be two ceilings (P8)."""
    here = PREFECT_API if url == PREFECT_API else None if store is None else store.ledger_id
    there = elsewhere(str(saved.document.id), here)
    if there is None:
        return
    name = variable_name(str(saved.document.id))
    forget = f"prefect variable delete {name}"
    if not there.ledger:
        yield Finding(
            "fail",
            saved.about,
            f"the Variable {name!r}, which says where its ledger is, is none of ours any more",
            "if no other machine uses that block, the next process makes it anew",
            forget,
        )
        return
    ours = "none yet" if here is None else here[:8]
    text = (
        f"its money is counted in the ledger {there.ledger[:8]} on host {there.host!r} at"
        f" {there.home}; this process has {ours} at {home_of(url)}, and is refused before it spends"
    )
    if there.home.startswith("postgresql://"):
        todo = f"name that database in ledger_url of the Governor block, or in {LEDGER_URL}"
        yield Finding("fail", saved.about, text, todo, f"export {LEDGER_URL}={there.home}")
    elif there.host == socket.gethostname() and Path(there.home).is_dir():
        yield Finding(
            "fail",
            saved.about,
            text,
            "use the same home, or one PostgreSQL (ledger_url)",
            f"export PREFECT_HOME={Path(there.home).parent}",
        )
    else:
        yield Finding(
            "fail",
            saved.about,
            text,
            f"have one PostgreSQL that both reach (ledger_url, or {LEDGER_URL}), or, without one,"
            f" ledger_url {PREFECT_API!r} in the Governor block; where the old"
            " ledger is gone for good, and what was spent with it may be forgotten",
            forget,
        )
