"""What a program in a sandbox came to."""

from dataclasses import dataclass
from typing import Literal

# The bound that ended it.
Bound = Literal["memory", "processes", "open files", "workspace", "output", "time"]


@dataclass(frozen=True, slots=True)
class SandboxResult:
    """A program that was run.

    Attributes:
        exit: its exit status; None where it was ended.
        stdout: its standard output, as UTF-8 with replacements, cut at the bound on output.
        stderr: its standard error, the same.
        files: names of what it left in its workspace that was not there before or is changed,
            relative, in order.
        seconds: its wall time.
        peak_memory_bytes: the most that its processes used together; None where nobody counts.
        bound: which bound ended it; None where none did.
        reason: that bound in people's words ("out of memory at 256 MiB"); None where none did.
        refused: what it left that its workspace does not take (links, devices, names that lead
            out), each as "name: why".
    """

    exit: int | None
    stdout: str
    stderr: str
    files: tuple[str, ...] = ()
    seconds: float = 0.0
    peak_memory_bytes: int | None = None
    bound: Bound | None = None
    reason: str | None = None
    refused: tuple[str, ...] = ()
