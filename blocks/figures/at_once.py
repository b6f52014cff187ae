"""How much is at once, and why: P13's sum, of what a ledger knows and what this process holds."""

from collections.abc import Iterable
from contextlib import suppress

from prefect_governor.blocks.context.scope import current_scope
from prefect_governor.blocks.errors import GovernorError
from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.ledger.decision.gate import Gate
from prefect_governor.blocks.limits.derived import Held, Observed, Term, terms, together
from prefect_governor.blocks.limits.items import item_starts
from prefect_governor.blocks.limits.resources import memory
from prefect_governor.blocks.work.runtime import Runtime

# A budget's mark that says how many bytes an item held, the last time that many ran under it.
FOOTPRINT = "footprint_bytes"


def held_by(gate: Gate) -> Held:
    """What a limit holds, people's or a provider's own."""
    caps = {
        "max_concurrent": gate.max_concurrent,
        "prefect_limit": gate.server_limit,
        "adaptive": None if gate.upstream is None else gate.upstream.cap.cap,
    }
    if gate.server_limit == gate.max_concurrent:
        # It is the same limit, as people see it in Prefect.
        del caps["prefect_limit"]
    rates = [(meter.rate.name, meter.rate) for meter in gate.meters]
    if gate.upstream is not None:
        learned = (each.meter.rate for each in gate.upstream.rates.rates.values())
        rates += [(f"learned {rate.name}", rate) for rate in learned]
    known = tuple((name, cap) for name, cap in caps.items() if cap is not None)
    return Held(gate.name, known, tuple(rates))


def observed(gates: Iterable[Gate]) -> Observed:
    """What a call takes, by those that these limits have seen."""
    return together(gate.upstream.each for gate in gates if gate.upstream is not None)


def at_once(gates: Iterable[Gate], *, money_left_nano: int | None) -> tuple[Term, ...]:
    """The sum for calls under these limits, made by items of this process. Where no call has been
    seen, only what needs none is told."""
    gates = list(gates)
    each, items = observed(gates), item_starts().figures()
    held = [held_by(gate) for gate in gates]
    if not each.calls:
        held = [Held(one.of, one.caps) for one in held]
    return terms(
        held,
        each=each,
        memory=None if items.footprint_bytes is None else memory(),
        footprint_bytes=items.footprint_bytes,
        under_way=items.under_way,
        money_left_nano=money_left_nano,
    )


def keep_footprint() -> None:
    """Keep what an item of this process was found to hold, for the doctor. Raises nothing, and
    waits for nothing."""
    here = current_scope.get()
    held = item_starts().figures().footprint_bytes
    if held is None or here is None or not isinstance(here.governor, Runtime):
        return
    keys = [account.key for account in here.governor.accounts_]

    def keep(batch: Batch) -> None:
        for key in keys:
            batch.rows.put_mark(key, "", FOOTPRINT, int(held))

    with suppress(GovernorError, RuntimeError):
        here.governor.desk.write(keep)
