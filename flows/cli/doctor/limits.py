"""What the doctor finds of a governor's limits, and of Prefect's own that they stand as."""

from collections.abc import Iterator
from typing import Any

from prefect_governor.blocks.leases.limit_server import LimitServer, ServerLimit
from prefect_governor.blocks.ledger.decision.store import Store
from prefect_governor.blocks.terms.governor import GovernorTerms
from prefect_governor.blocks.terms.limit import Limit
from prefect_governor.blocks.work.registry import server_limit_name
from prefect_governor.flows.cli.doctor.documents import Saved
from prefect_governor.flows.cli.doctor.finding import Finding

# An expired lease is looked for by the server every 15 s, and lives for a minute.
BACK_SECONDS = 75


def of_limits(
    saved: Saved, terms: GovernorTerms, store: Store | None, server: LimitServer
) -> Iterator[Finding]:
    """Each limit of a governor, and the slots of it that nobody owns."""
    for limit in terms.every_limit:
        about = f"{saved.about}, limit {limit.name!r}"
        key = f"{saved.document.id}/{limit.name}"
        name = server_limit_name(saved.name, limit)
        theirs = server.read(name) if limit.max_concurrent is not None else None
        # After the server was asked: a lease is here once it is there.
        gate = None if store is None else store.read_gate(key)
        yield _limit(about, limit, gate, name, theirs)
        if theirs is not None and limit.share_with is None:
            yield from _unowned(about, name, theirs, 0 if store is None else _leased(store, key))


def _limit(about: str, limit: Limit, gate: Any, name: str, theirs: ServerLimit | None) -> Finding:
    parts = [
        f"{meter.replace('_', ' ')} {amount:,} a {unit}" for meter, unit, amount in _rates(limit)
    ]
    if limit.max_concurrent is not None:
        parts.insert(0, f"max concurrent {limit.max_concurrent:,}")
    if gate is not None:
        parts.append(f"{gate.in_flight} in flight now")
    if limit.max_concurrent is None:
        return Finding("ok", about, ", ".join(parts) or "holds nothing")
    if theirs is None:
        if limit.share_with is not None:
            text = f"{', '.join(parts)}; Prefect has no limit {name!r} to share"
            create = f"prefect gcl create '{name}' --limit {limit.max_concurrent}"
            return Finding("fail", about, text, None, create)
        parts.append(f"Prefect's {name!r} is made by the first call")
        return Finding("ok", about, ", ".join(parts))
    parts.append(f"Prefect's {name!r} says {theirs.limit:,}")
    if theirs.active is False:
        text = f"{', '.join(parts)}, and is switched off: it holds nobody but us back"
        return Finding("warn", about, text, None, f"prefect gcl enable '{name}'")
    if limit.reserve_for_others:
        parts.append(f"{limit.reserve_for_others} of them kept for others")
    if theirs.limit < limit.max_concurrent:
        return Finding(
            "warn",
            about,
            ", ".join(parts),
            "the smaller of the two counts",
            f"prefect gcl update '{name}' --limit {limit.max_concurrent}",
        )
    return Finding("ok", about, ", ".join(parts))


def _unowned(about: str, name: str, theirs: ServerLimit, leased: int) -> Iterator[Finding]:
    """Slots that a server which forgot its leases never gives back."""
    taken = theirs.active_slots or 0
    if theirs.active is False or taken <= leased:
        return
    yield Finding(
        "warn",
        about,
        f"{taken - leased:,} of {taken:,} slots that are taken are leased to nobody that the ledger"
        " knows of",
        f"the server takes expired leases back within {BACK_SECONDS} s; what it forgot by a"
        " restart, it never does",
        f"prefect gcl update '{name}' --active-slots {leased}",
    )


def _leased(store: Store, key: str) -> int:
    with store.transaction() as rows:
        return sum(lease.slots for lease in rows.leases(key))


def _rates(limit: Limit) -> Iterator[tuple[str, str, int]]:
    """What is metered, the unit of time, and how much of it."""
    for field in type(limit).model_fields:
        meter, _, unit = field.rpartition("_per_")
        amount = getattr(limit, field)
        if meter and amount is not None:
            yield meter, unit, amount
