"""What the tools of an item work on: its files as they are now, programs one at a time, and the
same again for whoever goes on with it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from prefect_governor.blocks.errors import ConfigurationError, ItemFailed
from prefect_governor.blocks.sandboxes.results import SandboxResult
from prefect_governor.blocks.sandboxes.runtime import Cell, Heard, Input
from prefect_governor.blocks.workspaces.workspace import Workspace
from prefect_governor.flows.agent.tools import tool_of
from prefect_governor.flows.tools.bench import MOST_RUNAWAYS, Bench
from prefect_governor.flows.tools.code import told_of
from prefect_governor.flows.tools.kit import NAMES, kit_of
from prefect_governor.flows.tools.snapshots import Snapshots

Program = Callable[[Path], SandboxResult]


class Programs:
    """A cell whose programs are functions of the folder, by what they are told."""

    def __init__(self, folder: Path, programs: Mapping[str, Program]) -> None:
        self._folder, self._programs = folder, programs

    async def run(
        self,
        argv: Sequence[str],
        *,
        stdin: Input = b"",
        heard: Heard | None = None,
        environment: Mapping[str, str] | None = None,
        seconds: float | None = None,
    ) -> SandboxResult:
        assert isinstance(stdin, bytes)
        return self._programs[stdin.decode() or argv[-1]](self._folder)


def append(folder: Path) -> SandboxResult:
    file = folder / "ticks.txt"
    ticks = file.read_text() if file.exists() else ""
    file.write_text(f"{ticks}tick\n")
    return SandboxResult(0, "ticked\n", "", ("ticks.txt",))


def run_away(folder: Path) -> SandboxResult:
    return SandboxResult(None, "", "", bound="memory", reason="out of memory at 256 MiB")


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    root = tmp_path / "files"
    root.mkdir()
    with Workspace(root, "item") as made:
        made.put_file("src/a.md", b"# Title\n\nThe depot listens on port 7001.\n")
        yield made


def bench_on(workspace: Workspace, **programs: Program) -> Bench:
    @asynccontextmanager
    async def cell(folder: Path) -> AsyncIterator[Cell]:
        yield Programs(folder, programs)

    return Bench(workspace, cell)


async def said(bench: Bench, tool_name: str, /, **arguments: object) -> str:
    kit = kit_of([tool_name])
    assert kit is not None
    [tool] = kit.on(bench)
    return (await tool.call(json.dumps(arguments))).text


async def test_files_are_read_as_they_are_now(workspace: Workspace) -> None:
    async with bench_on(workspace, append=append) as bench:
        assert "3  The depot" in await said(bench, "read", name="src/a.md", first=3)
        assert "[src/a.md:" in await said(bench, "search", query="port of the depot")
        assert "there are: src/a.md" in await said(bench, "read", name="ticks.txt")
        assert "nothing in the workspace" in await said(bench, "search", query="tick")
        for _ in range(2):
            told = await said(bench, "shell", command="append")
        assert told == "exit: 0\nstdout:\nticked\nfiles written: ticks.txt"
        assert "2  tick" in await said(bench, "read", name="ticks.txt")
        assert "ticks.txt" in await said(bench, "search", query="tick")
        # As a model names it that has seen only the end.
        assert "[src/a.md:1-4]" in await said(bench, "read", name="a.md")


async def test_what_runs_away_is_told_and_at_last_fails_the_item(workspace: Workspace) -> None:
    async with bench_on(workspace, run=run_away) as bench:
        for _ in range(MOST_RUNAWAYS - 1):
            told = await said(bench, "python", code="run")
            assert told == "ended: out of memory at 256 MiB\nit printed nothing"
        with pytest.raises(ItemFailed, match=r"^out of memory at 256 MiB; 3 of its programs"):
            await said(bench, "python", code="run")


async def test_whoever_goes_on_has_the_files_of_the_last_program_that_was_kept(
    workspace: Workspace, tmp_path: Path
) -> None:
    snapshots = Snapshots(tmp_path / "snapshots")
    async with bench_on(workspace, append=append) as bench:
        for _ in range(2):
            await said(bench, "shell", command="append")
            snapshots.save(workspace, bench.programs)
            snapshots.forget_before(bench.programs)
        # Killed before what this one said was kept.
        await said(bench, "shell", command="append")
    assert [snapshots.has(number) for number in (1, 2, 3)] == [False, True, False]
    async with bench_on(workspace, append=append) as bench:
        bench.return_to(2, ["out of memory at 256 MiB"])
        bench.catch_up(snapshots)
        assert workspace.read("ticks.txt") == b"tick\ntick\n"
        await said(bench, "shell", command="append")
        assert bench.programs == 3 and workspace.read("ticks.txt").count(b"tick") == 3
    snapshots.remove()
    assert not snapshots.has(2)


async def test_a_program_that_is_left_has_ended_before_the_bench_is_left(
    workspace: Workspace,
) -> None:
    events: list[str] = []

    class Slow(Programs):
        async def run(self, *args: object, **options: object) -> SandboxResult:
            try:
                await asyncio.sleep(3600)
            finally:
                events.append("ended")
            return SandboxResult(0, "", "")

    @asynccontextmanager
    async def cell(folder: Path) -> AsyncIterator[Cell]:
        try:
            yield Slow(folder, {})
        finally:
            await asyncio.sleep(0.01)
            events.append("gone")

    async with Bench(workspace, cell) as bench:

        async def call() -> None:
            async with bench.turn:
                await bench.run(["true"])

        task = asyncio.create_task(call())
        while not bench.turn.locked():
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
    assert events == ["ended", "gone"]


def test_both_outputs_and_the_end_of_a_long_one_are_told() -> None:
    long = "\n".join(f"line {at}" for at in range(5_000))
    text = told_of(SandboxResult(1, long, "at fault", tuple(f"f{at}" for at in range(60))))
    assert "line 4999" in text and "line 0\n" in text and "line 2500\n" not in text
    assert "stderr:\nat fault" in text and "and 10 more" in text and len(text) < 24_000


def test_what_is_no_tool_is_refused_with_the_names_of_those_that_are() -> None:
    def read(name: str) -> str:
        """Another one."""
        return name

    for given, why in (
        (["reed"], f"tools are {', '.join(NAMES)}"),
        (["read", tool_of(read)], "'read' is the name of a tool of ours"),
        (["prefect_governor.nowhere:f"], "cannot be imported"),
        ([7], "is a function"),
    ):
        with pytest.raises(ConfigurationError, match=why):
            kit_of(given)
    kit = kit_of("search,python")
    assert kit is not None and kit.names == ("python", "search")
    assert kit.works_on_files and kit.runs_programs and kit_of([]) is None
