"""The short form of the table of hostile programs: what CI runs where it can start an engine."""

import asyncio
import os
from pathlib import Path

import pytest

from prefect_governor.blocks.sandboxes.docker.runtime import DockerRuntime
from prefect_governor.blocks.sandboxes.results import SandboxResult
from tests.integration.sandbox.table import BOUNDS, TABLE, Host, Row

pytestmark = pytest.mark.docker

SHORT = [row for row in TABLE if row.name.startswith(("fork", "memory hog", "disk", "output", "n"))]


async def test_hostile_programs_at_once_end_only_themselves(
    runtime: DockerRuntime, tmp_path: Path
) -> None:
    host = Host("", (), os.getpid(), tmp_path)

    async def run(row: Row) -> SandboxResult:
        folder = tmp_path / row.name.replace("/", "-")
        folder.mkdir()
        async with runtime.cell(folder, BOUNDS) as cell:
            return await cell.run(["python3", "-"], stdin=row.program(host).encode())

    came = await asyncio.gather(*map(run, SHORT))
    told = {row.name: result.reason for row, result in zip(SHORT, came, strict=True)}
    assert told == {row.name: row.reason for row in SHORT}
    assert len(told) == 8
