"""What people are told of a ledger, and what they changed in it. No I/O, no clock."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

NoticeKind = Literal[
    "ceiling_share",
    "over_budget",
    "unconfirmed",
    "bound_exceeded",
    "resumed",
    "ceiling_changed",
    "throttled",
]


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that people may want to act on, kept until it was told as an event.

    `subject` is the account's key; `payload` holds figures and names, never a secret.
    """

    kind: NoticeKind
    subject: str
    name: str
    window: str
    payload: Mapping[str, Any]
    wall: int
    id: int | None = None


@dataclass(frozen=True, slots=True)
class Audit:
    """A row of what people changed by hand or by evidence. Never removed.

    `action` is "settled", "voided", "raised", "lowered", "returned", "edited" (a ceiling, in its
    document) or "charged" (what was spent and no call is known of); `subject` a call's id or an
    account's key; `by` who did it; `evidence` where it stands (a file and its row), `reason` why.
    """

    action: str
    subject: str
    by: str
    reason: str
    evidence: str | None
    before: str
    after: str
    wall: int
