"""What the running code is part of: the governor of the context, the item, who a call is for.

Context variables follow a call from the task into the httpx transport, through any client library.
"""

import itertools
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from prefect_governor.blocks.ledger.records import Attribution, ReplyKey

if TYPE_CHECKING:
    from prefect_governor.blocks.wire.governing import Governing


@dataclass
class Spent:
    """What the calls made in a scope came to, counted as they settle."""

    nano: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    calls: int = 0


@dataclass
class Scope:
    """A stretch of code under one governor.

    `item` and `run_id` name the element of a fan-out; replies are kept and replayed only where
    both are set. `stop` refuses calls that are not admitted yet once it is set.
    """

    governor: "Governing"
    tags: tuple[str, ...] = ()
    user: str | None = None
    run_id: str | None = None
    item: str | None = None
    stop: threading.Event | None = None
    spent: Spent = field(default_factory=Spent)
    _indexes: "itertools.count[int]" = field(default_factory=itertools.count)

    def next_reply_key(self, request_hash: str) -> ReplyKey | None:
        """Where the next call's reply is kept; None outside an item."""
        if self.run_id is None or self.item is None:
            return None
        return ReplyKey(self.run_id, self.item, next(self._indexes), request_hash)


current_scope: ContextVar[Scope | None] = ContextVar("prefect_governor_scope", default=None)


@contextmanager
def scope(value: Scope) -> Iterator[Scope]:
    """Make `value` the scope of the code inside."""
    token = current_scope.set(value)
    try:
        yield value
    finally:
        current_scope.reset(token)


def attribution(*, model: str, tags: tuple[str, ...] = ()) -> Attribution:
    """Who a call made here is for, from the scope and from Prefect's own contexts."""
    here = current_scope.get()
    base = Attribution(model=model, tags=tags)
    if here is not None:
        base = replace(
            base,
            tags=tuple(sorted({*tags, *here.tags})),
            user=here.user,
            run_id=here.run_id,
            item=here.item,
        )
    # Where Prefect was never imported, there is no run to belong to.
    context = sys.modules.get("prefect.context")
    return base if context is None else _in_prefect(base, context)


def _in_prefect(base: Attribution, context: Any) -> Attribution:
    flow_context = context.FlowRunContext.get()
    task_context = context.TaskRunContext.get()
    tags = set(base.tags)
    if task_context is not None:
        tags |= set(task_context.task_run.tags)
        base = replace(
            base,
            task=task_context.task.name,
            task_run_id=str(task_context.task_run.id),
            flow_run_id=_text(task_context.task_run.flow_run_id),
        )
    if flow_context is not None and flow_context.flow_run is not None:
        run = flow_context.flow_run
        base = replace(
            base,
            flow=flow_context.flow.name if flow_context.flow else None,
            flow_run_id=str(run.id),
            deployment=_text(run.deployment_id),
        )
        tags |= set(run.tags)
    return replace(base, tags=tuple(sorted(tags)))


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
