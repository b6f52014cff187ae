"""A result store that resolves its folder's path once a flow, not several times a task.

For every task run Prefect's store resolves the path of the local results folder and of the key in
it four times, with one `lstat` for each part of each, to look whether a result is kept and to name
the place of the new one. At each of these calls the thread gives up the interpreter, so that they
took a quarter of a governed task's time (docs/decisions/0009-the-task-runner.md).
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from prefect.filesystems import LocalFileSystem
from prefect.results import ResultRecord, ResultRecordMetadata, ResultStore  # type: ignore[attr-defined]
from prefect.types import DateTime
from pydantic import PrivateAttr


class ResultFolders:
    """The resolved paths of local results folders, each as it was when first asked for."""

    def __init__(self) -> None:
        self._resolved: dict[str, Path] = {}

    def resolved(self, basepath: str) -> Path:
        """The folder of a `LocalFileSystem`, with `~` expanded and links followed."""
        if basepath not in self._resolved:
            self._resolved[basepath] = Path(basepath).expanduser().resolve()
        return self._resolved[basepath]

    def store(self, store: ResultStore) -> ResultStore:
        """`store`, or what does the same with fewer looks at the file system."""
        if isinstance(store, _LocalResults) or type(store.result_storage) is not LocalFileSystem:
            return store
        local = _LocalResults.model_construct(**store.__dict__)
        local._folders = self
        return local


class _LocalResults(ResultStore):
    """Results in a local folder; what it does not answer itself it leaves to Prefect's store.

    A key that is a link is named as it is, not as what it points to: whoever writes or reads it
    resolves it, and refuses one that leads out of the folder.
    """

    _folders: ResultFolders = PrivateAttr(default_factory=ResultFolders)

    def exists(self, key: str) -> bool:
        return not self._is_missing(key) and super().exists(key)

    async def aexists(self, key: str) -> bool:
        return not self._is_missing(key) and await super().aexists(key)

    def create_result_record(
        self, obj: Any, key: str | None = None, expiration: DateTime | None = None
    ) -> ResultRecord[Any]:
        key = key or self.storage_key_fn()
        place = self._place(key)
        if place is None:
            return super().create_result_record(obj, key, expiration)
        metadata = ResultRecordMetadata(
            serializer=self.serializer, expiration=expiration, storage_key=str(place)
        )
        return ResultRecord(result=obj, metadata=metadata)

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
        return self._folders.resolved(storage.basepath) / key
