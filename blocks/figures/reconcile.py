"""What a provider's usage export says of unconfirmed calls: which settle, at what, which are void.

Pure: rows and calls in, actions out. A call is settled by one row that names it and no other, at
what the row says it cost. Whatever is not plain is left as it is, and named.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from prefect_governor.blocks.money.usd import round_up, show_usd
from prefect_governor.blocks.prices.tariffs import Price, UsageParts, cost
from prefect_governor.blocks.records.calls import CallRecord, Usage

# The most that a ledger keeps of one call, in nano-dollars or tokens.
MOST = 2**53


@dataclass(frozen=True, slots=True)
class Evidence:
    """One row of a usage export.

    Attributes:
        where: where it stands, such as "usage.csv line 17".
        ids: every name that it gives the call.
        cost_usd: what was billed; None where the export says only tokens.
        input_tokens: all of them, cached ones too; None where the export does not say.
        service_tier: None where the export does not say: it is then priced as the dearest.
    """

    where: str
    ids: tuple[str, ...]
    cost_usd: Decimal | None = None
    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    service_tier: str | None = None


@dataclass(frozen=True, slots=True)
class Settle:
    """An unconfirmed call and what it was billed. `priced` where that was computed from tokens."""

    call: CallRecord
    usage: Usage
    where: str
    priced: bool = False

    @property
    def above_bound(self) -> bool:
        """Whether it cost more than was reserved for it."""
        return self.usage.nano > self.call.bound.nano


@dataclass(frozen=True, slots=True)
class Void:
    """An unconfirmed call that a complete export does not have: it was not billed."""

    call: CallRecord
    why: str


@dataclass(frozen=True, slots=True)
class Left:
    """What was not touched, and why. `subject` is a call's id, or where a row stands."""

    subject: str
    why: str


@dataclass(frozen=True, slots=True)
class Matching:
    """What is to be done. `foreign` counts rows of calls that are not among those given; `agree`
    rows of resolved calls, charged at what the row says."""

    settle: tuple[Settle, ...]
    void: tuple[Void, ...]
    left: tuple[Left, ...]
    foreign: int
    agree: int


def match(
    evidence: Sequence[Evidence],
    calls: Iterable[CallRecord],
    *,
    price_of: Callable[[str], Price | None],
    complete_until: int | None = None,
) -> Matching:
    """What follows from an export for the calls of a budget.

    Args:
        evidence: the export's rows.
        calls: the budget's calls in every state; those that are not unconfirmed are never acted
            on, but say whose a row is, and whether the export is complete.
        price_of: a model's price, for rows that say tokens only.
        complete_until: an instant of the wall's clock, in ns, up to which the export is said to
            hold all that was billed. Calls that were unconfirmed by then and that it does not have
            are void; but not where it lacks a call that the provider is known to have billed, or
            has no call to that provider at all.
    """
    known = list(calls)
    by_name: dict[str, set[int]] = defaultdict(set)
    for at, call in enumerate(known):
        for name in {call.call_id, call.request_id} - {None}:
            by_name[str(name)].add(at)
    rows_of: dict[int, list[Evidence]] = defaultdict(list)
    unclear: set[int] = set()
    left: list[Left] = []
    foreign = 0
    for row in evidence:
        hits = set[int]().union(*(by_name.get(name, ()) for name in row.ids))
        if not hits:
            foreign += 1
        elif len(hits) > 1:
            unclear |= hits
            named = ", ".join(sorted(known[at].call_id for at in hits))
            left.append(Left(row.where, f"it names more than one call: {named}"))
        else:
            rows_of[hits.pop()].append(row)
    settle: list[Settle] = []
    agree = 0
    for at, call in enumerate(known):
        rows = rows_of.get(at, [])
        if not rows or at in unclear:
            continue
        verdict = _verdict(call, rows, price_of)
        if isinstance(verdict, Settle):
            settle.append(verdict)
        elif verdict is None:
            agree += 1
        else:
            left.append(Left(call.call_id, verdict))
    void: tuple[Void, ...] = ()
    if complete_until is not None:
        found = {known[at].call_id for at in {*rows_of, *unclear}}
        void, kept = _absent(known, found, complete_until)
        left += kept
    return Matching(tuple(settle), void, tuple(left), foreign, agree)


def usage_of(
    row: Evidence, call: CallRecord, price_of: Callable[[str], Price | None]
) -> Usage | str:
    """What a row says that a call cost, or why that cannot be told.

    Tokens that the row does not say are those of the call's bound: never understated.
    """
    says = row.input_tokens is not None and row.output_tokens is not None
    tokens_in = row.input_tokens if row.input_tokens is not None else call.bound.input_tokens
    tokens_out = row.output_tokens if row.output_tokens is not None else call.bound.output_tokens
    if row.cached_input_tokens + row.cache_write_tokens > tokens_in:
        return f"{row.where} has more cached input tokens than input tokens"
    if row.cost_usd is not None:
        nano = round_up(row.cost_usd)
    elif not says:
        return f"{row.where} has neither a cost nor both counts of tokens"
    else:
        model = call.attribution.model or row.model
        price = None if model is None else price_of(model)
        if price is None:
            return f"{row.where} has no cost, and no price is known for model {model!r}"
        parts = UsageParts(tokens_in, tokens_out, row.cached_input_tokens, row.cache_write_tokens)
        nano = cost(price, parts, service_tier=row.service_tier)
    if not all(0 <= each <= MOST for each in (nano, tokens_in, tokens_out)):
        return f"{row.where} has a figure that cannot be"
    return Usage(nano, tokens_in, tokens_out, row.cached_input_tokens)


def provider_of(call: CallRecord) -> str:
    """Whom a call went to, as LiteLLM names it; "" where its model does not say."""
    provider, slash, _ = (call.attribution.model or "").partition("/")
    return provider if slash else ""


def _verdict(
    call: CallRecord, rows: Sequence[Evidence], price_of: Callable[[str], Price | None]
) -> Settle | str | None:
    """What the rows that name a call mean for it; None where it is charged at what they say."""
    if len(rows) > 1:
        places = " and ".join(row.where for row in rows)
        return f"{places} bill it: was it sent more than once?"
    (row,) = rows
    if call.state == "reserved":
        return f"{row.where} bills it, but it is in flight still: its owner settles it"
    usage = usage_of(row, call, price_of)
    if isinstance(usage, str):
        return None if call.state == "spent" else usage
    if call.state == "unconfirmed":
        return Settle(call, usage, row.where, priced=row.cost_usd is None)
    charged = call.usage.nano if call.usage is not None else 0
    # Without a cost, the tier that the export does not name is what differs.
    if charged == usage.nano or (row.cost_usd is None and charged > 0):
        return None
    return (
        f"it is resolved at {show_usd(charged)}, {row.where} says {show_usd(usage.nano)}: what is"
        " resolved is never changed"
    )


def _absent(
    known: Sequence[CallRecord], found: set[str], until: int
) -> tuple[tuple[Void, ...], list[Left]]:
    """Unconfirmed calls that a complete export does not have. What it can tell, it must show: an
    export of another account, or of other days, has none of what the ledger knows was billed."""
    absent: Mapping[str, list[CallRecord]] = defaultdict(list)
    for call in known:
        over_by_then = call.created_wall < until and (call.resolved_wall or until) < until
        if call.state == "unconfirmed" and call.call_id not in found and over_by_then:
            absent[provider_of(call)].append(call)
    void: list[Void] = []
    left: list[Left] = []
    for provider, calls in absent.items():
        since = min(call.created_wall for call in calls)
        billed = [
            call
            for call in known
            if call.state == "spent"
            and provider_of(call) == provider
            and since <= call.created_wall
            and (call.resolved_wall or until) < until
            and call.request_id is not None
            and call.usage is not None
            and call.usage.nano > 0
        ]
        lacking = sum(call.call_id not in found for call in billed)
        shown = any(provider_of(call) == provider and call.call_id in found for call in known)
        whom = repr(provider) if provider else "its provider"
        for call in calls:
            if call.request_id is None:
                why = "it went without a name that the provider knows: resolve it by hand"
            elif lacking:
                why = (
                    f"the export is not complete: it lacks {lacking:,} of {len(billed):,} calls to"
                    f" {whom} that were settled since"
                )
            elif not shown:
                why = f"the export has no call to {whom} that this ledger knows: is it another's?"
            else:
                void.append(Void(call, "a complete export does not have it"))
                continue
            left.append(Left(call.call_id, why))
    return tuple(void), left
