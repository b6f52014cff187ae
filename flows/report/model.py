"""The report: what became of every item, of the money, of the limits. Pure values, no I/O.

Money is `Decimal` in USD inside and a JSON number in `Report.to_json()`, the only place where a
float appears.
"""

import math
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal
from platform import node
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer
from pydantic_core import to_jsonable_python

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.limits.derived import AT_ONCE
from prefect_governor.blocks.secrets.exits import scrubbed, scrubbed_value
from prefect_governor.flows.items.skipped import Skipped
from prefect_governor.flows.report.shown.spending import spending

ItemState = Literal["succeeded", "failed", "over_budget", "not_started", "skipped"]
Outcome = Literal["complete", "partial", "failed"]

ITEM_STATES: tuple[ItemState, ...] = (
    "succeeded",
    "failed",
    "over_budget",
    "not_started",
    "skipped",
)
EXIT_STATUS: dict[Outcome, int] = {"complete": 0, "partial": 3, "failed": 1}
_NO_JSON = "[a result that JSON cannot hold]"


def json_value(value: Any) -> Any:
    """`value` as JSON can hold it: models become objects, what JSON lacks (NaN, an unknown class)
    becomes null or text."""
    try:
        # Before bytes become base64, and after objects become texts.
        plain = to_jsonable_python(scrubbed_value(value), fallback=str, bytes_mode="base64")
        return scrubbed_value(_finite(plain))
    except ValueError:
        # It holds itself, or a model whose own serializer fails; the report stands all the same.
        return _NO_JSON


def _without_secrets(value: Any) -> Any:
    try:
        return scrubbed_value(value)
    except ValueError:
        return _NO_JSON


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _finite(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_finite(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


Usd = Annotated[Decimal, PlainSerializer(float, return_type=float, when_used="json")]
Result = Annotated[
    Any, BeforeValidator(_without_secrets), PlainSerializer(json_value, when_used="json")
]
# A report goes to files, artifacts and states: what it says holds no secret.
Words = Annotated[str, AfterValidator(scrubbed)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", from_attributes=True)


class Tokens(_Part):
    """Tokens billed.

    Attributes:
        input: cached ones too.
        output: reasoning too.
    """

    input: int = 0
    output: int = 0


class ItemFile(_Part):
    """A file that an item left.

    Attributes:
        name: relative to the folder of the results file, with slashes.
        bytes: its size.
        sha256: of what is in it, in hexadecimal.
    """

    name: Words
    bytes: int
    sha256: str


class ItemReport(_Part):
    """What became of one item.

    Attributes:
        key: the item's own.
        state: what became of it.
        reason: one line that a person can act on, None where there is nothing to say.
        notes: what a person should know of how the item was read, a line each.
        result: its answer, None where there is none.
        usd: what its calls were billed, in US dollars.
        tokens: what they were billed in tokens.
        calls: requests that were billed, or whose bill nobody knows.
        attempts: how often it was begun; 0 for what never started.
        seconds: how long it ran, None where nobody knows.
        files: what it left in its workspace, in order of names.
    """

    key: Words
    state: ItemState
    reason: Words | None = None
    notes: tuple[Words, ...] = ()
    result: Result = None
    usd: Usd = Decimal(0)
    tokens: Tokens = Tokens()
    calls: int = 0
    attempts: int = 0
    seconds: float | None = None
    files: tuple[ItemFile, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The item as `--json` has it, and as a line of `--out`: `notes` and `files` only where
        there are any."""
        empty = {name for name in ("notes", "files") if not getattr(self, name)}
        return self.model_dump(mode="json", exclude=empty)


class BudgetReport(_Part):
    """The figures, in US dollars, of the nearest budget that a run drew on, in its current window.

    Attributes:
        ceiling_usd: None where there is none in US dollars.
        spent_usd: billed.
        unconfirmed_usd: the bounds of calls whose outcome nobody knows.
        reserved_usd: the bounds of calls in flight.
        name: the budget's or governor's name, to raise it by; None without a governor.
        window: the window's label, such as "2026-11-24"; None without a governor.
        run_usd: what of it this run spent, what is unconfirmed included; None where nobody knows.
        statement: the key of its governor's page of money, an artifact; None where there is none.
    """

    ceiling_usd: Usd | None = None
    spent_usd: Usd = Decimal(0)
    unconfirmed_usd: Usd = Decimal(0)
    reserved_usd: Usd = Decimal(0)
    name: str | None = None
    window: str | None = None
    run_usd: Usd | None = None
    statement: str | None = None


class LimitsReport(_Part):
    """What held throughput back, and what was in flight.

    Attributes:
        bottleneck: what calls waited for longest, None where none waited.
        cap: the fewest calls at once that a limit allowed, None without such a limit.
        max_in_flight: the most calls in flight at once, in this process.
        throttled: how often the provider answered with a 429.
    """

    bottleneck: str | None = None
    cap: int | None = None
    max_in_flight: int = 0
    throttled: int = 0


class Advice(_Part):
    """A command that goes on with a run.

    Attributes:
        what: it does, as "to go on".
        command: as a person types it.
        price: what is paid for, and about how much that is.
    """

    what: str
    command: str
    price: str

    def __str__(self) -> str:
        return f"{self.what}: {self.command}  ({self.price})"


class Report(_Part):
    """The typed result of a run.

    Attributes:
        run_id: the flow run's id.
        outcome: complete where every item succeeded, failed where none did or less than the share
            that must, else partial; a run that a person stopped is never failed.
        reason: why it is not complete, in one line; None where it is.
        cost_multiple: of one agent that reads all of it in one go; None where it is not known.
        items: in input order.
        skipped: what the sources hold that is no item, by name, with the reason.
        budget: the money.
        limits: what held it back.
        notes: what else a person should know, a line each.
        files: where the whole of it is kept.
        resumable: the same run, taken up again, pays only for what is missing.
        picture: the SVG file that shows the run over time, if it was watched.
        advice: the commands that go on with a run of `fan_out` or `research` that is not complete.
        host: the name of the machine that the files are on.
    """

    run_id: str
    outcome: Outcome
    reason: Words | None = None
    cost_multiple: float | None = None
    items: list[ItemReport] = Field(default_factory=list)
    skipped: list[Skipped] = Field(default_factory=list)
    budget: BudgetReport = BudgetReport()
    limits: LimitsReport = LimitsReport()
    notes: list[Words] = Field(default_factory=list)
    files: list[str] = Field(default_factory=list)
    resumable: bool = False
    picture: str | None = None
    advice: list[Advice] = Field(default_factory=list)
    host: Words = Field(default_factory=node)

    def to_json(self) -> dict[str, Any]:
        """The object that `--json` prints. `skipped` and `notes` are in it only where there are
        any; the line of what each limit lets be at once is for people alone."""
        data: dict[str, Any] = {
            "run_id": self.run_id,
            "outcome": self.outcome,
            "reason": self.reason,
            "cost_multiple": _finite(self.cost_multiple),
            "items": [item.to_json() for item in self.items],
            **({"skipped": [each.model_dump() for each in self.skipped]} if self.skipped else {}),
            "budget": self.budget.model_dump(
                mode="json", exclude={"name", "window", "run_usd", "statement"}
            ),
            "limits": self.limits.model_dump(mode="json"),
        }
        if notes := [each for each in self.notes if AT_ONCE not in each]:
            data["notes"] = notes
        return data

    @property
    def exit_status(self) -> int:
        """0 complete, 3 partial, 1 failed."""
        return EXIT_STATUS[self.outcome]

    @property
    def run_usd(self) -> Decimal:
        """What the run cost, in US dollars: all of its calls where that is known, else those of its
        items."""
        known = self.budget.run_usd
        return sum((item.usd for item in self.items), Decimal(0)) if known is None else known

    def spending(self) -> str:
        """What it cost, beside what its budget has spent of the ceiling, on one line."""
        budget = self.budget
        return spending(
            self.run_usd,
            budget.spent_usd + budget.unconfirmed_usd,
            budget.ceiling_usd,
            name=budget.name,
            window=budget.window,
        )

    def questions(self) -> dict[str, str]:
        """What was asked, by item, where an item's key does not say it."""
        return {}

    def counts(self) -> dict[ItemState, int]:
        """How many items are in each state, in a fixed order, zeros included."""
        found = Counter(item.state for item in self.items)
        return {state: found[state] for state in ITEM_STATES}


def check_min_success(min_success: float) -> float:
    """The share of items that must succeed. Raises ConfigurationError outside 0 to 1."""
    if isinstance(min_success, bool) or not 0.0 <= min_success <= 1.0:
        raise ConfigurationError(
            f"min_success is a share from 0 to 1 (0.9 is nine of ten), not {min_success!r}"
        )
    return float(min_success)


def outcome_of(
    states: Sequence[ItemState], *, min_success: float = 0.0, stopped: bool = False
) -> Outcome:
    """What a run came to: `complete` when every item succeeded, `failed` when none did or less
    than the share `min_success` did, else `partial`.

    A run over no items is `complete`: nothing was asked and nothing is missing. A run that was
    told to stop (`stopped`) is never `failed`: its rest was not tried.
    """
    check_min_success(min_success)
    succeeded = sum(state == "succeeded" for state in states)
    if succeeded == len(states):
        return "complete"
    if stopped:
        return "partial"
    if succeeded == 0 or succeeded / len(states) < min_success:
        return "failed"
    return "partial"


def tally(items: Sequence[ItemReport]) -> str:
    """One line of counts: "8 of 10 items succeeded, 1 failed, 1 over budget"."""
    if not items:
        return "there were no items"
    found = Counter(item.state for item in items)
    parts = [f"{found['succeeded']} of {len(items)} items succeeded"]
    parts += [
        f"{found[state]} {state.replace('_', ' ')}" for state in ITEM_STATES[1:] if found[state]
    ]
    return ", ".join(parts)
