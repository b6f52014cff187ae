"""Every hostile program of the table at once, good ones among them: each ends only itself."""

import asyncio
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import pytest

from prefect_governor.blocks.sandboxes.results import SandboxResult
from prefect_governor.blocks.sandboxes.runtime import SandboxRuntime
from tests.integration.sandbox.left import everything
from tests.integration.sandbox.runtimes import RUNTIMES, SHORT, rest, runtime_named
from tests.integration.sandbox.table import BOUNDS, GOOD, TABLE, Host, Row

AT_ONCE = 16
NEIGHBOURS = 8
WORDS = "words of mine alone"


@dataclass(frozen=True)
class Came:
    """What became of all rows: their results and folders, those of their good neighbours, and what
    was there before and after."""

    results: dict[str, SandboxResult]
    folders: dict[str, Path]
    neighbours: list[tuple[SandboxResult, Path]]
    before: dict[str, object]
    after: dict[str, object]
    outside: list[str]


# The whole takes 8 s a runtime; CI has the first.
WHOLE = [
    pytest.param(name, marks=() if name in SHORT else pytest.mark.chaos)
    for name in sorted(RUNTIMES)
]


@pytest.fixture(scope="module", params=WHOLE)
def came(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Came]:
    runtime = runtime_named(request.param)
    place = tmp_path_factory.mktemp("hostile")
    secret = uuid.uuid4().hex
    # Where the ledger is, in the home that the tests have.
    ledger = Path(os.environ["PREFECT_HOME"]) / "governor" / "ledger.sqlite"
    ledger.parent.mkdir(parents=True, exist_ok=True)
    if not ledger.exists():
        ledger.touch()
    (place / "secret.txt").write_text(secret)
    outside = place / "outside"
    outside.mkdir()
    (outside / "file").write_text("untouched")
    host = Host(secret, (str(ledger), str(place / "secret.txt")), os.getpid(), outside)
    os.environ["SANDBOX_TEST_SECRET"] = secret
    try:
        yield asyncio.run(_run_all(runtime, place, host))
    finally:
        del os.environ["SANDBOX_TEST_SECRET"]


async def _run_all(runtime: SandboxRuntime, place: Path, host: Host) -> Came:
    gate = asyncio.Semaphore(AT_ONCE)
    folders = {row.name: place / f"row {at}" for at, row in enumerate(TABLE)}
    neighbours = [place / f"neighbour {at}" for at in range(NEIGHBOURS)]

    async def run(row: Row, folder: Path) -> SandboxResult:
        folder.mkdir()
        if row is GOOD:
            (folder / "in.txt").write_text(f"{WORDS} {folder.name}")
        for name, text in row.begins_with:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(text)
        async with gate, runtime.cell(folder, BOUNDS) as cell:
            return await cell.run(["python3", "-"], stdin=row.program(host).encode())

    # A first one: what is made once in a process is there from then on.
    await run(GOOD, place / "first")
    rest(runtime)
    before = everything()
    # Good ones among the hostile, all through.
    work = [(at / len(TABLE), run(row, folders[row.name])) for at, row in enumerate(TABLE)]
    work += [(at / NEIGHBOURS, run(GOOD, folder)) for at, folder in enumerate(neighbours)]
    order = sorted(range(len(work)), key=lambda at: work[at][0])
    came = await asyncio.gather(*(work[at][1] for at in order))
    by_place = dict(zip(order, came, strict=True))
    found = [by_place[at] for at in range(len(work))]
    rest(runtime)
    after = everything()
    return Came(
        {row.name: result for row, result in zip(TABLE, found[: len(TABLE)], strict=True)},
        folders,
        list(zip(found[len(TABLE) :], neighbours, strict=True)),
        before,
        after,
        sorted(each.name for each in host.outside.iterdir()),
    )


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row.name)
def test_a_hostile_program_ends_only_itself_with_the_reason_that_names_the_bound(
    came: Came, row: Row
) -> None:
    result = came.results[row.name]
    assert result.reason == row.reason, result
    assert (result.bound is None) == (row.reason is None)
    if row.reason is None:
        assert (result.exit, result.stdout) == (0, "held\n"), result
    else:
        # One that ends well before it is found out has that said of what it left.
        assert result.exit != 0 or result.refused, result
    assert result.seconds < 2 * BOUNDS.seconds
    assert len(result.stdout) + len(result.stderr) <= BOUNDS.output_kib * 1024
    if row.check is not None:
        row.check(result, came.folders[row.name])


def test_good_neighbours_of_hostile_programs_are_right(came: Came) -> None:
    for result, folder in came.neighbours:
        assert (result.exit, result.stdout, result.reason) == (0, "held\n", None), result
        assert result.files == ("out/sum.txt",)
        words = sha256(f"{WORDS} {folder.name}".encode()).hexdigest()
        assert (folder / "out" / "sum.txt").read_text() == words


def test_nothing_is_left_behind_on_the_host(came: Came) -> None:
    assert came.after == came.before
    for kind in ("processes", "cgroups", "containers"):
        assert came.after[kind] == []
    assert came.outside == ["file"]
