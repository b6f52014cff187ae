"""A limit of a governor, as people write it."""

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from typing_extensions import Self

from prefect_governor.blocks.records.limits import LimitRecord, Rate
from prefect_governor.blocks.terms.form import UnseenParts, empty_is_none, plain

# The most of anything that is counted: sums and products of it stay far within what SQLite and
# PostgreSQL hold, 63 bits.
MOST_COUNT = 10**12
Count = Annotated[int, Field(ge=1, le=MOST_COUNT)]

# Field of the model, what the ledger meters, the window in seconds.
_RATES = (
    ("requests_per_second", "requests", 1),
    ("requests_per_minute", "requests", 60),
    ("tokens_per_minute", "tokens", 60),
    ("input_tokens_per_minute", "input_tokens", 60),
    ("output_tokens_per_minute", "output_tokens", 60),
    ("requests_per_day", "requests", 86_400),
    ("tokens_per_day", "tokens", 86_400),
)


class Limit(BaseModel):
    """How much at once, and how fast, for the calls that a tag or a model pattern selects.

    Several limits may apply to one call: it needs room under all of them. Without `tag` and
    `model` a limit applies to every call of the governor.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tag: str | None = Field(
        default=None,
        title="Tag",
        description="Calls made in task runs (or clients) with this tag. Empty: whatever the tags.",
        pattern=r"^[^/%&<>]+$",
        json_schema_extra=plain,
    )
    model: str | None = Field(
        default=None,
        title="Model pattern",
        description=(
            "Calls of models that match, such as 'anthropic/*' or 'gpt-4o-mini'. Empty: every"
            " model. Azure's deployments are OpenAI's models too: 'openai/*' holds them."
        ),
        json_schema_extra=plain,
    )
    max_concurrent: Count | None = Field(
        default=None,
        title="Max concurrent",
        description=(
            "Calls in flight at once, over all processes. Stands as a Prefect global concurrency"
            " limit that you can watch and lower. Empty: no cap."
        ),
        json_schema_extra=plain,
    )
    requests_per_second: Count | None = Field(
        default=None,
        title="Requests per second",
        description="In any second, over all processes, for a provider that counts by the second.",
        json_schema_extra=plain,
    )
    requests_per_minute: Count | None = Field(
        default=None,
        title="Requests per minute",
        description="In any 60 seconds, over all processes.",
        json_schema_extra=plain,
    )
    tokens_per_minute: Count | None = Field(
        default=None,
        title="Tokens per minute",
        description="Input and output together.",
        json_schema_extra=plain,
    )
    input_tokens_per_minute: Count | None = Field(
        default=None,
        title="Input tokens per minute",
        description="Where the provider counts input by itself.",
        json_schema_extra=plain,
    )
    output_tokens_per_minute: Count | None = Field(
        default=None,
        title="Output tokens per minute",
        description="Where the provider counts output by itself.",
        json_schema_extra=plain,
    )
    requests_per_day: Count | None = Field(
        default=None,
        title="Requests per day",
        description="In any 24 hours.",
        json_schema_extra=plain,
    )
    tokens_per_day: Count | None = Field(
        default=None,
        title="Tokens per day",
        description="In any 24 hours, input and output together.",
        json_schema_extra=plain,
    )
    counts: Literal["calls", "tasks"] = Field(
        default="calls",
        title="Counts",
        description=(
            "'calls' counts model calls in flight; 'tasks' counts whole task runs at work, for"
            " downstream systems and CPU-bound work: model calls made in them do not count."
        ),
    )
    memory_mib: Count | None = Field(
        default=None,
        title="Memory per item",
        description=(
            "What one item holds while it is under way, in MiB: as many are at once as fit into the"
            " memory of the machine or container. Empty: found out as they run."
        ),
        json_schema_extra=plain,
    )
    share_with: str | None = Field(
        default=None,
        title="Share with",
        description=(
            "Name of an existing Prefect global concurrency limit to take the slots of, instead"
            " of one made for this limit."
        ),
        pattern=r"^[^/%&<>]+$",
        json_schema_extra=plain,
    )
    reserve_for_others: int = Field(
        default=0,
        ge=0,
        le=MOST_COUNT,
        title="Reserve for others",
        description=(
            "Slots of Prefect's global concurrency limit that are never taken here, so that flows"
            " which know nothing of this governor find them free. 0: they wait until fewer calls"
            " are made here."
        ),
    )

    unseen: UnseenParts = "refuse"

    _empty = field_validator("model", mode="before")(empty_is_none)

    @field_validator("tag", "share_with")
    @classmethod
    def _not_blank(cls, name: str | None) -> str | None:
        if name is not None and not name.strip():
            raise ValueError("a name of spaces is nobody's: leave it out, or say which")
        return name

    @model_validator(mode="after")
    def _of_prefect(self) -> Self:
        if self.max_concurrent is None:
            given = [name for name in ("share_with", "reserve_for_others") if getattr(self, name)]
            if given:
                raise ValueError(
                    f"{', '.join(given)}: a limit takes Prefect's slots only with max_concurrent,"
                    " the most that it may take at once"
                )
        elif self.share_with is None and self.reserve_for_others >= self.max_concurrent:
            raise ValueError(
                f"reserve_for_others={self.reserve_for_others} leaves none of the"
                f" {self.max_concurrent} slots"
            )
        return self

    @model_validator(mode="after")
    def _of_tasks(self) -> Self:
        if self.counts == "calls":
            return self
        of_calls = [name for name, meter, _ in _RATES if meter != "requests"]
        given = [name for name in ("model", *of_calls) if getattr(self, name) is not None]
        given += ["unseen"] if self.unseen != "refuse" else []
        if given:
            raise ValueError(
                f"{', '.join(given)}: a limit that counts tasks knows neither models nor tokens;"
                " make it a limit of its own that counts calls"
            )
        return self

    @property
    def name(self) -> str:
        """What people call it: its tag, its model pattern, or "all"."""
        return " ".join(part for part in (self.tag, self.model) if part) or "all"

    @property
    def is_of_all(self) -> bool:
        """Whether it is on all model calls of the governor."""
        return self.counts == "calls" and self.tag is None and self.model is None

    def applies_to(self, *, tags: tuple[str, ...], model: str, also: tuple[str, ...] = ()) -> bool:
        """Whether a call counts under this limit. `model` as LiteLLM has it, `provider/name`;
        `also` is what it is called beside that, `openai/gpt-4o` for a deployment of Azure's."""
        if self.counts != "calls":
            return False
        if self.tag is not None and self.tag not in tags:
            return False
        return self.model is None or any(_matches(self.model, each) for each in (model, *also))

    def applies_to_task(self, tags: tuple[str, ...]) -> bool:
        """Whether a task run with these tags counts under this limit."""
        return self.counts == "tasks" and (self.tag is None or self.tag in tags)

    def terms(self, key: str, *, leased: bool) -> LimitRecord:
        """The limit as the ledger has it."""
        rates = tuple(
            Rate(meter, amount, seconds)  # type: ignore[arg-type]
            for name, meter, seconds in _RATES
            if (amount := getattr(self, name)) is not None
        )
        leased = leased and self.max_concurrent is not None
        return LimitRecord(key, self.name, self.max_concurrent, rates, leased)


@dataclass(frozen=True, slots=True)
class GovernedLimit:
    """A limit with the key that the ledger knows it by."""

    limit: Limit
    key: str
    leased: bool
    rate_parts: int = 1

    @property
    def terms(self) -> LimitRecord:
        """As the ledger has it: of each rate, one of `rate_parts` equal parts."""
        terms = self.limit.terms(self.key, leased=self.leased)
        rates = (replace(each, amount=each.amount // self.rate_parts) for each in terms.rates)
        return replace(terms, rates=tuple(rates))

    def stands_for(self, model: str) -> bool:
        """Whether it is a limit on models, and on this one by its own name."""
        return self.limit.model is not None and _matches(self.limit.model, model)


def _matches(pattern: str, model: str) -> bool:
    """`model` as LiteLLM has it, `provider/name`."""
    bare = model.split("/", 1)[-1]
    return fnmatchcase(model, pattern) or fnmatchcase(bare, pattern)
