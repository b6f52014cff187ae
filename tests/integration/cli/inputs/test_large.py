"""One file of twelve megabytes among small ones: these are answered in the provider's time."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from prefect_governor import Report, fan_out
from tests.provider.process import ProviderProcess

MODEL = "openai/gpt-4o-mini"
LINE = "2026-11-30 17:00:00.123 worker-17 took 0.0231 s, status 200\n"
# The step of a loop that the watchdog tells of, in seconds; here of the CPU, which are the same
# however busy the machine is.
HELD_SECONDS = 0.25

pytestmark = pytest.mark.usefixtures("server")


@pytest.fixture
def longest(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The CPU that the longest step of any loop takes from now on."""
    found = [0.0]
    run = asyncio.Handle._run

    def measured(self: asyncio.Handle) -> Any:
        began = time.thread_time()
        try:
            return run(self)
        finally:
            found[0] = max(found[0], time.thread_time() - began)

    monkeypatch.setattr(asyncio.Handle, "_run", measured)
    return found


def test_small_files_do_not_wait_for_one_that_is_too_long_or_is_cut_in_parts(
    upstream: ProviderProcess, tmp_path: Path, longest: list[float]
) -> None:
    (tmp_path / "a-huge.log").write_text(LINE * 200_000)
    (tmp_path / "b-long.log").write_text(LINE * 20_000)
    small = [f"small-{at}.txt" for at in range(6)]
    for name in small:
        (tmp_path / name).write_text(f"a note about {name}")
    # What is imported and made once is made by it.
    fan_out(["warm"], ask="What is this about?", model=MODEL)
    longest[0], before = 0.0, len(upstream.log())
    report = fan_out(
        sources=[str(tmp_path)], ask="What is this about?", model=MODEL, max_output_tokens=24
    )
    assert isinstance(report, Report)
    states = {Path(item.key).name: item.state for item in report.items}
    assert states == {"a-huge.log": "failed", "b-long.log": "succeeded"} | dict.fromkeys(
        small, "succeeded"
    )
    (huge,) = [item for item in report.items if item.state == "failed"]
    assert "cut it into smaller files" in (huge.reason or "")
    calls = upstream.log()[before:]
    # Those of the small files have come and gone before the first part of the long one came.
    sizes = [each["input"] for each in calls]
    firsts = calls[: len(small)]
    assert max(each["input"] for each in firsts) < 1_000 < sizes[len(small)]
    print(f"longest step of a loop: {longest[0] * 1000:.0f} ms of CPU; calls of {sizes} tokens")
    assert longest[0] < HELD_SECONDS
