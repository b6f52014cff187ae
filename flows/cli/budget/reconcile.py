"""`prefect-governor budget reconcile`: unconfirmed calls, and what resolves them."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.figures.reconcile import Evidence, Left, Matching, Settle, Void, match
from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.money.usd import show_usd, to_nano
from prefect_governor.blocks.prices.own import own_price
from prefect_governor.blocks.prices.prices import load_price
from prefect_governor.blocks.prices.tariffs import Price
from prefect_governor.blocks.records.calls import CallRecord, Usage
from prefect_governor.blocks.records.notices import Audit
from prefect_governor.blocks.terms.price import given_prices
from prefect_governor.flows.cli.budget.change import user_at_host
from prefect_governor.flows.cli.budget.evidence import read_export
from prefect_governor.flows.cli.budget.outcome import Outcome, print_outcome
from prefect_governor.flows.cli.budget.view import (
    LOCAL,
    Source,
    open_source,
    parse_instant,
    read_view,
    to_wall,
)

# What one transaction resolves: few enough that calls in flight do not wait for it.
_CHUNK = 200
# A file is stamped by the last tick of the kernel's clock, which is behind by 10 ms at most
# (man 7 time, "jiffies": CONFIG_HZ is 100 at least).
_TICK_NS = 10_000_000


@dataclass(frozen=True)
class ByHand:
    """What a person says of one call: what it was billed, or None where it was not."""

    call: str
    usd: str | None
    reason: str


def reconcile_budget(
    name: str,
    *,
    export: Path | None,
    complete_until: str | None,
    call: str | None,
    usd: str | None,
    void: bool,
    reason: str | None,
    dry_run: bool,
    as_json: bool,
) -> int:
    """List a budget's unconfirmed calls, or resolve them by an export or by hand, and print what
    came of it. Returns the exit status: 0, or 3 where something that the export says was left.

    Raises ConfigurationError, LedgerUnavailable.
    """
    by_hand = _by_hand(call, usd, void, reason)
    if by_hand is not None and export is not None:
        raise ConfigurationError("--from and --call are two ways: one at a time")
    until = _until(complete_until, export)
    rows, problems = ([], []) if export is None else read_export(export)
    source = open_source(name)
    calls = known_calls(source, rows)
    before = unconfirmed_of(calls)
    if by_hand is not None:
        matching = Matching(*_said(source, by_hand), (), 0, 0)
    else:
        matching = match(rows, calls, price_of=prices_of(source), complete_until=until)
    found = Matching(
        matching.settle,
        matching.void,
        (*problems, *matching.left),
        matching.foreign,
        matching.agree,
    )
    late: tuple[Left, ...] = ()
    if not dry_run:
        late = resolve(source, found, reason=reason or "", export=export)
    outcome = Outcome(
        name,
        before,
        found,
        late,
        read_view(source),
        dry_run=dry_run,
        asked=export is not None or by_hand is not None,
    )
    print_outcome(outcome, as_json=as_json)
    return 3 if outcome.left and export is not None else 0


def prices_of(source: Source) -> Callable[[str], Price | None]:
    """What a call of a budget's was priced at: by the governor, by a saved Model block, by the
    list. A block that names a host is left out, as no call says where it went."""
    if source.name.startswith(LOCAL):
        # What a script gave as prices stands in the script.
        return load_price
    from prefect_governor.blocks.documents.saved_models import saved_prices
    from prefect_governor.blocks.governor import load_governor

    governed = source.kind == "Governor"
    own = given_prices(load_governor(source.name).prices) if governed else {}
    saved = saved_prices()

    def price_of(model: str) -> Price | None:
        given = own_price(own, model, host="") or saved.find(model, host="")
        if given is not None:
            return given if isinstance(given, Price) else None
        return load_price(model)

    return price_of


def known_calls(source: Source, rows: Sequence[Evidence] = ()) -> list[CallRecord]:
    """Unconfirmed calls of a source's first budget, in all of its windows; with an export, also
    those of any state that were admitted since the first of them."""
    key, store = source.accounts[0].key, source.desk.store
    calls = store.read_calls(("unconfirmed",), account=key)
    if not calls or not rows:
        return calls
    since = min(call.created_wall for call in calls)
    return store.read_calls(
        ("unconfirmed", "reserved", "spent", "released"), account=key, since_wall=since
    )


def unconfirmed_of(calls: Sequence[CallRecord]) -> tuple[CallRecord, ...]:
    """Those of the calls whose outcome nobody knows."""
    return tuple(call for call in calls if call.state == "unconfirmed")


def resolve(
    source: Source, found: Matching, *, reason: str, export: Path | None = None
) -> tuple[Left, ...]:
    """Resolve calls in the ledger, each with its row of the audit in the same transaction. Returns
    those that were resolved by somebody else meanwhile: they are as that left them.

    Raises LedgerUnavailable; what was resolved before it stays so, and can be asked for again.
    """
    by = user_at_host()
    steps: list[Settle | Void] = [*found.settle, *found.void]
    late: list[Left] = []
    for at in range(0, len(steps), _CHUNK):
        chunk = steps[at : at + _CHUNK]

        def work(batch: Batch, chunk: list[Settle | Void] = chunk) -> list[Left]:
            return [
                Left(step.call.call_id, "it was resolved meanwhile")
                for step in chunk
                if not batch.reconcile(
                    step.call.call_id,
                    step.usage if isinstance(step, Settle) else None,
                    _audit(step, by, reason, export),
                )
            ]

        late += source.desk.write(work).result()
    return tuple(late)


def _audit(step: Settle | Void, by: str, reason: str, export: Path | None) -> Audit:
    before = f"unconfirmed at {show_usd(step.call.bound.nano)}"
    if isinstance(step, Settle):
        evidence = step.where if export is not None else None
        if step.priced:
            evidence = f"{evidence}, its tokens priced"
        action, after = "settled", f"spent {show_usd(step.usage.nano)}"
    else:
        evidence = f"{export.name}: {step.why}" if export is not None else None
        action, after = "voided", "not billed"
    return Audit(action, step.call.call_id, by, reason, evidence, before, after, time.time_ns())


def _by_hand(call: str | None, usd: str | None, void: bool, reason: str | None) -> ByHand | None:
    if call is None:
        if usd is not None or void:
            raise ConfigurationError("say which call: --call ID, as `budget reconcile` lists it")
        return None
    if (usd is None) == (not void):
        raise ConfigurationError("say what it was billed, --usd X, or that it was not, --void")
    if not reason or not reason.strip():
        raise ConfigurationError('by hand needs a reason, which is kept: --reason "invoice 7"')
    return ByHand(call, usd, reason)


def _said(source: Source, said: ByHand) -> tuple[tuple[Settle, ...], tuple[Void, ...]]:
    """What a person says, of the one call that they name."""
    record = _named(source, said.call)
    if said.usd is None:
        return (), (Void(record, said.reason),)
    nano = to_nano(said.usd, name="--usd")
    # What is not known of the tokens stays as it was bounded: never understated.
    usage = Usage(nano, record.bound.input_tokens, record.bound.output_tokens)
    return (Settle(record, usage, "by hand"),), ()


def _named(source: Source, name: str) -> CallRecord:
    calls = source.desk.store.read_calls(
        ("unconfirmed", "reserved", "spent", "released"), account=source.accounts[0].key
    )
    exact = [call for call in calls if name in (call.call_id, call.request_id)]
    found = exact or [call for call in calls if call.call_id.startswith(name)]
    if not found:
        raise ConfigurationError(f"no call of {source.name!r} is named {name!r}")
    if len(found) > 1:
        raise ConfigurationError(f"{len(found):,} calls are named {name!r}: give more of the id")
    (call,) = found
    if call.state == "reserved":
        raise ConfigurationError(
            f"call {call.call_id} is in flight (pid {call.pid}): its owner settles it"
        )
    if call.state != "unconfirmed":
        raise ConfigurationError(
            f"call {call.call_id} is resolved, it is {call.state}: that is never changed"
        )
    return call


def _until(text: str | None, export: Path | None) -> int | None:
    if text is None:
        return None
    if export is None:
        raise ConfigurationError("--complete-until is said of an export: name it with --from")
    until = to_wall(parse_instant(text, datetime.now(timezone.utc), option="--complete-until"))
    try:
        written = export.stat().st_mtime_ns
    except OSError as error:
        raise ConfigurationError(f"cannot read {export}: {error.strerror}") from None
    if until > written + _TICK_NS:
        raise ConfigurationError(
            f"--complete-until {text} is after {export} was written: it cannot hold what was billed"
            " since"
        )
    return until
