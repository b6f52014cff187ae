"""The programs of the how-tos run as they stand, and spend what is billed."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from prefect_governor import Budget, Governor, Limit
from prefect_governor.blocks.figures.figures import budget_figures
from prefect_governor.blocks.governor import resolve
from tests import ROOT
from tests.provider.process import ProviderProcess

pytestmark = [pytest.mark.engines, pytest.mark.usefixtures("server")]

CAP = 2
ITEMS = 12
_FENCE = re.compile(r"^```python engine\n(.*?)^```", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("engine", ["dask", "ray"], indirect=True)
def test_the_program_of_the_how_to_is_governed_in_all_of_its_processes(
    engine: str, upstream: ProviderProcess, tmp_path: Path
) -> None:
    page = ROOT / "docs" / "how-to" / "engines" / f"{engine}.md"
    (code,) = _FENCE.findall(page.read_text(encoding="utf-8"))
    program = tmp_path / "review.py"
    program.write_text(code)
    upstream.configure(latency_seconds=0.2, limits={"max_concurrent": CAP})
    Governor(
        budget=Budget(max_usd="0.01", window="total"),
        limits=[Limit(tag="llm", max_concurrent=CAP)],
    ).save("heavy-team", overwrite=True)
    before = budget_figures(resolve("heavy-team").runtime, None).spent_usd
    ran = subprocess.run(
        [sys.executable, str(program)],
        capture_output=True,
        text=True,
        timeout=900,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert ran.returncode == 0, ran.stderr[-4000:]
    report = json.loads(ran.stdout.splitlines()[-1])
    assert [item["state"] for item in report["items"]] == ["succeeded"] * ITEMS
    assert [item["calls"] for item in report["items"]] == [1] * ITEMS
    stats = upstream.settled_stats()
    assert stats["requests"] == ITEMS
    assert stats["throttled"] == 0
    assert stats["max_open"] == CAP
    now = budget_figures(resolve("heavy-team").runtime, None)
    assert now.reserved_usd == now.unconfirmed_usd == 0
    assert round((now.spent_usd - before) * 10**9) == stats["billed_nano"] > 0
