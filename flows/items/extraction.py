"""An item's text, out of its file.

Blocking: call it in a worker thread. Whatever keeps a file from being read is an `ItemFailed` that
names the reason, so that one bad file is one failed item.
"""

import stat
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from prefect_governor.blocks.errors import ItemFailed
from prefect_governor.blocks.workspaces.bounds import BOUNDS, WorkspaceBounds
from prefect_governor.flows.items.documents.extraction import MAX_FILE_BYTES
from prefect_governor.flows.items.documents.formats.document import Document
from prefect_governor.flows.items.documents.formats.embedded import without_embedded
from prefect_governor.flows.items.documents.workers import read_document
from prefect_governor.flows.items.reading import AS_IT_IS, Reading
from prefect_governor.flows.items.trees import tree_text

if TYPE_CHECKING:
    from prefect_governor.flows.items.item import Item


def read_text(
    item: "Item",
    *,
    max_bytes: int = MAX_FILE_BYTES,
    bounds: WorkspaceBounds = BOUNDS,
    reading: Reading = AS_IT_IS,
) -> Document:
    """The item's own text, else that of the file it names, as `reading` says; of a folder, which
    may hold as much as `bounds` say, the names in it. Bytes that stand in a text are left out.

    Raises ItemFailed where there is none: the file is gone, may not be read, is no regular file, is
    larger than `max_bytes`, is binary, needs a password, holds no text, or is empty.
    """
    if item.text is not None:
        if not item.text.strip():
            raise ItemFailed("the item's text is empty")
        text, left_out = without_embedded(item.text)
        notes = (*item.notes, left_out) if left_out else item.notes
        return Document(item.key, text, notes=notes)
    if item.folder is not None:
        return Document(item.key, tree_text(Path(item.folder), bounds))
    if item.source is None:
        raise ItemFailed("the item has neither a text nor a file")
    path = Path(item.source)
    data = _bytes_of(path, max_bytes)
    document = read_document(item.key, data, suffix=path.suffix, encoding=reading.encoding)
    return replace(document, notes=(*item.notes, *document.notes)) if item.notes else document


def _bytes_of(path: Path, max_bytes: int) -> bytes:
    try:
        found = path.stat()
        if stat.S_ISDIR(found.st_mode):
            raise ItemFailed("it is a folder, not a file")
        if not stat.S_ISREG(found.st_mode):
            raise ItemFailed("it is not a regular file")
        with path.open("rb") as file:
            # One byte more than allowed tells a file that has grown since.
            data = file.read(max_bytes + 1)
    except FileNotFoundError:
        raise ItemFailed("the file is gone") from None
    except PermissionError:
        raise ItemFailed("permission denied: the file may not be read by this user") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ItemFailed(f"the file cannot be read: {reason}") from None
    if len(data) > max_bytes:
        raise ItemFailed(
            f"the file is too large: {max(found.st_size, len(data)):,} bytes,"
            f" at most {max_bytes:,} are read"
        )
    if not data:
        raise ItemFailed("the file is empty")
    return data
