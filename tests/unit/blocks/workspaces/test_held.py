"""A workspace is one item's, as long as its block lasts; what a dead process left is removed."""

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from prefect_governor.blocks.errors import ConfigurationError, ItemFailed
from prefect_governor.blocks.workspaces.bounds import WorkspaceBounds
from prefect_governor.blocks.workspaces.held import HeldWorkspace
from prefect_governor.blocks.workspaces.places import sweep, workspaces_folder

SMALL = WorkspaceBounds(max_mib=1, max_files=10, max_depth=3)


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))


def held(
    key: str = "item", *, run: str = "run", item: str | None = None, keep: bool = False
) -> HeldWorkspace:
    return HeldWorkspace(key, whose=lambda: (run, item), keep=keep, bounds=SMALL)


def test_it_is_there_while_its_block_lasts_and_nothing_is_left() -> None:
    with held() as folder:
        assert folder == workspaces_folder() / "run" / "item" / "files"
        for each in (folder, folder.parent, folder.parent.parent, workspaces_folder()):
            assert each.stat().st_mode & 0o777 == 0o700
        (folder / "a").write_text("1")
    assert os.listdir(workspaces_folder()) == []
    with pytest.raises(ZeroDivisionError), held() as folder:
        (folder / "a").write_text("1")
        raise ZeroDivisionError
    assert os.listdir(workspaces_folder()) == []


async def test_async_code_has_the_same_also_where_it_is_cancelled() -> None:
    async with held() as folder:
        (folder / "a").write_text("1")
    assert os.listdir(workspaces_folder()) == []
    inside = asyncio.Event()

    async def work() -> None:
        async with held():
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert os.listdir(workspaces_folder()) == []


def test_one_key_held_twice_is_two_folders() -> None:
    with held() as one, held() as other, held(item="another") as third:
        assert len({one, other, third}) == 3
        (one / "a").touch()
        assert os.listdir(other) == os.listdir(third) == []
    with held() as again:
        assert again == one


def test_keys_that_differ_in_case_or_are_very_long_are_apart() -> None:
    keys = ["README", "readme", "a/b", "a-b", "k" * 5_000, "k" * 5_001, "..", ".", "\x00"]
    holding = [held(key) for key in keys]
    folders = [each.__enter__() for each in holding]
    assert len({str(each).casefold() for each in folders}) == len(keys)
    assert {each.parent.parent for each in folders} == {workspaces_folder() / "run"}
    for each in holding:
        each.__exit__(None, None, None)
    assert os.listdir(workspaces_folder()) == []


def test_one_that_is_kept_stays_and_is_never_used_again() -> None:
    with held(keep=True) as folder:
        (folder / "a").write_text("1")
    assert sweep() == 0
    with held(keep=True) as other:
        assert other != folder and os.listdir(other) == []
    assert (folder / "a").read_text() == "1"


def test_more_than_its_bounds_fails_the_item_and_leaves_nothing() -> None:
    def too_large(folder: Path) -> None:
        (folder / "a").write_bytes(bytes(2 * 1024 * 1024))

    def too_many(folder: Path) -> None:
        for at in range(11):
            (folder / f"{at}").touch()

    def too_deep(folder: Path) -> None:
        (folder / "a" / "b" / "c" / "d").mkdir(parents=True)

    def in_the_temporary_folder(folder: Path) -> None:
        too_large(folder.parent / "tmp")

    told: dict[Callable[[Path], None], str] = {
        too_large: r"workspace 'item': .*2\.0 MiB of at most 1 MiB",
        too_many: "more than 10 files",
        too_deep: "deeper than 3",
        in_the_temporary_folder: "of at most 1 MiB",
    }
    for make, why in told.items():
        with pytest.raises(ItemFailed, match=why), held() as folder:
            make(folder)
        with pytest.raises(ZeroDivisionError), held() as folder:
            make(folder)
            raise ZeroDivisionError
    assert os.listdir(workspaces_folder()) == []


def test_a_folder_that_was_removed_or_closed_inside_is_no_error() -> None:
    with held() as folder:
        os.rmdir(folder)
    with held() as folder:
        (folder / "a").mkdir()
        (folder / "a" / "b").touch()
        (folder / "a").chmod(0)
        (folder.parent / "workspace.json").unlink()
    assert os.listdir(workspaces_folder()) == []


def test_a_program_has_an_environment_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted")
    holding = held()
    with pytest.raises(ConfigurationError, match="inside its `with` block"):
        holding.environment()
    with holding as folder:
        program = (
            "import os, tempfile; print(os.getcwd(), tempfile.gettempdir(), *sorted(os.environ))"
        )
        done = subprocess.run(
            [sys.executable, "-I", "-c", program],
            cwd=folder, env=holding.environment(), capture_output=True, text=True, check=True,
        )  # fmt: skip
        cwd, temporary, *names = done.stdout.split()
        assert (Path(cwd), Path(temporary)) == (folder, folder.parent / "tmp")
        assert {*names} - {"LC_CTYPE"} == {"HOME", "LANG", "PATH", "TMPDIR"}
        assert Path(holding.environment()["HOME"]).parent == folder.parent


def test_a_key_that_is_no_text_or_empty_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="a int, not a text"):
        held(3)  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="not empty"):
        held(" ")
    used = held()
    with used:
        pass
    with pytest.raises(ConfigurationError, match="entered before"):
        used.__enter__()


def test_sixteen_items_that_write_the_same_names_never_see_each_others_files() -> None:
    rounds, items = 100, 16
    # Broken where one of them fails, so that the others do not wait for it.
    barrier = threading.Barrier(items, timeout=20)

    def work(number: int) -> int:
        for at in range(rounds):
            if at % 10 == 0:
                barrier.wait()
            holding = held(f"Item-{number // 2}")
            with holding as folder:
                assert os.listdir(folder) == []
                for name in ("out.txt", "notes.md"):
                    holding.workspace.put_file(name, f"{number} {at}".encode())
                for name in ("out.txt", "notes.md"):
                    assert holding.workspace.read(name) == f"{number} {at}".encode()
                assert holding.workspace.names() == ["notes.md", "out.txt"]
        return rounds

    with ThreadPoolExecutor(items) as pool:
        assert sum(pool.map(work, range(items))) == rounds * items
    assert os.listdir(workspaces_folder()) == []


KILLED = """
import sys
from prefect_governor.blocks.workspaces.held import HeldWorkspace
each = HeldWorkspace("item", whose=lambda: ("run", None))
kept = HeldWorkspace("kept", whose=lambda: ("run", None), keep=True)
with each as folder, kept as other:
    for path in (folder, other):
        (path / "deep").mkdir()
        (path / "deep" / "a").write_text("1")
        (path / "deep").chmod(0)
    print(folder, flush=True)
    sys.stdin.read()
"""


def test_what_a_killed_process_left_is_removed_at_the_next_start_and_not_before() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        folder = Path(program.stdout.readline().strip())
        assert sweep() == 0 and folder.is_dir()
        with held() as mine:
            assert mine != folder
        program.send_signal(signal.SIGKILL)
    assert folder.is_dir()
    # Whoever takes its place has an empty one.
    with held() as mine:
        assert mine == folder and os.listdir(mine) == []
    sweep()
    assert os.listdir(workspaces_folder() / "run") == ["kept"]
    (workspaces_folder() / "run" / "half").mkdir()
    assert sweep() == 1
    assert os.listdir(workspaces_folder() / "run") == ["kept"]


def test_a_forked_child_neither_removes_nor_keeps_its_parents() -> None:
    holding = held()
    read, write = os.pipe()
    with holding as folder:
        child = os.fork()
        if child == 0:
            # As it leaves the block by an exception; it lives on until it is told.
            holding.__exit__(None, None, None)
            os.close(write)
            os.read(read, 1)
            os._exit(0 if folder.is_dir() else 1)
        # Nobody but this process holds it.
        assert sweep() == 0 and folder.is_dir()
    assert os.listdir(workspaces_folder()) == []
    os.close(write)
    os.close(read)
    os.waitpid(child, 0)


FORKED = """
import os, sys
from prefect_governor.blocks.workspaces.held import HeldWorkspace
with HeldWorkspace("item", whose=lambda: ("run", None)) as folder:
    if os.fork():
        print(folder, flush=True)
    sys.stdin.read()
    os._exit(0)
"""


def test_a_forked_child_that_lives_on_does_not_keep_what_its_dead_parent_had() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", FORKED], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout is not None
        folder = Path(program.stdout.readline().strip())
        assert sweep() == 0 and folder.is_dir()
        program.kill()
        program.wait()
        # The child still waits for the end of its input.
        assert sweep() == 1 and not folder.exists()


def test_a_lock_on_what_was_removed_between_two_steps_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its last owner removes the folder as the next one has opened its lock."""
    lock, folder = fcntl.flock, workspaces_folder() / "run" / "item"
    removed: list[bool] = []

    def flock(file: int, what: int) -> None:
        if not removed:
            removed.append(True)
            (folder / "workspace.json").unlink()
            folder.rmdir()
        lock(file, what)

    monkeypatch.setattr(fcntl, "flock", flock)
    with held() as mine, held() as other:
        assert removed and mine.parent == folder and other != mine
