"""What the doctor says of how much is at once: P13's sum for a saved governor, measured where its
ledger knows the numbers."""

from collections.abc import Sequence
from typing import Any

from prefect_governor.blocks.limits.derived import (
    ASSUMED,
    AT_ONCE,
    MIB,
    UNKNOWN_BYTES,
    Held,
    Observed,
    terms,
)
from prefect_governor.blocks.limits.resources import cores, memory


def sum_in_words(
    limits: Sequence[Any], *, store: Any, account: str, money_left_nano: int | None
) -> str:
    """One line: the smallest first, each with its numbers, and which of them are assumed.

    `limits` are a governor's; `store` is its ledger, None where there is none yet; `account` is
    the key of its budget.
    """
    from prefect_governor.blocks.figures.at_once import held_by, observed

    upstreams = (
        [] if store is None else [gate for gate in store.read_upstreams() if _of(limits, gate)]
    )
    each = observed(upstreams)
    held = [_held(limit) for limit in limits]
    held += [held_by(gate) for gate in upstreams]
    footprint, source = _footprint(limits, store, account)
    found = terms(
        held,
        each=each,
        memory=memory(),
        footprint_bytes=footprint,
        footprint_source=source,
        cores=cores() if any(limit.counts == "tasks" for limit in limits) else None,
        money_left_nano=money_left_nano,
    )
    if not found:
        return "at once: nothing that is known holds it back"
    return f"{AT_ONCE}{'; '.join(map(str, found))}; {_measured(each)}"


def _measured(each: Observed) -> str:
    if not each.calls:
        return (
            f"no call was seen yet, so {ASSUMED.seconds:g} s and"
            f" {ASSUMED.of('tokens'):,.0f} tokens a call are assumed"
        )
    return (
        f"measured over {each.calls:,} calls: {each.seconds:.2f} s, {each.of('tokens'):,.0f} tokens"
        f" and {each.nano / 1e9:.6f} USD each"
    )


def _held(limit: Any) -> Held:
    known = limit.terms("", leased=False)
    caps = () if known.max_concurrent is None else (("max_concurrent", known.max_concurrent),)
    return Held(limit.name, caps, tuple((rate.name, rate) for rate in known.rates))


def _of(limits: Sequence[Any], gate: Any) -> bool:
    """Whether a provider's own limit is on a model that the governor has a limit for."""
    model = gate.name.rpartition(" at ")[0]
    return any(
        limit.applies_to(tags=(limit.tag,) if limit.tag else (), model=model) for limit in limits
    )


def _footprint(limits: Sequence[Any], store: Any, account: str) -> tuple[float, str]:
    from prefect_governor.blocks.figures.at_once import FOOTPRINT

    given = max((limit.memory_mib for limit in limits if limit.memory_mib), default=None)
    if given is not None:
        return given * MIB, "as the limit says"
    if store is not None:
        with store.transaction() as rows:
            seen = rows.mark(account, "", FOOTPRINT)
        if seen:
            return seen, "observed"
    return UNKNOWN_BYTES, "assumed"
