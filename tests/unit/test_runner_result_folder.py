"""The runner's result store answers as Prefect's own, and looks less often."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prefect.filesystems import LocalFileSystem, RemoteFileSystem
from prefect.results import ResultStore

from prefect_governor.flows.runner.result_folder import ResultFolders

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


def named(store: ResultStore, key: str) -> str:
    """Where the record of a new result says that it is kept."""
    place = store.create_result_record(1, key).metadata.storage_key
    assert place is not None
    return place


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
        lambda store: os.path.realpath(named(store, key)),
        lambda store: store.write(2, key=named(store, key)),
        lambda store: store.read(key).result,
    ]
    for ask in asked:
        if "linked-out" not in key or ask is not asked[2]:
            assert answer(ask, ours) == answer(ask, own)


def test_written_result_is_found_and_read_by_prefects_own(folder: Path) -> None:
    own = ResultStore(result_storage=LocalFileSystem(basepath=str(folder)))
    ours = ResultFolders().store(own)
    assert not ours.exists("new")
    ours.persist_result_record(ours.create_result_record({"a": 1}, "new"))
    assert ours.exists("new")
    assert own.read("new").result == {"a": 1}


def test_other_storages_are_left_as_they_are(folder: Path) -> None:
    elsewhere = RemoteFileSystem(basepath="memory://elsewhere")
    folders = ResultFolders()
    for storage in (None, elsewhere):
        store = ResultStore(result_storage=storage)
        assert folders.store(store) is store
    local = folders.store(ResultStore(result_storage=LocalFileSystem(basepath=str(folder))))
    assert folders.store(local) is local
    # A nested task may be given a storage of its own: the copy then answers for that one.
    moved = local.model_copy(update={"result_storage": elsewhere})
    assert not moved.exists("kept")
    moved.write("another result", key="there")
    assert moved.read("there").result == "another result"
