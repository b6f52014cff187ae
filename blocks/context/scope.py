"""What the running code is part of: the governor of the context, the item, who a call is for.

Context variables follow a call from the task into the httpx transport, through any client library.
"""

import hashlib
import itertools
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from dataclasses import dataclass, field, replace
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any

from typing_extensions import Self

from prefect_governor.blocks.errors import CallRefused
from prefect_governor.blocks.machine.text import label, labels
from prefect_governor.blocks.records.accepted import Accepted
from prefect_governor.blocks.records.calls import Attribution, ReplyKey

if TYPE_CHECKING:
    from prefect_governor.blocks.context.governing import Governing


@dataclass
class Spent:
    """What the calls made in a scope came to, counted as they settle.

    `waited_seconds` is what they waited to be admitted, together, counted as they are.
    """

    nano: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    calls: int = 0
    waited_seconds: float = 0.0


@dataclass
class Scope:
    """A stretch of code under one governor.

    `item` and `run_id` name the element of a fan-out; replies are kept and replayed only where
    both are set.

    `allocation` is the account key of an allocation, which calls made inside draw on first. `fit`
    False: no answer's `max_tokens` is fitted here. `fell_back` is set where a cheaper model was
    asked in place of the one that was named, because money runs low. `priority`: of the calls that
    wait, those with a higher one go first. `retry_failed`: a kept reply whose answer was bad (cut,
    filtered, refused, empty) is not replayed, but asked for and paid for again. `accepted` is what
    the caller of the calls made here takes upon them. `own_purse`: a budget a run is each flow
    run's own here, not the root run's. `keeps` False: no reply is kept here, nor one that was kept
    handed out, whatever item it is.
    """

    governor: "Governing"
    tags: tuple[str, ...] = ()
    user: str | None = None
    run_id: str | None = None
    item: str | None = None
    allocation: str | None = None
    fit: bool = True
    fell_back: bool = False
    priority: int = 0
    retry_failed: bool = False
    accepted: Accepted = field(default_factory=Accepted)
    own_purse: bool = False
    keeps: bool = True
    spent: Spent = field(default_factory=Spent)
    _indexes: "dict[str, itertools.count[int]]" = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises ConfigurationError for a label or a tag that is no text."""
        self.tags = labels(self.tags, "tags")
        for name in ("user", "run_id", "item"):
            if (value := getattr(self, name)) is not None:
                setattr(self, name, label(value, name))

    def next_reply_key(self, request_hash: str) -> ReplyKey | None:
        """Where the next call's reply is kept; None outside an item.

        The index counts the item's calls of the same request, so that an agent that makes several
        calls at once finds each again in whatever order it makes them next time.
        """
        if self.run_id is None or self.item is None or not self.keeps:
            return None
        tries = _tries.get()
        if tries is None:
            return ReplyKey(self.run_id, self.item, self._next_index(request_hash), request_hash)
        index, name = tries.place(request_hash, self._next_index)
        return ReplyKey(self.run_id, self.item, index, name)

    def _next_index(self, request_hash: str) -> int:
        # Both steps are atomic: calls are made by threads as well.
        return next(self._indexes.setdefault(request_hash, itertools.count()))

    def elsewhere(self) -> "Callable[[], Scope]":
        """What makes this scope in another process, and can be pickled. What is spent there is not
        counted in this one. Replies are not kept: which of an item's equal calls is the first is
        known to one process alone.

        Raises NotGoverned where the governor is this process's own.
        """
        said = {name: getattr(self, name) for name in _SAID}
        return partial(_made_here, self.governor.elsewhere(), said)


# What of a scope another process is told.
_SAID = (
    "tags", "user", "run_id", "item", "allocation", "fit", "fell_back", "priority", "accepted",
    "own_purse",
)  # fmt: skip


def _made_here(governor: "Callable[[], Governing]", said: dict[str, Any]) -> Scope:
    return Scope(governor(), **said, keeps=False)


class NotKept(CallRefused):
    """Inside `kept_only` a call has no reply that was kept. It was not made."""


class _Tries:
    """The place of one answer: that of the request which was tried first.

    A later try is named after both requests: the answer of a fallback is then found whatever other
    answers it gave, and is not taken for one that was asked of that model alone.
    """

    def __init__(self) -> None:
        self._place: tuple[str, int] | None = None

    def place(self, request_hash: str, next_index: Callable[[str], int]) -> tuple[int, str]:
        if self._place is None:
            self._place = request_hash, next_index(request_hash)
        first, index = self._place
        if request_hash == first:
            return index, first
        return index, hashlib.sha256(f"{first}\n{request_hash}".encode()).hexdigest()


current_scope: ContextVar[Scope | None] = ContextVar("prefect_governor_scope", default=None)
_tries: ContextVar[_Tries | None] = ContextVar("prefect_governor_tries", default=None)
_kept_only: ContextVar[bool] = ContextVar("prefect_governor_kept_only", default=False)
_anew: ContextVar[bool] = ContextVar("prefect_governor_anew", default=False)
# Each context has its own stack: one governor is entered by many tasks at once.
_entered: "ContextVar[tuple[Token[Scope | None], ...]]" = ContextVar(
    "prefect_governor_entered", default=()
)


class Entered(ABC):
    """What `with` and `async with` make the scope of the code inside."""

    @abstractmethod
    def _scope(self) -> Scope:
        """The scope, told from the one around it."""

    def __enter__(self) -> Self:
        token = current_scope.set(self._scope())
        _entered.set((*_entered.get(), token))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        *rest, token = _entered.get()
        _entered.set(tuple(rest))
        current_scope.reset(token)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, trace)


@contextmanager
def one_answer() -> Iterator[None]:
    """The calls made inside, one after another, are tries for one answer: a model, then its
    fallbacks. The reply of whichever is answered is kept at the one place that they share, so that
    how many failed before it does not matter when it is looked for."""
    token = _tries.set(_Tries())
    try:
        yield
    finally:
        _tries.reset(token)


@contextmanager
def kept_only() -> Iterator[None]:
    """A call made inside is answered from the replies that were kept, or raises NotKept: nothing
    is sent, nothing is spent."""
    token = _kept_only.set(True)
    try:
        yield
    finally:
        _kept_only.reset(token)


@contextmanager
def asked_anew() -> Iterator[None]:
    """A call made inside is sent and paid for, whatever was kept for it: its reply takes that
    one's place."""
    token = _anew.set(True)
    try:
        yield
    finally:
        _anew.reset(token)


def anew() -> bool:
    """Whether the code runs inside `asked_anew`."""
    return _anew.get()


def only_kept() -> bool:
    """Whether the code runs inside `kept_only`."""
    return _kept_only.get()


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
        base = Attribution(
            model=model,
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
    tags, told = set(base.tags), {}
    if task_context is not None:
        tags.update(task_context.task_run.tags)
        told = {
            "task": task_context.task.name,
            "task_run_id": str(task_context.task_run.id),
            "flow_run_id": _text(task_context.task_run.flow_run_id),
        }
    if flow_context is not None and flow_context.flow_run is not None:
        run = flow_context.flow_run
        tags.update(run.tags)
        told["flow"] = flow_context.flow.name if flow_context.flow else None
        told["flow_run_id"] = str(run.id)
        told["deployment"] = _text(run.deployment_id)
    return replace(base, tags=tuple(sorted(tags)), **told)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
