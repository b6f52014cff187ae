"""Who sandboxes are, as the kernel of the host knows them: never root."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Of no user on any machine: systemd keeps 1879048192 to 2147483647 free (its "Users, Groups, UIDs
# and GIDs", systemd.io/UIDS-GIDS).
UNUSED_ID = 1_879_100_000
# Where a container maps no such number: `nobody`.
NOBODY_ID = 65_534


@dataclass(frozen=True)
class Account:
    """The user that programs are started as. `id` None: whoever this process is."""

    id: int | None = None
    arguments: dict[str, Any] = field(default_factory=dict, compare=False)

    @classmethod
    def unprivileged(cls, *, root: bool | None = None, uid_map: str | None = None) -> "Account":
        """One that is not root. `root`, `uid_map` (the text of /proc/self/uid_map) by tests."""
        if not (os.geteuid() == 0 if root is None else root):
            return cls()
        text = Path("/proc/self/uid_map").read_text() if uid_map is None else uid_map
        spans = [tuple(map(int, line.split())) for line in text.splitlines()]
        mapped = any(first <= UNUSED_ID < first + count for first, _, count in spans)
        number = UNUSED_ID if mapped else NOBODY_ID
        return cls(number, {"user": number, "group": number, "extra_groups": []})
