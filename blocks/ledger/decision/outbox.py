"""What people may want to act on, written in the transaction that brought it about: a transactional
outbox, which `documents.notices` sends on as events. Once each."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from prefect_governor.blocks.ledger.decision.admission import Refused, Reservation
from prefect_governor.blocks.ledger.decision.purse import ALLOCATION_PREFIX, Purse, PurseKey
from prefect_governor.blocks.ledger.decision.store import Rows
from prefect_governor.blocks.money.usd import to_usd
from prefect_governor.blocks.records.budgets import (
    NOMINAL,
    UNSAVED,
    Account,
    ceiling_in_full,
    percent_gone,
)
from prefect_governor.blocks.records.calls import Demand, Usage
from prefect_governor.blocks.records.notices import Audit, Notice, NoticeKind

# Shares of a ceiling that are told when they are crossed, in percent.
SHARES = (50, 80, 95, 100)
# Whose accounts nobody set up by hand: of them nothing is told.
UNTOLD = (*UNSAVED, NOMINAL.key, ALLOCATION_PREFIX)
# How often it is told at most that a budget refuses, or that its calls are throttled, in seconds.
AGAIN_SECONDS = 60
# Whose hand an edited document shows: Prefect's server keeps no name.
EDITED_BY = "an edit of its block"
# Reasons of unconfirmed calls that one notice names.
_MOST_REASONS = 5


@dataclass
class _Unconfirmed:
    calls: int = 0
    nano: int = 0
    reasons: "Counter[str]" = field(default_factory=Counter)


@dataclass
class Outbox:
    """The notices of one batch, written with it."""

    rows: Rows
    _shares: dict[PurseKey, int] = field(default_factory=dict)
    _unconfirmed: dict[PurseKey, _Unconfirmed] = field(default_factory=dict)
    _resumed: dict[PurseKey, int] = field(default_factory=dict)
    _refused: set[PurseKey] = field(default_factory=set)
    _throttled: set[PurseKey] = field(default_factory=set)

    def saw(self, purse: Purse) -> None:
        """How much of a purse was gone before anything of this batch."""
        if not purse.account.startswith(UNTOLD):
            self._shares[purse.key] = share_of(purse)

    def refused(self, refusal: Refused, purse: Purse, demand: Demand) -> None:
        """A budget refused a call."""
        if not _told(purse.key) or purse.key in self._refused:
            return
        self._refused.add(purse.key)
        if not self._due(purse.key, "over_budget"):
            return
        who = demand.attribution
        payload = {
            "why": refusal.why,
            "flow": who.flow,
            "task": who.task,
            "flow_run_id": who.flow_run_id,
        }
        self._tell("over_budget", purse, {**payload, **_money(purse)})

    def resumed(self, key: PurseKey) -> None:
        """A call that was paused for a budget's money goes on."""
        if _told(key):
            self._resumed[key] = self._resumed.get(key, 0) + 1

    def throttled(
        self, reservation: Reservation, purses: dict[PurseKey, Purse], hold_seconds: float
    ) -> None:
        """A provider answered a call with a 429. Told of the nearest budget that people have set
        up."""
        key = next((each for each in reservation.purses if _told(each)), None)
        if key is None or key in self._throttled:
            return
        self._throttled.add(key)
        if self._due(key, "throttled"):
            limits = [limit for limit, _ in reservation.gates]
            payload = {"call_id": reservation.call_id, "limits": limits}
            self._tell("throttled", purses[key], {**payload, "hold_seconds": hold_seconds})

    def unconfirmed(self, reservation: Reservation, reason: str) -> None:
        """Nobody knows what a call was billed."""
        for key in reservation.purses:
            if _told(key):
                found = self._unconfirmed.setdefault(key, _Unconfirmed())
                found.calls += 1
                found.nano += reservation.bound.nano
                found.reasons[reason] += 1

    def exceeded(
        self,
        reservation: Reservation,
        usage: Usage,
        purses: dict[PurseKey, Purse],
        model: str | None,
    ) -> None:
        """A provider billed more than the most that a call could cost. Told of the nearest budget
        that people have set up."""
        key = next((each for each in reservation.purses if _told(each)), None)
        if key is None:
            return
        bound = reservation.bound
        payload = {
            "model": model,
            "call_id": reservation.call_id,
            "bound": _usd(bound.nano),
            "billed": _usd(usage.nano),
            "bound_tokens": bound.tokens,
            "billed_tokens": usage.tokens,
        }
        self._tell("bound_exceeded", purses[key], payload)

    def ceiling_changed(self, before: Account, after: Account, purse: Purse) -> None:
        """Another ceiling holds from now on; shares above it may be crossed again."""
        if not _told(purse.key):
            return
        marked = self.rows.mark(*purse.key, "share")
        if share_of(purse) < marked:
            self.rows.put_mark(*purse.key, "share", _highest(share_of(purse)))
        payload = {
            "before_usd": _usd(before.ceiling_nano),
            "after_usd": _usd(after.ceiling_nano),
            "before_tokens": before.ceiling_tokens,
            "after_tokens": after.ceiling_tokens,
        }
        self._tell("ceiling_changed", purse, payload)
        audit = Audit(
            action="edited",
            subject=after.key,
            by=EDITED_BY,
            reason="",
            evidence=None,
            before=ceiling_in_full(before.ceiling_nano, before.ceiling_tokens),
            after=ceiling_in_full(after.ceiling_nano, after.ceiling_tokens),
            wall=self.rows.now.wall,
        )
        self.rows.add_audit(audit)

    def write(self, purses: dict[PurseKey, Purse]) -> None:
        """Write what is to be told of these purses as they are now."""
        for key, before in self._shares.items():
            self._crossed(purses[key], before)
        for key, found in self._unconfirmed.items():
            reasons = dict(found.reasons.most_common(_MOST_REASONS))
            payload = {"calls": found.calls, "usd": _usd(found.nano), "reasons": reasons}
            self._tell("unconfirmed", purses[key], {**payload, **_money(purses[key])})
        for key, calls in self._resumed.items():
            # Where its window ended meanwhile, it goes on in the next.
            now_in = (purse for each, purse in purses.items() if each[0] == key[0])
            purse = purses.get(key) or next(now_in, None)
            if purse is not None:
                self._tell("resumed", purse, {"calls": calls, **_money(purse)})
        self._unconfirmed.clear()
        self._resumed.clear()
        self._shares = {key: share_of(purses[key]) for key in self._shares}

    def _crossed(self, purse: Purse, before: int) -> None:
        share = share_of(purse)
        if _highest(share) <= _highest(before):
            return
        marked = self.rows.mark(*purse.key, "share")
        for each in SHARES:
            if marked < each <= share:
                self._tell("ceiling_share", purse, {"share": each / 100, **_money(purse)})
        if _highest(share) > marked:
            self.rows.put_mark(*purse.key, "share", _highest(share))

    def _due(self, key: PurseKey, name: NoticeKind) -> bool:
        """Whether it was not told a minute ago; it is then told now."""
        now = self.rows.now.wall
        last = self.rows.mark(*key, name)
        # However far the clock was set back, it is told again after a minute.
        if last and abs(now - last) < AGAIN_SECONDS * 10**9:
            return False
        self.rows.put_mark(*key, name, now)
        return True

    def _tell(self, kind: NoticeKind, purse: Purse, payload: dict[str, Any]) -> None:
        payload = {**payload, "window": purse.label}
        self.rows.add_notice(
            Notice(kind, purse.account, purse.name, purse.label, payload, self.rows.now.wall)
        )


def share_of(purse: Purse) -> int:
    """How much of a purse's ceiling is spent or unconfirmed, as `percent_gone` has it; or was drawn
    by other machines."""
    nano, tokens = purse.elsewhere()
    return percent_gone(
        (purse.ceiling_nano, purse.gone_nano + nano),
        (purse.ceiling_tokens, purse.gone_tokens + tokens),
    )


def _highest(share: int) -> int:
    return max((each for each in SHARES if each <= share), default=0)


def _told(key: PurseKey) -> bool:
    return not key[0].startswith(UNTOLD)


def _money(purse: Purse) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "spent_usd": _usd(purse.spent_nano),
        "unconfirmed_usd": _usd(purse.unconfirmed_nano),
        "ceiling_usd": _usd(purse.ceiling_nano),
    }
    if purse.ceiling_tokens is not None:
        figures["spent_tokens"] = purse.spent_tokens
        figures["unconfirmed_tokens"] = purse.unconfirmed_tokens
        figures["ceiling_tokens"] = purse.ceiling_tokens
    return figures


def _usd(nano: int | None) -> str | None:
    return None if nano is None else f"{to_usd(nano):f}"
