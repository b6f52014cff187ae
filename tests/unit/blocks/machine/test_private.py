"""Files of our state are their owner's alone, whatever the umask."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from prefect_governor.blocks.machine.files import write_whole
from prefect_governor.blocks.machine.home import state_folder
from prefect_governor.blocks.machine.private import (
    make_folder,
    mend,
    open_file,
    open_to_others,
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "home"))
    return state_folder()


@pytest.fixture(params=[0o000, 0o022, 0o077], ids=oct)
def umask(request: pytest.FixtureRequest) -> Iterator[int]:
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def test_what_is_made_in_our_folder_is_its_owners_alone(home: Path, umask: int) -> None:
    folder = make_folder(home / "runs" / "one" / "findings")
    with open_file(folder / "a.json") as file:
        file.write("{}")
    write_whole(folder / "b.json", "{}")
    for each in (home, home / "runs", home / "runs" / "one", folder):
        assert mode(each) == 0o700
    assert mode(folder / "a.json") == mode(folder / "b.json") == 0o600
    assert open_to_others(home, most=9) == []


def test_what_a_person_names_is_made_as_their_umask_says(
    home: Path, umask: int, tmp_path: Path
) -> None:
    folder = make_folder(tmp_path / "out" / "deep")
    with open_file(folder / "results.jsonl") as file:
        file.write("{}\n")
    write_whole(folder / "report.md", "a")
    assert mode(folder) == 0o777 & ~umask
    assert mode(folder / "results.jsonl") == mode(folder / "report.md") == 0o666 & ~umask


def test_what_an_earlier_release_left_open_is_mended(home: Path, tmp_path: Path) -> None:
    run = home / "runs" / "old"
    run.mkdir(parents=True)
    (run / "results.jsonl").write_text("{}")
    elsewhere = tmp_path / "elsewhere.txt"
    elsewhere.write_text("a")
    for each in (home, home / "runs", run):
        each.chmod(0o755)
    (run / "results.jsonl").chmod(0o644)
    elsewhere.chmod(0o644)
    (run / "link").symlink_to(elsewhere)
    found = open_to_others(home, most=9)
    assert found == [home, home / "runs", run, run / "results.jsonl"]
    assert open_to_others(home, most=2) == found[:2]
    make_folder(home / "runs" / "new")
    assert open_to_others(home, most=9) == []
    assert mode(run / "results.jsonl") == 0o600
    # What a link leads to is not in our folder.
    assert mode(elsewhere) == 0o644


def test_file_that_was_there_is_shut_when_it_is_written_anew(home: Path) -> None:
    path = make_folder(home) / "documents.lock"
    path.write_text("a")
    path.chmod(0o666)
    with open_file(path):
        assert mode(path) == 0o600


def test_bits_of_the_owner_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "tool.sh"
    path.write_text("a")
    path.chmod(0o555)
    mend(path)
    assert mode(path) == 0o500
