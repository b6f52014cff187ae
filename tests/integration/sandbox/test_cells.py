"""A cell: what its programs find, what they leave, on the host as well."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.sandboxes.bounds import SandboxBounds
from prefect_governor.blocks.sandboxes.docker.runtime import DockerRuntime
from prefect_governor.blocks.sandboxes.runtime import Cell
from tests.integration.sandbox.left import processes_of
from tests.integration.sandbox.runtimes import runtime_named

# Bubblewrap, its first process, and what it runs. Those of an engine are none of ours.
KEEPER = 3

In = Callable[..., None]


@pytest.fixture(params=["bubblewrap", pytest.param("docker", marks=pytest.mark.docker)])
def in_cell(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[In]:
    """Runs a coroutine function with a cell whose folder is the test's."""
    runtime = runtime_named(request.param)

    def run(work: Callable[[Cell], Awaitable[None]], **bounds: int | float) -> None:
        async def inside() -> None:
            asked = SandboxBounds.model_validate(bounds)
            async with runtime.cell(tmp_path, asked) as cell:
                await work(cell)

        asyncio.run(inside())

    yield run
    if isinstance(runtime, DockerRuntime):
        runtime.close()


def test_what_a_program_writes_is_there_for_the_next_and_on_the_host(
    in_cell: In, tmp_path: Path
) -> None:
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "a.txt").write_text("from the host")

    async def work(cell: Cell) -> None:
        first = await cell.run(["sh", "-c", "cat given/a.txt; mkdir made; echo 1 > made/one"])
        assert (first.stdout, first.files) == ("from the host", ("made/one",))
        assert (tmp_path / "made" / "one").read_text() == "1\n"
        second = await cell.run(["sh", "-c", "cat made/one; echo 2 > made/one; rm -r given"])
        assert (second.stdout, second.files) == ("1\n", ("made/one",))
        assert not (tmp_path / "given").exists()
        third = await cell.run(["ls"])
        assert (third.stdout, third.files) == ("made\n", ())

    in_cell(work)
    assert (tmp_path / "made" / "one").read_text() == "2\n"


def test_a_program_has_its_input_and_its_variables_and_no_others(
    in_cell: In, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "of-the-host")

    async def work(cell: Cell) -> None:
        seen = await cell.run(["env"], environment={"MINE": "a b"})
        names = {line.partition("=")[0] for line in seen.stdout.splitlines()}
        assert names == {"PATH", "HOME", "TMPDIR", "PWD", "MINE"}
        assert "MINE=a b\n" in seen.stdout
        big = b"go\n" + b"x" * 200_000
        assert (await cell.run(["wc", "-c"], stdin=big)).stdout.strip() == str(len(big))
        assert (await cell.run(["true"], stdin=big)).exit == 0

    in_cell(work)


ECHO = "import sys\nfor line in sys.stdin: print(line.upper(), end='', flush=True)\n"


def test_a_program_that_is_spoken_to_answers_while_it_runs_and_the_next_one_is_not_told(
    in_cell: In,
) -> None:
    async def work(cell: Cell) -> None:
        said: asyncio.Queue[bytes | None] = asyncio.Queue()
        heard: list[bytes] = []
        asked = asyncio.Event()

        async def pieces() -> AsyncIterator[bytes]:
            while (piece := await said.get()) is not None:
                yield piece

        def hear(piece: bytes) -> None:
            heard.append(piece)
            asked.set()

        async def answer_to(line: bytes) -> bytes:
            heard.clear()
            said.put_nowait(line)
            while sum(map(len, heard)) < len(line):
                asked.clear()
                await asyncio.wait_for(asked.wait(), 20)
            return b"".join(heard)

        running = asyncio.ensure_future(
            cell.run(["python3", "-c", ECHO], stdin=pieces(), heard=hear)
        )
        assert await answer_to(b"one\n") == b"ONE\n"
        big = b"x" * 150_000 + b"\n"
        assert await answer_to(big) == big.upper()
        said.put_nowait(None)
        done = await running
        assert (done.exit, done.stdout, done.bound) == (0, "", None)
        # One that reads nothing, and one that cannot be started, leave what they were told unread.
        said.put_nowait(b"y" * 300_000)
        assert (await cell.run(["true"], stdin=pieces())).exit == 0
        said.put_nowait(b"y")
        with pytest.raises(ConfigurationError, match="cannot be started"):
            await cell.run(["no-such-program"], stdin=pieces())
        assert (await cell.run(["cat"], stdin=b"next")).stdout == "next"

    in_cell(work)


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("print('x' * 300_000)", "output above 256 KiB"),
        ("held = b'x' * 400_000_000", "out of memory at 256 MiB"),
        ("import time; time.sleep(60)", "still running after 1 s"),
    ],
    ids=["output", "memory", "time"],
)
def test_a_program_that_is_spoken_to_meets_the_same_bounds(
    in_cell: In, program: str, reason: str
) -> None:
    async def never() -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    async def work(cell: Cell) -> None:
        heard = bytearray()
        result = await cell.run(
            ["python3", "-c", program], stdin=never(), heard=heard.extend, seconds=1
        )
        assert result.reason == reason and len(heard) <= 256 * 1024

    in_cell(work)


def test_exit_statuses_are_the_programs_own(in_cell: In) -> None:
    async def work(cell: Cell) -> None:
        assert (await cell.run(["sh", "-c", "exit 7"])).exit == 7
        assert (await cell.run(["sh", "-c", "kill -9 $$"])).exit == 137
        failed = await cell.run(["sh", "-c", "echo why >&2; exit 1"])
        assert (failed.exit, failed.stderr, failed.bound) == (1, "why\n", None)

    in_cell(work)


def test_a_program_has_less_time_where_it_is_given_less_and_never_more(in_cell: In) -> None:
    async def work(cell: Cell) -> None:
        short = await cell.run(["sleep", "60"], seconds=0.2)
        assert short.reason == "still running after 0.2 s"
        long = await cell.run(["sleep", "60"], seconds=60)
        assert long.reason == "still running after 0.5 s"

    in_cell(work, seconds=0.5)


@pytest.mark.parametrize(
    ("argv", "environment", "words"),
    [
        (["no-such-program"], {}, "'no-such-program' cannot be started"),
        ([], {}, "no program to run"),
        ([""], {}, "no program to run"),
        (["true", "a\0b"], {}, "null character"),
        (["true"], {"A=B": "c"}, "name of a variable"),
        (["true"], {"A": "\0"}, "null character"),
    ],
    ids=["unknown", "nothing", "empty", "null argument", "name", "null value"],
)
def test_what_cannot_be_started_is_refused_and_the_cell_goes_on(
    in_cell: In, argv: list[str], environment: dict[str, str], words: str
) -> None:
    async def work(cell: Cell) -> None:
        with pytest.raises(ConfigurationError, match=words):
            await cell.run(argv, environment=environment)
        assert (await cell.run(["echo", "on"])).stdout == "on\n"

    in_cell(work)


def test_what_stays_in_the_background_ends_with_its_program(in_cell: In) -> None:
    async def work(cell: Cell) -> None:
        left = await cell.run(["sh", "-c", "(sleep 0.5; touch late) & setsid sleep 1000 &"])
        assert left.exit == 0
        assert (await cell.run(["sh", "-c", "sleep 1; ls"])).stdout == ""
        assert len(processes_of(os.getpid())) in (0, KEEPER)

    in_cell(work)


def test_a_folder_that_does_not_fit_is_refused_before_anything_runs(
    in_cell: In, tmp_path: Path
) -> None:
    (tmp_path / "big").write_bytes(b"x" * 2_000_000)

    async def work(cell: Cell) -> None:
        raise AssertionError("it was opened")

    with pytest.raises(ConfigurationError, match=r"does not fit.* of 1 MiB"):
        in_cell(work, workspace_mib=1)
