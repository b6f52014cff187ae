"""The Governor block: one budget and a list of limits, for all code that runs under it."""

import functools
import inspect
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar, Token
from types import TracebackType
from typing import Annotated, Any, ClassVar, ParamSpec, TypeVar

import httpx
from prefect.blocks.core import Block, schema_extra
from pydantic import ConfigDict, Field, PrivateAttr, WithJsonSchema, field_validator
from typing_extensions import Self

from prefect_governor.blocks.budget.block import DOCUMENTATION_URL, Budget
from prefect_governor.blocks.budget.money import Money, parse_usd
from prefect_governor.blocks.budget.windows import Window
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.form import plain, section
from prefect_governor.blocks.limits.limit import Limit
from prefect_governor.blocks.model.clients import async_pool, blocking_pool
from prefect_governor.blocks.model.completion import acompletion_under, completion_under
from prefect_governor.blocks.runtime import Runtime
from prefect_governor.blocks.scope import Scope, current_scope
from prefect_governor.blocks.wire.transport import GovernedAsyncTransport, GovernedTransport

P = ParamSpec("P")
R = TypeVar("R")

_entered: "ContextVar[tuple[Token[Scope | None], ...]]" = ContextVar(
    "prefect_governor_entered", default=()
)


def _without_references(schema: dict[str, Any], model: type[Block]) -> None:
    """Prefect's own, but for the reference to a Budget block.

    The form of the UI saves what it refers to as a copy, which would be a second ceiling, and
    neither shows nor keeps a budget that is part of the governor: its fields stand in the form.
    """
    schema_extra(schema, model)
    schema["block_schema_references"] = {}


class Governor(Block):
    """Governs model calls: one hard budget, and limits on how many at once and how fast.

    Example:
        ```python
        from prefect_governor import Budget, Governor, Limit

        Governor(
            budget=Budget(max_usd=5, window="day"),
            limits=[Limit(tag="llm", max_concurrent=40, requests_per_minute=500)],
        ).save("llm-team")

        with Governor.load("llm-team"):
            ...
        ```
    """

    _block_type_name = "Governor"
    _block_type_slug = "governor"
    _documentation_url = DOCUMENTATION_URL
    _description: ClassVar[str] = (
        "The budget and the limits that model calls run under, in every process."
    )

    model_config: ClassVar[ConfigDict] = ConfigDict(json_schema_extra=_without_references)

    budget: Annotated[Budget, WithJsonSchema(section(Budget))] = Field(
        title="Budget", description="What all calls may cost together."
    )
    limits: list[Limit] = Field(
        default_factory=list,
        title="Limits",
        description="How many calls at once and how fast, by tag or model.",
    )
    queue_timeout_seconds: float | None = Field(
        default=None,
        gt=0,
        title="Queue timeout in seconds",
        description="How long a call may wait to be admitted. Empty: as long as it takes.",
        json_schema_extra=plain,
    )

    # The name and the version of a governor of this machine alone: whoever defines one last is
    # right, by the machine's clock.
    _local_name: str | None = PrivateAttr(default=None)
    _local_version: str = PrivateAttr(default="")

    @field_validator("budget")
    @classmethod
    def _by_name(cls, budget: Budget) -> Budget:
        """A saved budget is drawn on by its name: the form of the UI would save a copy of it, which
        would be a second ceiling."""
        if budget._block_document_id is None or budget._block_document_name is None:
            return budget
        return Budget(parent=budget._block_document_name)

    @classmethod
    def local(
        cls,
        name: str,
        *,
        max_usd: Money | None = None,
        max_total_tokens: int | None = None,
        window: Window = "total",
        limits: list[Limit] | None = None,
        queue_timeout_seconds: float | None = None,
    ) -> Self:
        """A governor for a script: neither a block nor a server, the ledger of this machine alone.

        Scripts that give the same name share the budget and the limits; the latest definition
        counts.

        Raises:
            ConfigurationError: no ceiling is given, or a value is not valid.
        """
        if max_usd is None and max_total_tokens is None:
            raise ConfigurationError("a governor needs a ceiling: give max_usd or max_total_tokens")
        budget = Budget(
            max_usd=None if max_usd is None else parse_usd(max_usd, name="max_usd"),
            max_total_tokens=max_total_tokens,
            window=window,
        )
        governor = cls(
            budget=budget, limits=limits or [], queue_timeout_seconds=queue_timeout_seconds
        )
        governor._local_name = name
        governor._local_version = f"{time.time_ns():020d}"
        return governor

    @property
    def runtime(self) -> Runtime:
        """The governor at work in this process, made when first asked for.

        Raises:
            ConfigurationError: it was neither saved nor loaded nor made by `local`.
            LedgerUnavailable: the ledger cannot be used.
        """
        from prefect_governor.blocks.registry import runtime_of

        return runtime_of(self)

    @contextmanager
    def activate(self, *, tags: tuple[str, ...] = (), user: str | None = None) -> Iterator[Scope]:
        """Govern the calls made inside, and in the tasks started there."""
        token = current_scope.set(Scope(self.runtime, tags=tags, user=user))
        try:
            scope = current_scope.get()
            assert scope is not None
            yield scope
        finally:
            current_scope.reset(token)

    def http_client(self, *, tags: tuple[str, ...] = ()) -> httpx.Client:
        """A client for any SDK on httpx, whose calls are governed wherever they are made:
        `OpenAI(http_client=governor.http_client(), max_retries=0)`.

        It has a pool of its own, and httpx's default timeouts, in place of which an SDK sets its
        own; time in the queue does not count against them. Leave retries to the governor. Its calls
        raise what `wire.exchange` raises, wrapped as the SDK wraps errors of its transport.

        Raises what `runtime` raises.
        """
        transport = GovernedTransport(blocking_pool(), self.runtime, tags=tags)
        return httpx.Client(transport=transport, follow_redirects=True)

    def async_http_client(self, *, tags: tuple[str, ...] = ()) -> httpx.AsyncClient:
        """`http_client` for asynchronous code."""
        transport = GovernedAsyncTransport(async_pool(), self.runtime, tags=tags)
        return httpx.AsyncClient(transport=transport, follow_redirects=True)

    def completion(
        self, model: str, messages: Sequence[Any], *, tags: tuple[str, ...] = (), **kwargs: Any
    ) -> Any:
        """`prefect_governor.completion` under this governor, whatever the context's is."""
        return completion_under(self.runtime, model, messages, tags=tags, **kwargs)

    async def acompletion(
        self, model: str, messages: Sequence[Any], *, tags: tuple[str, ...] = (), **kwargs: Any
    ) -> Any:
        """`prefect_governor.acompletion` under this governor, whatever the context's is."""
        return await acompletion_under(self.runtime, model, messages, tags=tags, **kwargs)

    def __enter__(self) -> Self:
        token = current_scope.set(Scope(self.runtime))
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


def resolve(governor: Governor | str) -> Governor:
    """A governor, or the one saved under a name.

    Raises:
        ConfigurationError: no such block, or its document does not validate.
    """
    if isinstance(governor, Governor):
        return governor
    from prefect_governor.blocks.registry import load_governor

    return load_governor(governor)


def governed(
    governor: Governor | str, *, tags: tuple[str, ...] = (), user: str | None = None
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate a function, sync or async, so that model calls made in it are governed.

    Goes under `@task` or `@flow`, works with any task runner, and loads nothing before the first
    call. `user` is a label for "who spent what".
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def governed_async(*args: P.args, **kwargs: P.kwargs) -> Any:
                with resolve(governor).activate(tags=tags, user=user):
                    return await function(*args, **kwargs)

            return governed_async  # type: ignore[return-value]

        @functools.wraps(function)
        def governed_sync(*args: P.args, **kwargs: P.kwargs) -> R:
            with resolve(governor).activate(tags=tags, user=user):
                return function(*args, **kwargs)

        return governed_sync

    return decorate
