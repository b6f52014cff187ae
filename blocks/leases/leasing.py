"""How many slots to lease from Prefect, and which leases to give back. Pure."""

from dataclasses import dataclass

from prefect_governor.blocks.ledger.decision.store import Lease

# A lease's life on the server, in seconds: the shortest that Prefect takes.
LEASE_SECONDS = 60
# Renewed when a third of its life is gone, so that two failures in a row do no harm.
RENEW_AFTER_SECONDS = 20
# Nothing is admitted under a lease in its last seconds.
MARGIN_SECONDS = 10
# Leases are small, so that surplus can go back without waiting for the last call of many.
LEASES_PER_CAP = 8

# What `Lease.usable_until` says of one that admits nobody any more and is still to be given back.
# Its server may have forgotten it, as after a restart with leases in memory or a reboot.
FORGOTTEN = 0
# It is to be given back. From when the server is asked for that: `ASKED_BACK`.
GOING_BACK = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now: slots to acquire, a lease each, leases to renew, leases to give back."""

    acquire: tuple[int, ...] = ()
    renew: tuple[Lease, ...] = ()
    release: tuple[Lease, ...] = ()


def plan(*, cap: int, demand: int, in_flight: int, leases: list[Lease], now: int) -> Plan:
    """What brings the leases of a limit to what is needed.

    Args:
        cap: the most that may be in flight, by what people configured.
        demand: calls in flight and waiting, over all processes.
        in_flight: calls in flight; slots are never given back from under them.
        leases: what is leased; expired ones are left to the caller to forget.
        now: nanoseconds of the boot's clock.
    """
    size = max(1, -(-cap // LEASES_PER_CAP))
    wanted = min(cap, demand + _headroom(cap) if demand else 0)
    held = sum(lease.slots for lease in leases)
    acquire: list[int] = []
    while held + sum(acquire) < wanted:
        acquire.append(min(size, cap - held - sum(acquire)))
    release: list[Lease] = []
    for lease in sorted(leases, key=lambda each: each.usable_until):
        left = held - lease.slots
        if left >= max(wanted, in_flight) or (held > cap and left >= in_flight):
            release.append(lease)
            held = left
    renew = due([lease for lease in leases if lease not in release], now)
    return Plan(tuple(acquire), renew, tuple(release))


def due(leases: list[Lease], now: int) -> tuple[Lease, ...]:
    """Those to renew now."""
    until = now + (LEASE_SECONDS - MARGIN_SECONDS - RENEW_AFTER_SECONDS) * 10**9
    return tuple(lease for lease in leases if lease.usable_until <= until)


def _headroom(cap: int) -> int:
    """Slots ahead of demand, so that the next call need not wait for the server."""
    return max(1, cap // 10)


def usable_until(asked_at: int) -> int:
    """Until when a lease may be used that was asked for at an instant: counted from before the
    request, so that the server's own clock for it can only be later."""
    return asked_at + (LEASE_SECONDS - MARGIN_SECONDS) * 10**9
