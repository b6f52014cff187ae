"""The runner's result store answers as Prefect's own, and looks less often."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect.filesystems import LocalFileSystem, RemoteFileSystem
from prefect.results import ResultStore

from prefect_governor.blocks.prefect_internals.result_folder import ResultFolders

KEYS = (
    "kept",
    "missing",
    "in/folder",
    "../beside",
    "..",
    ".hidden",
    "~",
    "linked-out",
    "linked-in",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A results folder, reached through a link, with a result and links in it."""
    real = tmp_path / "real"
    real.mkdir()
    link = tmp_path / "results"
    link.symlink_to(real)
    store = ResultStore(result_storage=LocalFileSystem(basepath=str(link)))
    for key in ("kept", "in/folder", ".hidden"):
        store.write("a result", key=key)
    (tmp_path / "beside").write_text("not a result")
    (real / "linked-out").symlink_to(tmp_path / "beside")
    (real / "linked-in").symlink_to(real / "kept")
    return link


def answer(ask: Callable[[ResultStore], Any], store: ResultStore) -> Any:
    """What is returned, or the error that is raised, to be compared."""
    try:
        return ask(store)
    except Exception as error:
        return type(error), str(error)


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("absolute", [False, True])
def test_local_store_answers_as_prefects_own(folder: Path, key: str, absolute: bool) -> None:
    key = str(folder / key) if absolute else key
    own = ResultStore(result_storage=LocalFileSystem(basepath=str(folder)))
    ours = ResultFolders().store(own)
    assert type(ours) is not ResultStore
    asked: list[Callable[[ResultStore], Any]] = [
        lambda store: store.exists(key),
        lambda store: asyncio.run(store.aexists(key)),
        lambda store: store.create_result_record(1, key).metadata.storage_key,
        lambda store: store.read(key).result,
    ]
    for ask in asked:
        assert answer(ask, ours) == answer(ask, own)


def test_written_result_is_found_and_read_by_prefects_own(folder: Path) -> None:
    own = ResultStore(result_storage=LocalFileSystem(basepath=str(folder)))
    ours = ResultFolders().store(own)
    assert not ours.exists("new")
    ours.persist_result_record(ours.create_result_record({"a": 1}, "new"))
    assert ours.exists("new")
    assert own.read("new").result == {"a": 1}


def test_relative_folder_is_that_of_the_working_directory_each_time(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ResultFolders().store(ResultStore(result_storage=LocalFileSystem(basepath="results")))
    monkeypatch.chdir(tmp_path)
    assert store.exists("kept")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert not store.exists("kept")
    store.persist_result_record(store.create_result_record(1, "new"))
    assert (tmp_path / "elsewhere/results/new").is_file()


def test_serialized_store_is_prefects_own_without_the_results_it_has_in_memory(
    folder: Path,
) -> None:
    own = ResultStore(result_storage=LocalFileSystem(basepath=str(folder)))
    ours = ResultFolders().store(own)
    ours.write({1, 2}, key="a set")
    # What Prefect sends along with a task or flow that runs in another process.
    dumped = ours.model_dump(exclude_unset=True)
    assert dumped == own.model_dump(exclude_unset=True)
    assert "cache" not in dumped


class OfTheUser(ResultStore):
    """A store with a behaviour of its own."""


def test_other_stores_and_storages_are_left_as_they_are(folder: Path) -> None:
    elsewhere = RemoteFileSystem(basepath="memory://elsewhere")
    folders = ResultFolders()
    for storage in (None, elsewhere):
        store = ResultStore(result_storage=storage)
        assert folders.store(store) is store
    own = OfTheUser(result_storage=LocalFileSystem(basepath=str(folder)))
    assert folders.store(own) is own
    local = folders.store(ResultStore(result_storage=LocalFileSystem(basepath=str(folder))))
    assert folders.store(local) is local
    # A nested task may be given a storage of its own: the copy then answers for that one.
    moved = local.model_copy(update={"result_storage": elsewhere})
    assert not moved.exists("kept")
    moved.write("another result", key="there")
    assert moved.read("there").result == "another result"
