"""What a program came to, by what the first process of its container reports. Pure."""

import signal
from dataclasses import dataclass
from typing import Any, get_args

from prefect_governor.blocks.sandboxes.bounds import SandboxBounds
from prefect_governor.blocks.sandboxes.docker.hardening import tmp_room
from prefect_governor.blocks.sandboxes.reasons import files_reason, reason, said
from prefect_governor.blocks.sandboxes.results import Bound

# What a program is sent that writes a file beyond its largest (SIGXFSZ), by the shell's count.
_FILE_TOO_LARGE = 128 + signal.SIGXFSZ


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a program ended. The attributes are those of `SandboxResult`."""

    exit: int | None
    seconds: float
    peak_memory_bytes: int | None
    bound: Bound | None
    reason: str | None


def verdict(report: Any, stderr: str, bounds: SandboxBounds, *, seconds: float) -> Verdict:
    """What a report tells of; what it does not say is not known.

    A program that was ended has no status. One that met a bound and ended by itself, with an error,
    has its own.

    Args:
        seconds: what the program was given.
    """
    told = report if isinstance(report, dict) else {}
    bound: Bound | None = told.get("ended") if told.get("ended") in get_args(Bound) else None
    full = told.get("full")
    status = shell_status(_number(told.get("status")))
    why = None
    if bound is not None:
        status = None
        why = reason(bound, bounds, seconds=seconds)
        if bound == "time" and full in ("bytes", "files"):
            why = f"{why}; {_full(full, bounds)}"
    elif status != 0:
        bound, why = _met(status, full, stderr, bounds)
    took = told.get("seconds")
    return Verdict(
        exit=status,
        seconds=float(took) if isinstance(took, int | float) else 0.0,
        peak_memory_bytes=_number(told.get("peak")),
        bound=bound,
        reason=why,
    )


def shell_status(status: int | None) -> int | None:
    """The status of `waitpid` as a shell says it: 128 and the signal where it was one."""
    if status is None:
        return None
    number = status & 0x7F
    return 128 + number if number else (status >> 8) & 0xFF


def _met(
    status: int | None, full: object, stderr: str, bounds: SandboxBounds
) -> tuple[Bound | None, str | None]:
    """The bound that a program met which ended by itself, with an error."""
    if full in ("bytes", "files"):
        return "workspace", _full(full, bounds)
    bound: Bound | None = "workspace" if status == _FILE_TOO_LARGE else said(stderr)
    room = tmp_room(bounds)
    if bound == "workspace" and full == "tmp" and room[0] < bounds.workspace_mib:
        return bound, f"/tmp full at {room[0]:,} MiB or {room[1]:,} files"
    return bound, None if bound is None else reason(bound, bounds)


def _full(full: object, bounds: SandboxBounds) -> str:
    return files_reason(bounds) if full == "files" else reason("workspace", bounds)


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
