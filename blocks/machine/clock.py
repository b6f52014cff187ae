"""The clocks of a machine's ledger, and the name of the boot that one of them counts from."""

import time
from dataclasses import dataclass
from pathlib import Path

# Goes on while the machine sleeps, and no one can set it. Linux has it; elsewhere the monotonic
# clock is the nearest.
_BOOT_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Instant:
    """Now, on both clocks: `boot` for rates and liveness, `wall` for budget windows, in ns."""

    boot: int
    wall: int


def machine_now() -> Instant:
    """Now, on the boot's clock and on the wall's."""
    return Instant(time.clock_gettime_ns(_BOOT_CLOCK), time.time_ns())


def boot_id() -> str:
    """Names this boot: instants of the boot's clock mean nothing after the next one."""
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return f"booted-{round(time.time() - time.clock_gettime(_BOOT_CLOCK), -1):.0f}"
