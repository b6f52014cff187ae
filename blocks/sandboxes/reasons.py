"""Which bound ended a program, in people's words. Pure."""

from prefect_governor.blocks.sandboxes.bounds import SandboxBounds
from prefect_governor.blocks.sandboxes.results import Bound


def reason(bound: Bound, bounds: SandboxBounds, *, seconds: float | None = None) -> str:
    """What a report says of a program that went beyond `bound`. `seconds`: what it was given."""
    if bound == "memory":
        return f"out of memory at {bounds.memory_mib:,} MiB"
    if bound == "processes":
        return f"more than {bounds.processes:,} processes"
    if bound == "open files":
        return f"more than {bounds.open_files:,} open files"
    if bound == "output":
        return f"output above {bounds.output_kib:,} KiB"
    if bound == "time":
        return f"still running after {bounds.seconds if seconds is None else seconds:g} s"
    return f"workspace full at {bounds.workspace_mib:,} MiB"


def files_reason(bounds: SandboxBounds) -> str:
    """The same where it is not bytes but files that the workspace has no room for."""
    return f"workspace full at {bounds.workspace_files:,} files"


# What the C library says of errors that a bound makes, as programs print them.
_SAID: tuple[tuple[str, Bound], ...] = (
    ("No space left on device", "workspace"),
    ("Too many open files", "open files"),
    ("Cannot allocate memory", "memory"),
    ("MemoryError", "memory"),
    ("Resource temporarily unavailable", "processes"),
    ("can't start new thread", "processes"),
    ("File too large", "workspace"),
)


def said(stderr: str) -> Bound | None:
    """The bound that a program which failed says that it met, in its last lines; None for none."""
    last = stderr[-4096:]
    found = [(last.rfind(text), bound) for text, bound in _SAID if text in last]
    return max(found)[1] if found else None
