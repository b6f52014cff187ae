"""A result store that resolves its folder's path once a flow, not several times a task.

For every task run Prefect's store resolves the paths of the local results folder and of the key in
it three times, with one `lstat` for each part of each, to look whether a result is kept and to name
the place of the new one; twice more where the new one is kept. At each of these calls the thread
gives up the interpreter, so that the three took a quarter of a governed task's time, see
docs/decisions/runs/0009-the-task-runner.md. Where a result is written or read, Prefect's own
resolves.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from prefect.filesystems import LocalFileSystem
from prefect.results import ResultStore
from pydantic import PrivateAttr

from prefect_governor.blocks.prefect_internals.names import find, finds

ITS_OWN = "Prefect's result store resolves its folder for every task, which is slower"
_Record: Any = find("prefect.results", "ResultRecord", instead=ITS_OWN)
_Metadata: Any = find("prefect.results", "ResultRecordMetadata", instead=ITS_OWN)
_PARTS = (
    "aexists", "create_result_record", "exists", "metadata_storage", "model_construct",
    "model_fields_set", "result_storage", "result_storage_block_id", "storage_key_fn",
)  # fmt: skip
_KNOWN = (
    _Record is not None
    and _Metadata is not None
    and finds("prefect.results", *(f"ResultStore.{part}" for part in _PARTS), instead=ITS_OWN)
)


class ResultFolders:
    """The resolved paths of local results folders, each as it was when first asked for.

    A link on the way to a folder that is moved while a flow runs is not followed anew.
    """

    def __init__(self) -> None:
        self._resolved: dict[str, Path] = {}

    def resolved(self, basepath: str) -> Path | None:
        """The folder of a `LocalFileSystem`, with `~` expanded and links followed; None for one
        that depends on the working directory, which may change."""
        if basepath not in self._resolved:
            folder = Path(basepath).expanduser()
            if not folder.is_absolute():
                return None
            self._resolved[basepath] = folder.resolve()
        return self._resolved[basepath]

    def store(self, store: ResultStore) -> ResultStore:
        """`store`, or what does the same with fewer looks at the file system."""
        if not _KNOWN or type(store) is not ResultStore:
            return store
        if type(store.result_storage) is not LocalFileSystem:
            return store
        # Only what was set is serialized with a task's context: not the cache of results.
        local = _LocalResults.model_construct(set(store.model_fields_set), **store.__dict__)
        local._folders = self
        return local


class _LocalResults(ResultStore):
    """Results in a local folder; what it does not answer itself it leaves to Prefect's store."""

    _folders: ResultFolders = PrivateAttr(default_factory=ResultFolders)

    def exists(self, key: str) -> bool:
        return not self._is_missing(key) and super().exists(key)

    async def aexists(self, key: str) -> bool:
        return not self._is_missing(key) and await super().aexists(key)

    def create_result_record(
        self, obj: Any, key: str | None = None, expiration: Any | None = None
    ) -> Any:
        key = key or self.storage_key_fn()
        place = self._place(key)
        if place is None or place.is_symlink():
            return super().create_result_record(obj, key, expiration)
        metadata = _Metadata(
            serializer=self.serializer, expiration=expiration, storage_key=str(place)
        )
        return _Record(result=obj, metadata=metadata)

    def _is_missing(self, key: str) -> bool:
        if self.metadata_storage is not None:
            return False
        place = self._place(key)
        return place is not None and not os.path.lexists(place)

    def _place(self, key: str) -> Path | None:
        """Where a key lies that is a plain file name in an unsaved local folder; else None."""
        storage = self.result_storage
        if type(storage) is not LocalFileSystem or self.result_storage_block_id is not None:
            return None
        if not storage.basepath or os.path.basename(key) != key or key[:1] in {"", ".", "~"}:
            return None
        folder = self._folders.resolved(storage.basepath)
        return None if folder is None else folder / key
