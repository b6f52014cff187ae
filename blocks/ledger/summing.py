"""Calls that are over, summed so that who spent what stays the same to the nano-dollar. Pure."""

import json
from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256
from operator import add

from prefect_governor.blocks.ledger.decision.purse import ALLOCATION_PREFIX
from prefect_governor.blocks.records.calls import Attribution, Usage
from prefect_governor.blocks.records.sums import CallSum, EndedCall

# Of the wall's clock, in nanoseconds. In every time zone days and hours begin with one.
QUARTER = 900 * 10**9
# What the keys of accounts begin with that are one run's alone. Their purses stay.
_OF_A_RUN = ("run/", ALLOCATION_PREFIX)


def quarter_of(wall: int) -> int:
    """When the quarter of an hour began that an instant falls into."""
    return wall - wall % QUARTER


def sums_of(calls: Iterable[EndedCall]) -> list[CallSum]:
    """The sums that stand for these calls, each of another key; in the order of their first calls.

    Of calls that cost nothing by what they are (released, slots), nothing is kept.
    """
    found: dict[tuple[object, ...], tuple[EndedCall, list[int]]] = {}
    for call in calls:
        usage, who = call.usage, call.who
        if usage is None or not call.accounts:
            continue
        alike = (
            *(quarter_of(call.created_wall), call.accounts, who.tags, who.flow, who.deployment),
            *(who.task, who.model, who.user, who.label),
        )
        _, totals = found.setdefault(alike, (call, [0] * 5))
        one = (1, usage.nano, usage.input_tokens, usage.output_tokens, usage.cached_input_tokens)
        totals[:] = map(add, totals, one)
    sums: dict[str, CallSum] = {}
    for first, (number, *figures) in found.values():
        each = sum_of(first.created_wall, first.accounts, first.who, number, Usage(*figures))
        # Those of several runs may have all in common that is kept.
        known = sums.get(each.key)
        sums[each.key] = each if known is None else _added(known, each)
    return list(sums.values())


def sum_of(
    wall: int,
    accounts: tuple[tuple[str, str], ...],
    who: Attribution,
    calls: int,
    usage: Usage,
) -> CallSum:
    """What calls came to that were admitted in the same quarter of an hour as `wall`."""
    shared = tuple(each for each in accounts if not each[0].startswith(_OF_A_RUN))
    kept = replace(who, flow_run_id=None, task_run_id=None, run_id=None, item=None)
    start = quarter_of(wall)
    common = [start, shared, kept.tags, kept.flow, kept.deployment, kept.task, kept.model]
    text = json.dumps([*common, kept.user, kept.label], separators=(",", ":"))
    key = sha256(text.encode()).hexdigest()[:32]
    return CallSum(key, start, shared, kept, calls, usage)


def _added(one: CallSum, other: CallSum) -> CallSum:
    a, b = one.usage, other.usage
    usage = Usage(
        a.nano + b.nano,
        a.input_tokens + b.input_tokens,
        a.output_tokens + b.output_tokens,
        a.cached_input_tokens + b.cached_input_tokens,
    )
    return replace(one, calls=one.calls + other.calls, usage=usage)
