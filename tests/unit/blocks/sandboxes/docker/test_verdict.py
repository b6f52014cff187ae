"""What a program came to, by a report that may say anything."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.blocks.sandboxes.bounds import SandboxBounds
from prefect_governor.blocks.sandboxes.docker.verdict import verdict

BOUNDS = SandboxBounds()


def report(**told: Any) -> dict[str, Any]:
    return {"status": None, "ended": None, "full": None, "peak": 1, "seconds": 0.5, **told}


@pytest.mark.parametrize(
    ("told", "stderr", "expected"),
    [
        ({"status": 0}, "", (0, None, None)),
        ({"status": 3 << 8}, "", (3, None, None)),
        ({"status": 11}, "", (139, None, None)),
        # The kernel ended it, whatever status it has.
        ({"status": 9, "ended": "memory"}, "", (None, "memory", "out of memory at 256 MiB")),
        ({"ended": "processes"}, "", (None, "processes", "more than 64 processes")),
        ({"ended": "output"}, "", (None, "output", "output above 256 KiB")),
        ({"ended": "time"}, "", (None, "time", "still running after 5 s")),
        (
            {"ended": "time", "full": "bytes"},
            "",
            (None, "time", "still running after 5 s; workspace full at 64 MiB"),
        ),
        ({"status": 1 << 8, "full": "bytes"}, "", (1, "workspace", "workspace full at 64 MiB")),
        (
            {"status": 1 << 8, "full": "files"},
            "",
            (1, "workspace", "workspace full at 4,096 files"),
        ),
        # It made room again before it ended.
        (
            {"status": 1 << 8},
            "OSError: No space left on device",
            (1, "workspace", "workspace full at 64 MiB"),
        ),
        (
            {"status": 1 << 8, "full": "tmp"},
            "dd: No space left on device",
            (1, "workspace", "/tmp full at 16 MiB or 1,024 files"),
        ),
        (
            {"status": 1 << 8},
            "OSError: [Errno 24] Too many open files",
            (1, "open files", "more than 256 open files"),
        ),
        ({"status": 25}, "", (153, "workspace", "workspace full at 64 MiB")),
        # What went well met nothing, however full it left the workspace.
        ({"status": 0, "full": "bytes"}, "No space left on device", (0, None, None)),
    ],
)
def test_each_bound_is_told_apart(
    told: dict[str, Any], stderr: str, expected: tuple[int | None, str | None, str | None]
) -> None:
    found = verdict(report(**told), stderr, BOUNDS, seconds=5)
    assert (found.exit, found.bound, found.reason) == expected


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
        lambda each: (
            st.lists(each)
            | st.dictionaries(st.sampled_from(["status", "ended", "full", "peak", "seconds"]), each)
        ),
    )
)
def test_a_report_that_says_anything_breaks_nothing(told: Any) -> None:
    found = verdict(told, "", BOUNDS, seconds=5)
    assert found.exit is None or 0 <= found.exit <= 255
    assert (found.bound is None) == (found.reason is None)
