"""Whether limits hold: a governor's mode, and the variable that switches all of them off."""

import os

from prefect_governor.blocks.terms.governor import Mode

# Its value is the reason, in words for the report and the event.
BREAK_GLASS = "PREFECT_GOVERNOR_BREAK_GLASS"
_NO_VALUES = frozenset({"", "0", "false", "no", "off"})


def break_glass() -> str | None:
    """The reason that enforcement is off for this whole process, None where it is on."""
    reason = os.environ.get(BREAK_GLASS, "").strip()
    return None if reason.lower() in _NO_VALUES else reason


def why_off(mode: Mode, *, governor: str) -> str | None:
    """Why a governor holds nothing back, in one line for people; None where it is enforced."""
    reason = break_glass()
    if reason is not None:
        return f"enforcement is off: {BREAK_GLASS} is set ({reason}); no ceiling and no limit holds"
    if mode == "observe":
        return (
            f"enforcement is off: governor {governor!r} only observes (mode observe); no ceiling"
            " and no limit holds"
        )
    return None
