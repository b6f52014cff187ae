"""What the background server is set to, to keep up with large runs and to be quiet without one.

It is one person's, on SQLite, beside the work itself. Nothing that a person can do in its UI is
switched off: what is written is written in larger parts, and what is looked for is looked for less
often. What the person has set, in the environment or a profile, stays.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Setting:
    """One of Prefect's settings.

    Attributes:
        place: where it stands in the settings that a server shows (`GET /admin/settings`).
        value: what ours is set to.
        usual: Prefect's default.
        why: what a smaller number costs a large run, for people; None where it costs it nothing.
    """

    place: tuple[str, ...]
    value: float
    usual: float
    why: str | None = None

    @property
    def variable(self) -> str:
        """The environment variable."""
        return "_".join(("PREFECT", *self.place)).upper()

    @property
    def text(self) -> str:
        """The value as the variable has it."""
        return f"{self.value:g}"


_SERVICES = ("server", "services")
SETTINGS = (
    # One transaction for each event of a task run, of which there are three, else; of what is in
    # one batch a task run is written once. It is shown a second later at the most.
    Setting(
        (*_SERVICES, "task_run_recorder", "batch_size"), 100, 1, "a transaction for each event"
    ),
    Setting((*_SERVICES, "task_run_recorder", "flush_interval"), 1, 5),
    # Whatever waits for 5 s is written in any case.
    Setting((*_SERVICES, "event_persister", "batch_size"), 200, 20, "a transaction for 20 events"),
    # Each looks into the database, every 5 s of every day. A run is called late after 15 s, and now
    # up to 15 s after that; a pause ends up to 15 s late; what a worker left behind, a minute.
    Setting((*_SERVICES, "late_runs", "loop_seconds"), 15, 5),
    Setting((*_SERVICES, "pause_expirations", "loop_seconds"), 15, 5),
    Setting((*_SERVICES, "cleanup_reconciler", "loop_seconds"), 60, 5),
)


def for_ours(given: Mapping[str, Any]) -> dict[str, str]:
    """The variables of the server that we start, without those that a person has set."""
    return {each.variable: each.text for each in SETTINGS if each.variable not in given}


def dearer(shown: Mapping[str, Any]) -> list[tuple[Setting, float]]:
    """Which settings cost a server more for a task run than ours, with what they are there, from
    the settings that it shows. What it does not show costs nothing that anybody knows."""
    found = []
    for setting in SETTINGS:
        value: Any = shown
        for part in setting.place:
            value = value.get(part) if isinstance(value, Mapping) else None
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if setting.why is not None and is_number and value < setting.value:
            found.append((setting, value))
    return found
