"""What the doctor finds of saved governors: what is left of their money, their limits."""

from collections.abc import Iterator
from typing import Any

from prefect_governor.blocks.errors import GovernorError
from prefect_governor.blocks.money.usd import show_usd
from prefect_governor.blocks.prefect_internals.block_documents import saved_id
from prefect_governor.blocks.work.ledgers import home_of
from prefect_governor.flows.cli.doctor.finding import Finding
from prefect_governor.flows.cli.doctor.ledgers import open_ledger
from prefect_governor.flows.cli.doctor.sum import sum_in_words


def governors(*, ledger: bool) -> Iterator[Finding]:
    """Each saved governor. `ledger`: whether the one of those that name none can be read."""
    from prefect_governor.blocks.documents.documents import saved_governors

    try:
        names = saved_governors()
    except Exception as error:
        yield Finding("problem", f"governors: the server does not list blocks: {error}")
        return
    if not names:
        yield Finding("ok", "governors: none saved; a run without one has a ceiling of its own")
    for name in names:
        try:
            yield from _governor(name, ledger=ledger)
        except GovernorError as error:
            yield Finding("problem", f"governor {name!r}: {error}")


def _governor(name: str, *, ledger: bool) -> Iterator[Finding]:
    from prefect_governor.blocks.documents.documents import accounts_of, load_block
    from prefect_governor.blocks.governor import Governor
    from prefect_governor.blocks.leases.prefect_limits import PrefectLimits
    from prefect_governor.blocks.work.registry import ledger_url_of, server_limit_name

    governor = load_block(Governor, name)
    _, accounts = accounts_of(name)
    if governor.mode == "observe":
        text = f"governor {name!r}: it only observes (mode observe); no ceiling and no limit holds"
        yield Finding("warn", text, "set its mode to enforce in Prefect's UI")
    url = ledger_url_of(governor)
    store = open_ledger(url) if ledger or url is not None else None
    left: list[int] = []
    try:
        if url is not None and store is not None:
            text = f"governor {name!r}: its ledger is {home_of(url)}, id {store.ledger_id[:8]}"
            yield Finding("ok", text)
        for at, account in enumerate(accounts):
            whose = f"governor {name!r}" if at == 0 else f"  under budget {account.name!r}"
            known = store.read_purse(account.key) if store is not None else None
            purse = known[1] if known is not None else None
            charged = 0 if purse is None else purse.spent_nano + purse.unconfirmed_nano
            tokens = 0 if purse is None else purse.spent_tokens + purse.unconfirmed_tokens
            yield _money(whose, account, charged, tokens)
            if account.ceiling_nano is not None:
                left.append(account.ceiling_nano - charged)
        server = PrefectLimits()
        for limit in governor.limits:
            gate = (
                store.read_gate(f"{saved_id(governor)}/{limit.name}") if store is not None else None
            )
            names = server_limit_name(name, limit)
            theirs = server.read(names) if limit.max_concurrent is not None else None
            yield _limit(limit, gate, names, theirs)
        text = sum_in_words(
            governor.limits,
            store=store,
            account=accounts[0].key,
            money_left_nano=min(left, default=None),
        )
        yield Finding("ok", f"  {text}")
    finally:
        if store is not None:
            store.close()


def _money(whose: str, account: Any, charged: int, tokens: int) -> Finding:
    parts, empty = [], False
    if account.ceiling_nano is not None:
        left = max(0, account.ceiling_nano - charged)
        parts.append(f"{show_usd(left)} of {show_usd(account.ceiling_nano)} left")
        empty |= left == 0
    if account.ceiling_tokens is not None:
        left = max(0, account.ceiling_tokens - tokens)
        parts.append(f"{left:,} of {account.ceiling_tokens:,} tokens left")
        empty |= left == 0
    per = "" if account.window == "total" else f" per {account.window}"
    text = f"{whose}: {', '.join(parts)}{per}"
    if empty:
        todo = f"prefect-governor budget raise {account.name}, or edit the block in Prefect's UI"
        return Finding("warn", text, todo)
    return Finding("ok", text)


def _limit(limit: Any, gate: Any, name: str, theirs: Any) -> Finding:
    text = f"  limit {limit.name!r}"
    parts = [
        f"{meter.replace('_', ' ')} {amount:,} a {unit}" for meter, unit, amount in _rates(limit)
    ]
    if limit.max_concurrent is not None:
        parts.insert(0, f"max concurrent {limit.max_concurrent:,}")
    if gate is not None:
        parts.append(f"{gate.in_flight} in flight now")
    if limit.max_concurrent is None:
        return Finding("ok", f"{text}: {', '.join(parts) or 'holds nothing'}")
    if theirs is None:
        if limit.share_with is not None:
            todo = f"prefect gcl create {name} --limit {limit.max_concurrent}"
            return Finding(
                "problem",
                f"{text}: {', '.join(parts)}; Prefect has no limit {name!r} to share",
                todo,
            )
        parts.append(f"Prefect's {name!r} is made by the first call")
        return Finding("ok", f"{text}: {', '.join(parts)}")
    parts.append(f"Prefect's {name!r} says {theirs.limit:,}")
    if theirs.active is False:
        todo = f"prefect gcl enable {name}"
        return Finding("warn", f"{text}: {', '.join(parts)}, and is switched off", todo)
    if limit.reserve_for_others:
        parts.append(f"{limit.reserve_for_others} of them kept for others")
    if theirs.limit < limit.max_concurrent:
        todo = (
            f"the smaller of the two counts: prefect gcl update {name} --limit"
            f" {limit.max_concurrent}"
        )
        return Finding("warn", f"{text}: {', '.join(parts)}", todo)
    return Finding("ok", f"{text}: {', '.join(parts)}")


def _rates(limit: Any) -> Iterator[tuple[str, str, int]]:
    """What is metered, the unit of time, and how much of it."""
    for field in type(limit).model_fields:
        meter, _, unit = field.rpartition("_per_")
        amount = getattr(limit, field)
        if meter and amount is not None:
            yield meter, unit, amount
