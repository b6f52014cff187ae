"""Items that memory holds back do not wait for others to begin with them, who cannot."""

import subprocess
import textwrap

import pytest

from tests.warm import WarmParent

pytestmark = pytest.mark.usefixtures("server")

# Where an item waited for the fill of the cap, it would wait for an hour.
PROGRAM = textwrap.dedent(
    """
    from prefect_governor import fan_out
    from prefect_governor.blocks.limits import items
    from prefect_governor.blocks.limits.derived import MIB, Memory
    from prefect_governor.flows.run import fill

    fill.FILL_SECONDS = 3600.0
    items._starts = items.Starts(lambda: (Memory(1024 * MIB, 1000 * MIB, "test"), 900 * MIB))
    items._starts.expect(memory_mib=500)
    report = fan_out(
        [f"Paper burns. Water does not: {number}." for number in range(6)],
        ask="What burns?",
        model="offline/extract",
        max_concurrent=6,
    )
    assert items.item_starts().figures().held_seconds > 0, "memory did not hold them back"
    print(report.outcome, len(report.items))
    """
)


def test_items_that_begin_one_by_one_do_not_wait_for_the_cap_to_fill(
    warm: WarmParent,
) -> None:
    ended = subprocess.run(
        warm.command("-c", PROGRAM), capture_output=True, text=True, timeout=240, check=False
    )
    assert ended.returncode == 0, ended.stderr[-2000:]
    assert ended.stdout.split() == ["complete", "6"]
