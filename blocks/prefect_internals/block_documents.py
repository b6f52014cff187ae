"""Blocks and the documents that Prefect keeps of them."""

from typing import Any, TypeVar
from uuid import UUID

from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import BlockDocument

from prefect_governor.blocks.prefect_internals.names import find, read

B = TypeVar("B", bound=Block)

_BY_NAME = "a block's document is looked up by its name"


def block_of(kind: type[B], document: BlockDocument) -> B:
    """The block that a document is of."""
    make: Any = find(
        "prefect.blocks.core",
        "Block._from_block_document",
        instead="a block's document is read twice where the block is loaded",
    )
    if make is None:
        loaded: Any = kind.load(str(document.name), _sync=True)  # type: ignore[call-arg]
    else:
        loaded = make.__func__(kind, document)
    block: B = loaded
    return block


def saved_id(block: Any) -> UUID | None:
    """The id of a block's document, None for one that was neither saved nor loaded."""
    for found in read(block, "_block_document_id", instead=_BY_NAME):
        known: UUID | None = found
        return known
    name = saved_name(block)
    if name is None:
        return None
    with get_client(sync_client=True) as client:
        document = client.read_block_document_by_name(name, block.get_block_type_slug())
    return document.id


def saved_name(block: Any) -> str | None:
    """The name of a block's document, None for one that has none."""
    for found in read(block, "_block_document_name", instead=_BY_NAME):
        known: str | None = found
        return known
    try:
        # prefect.blocks.SLUG.NAME
        return str(block.get_block_placeholder()).split(".", 3)[3]
    except RuntimeError:
        return None


def reference_to(document_id: UUID | str) -> dict[str, Any]:
    """How a document that is written refers to another one."""
    return {"$ref": {"block_document_id": str(document_id)}}


def notification_by(document_id: UUID, *, subject: str, body: str) -> Any:
    """An Automation's action that has a saved notification block send something: templates."""
    from prefect.events.actions import SendNotification

    return SendNotification(block_document_id=document_id, subject=subject, body=body)
