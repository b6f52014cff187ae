"""The Governor block: one budget and a list of limits, for all code that runs under it."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, ClassVar, ParamSpec, TypeVar

from prefect.blocks.core import Block
from pydantic import (
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from typing_extensions import Self

from prefect_governor.blocks.budget import Budget
from prefect_governor.blocks.claims.callables import governed_callable
from prefect_governor.blocks.claims.calls import Calls
from prefect_governor.blocks.claims.clients import Clients
from prefect_governor.blocks.claims.holds import Holds
from prefect_governor.blocks.context.scope import Entered, Scope, scope
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.machine.text import label
from prefect_governor.blocks.money.usd import Money, parse_usd
from prefect_governor.blocks.money.windows import Window
from prefect_governor.blocks.prefect_internals.block_documents import saved_id, saved_name
from prefect_governor.blocks.prefect_internals.block_schemas import without_references
from prefect_governor.blocks.records.accepted import Unseen, accepted
from prefect_governor.blocks.records.budgets import PREFECT_API
from prefect_governor.blocks.records.output import output_terms
from prefect_governor.blocks.terms.document import DOCUMENTATION_URL, TOLD_WHERE_WRONG
from prefect_governor.blocks.terms.form import section
from prefect_governor.blocks.terms.governor import Bypass, GovernorTerms, Mode, WhenSpent
from prefect_governor.blocks.terms.limit import Limit
from prefect_governor.blocks.terms.price import PricesGiven, parse_prices
from prefect_governor.blocks.work.registry import loaded, local_runtime, saved_runtime
from prefect_governor.blocks.work.runtime import Runtime

P = ParamSpec("P")
R = TypeVar("R")


class Governor(GovernorTerms, Block, Calls, Clients, Holds, Entered):
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

    _block_type_name = GovernorTerms.block_type_name
    _block_type_slug = GovernorTerms.block_type_slug
    _documentation_url = DOCUMENTATION_URL
    _description: ClassVar[str] = (
        "The budget and the limits that model calls run under, in every process."
        f" {TOLD_WHERE_WRONG}"
    )
    # The UI offers it to be pasted, with the block's name in place of BLOCK_NAME.
    _code_example: ClassVar[str] = """\
        ```python
        from prefect_governor import Governor

        governor = Governor.load("BLOCK_NAME")
        with governor:
            ...  # Model calls in here are governed, whichever client makes them.
        ```
    """

    # A reference to a Budget block would have the form save a copy, which were a second ceiling.
    # No message of a value that is not valid may show the secret in ledger_url.
    model_config: ClassVar[ConfigDict] = ConfigDict(
        json_schema_extra=without_references, hide_input_in_errors=True
    )

    budget: Annotated[Budget, WithJsonSchema(section(Budget))] = Field(
        title="Budget", description="What all calls may cost together."
    )

    # The name and the version of a governor of this machine alone: whoever defines one last is
    # right, by the machine's clock.
    _local_name: str | None = PrivateAttr(default=None)
    _local_version: str = PrivateAttr(default="")

    @field_validator("budget")
    @classmethod
    def _by_name(cls, budget: Budget) -> Budget:
        """A saved budget is drawn on by its name: the form of the UI would save a copy of it, which
        would be a second ceiling. Any other is this governor's own from here on."""
        name = saved_name(budget)
        if name is None or saved_id(budget) is None:
            return budget.model_copy()
        return Budget(parent=name)

    @model_validator(mode="after")
    def _bind_budget(self) -> Self:
        self.budget.bind(self)
        return self

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
        mode: Mode = "enforce",
        when_spent: WhenSpent = "stop",
        pause_timeout_seconds: float = 3600.0,
        fallback_share: float = 0.8,
        bypass: Bypass = "refuse",
        prices: PricesGiven | None = None,
        max_output_tokens: int | None = None,
        output_ceiling: bool = False,
        allow_fields: Sequence[str] = (),
        unseen: Unseen = "refuse",
        ledger_url: str | None = None,
    ) -> Self:
        """A governor for a script: neither a block nor a server, the ledger of this machine alone
        (or the one at `ledger_url`). Its events are told to nobody.

        Scripts that give the same name share the budget and the limits; the latest definition
        counts.

        Args:
            name: what it is called; on the command line `local/NAME`.
            max_usd: the ceiling in US dollars.
            max_total_tokens: the ceiling in tokens, input and output together.
            window: what the ceiling is counted over.
            limits: how many calls at once and how fast. Default: none.
            queue_timeout_seconds: how long a call may wait. Default: as long as it takes.
            mode: "observe" records every call and holds none back.
            when_spent: what a call does that the budget cannot pay for.
            pause_timeout_seconds: how long a call waits for a raise where that is "pause".
            fallback_share: the spent share (0 to 1) from which on "fallback" asks cheaper models.
            bypass: what becomes of a model call that is made under it by a client that is not the
                governor's. It is governed; where it cannot be, "refuse" refuses it and "warn" lets
                it go and says so. "allow" looks at none.
            prices: what models cost where LiteLLM's price map does not know it or is wrong, by name
                or pattern: `{"openai/mine": {"input_usd_per_million_tokens": 0.2,
                "output_usd_per_million_tokens": 0.8}}`. The word "free" in place of a price says
                that it costs nothing; in place of all of them, that whatever this machine and its
                network serve does.
            max_output_tokens: how long an answer may be, for requests that set no limit. Default:
                the model's own limit.
            output_ceiling: hold requests that ask for more to it as well.
            allow_fields, unseen: what is accepted of all calls; as `http_client` has them.
            ledger_url: a PostgreSQL that all machines reach. Default: this machine's ledger.

        Raises:
            ConfigurationError: no ceiling is given, or a value is not valid.
        """
        name = label(name, "name")
        if ledger_url == PREFECT_API:
            raise ConfigurationError(
                f"ledger_url={PREFECT_API!r} is for saved governors: what is drawn on Prefect's API"
                " is a saved block's budget. Leave it out, or give a PostgreSQL"
            )
        if max_usd is None and max_total_tokens is None:
            raise ConfigurationError("a governor needs a ceiling: give max_usd or max_total_tokens")
        parse_prices(prices)
        output_terms(max_output_tokens, output_ceiling)
        budget = Budget(
            max_usd=None if max_usd is None else parse_usd(max_usd, name="max_usd"),
            max_total_tokens=max_total_tokens,
            window=window,
        )
        governor = cls(
            budget=budget,
            limits=limits or [],
            queue_timeout_seconds=queue_timeout_seconds,
            mode=mode,
            when_spent=when_spent,
            pause_timeout_seconds=pause_timeout_seconds,
            fallback_share=fallback_share,
            bypass=bypass,
            prices=prices or {},  # type: ignore[arg-type]  # as its validator takes them
            max_output_tokens=max_output_tokens,
            output_ceiling=output_ceiling,
            allow_fields=sorted(accepted(allow_fields, unseen).fields),
            unseen=unseen,
            ledger_url=None if ledger_url is None else SecretStr(ledger_url),
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
        if self._local_name is not None:
            return local_runtime(self, self._local_name, self._local_version)
        document_id = saved_id(self)
        if document_id is None:
            raise ConfigurationError(
                "this Governor was never saved: save it with .save(name), load one with"
                " Governor.load(name), or use Governor.local(name, max_usd=…) in a script"
            )
        return saved_runtime(document_id)

    @contextmanager
    def activate(
        self,
        *,
        tags: tuple[str, ...] = (),
        user: str | None = None,
        priority: int = 0,
        own_purse: bool = False,
    ) -> Iterator[Scope]:
        """Govern the calls made inside, and in the tasks started there: `with governor:` with more
        to say.

        Args:
            tags: are added to those of the calls; they choose the limits.
            user: a label for "who spent what".
            priority: of the calls that wait, those with a higher one go first, as long as there
                are any, in all processes.
            own_purse: of a budget with `window="run"`, each flow run has the whole of it here.
                Default: subflows draw on the purse of the root run that they are part of.

        Raises:
            ConfigurationError: a label is no text (a UUID object: give `str(…)`). Of a text, what
                no ledger can hold (half a character, U+0000) is replaced by U+FFFD.
        """
        here = Scope(self.runtime, tags=tags, user=user, priority=priority, own_purse=own_purse)
        with scope(here) as entered:
            yield entered

    def _scope(self) -> Scope:
        return Scope(self.runtime)


def load_governor(name: str) -> Governor:
    """The governor saved under a name; read once in a process, then kept fresh by its keeper.

    Raises ConfigurationError.
    """
    return loaded(Governor, name)


def resolve(governor: Governor | str) -> Governor:
    """A governor, or the one saved under a name.

    Raises:
        ConfigurationError: no such block, or its document does not validate.
    """
    return governor if isinstance(governor, Governor) else load_governor(governor)


def governed(
    governor: Governor | str,
    *,
    tags: tuple[str, ...] = (),
    user: str | None = None,
    own_purse: bool = False,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Decorate whatever can be called so that model calls made in it are governed: functions and
    methods, sync and async, generators of both kinds, class methods, partials, objects with a
    `__call__`. `inspect` sees it as what it was.

    Goes under `@task` or `@flow`, works with any task runner, and loads nothing before the first
    call. Where a limit of the governor counts tasks, the function is one for it, a generator from
    one `yield` to the next. Code that iterates over a generator is not governed by it.

    Args:
        governor: a `Governor`, or the name of a saved one.
        tags: are added to those of the calls; they choose the limits.
        user: a label for "who spent what".
        own_purse: as `Governor.activate` has it.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        def make_scope() -> Scope:
            return Scope(resolve(governor).runtime, tags=tags, user=user, own_purse=own_purse)

        decorated: Callable[P, R] = governed_callable(function, make_scope)
        return decorated

    return decorate
