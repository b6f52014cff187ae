"""Saved governors in tests: edited as the UI does, asked for money as the wire does."""

from concurrent.futures import Future
from typing import Any, TypeVar, cast
from uuid import UUID, uuid4

from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import BlockDocumentUpdate

from prefect_governor import Governor
from prefect_governor.blocks.records.calls import Admission, Attribution, Bound, Demand, Usage
from prefect_governor.blocks.work.runtime import Runtime

MODEL = "openai/gpt-4o-mini"
HELLO = [{"role": "user", "content": "hello"}]
NANO = 10**9
B = TypeVar("B", bound=Block)


def loaded_as(kind: type[B], name: str) -> B:
    """`kind.load(name)`, which Prefect types as a coroutine too."""
    return cast(B, kind.load(name))


def document_of(block: Block) -> UUID:
    assert block._block_document_id is not None
    return block._block_document_id


def edit(document_id: UUID, **fields: Any) -> None:
    """As the form in the UI saves a document: no class of ours checks it."""
    with get_client(sync_client=True) as client:
        client.update_block_document(
            document_id, BlockDocumentUpdate(data=fields, merge_existing_data=True)
        )


def ask(
    runtime: Runtime, usd: float, *, tag: str = "llm", allocation: str | None = None
) -> "tuple[str, Future[Admission]]":
    """A call's demand, as the wire makes it: its id and the future of its admission."""
    who = Attribution(model=MODEL, tags=(tag,))
    call_id = uuid4().hex
    accounts = runtime.accounts(who)
    demand = Demand(
        call_id,
        accounts if allocation is None else (allocation, *accounts),
        tuple(
            each.key for each in runtime.limits_ if each.limit.applies_to(tags=(tag,), model=MODEL)
        ),
        Bound(round(usd * NANO), 1, 1),
        who,
        observe=runtime.observe,
    )
    return call_id, runtime.desk.admit(demand, pause_seconds=runtime.pause_seconds)


def spend(runtime: Runtime, usd: float) -> None:
    """As a call does that is billed at its bound."""
    call_id, admitted = ask(runtime, usd)
    admitted.result(30)
    runtime.desk.settle(call_id, Usage(round(usd * NANO), 1, 1)).result(30)


def spend_reserved(governor: Governor, usd: str) -> None:
    """As what is no call does."""
    with governor.reserve(max_usd=usd) as reserved:
        reserved.settle(usd)
