"""Where no cgroup can be made: the rows whose end it is to count, counted by us."""

import asyncio
import os
from pathlib import Path

import pytest

from prefect_governor.blocks.sandboxes.results import SandboxResult
from tests.integration.sandbox.runtimes import runtime_named
from tests.integration.sandbox.table import BOUNDS, TABLE, Host, Row

COUNTED = [row for row in TABLE if "bomb" in row.name or "memory" in row.name]


@pytest.mark.parametrize("row", COUNTED, ids=lambda row: row.name)
def test_what_a_cgroup_would_count_is_counted_without_one(row: Row, tmp_path: Path) -> None:
    runtime = runtime_named("bubblewrap without cgroups")

    async def run() -> SandboxResult:
        async with runtime.cell(tmp_path, BOUNDS) as cell:
            host = Host("", (), os.getpid(), tmp_path)
            return await cell.run(["python3", "-"], stdin=row.program(host).encode())

    result = asyncio.run(run())
    assert result.reason == row.reason, result


def test_memory_that_is_no_process_own_is_not_to_be_had_without_a_cgroup(tmp_path: Path) -> None:
    runtime = runtime_named("bubblewrap without cgroups")
    code = "import os\ntry: os.memfd_create('x')\nexcept PermissionError: print('held')"

    async def run() -> SandboxResult:
        async with runtime.cell(tmp_path, BOUNDS) as cell:
            return await cell.run(["python3", "-c", code])

    assert asyncio.run(run()).stdout == "held\n"
