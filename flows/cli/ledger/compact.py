"""`prefect-governor ledger compact`: old calls become sums."""

import sys
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

import click

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.ledger.life.compaction import Compacted, Compaction
from prefect_governor.blocks.records.sums import LedgerSize
from prefect_governor.flows.cli.budget.formats import exact_json
from prefect_governor.flows.cli.budget.view import parse_instant, to_wall
from prefect_governor.flows.cli.ledger.where import Where, find_ledger, opened
from prefect_governor.flows.cli.terminal.terminal import say

# How often it says how far it is, in seconds.
EVERY_SECONDS = 2.0


@dataclass(frozen=True)
class Outcome:
    """What came of it. `calls_before` is when the oldest call was admitted that stays by itself."""

    where: Where
    ledger_id: str
    done: Compacted
    before: LedgerSize
    after: LedgerSize
    calls_before: datetime
    dry_run: bool

    def as_object(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "ledger": self.ledger_id,
            "place": self.where.place,
            "dry_run": self.dry_run,
            "calls_before": self.calls_before.isoformat(),
            "calls_summed": self.done.calls,
            "calls_kept": self.done.kept_calls,
            "runs_forgotten": self.done.runs,
            "replies_removed": self.done.replies,
            "bytes_before": self.before.bytes,
            "bytes_after": self.after.bytes,
            "free_bytes": self.after.free_bytes,
            "longest_lock_seconds": self.done.longest_seconds,
        }

    def __str__(self) -> str:
        done, would = self.done, "would be " if self.dry_run else ""
        lines = [
            f"{done.calls:,} calls of before {self.calls_before:%Y-%m-%d %H:%M} UTC {would}summed;"
            " who spent what stays the same to the nano-dollar"
        ]
        if done.kept_calls:
            lines.append(
                f"{done.kept_calls:,} old calls stay: their runs can still be gone on with"
            )
        if done.runs:
            pieces = "" if self.dry_run else f" ({done.replies:,} replies and finished items)"
            lines.append(
                f"what {done.runs:,} old runs kept to be gone on with{pieces}: {would}removed"
            )
        size = f"{self.after.bytes / 1e6:,.1f} MB, {self.after.free_bytes / 1e6:,.1f} MB of it free"
        lines.append(f"the ledger takes {size} (before: {self.before.bytes / 1e6:,.1f} MB)")
        if not self.dry_run:
            held = done.longest_seconds * 1e3
            lines.append(f"its lock was held for {held:.1f} ms at a time at the most")
        return "\n".join(lines)


def compact_ledger(
    *,
    older_than: str,
    replies_older_than: str | None,
    governor: str | None,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Sum the old calls of a ledger, and print what came of it.

    Raises ConfigurationError, LedgerUnavailable.
    """
    now = datetime.now(timezone.utc)
    calls = _before(older_than, now, "--older-than")
    replies = calls
    if replies_older_than is not None:
        replies = _before(replies_older_than, now, "--replies-older-than")
    where = find_ledger(governor)
    with opened(where) as store:
        before = store.read_size()
        pass_ = Compaction(store, to_wall(calls), to_wall(replies), dry_run, tell=_Telling())
        done = pass_.run()
        outcome = Outcome(where, store.ledger_id, done, before, store.read_size(), calls, dry_run)
    click.echo(exact_json(outcome.as_object()) if as_json else str(outcome), file=sys.stdout)


class _Telling:
    """Says how far it is, now and then."""

    def __init__(self) -> None:
        self._said = time.monotonic()

    def __call__(self, done: Compacted) -> None:
        if time.monotonic() - self._said >= EVERY_SECONDS:
            self._said = time.monotonic()
            say(f"{done.calls:,} calls summed, {done.replies:,} replies removed")


def _before(text: str, now: datetime, option: str) -> datetime:
    found = parse_instant(text, now, option=option)
    if found > now:
        raise ConfigurationError(f"{option} {text!r} is yet to come: it is an age such as 90d")
    return found.astimezone(timezone.utc)
