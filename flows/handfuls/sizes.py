"""How many items share a task run, and what it is called. Pure."""

from typing import Any

from prefect_governor.blocks.errors import ConfigurationError

AUTO = "auto"
# One hundredth of the items that were started before share the next task run. Prefect's server
# takes some 20 to 40 ms of CPU for a task run: 200 items are 200 task runs, 1,000 are 384, 10,000
# are 620 and a million 1,083.
SHARE = 100


def check_items_per_task(given: Any) -> int | None:
    """How many were asked for; None for "auto". Raises ConfigurationError."""
    if given is None or given == AUTO:
        return None
    try:
        count = int(given) if isinstance(given, str) else given
    except ValueError:
        count = None
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise ConfigurationError(
            f"items_per_task must be a whole number of at least 1, or {AUTO!r}, not {given!r}"
        )
    return count


def size_after(started: int, asked: int | None) -> int:
    """How many items the next task run takes, after those that were started: as many as were
    `asked` for, else one by one at first and more and more in a long run."""
    return asked or max(1, started // SHARE)


def name_of(positions: "list[int]", *, size: int) -> str:
    """What people see of a task run of these items, by their positions from 0; of fewer than `size`
    where the others are not known yet."""
    first, last = positions[0] + 1, positions[-1] + 1
    if len(positions) < size:
        return f"items from {first:,}"
    if first == last:
        return f"item {first:,}"
    between = last - first + 1 - len(positions)
    # Of a run that is gone on with some have their outcome already.
    some = f" ({len(positions):,} of them)" if between else ""
    return f"items {first:,} to {last:,}{some}"
