"""A fan-out that is ready to run: what to ask, of which items, of which model, under what."""

import time
from collections.abc import Iterable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import chain
from pathlib import Path
from typing import Any

from prefect_governor.blocks.context.enforcement import why_off
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.machine.text import storable
from prefect_governor.blocks.model import choose
from prefect_governor.blocks.models.choice import ModelChoice
from prefect_governor.blocks.money.usd import Money, parse_usd, to_nano
from prefect_governor.blocks.records.budgets import Account
from prefect_governor.blocks.secrets.exits import scrubbed
from prefect_governor.blocks.terms.limit import MOST_COUNT, GovernedLimit, Limit
from prefect_governor.blocks.work.runtime import Runtime
from prefect_governor.blocks.workspaces.bounds import BOUNDS, WorkspaceBounds
from prefect_governor.flows.answers.shape import Shape, shape_of
from prefect_governor.flows.handfuls.sizes import AUTO, check_items_per_task
from prefect_governor.flows.items.intake import Feed
from prefect_governor.flows.items.item import Item
from prefect_governor.flows.items.keys import check_keys
from prefect_governor.flows.items.reading import AS_IT_IS, Reading, reading_of
from prefect_governor.flows.items.skipped import Skipped
from prefect_governor.flows.items.sources import Document, items_from, read_text
from prefect_governor.flows.items.stream import checked_sources
from prefect_governor.flows.items.trees import tree_digest
from prefect_governor.flows.report.model import check_min_success
from prefect_governor.flows.run.control import Control
from prefect_governor.flows.run.fill import Fill
from prefect_governor.flows.run.item_files import ItemFiles
from prefect_governor.flows.run.naming import hash_of, name_of
from prefect_governor.flows.tools.kit import Kit, ready_kit
from prefect_governor.flows.web.web import Web

# Without a ceiling from anybody there is one all the same.
DEFAULT_MAX_USD = Decimal(1)
# Calls at once where nobody said: what most providers' smallest plans bear.
DEFAULT_MAX_CONCURRENT = 20
# The tag of the sub-agents' task runs, for limits to name.
TAG = "llm"
# What may be taken though it did not end well: there are words in it, or may be.
ACCEPTABLE = ("cut", "filtered", "refused")
NO_ITEMS = "there are no items: give some, or sources to read them from"


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What a run is under: a model, and money and limits of its own beside a governor's."""

    model: ModelChoice
    governor: str | None = None
    max_usd: Decimal | None = None
    max_total_tokens: int | None = None
    limit: Limit | None = None
    min_success: float = 0.0
    # Kinds of endings whose answers are taken as they are, with a note.
    accept: frozenset[str] = frozenset()

    @property
    def ceiling_usd(self) -> Decimal | None:
        """The run's own ceiling: what was given, or $1.00 where no governor has one."""
        if self.max_usd is None and self.governor is None and self.max_total_tokens is None:
            return DEFAULT_MAX_USD
        return self.max_usd


@dataclass(frozen=True, kw_only=True)
class Request(Terms):
    """A fan-out that was asked for, checked: nothing is started or spent yet. `more` are items
    after those, that are read as the run gets to them. `kit` are the tools of its sub-agents,
    `reading` says how its files are read, `skipped` what its sources hold that is no item, `said`
    how their tables were read. `items_per_task` share a task run, None for as many as a run of this
    length has."""

    ask: str
    items: tuple[Item, ...]
    more: Iterable[Any] | None = None
    shape: Shape | None = None
    kit: Kit | None = None
    reading: Reading = AS_IT_IS
    skipped: tuple[Skipped, ...] = ()
    items_per_task: int | None = None
    said: tuple[str, ...] = ()

    @property
    def is_read_once(self) -> bool:
        """Whether `more` is gone when it is read: nobody can count it before, or go on with it."""
        return isinstance(self.more, Iterator)

    def every_item(self) -> Iterator[Item]:
        """The items that can be known before the run: all but those that are read once."""
        return chain(self.items, () if self.more is None or self.is_read_once else self.more)

    @property
    def whole_folders(self) -> bool:
        """Whether a folder is one item."""
        return self.kit is not None and self.kit.works_on_files

    @property
    def workspace_bounds(self) -> WorkspaceBounds:
        """What a folder may hold that is one item."""
        return BOUNDS if self.kit is None else self.kit.bounds


def run_limit(
    governor: str | None,
    *,
    max_concurrent: int | None,
    requests_per_minute: int | None,
    tokens_per_minute: int | None,
) -> Limit | None:
    """A run's own limit, None where it has none: without a governor there is a cap all the same."""
    if governor is not None and not any((max_concurrent, requests_per_minute, tokens_per_minute)):
        return None
    if governor is None and max_concurrent is None:
        max_concurrent = DEFAULT_MAX_CONCURRENT
    return Limit(
        max_concurrent=max_concurrent,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
    )


def check_accept(accept: Any) -> frozenset[str]:
    """The kinds of endings that are taken, from a name or several. Raises ConfigurationError."""
    given = (accept,) if isinstance(accept, str) else tuple(accept or ())
    unknown = [kind for kind in given if kind not in ACCEPTABLE]
    if unknown:
        raise ConfigurationError(
            f"accept takes {', '.join(ACCEPTABLE)}, not {', '.join(map(repr, unknown))}"
        )
    return frozenset(given)


def check_most_multiple(most: float | None, *, name: str = "max_cost_multiple") -> None:
    """Raises ConfigurationError for what is no multiple."""
    if most is not None and not 0 < most < float("inf"):
        raise ConfigurationError(f"{name} must be a number above 0, not {most:g}")


def check_numbers(*, timeout_seconds: float | None, **counts: int | None) -> None:
    """Whole numbers of at least 1, and a time. Raises ConfigurationError by name."""
    for name, value in counts.items():
        if value is not None and (isinstance(value, bool) or not 1 <= value <= MOST_COUNT):
            most = f"at least 1 and at most {MOST_COUNT:,}"
            raise ConfigurationError(f"{name} must be a whole number of {most}, not {value!r}")
    if timeout_seconds is not None and not 0 < timeout_seconds < float("inf"):
        raise ConfigurationError(f"timeout_seconds must be more than 0, not {timeout_seconds!r}")


def make_request(
    items: Any = None,
    *,
    ask: str,
    sources: list[str] | None = None,
    folder: str | None = None,
    schema: Any = None,
    governor: str | None = None,
    model: str = "auto",
    max_usd: Money | None = None,
    max_total_tokens: int | None = None,
    max_output_tokens: int | None = None,
    max_concurrent: int | None = None,
    requests_per_minute: int | None = None,
    tokens_per_minute: int | None = None,
    timeout_seconds: float | None = None,
    min_success: float = 0.0,
    items_per_task: Any = AUTO,
    accept: Any = (),
    tools: Sequence[Any] | None = None,
    sandbox: str | None = None,
    allow_hosts: Sequence[str] = (),
    deny_hosts: Sequence[str] = (),
    search: str = "auto",
    search_usd: Money | None = None,
    mcp: Any = None,
    reading: Any = None,
) -> Request:
    """Check everything that can be checked before anything starts. See `fan_out`.

    Raises ConfigurationError.
    """
    if not ask or not ask.strip():
        raise ConfigurationError("ask is empty: say what each sub-agent is to answer")
    check_numbers(
        max_total_tokens=max_total_tokens,
        max_output_tokens=max_output_tokens,
        max_concurrent=max_concurrent,
        requests_per_minute=requests_per_minute,
        tokens_per_minute=tokens_per_minute,
        timeout_seconds=timeout_seconds,
    )
    base = Path(folder) if folder else Path.cwd()
    kit = ready_kit(
        tools,
        sandbox=sandbox,
        mcp=mcp,
        folder=base,
        allow_hosts=allow_hosts,
        deny_hosts=deny_hosts,
        search=search,
        search_usd=search_usd,
    )
    whole = kit is not None and kit.works_on_files
    more: Iterable[Any] | None = items if isinstance(items, Iterator) else None
    how = reading_of(reading)
    given: list[Item] = []
    skipped: list[Skipped] = []
    said: list[str] = []
    if items is not None and more is None:
        given = items_from(items, whole_folders=whole, skipped=skipped, reading=how, said=said)
    if sources:
        found = checked_sources(
            sources, cwd=base, whole_folders=whole, skipped=skipped, reading=how, said=said
        )
        if isinstance(found, list):
            given += found
        else:
            if given:
                check_keys(item.key for item in chain(given, found))
            more = found if more is None else chain(found, more)
    if not given and more is None:
        raise ConfigurationError(NO_ITEMS)
    check_keys(item.key for item in given)
    return Request(
        ask=scrubbed(storable(ask.strip())),
        items=tuple(given),
        more=more,
        model=choose(
            model,
            max_output_tokens=max_output_tokens,
            timeout_seconds=timeout_seconds,
            governor=governor,
        ),
        shape=shape_of(schema),
        governor=governor,
        max_usd=None if max_usd is None else parse_usd(max_usd, name="max_usd"),
        max_total_tokens=max_total_tokens,
        limit=run_limit(
            governor,
            max_concurrent=max_concurrent,
            requests_per_minute=requests_per_minute,
            tokens_per_minute=tokens_per_minute,
        ),
        min_success=check_min_success(min_success),
        accept=check_accept(accept),
        kit=kit,
        reading=how,
        skipped=tuple(skipped),
        items_per_task=check_items_per_task(items_per_task),
        said=tuple(said),
    )


@dataclass
class Job:
    """A request at work in one flow run.

    `kept_as` names the run in the ledger, where it outlives a flow run. `items` are those that are
    known so far, `intake` reads what else there is. `attempts`, `began`
    (monotonic seconds), `waited` (seconds in the queue), `notes` and `endings` (how an answer
    ended that was taken though it did not end well) are by item, and so are `files`, what their
    workspaces held, and `read`, what there is to say of how they were read. `prompts` names what
    the question is asked with.
    `web` is the web as this run reaches it, None where it does not.
    """

    request: Request
    run_id: str
    kept_as: str
    runtime: Runtime
    control: Control
    files: ItemFiles
    attempts: dict[str, int] = field(default_factory=dict)
    began: dict[str, float] = field(default_factory=dict)
    waited: dict[str, float] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    endings: dict[str, str] = field(default_factory=dict)
    read: dict[str, tuple[str, ...]] = field(default_factory=dict)
    prompts: str = ""
    # Calls that a cheaper model answered, because money ran low.
    fell_back: int = 0
    items: list[Item] = field(default_factory=list)
    intake: Feed | None = None
    fill: Fill = field(default_factory=lambda: Fill(0))
    web: Web | None = None

    def __post_init__(self) -> None:
        self.items.extend(self.request.items)

    @property
    def total(self) -> int:
        """How many items are known."""
        return len(self.items)

    @property
    def models(self) -> tuple[str, ...]:
        return self.request.model.names

    def take(self, intake: Feed, most: int) -> range:
        """Know up to `most` items more, those that have come; their positions."""
        first = len(self.items)
        self.items.extend(intake.take(most))
        return range(first, len(self.items))

    def forget(self, position: int) -> None:
        """An item has its outcome: of one that came by itself nothing but its key is needed."""
        for by in (self.attempts, self.began, self.waited, self.notes, self.endings, self.read):
            by.pop(self.items[position].key, None)
        if self.intake is not None:
            self.items[position] = Item(key=self.items[position].key)

    @property
    def skipped(self) -> list[Skipped]:
        """What the sources hold that is no item, as far as they are read."""
        return [*self.request.skipped, *(self.intake.skipped if self.intake else ())]

    @property
    def said(self) -> list[str]:
        """How their tables were read."""
        return [*self.request.said, *(self.intake.said if self.intake else ())]

    @property
    def left_out(self) -> int:
        """How many those are."""
        return len(self.request.skipped) + (len(self.intake.skipped) if self.intake else 0)

    def document(self, item: Item) -> Document:
        """An item's text; what is to be said of how it was read is noted. Raises ItemFailed."""
        request = self.request
        document = read_text(item, bounds=request.workspace_bounds, reading=request.reading)
        if document.notes:
            self.read[item.key] = document.notes
        return document

    def input_hash(self, item: Item, text: str) -> str:
        """Names all that an item's answer depends on: what is asked, a slash, and of whom: the
        model, where it is reached and how long its answer may be. Of a folder all is read; raises
        ItemFailed where it cannot be."""
        request = self.request
        schema = request.shape.schema if request.shape else None
        asked: list[Any] = [item.key, text, request.ask, schema, self.prompts]
        if request.kit is not None:
            asked.append(request.kit.answered_from)
        if item.folder is not None:
            asked.append(tree_digest(Path(item.folder), request.workspace_bounds))
        return name_of(hash_of(*asked), request.model)


current_job: ContextVar[Job | None] = ContextVar("prefect_governor_job", default=None)


def runtime_for(request: Terms, run_id: str, *, more: tuple[Limit, ...] = ()) -> Runtime:
    """The governor that a run is under: the one that was named, narrowed by what was asked for
    this run alone, or one of the run's own. `more` are limits of tools, each for where the governor
    has none of its tag.

    Raises ConfigurationError, LedgerUnavailable.
    """
    from prefect_governor.blocks.governor import resolve
    from prefect_governor.blocks.work.ledgers import desk

    if request.governor is not None:
        base = resolve(request.governor).runtime
    else:
        off = why_off("enforce", governor="fan-out")
        base = Runtime(
            name="fan-out",
            desk=desk(),
            accounts_=(),
            limits_=(),
            off=off,
            observe=off is not None,
        )
    key = f"run/{run_id}"
    ceiling = request.ceiling_usd
    account = None
    if ceiling is not None or request.max_total_tokens is not None:
        account = Account(
            key=key,
            name="this run",
            ceiling_nano=None if ceiling is None else to_nano(ceiling, name="max_usd"),
            ceiling_tokens=request.max_total_tokens,
            # A run that is gone on with may have another ceiling than it had; the latest counts.
            version=f"{time.time_ns():020d}",
        )
    theirs = {each.limit.tag for each in base.limits_}
    own = [] if request.limit is None else [request.limit]
    own += [limit for limit in more if limit.tag not in theirs]
    limits = tuple(GovernedLimit(each, f"{key}/{each.name}", False) for each in own)
    runtime = base.narrowed(account=account, limits=limits, prices=request.model.prices)
    runtime.apply()
    return runtime
