"""What a test may set. Every field is documented in `tests/provider/__init__.py`."""

from typing import Any, Literal, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    model_validator,
)

from tests.provider.books.bill import DEFAULT_PRICES, Price, Usd

FaultKind = Literal[
    "error_429",
    "error_500",
    "error_500_billed",
    "disconnect_before_billing",
    "disconnect_after_billing",
    "hang",
    "hang_billed",
    "malformed_json",
    "cut_stream",
    "drop_stream",
    "no_usage",
]
Seconds = NonNegativeFloat | tuple[NonNegativeFloat, NonNegativeFloat]
Rate = float


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Limits(_Model):
    """What the provider enforces for the models that `model` (a glob) matches."""

    model: str = "*"
    max_concurrent: PositiveInt | None = None
    requests_per_second: PositiveInt | None = None
    requests_per_minute: PositiveInt | None = None
    tokens_per_minute: PositiveInt | None = None
    input_tokens_per_minute: PositiveInt | None = None
    output_tokens_per_minute: PositiveInt | None = None
    kind: Literal["fixed", "sliding", "bucket"] = "fixed"
    window_seconds: float = Field(default=60, gt=0)
    burst: PositiveInt | None = None
    count_tokens: Literal["end", "arrival", "corrected"] = "end"
    count_denied: bool = False

    def meters(self) -> list[tuple[str, str, int, int]]:
        """(label, unit, units a window, window in ns) of each rate that is set."""
        window_ns = round(self.window_seconds * 10**9)
        found: list[tuple[str, str, int, int]] = []
        if self.requests_per_second is not None:
            found.append(("requests_per_second", "requests", self.requests_per_second, 10**9))
        for unit in ("requests", "tokens", "input_tokens", "output_tokens"):
            label = f"{unit}_per_minute"
            rate = getattr(self, label)
            if rate is not None:
                found.append((label, unit, rate * window_ns // (60 * 10**9), window_ns))
        return found

    @model_validator(mode="after")
    def _windows_hold_one(self) -> "Limits":
        for label, _, units, _ in self.meters():
            if units < 1:
                raise ValueError(f"{label} lets nothing through a window: lengthen window_seconds")
        return self


class Faults(_Model):
    """Rates of each fault, drawn at most one a call."""

    seed: int = 1
    by: Literal["arrival", "body", "request"] = "arrival"
    first_attempt_only: bool = False
    at: dict[int, FaultKind] = Field(default_factory=dict)
    hang_seconds: float = Field(default=600, gt=0)
    retry_after_seconds: PositiveInt = 1

    error_429: Rate = Field(default=0, ge=0, le=1)
    error_500: Rate = Field(default=0, ge=0, le=1)
    error_500_billed: Rate = Field(default=0, ge=0, le=1)
    disconnect_before_billing: Rate = Field(default=0, ge=0, le=1)
    disconnect_after_billing: Rate = Field(default=0, ge=0, le=1)
    hang: Rate = Field(default=0, ge=0, le=1)
    hang_billed: Rate = Field(default=0, ge=0, le=1)
    malformed_json: Rate = Field(default=0, ge=0, le=1)
    cut_stream: Rate = Field(default=0, ge=0, le=1)
    drop_stream: Rate = Field(default=0, ge=0, le=1)
    no_usage: Rate = Field(default=0, ge=0, le=1)

    def rates(self) -> dict[FaultKind, float]:
        """The kinds that are not 0, in the order in which they are drawn."""
        return {kind: rate for kind in get_args(FaultKind) if (rate := getattr(self, kind)) > 0}

    @model_validator(mode="after")
    def _at_most_one(self) -> "Faults":
        total = sum(self.rates().values())
        if total > 1 + 1e-9:
            raise ValueError(f"fault rates sum to {total}, more than 1")
        return self


class ToolCall(_Model):
    name: str
    arguments: dict[str, Any] | str = Field(default_factory=dict)


class Used(_Model):
    """What a scripted reply is billed for, in place of what is counted; None: as counted.

    Of the input, `unseen` stand for what the request's bytes do not bound (a file by its id, pages
    that a search read), of the output `beyond` for what its limit does not (foretold wrongly,
    thought between calls, written and thrown away). `usd` is the bill, whatever the prices say.
    `also` are fields of the usage as a provider has them beside, or (None) leaves them out.
    """

    input: PositiveInt | None = None
    output: NonNegativeInt | None = None
    cached: NonNegativeInt = 0
    written: NonNegativeInt = 0
    written_long: NonNegativeInt = 0
    audio: NonNegativeInt = 0
    reasoning: NonNegativeInt = 0
    images: NonNegativeInt = 0
    searches: NonNegativeInt = 0
    unseen: NonNegativeInt = 0
    beyond: NonNegativeInt = 0
    usd: Usd | None = None
    also: dict[str, Any] = Field(default_factory=dict)


class Reply(_Model):
    """A scripted reply. `status` other than 200 is an error reply (not billed, unless `billed` says
    so) with `text` as its message and `code` as its code; `body` is sent as it stands in place of
    the JSON (billed).
    `finish_reason` is OpenAI's, or the family's own name; `refusal` is what the model says in place
    of an answer, `blocked` why Gemini let no model see the prompt, `filtered` that Azure's filter
    held it back, which is billed: its 400 says how much if it `states_usage`."""

    text: str | None = None
    refusal: str | None = None
    blocked: str | None = None
    filtered: bool = False
    states_usage: bool = False
    tool_calls: list[ToolCall] = Field(default_factory=list)
    status: int = Field(default=200, ge=200, le=599)
    code: str | None = None
    headers: dict[str, str] = Field(default_factory=dict)
    body: str | None = None
    fault: FaultKind | None = None
    finish_reason: str | None = None
    latency_seconds: Seconds | None = None
    used: Used | None = None
    billed: bool = False


class Rule(_Model):
    """Replies for the requests whose last user message `match` (a regex) is found in."""

    match: str
    reply: str | Reply | list[str | Reply]
    by: Literal["arrival", "turn"] = "arrival"
    expand: bool = False

    def replies(self) -> list[Reply]:
        each = self.reply if isinstance(self.reply, list) else [self.reply]
        return [Reply(text=one) if isinstance(one, str) else one for one in each]


class AwsKey(_Model):
    """What an access key of AWS's signs with; a session's has a token too."""

    secret: str
    token: str | None = None


class Deployment(_Model):
    """A deployment of Azure's: the model that its replies name, and what is billed for it."""

    model: str
    price: Price


class Config(_Model):
    prices: dict[str, Price] = Field(default_factory=dict)
    routes: dict[str, list[Price]] = Field(default_factory=dict)
    hosts: dict[str, dict[str, Price]] = Field(default_factory=dict)
    hosted: bool = False
    deployments: dict[str, Deployment] = Field(default_factory=dict)
    asynchronous_filter: bool = False
    keys: list[str] | None = None
    aws_keys: dict[str, AwsKey] = Field(default_factory=dict)
    insufficient_quota: bool = False
    context_tokens: PositiveInt | None = None
    auto_tier: str = "default"

    token_factor: float = Field(default=1.0, ge=1, le=1.5)
    image_tokens: int = Field(default=765, ge=0)
    cached_fraction: float = Field(default=0, ge=0, le=1)
    written_fraction: float = Field(default=0, ge=0, le=1)
    bill_abandoned: bool = True

    output_tokens: PositiveInt | tuple[PositiveInt, PositiveInt] | Literal["max"] = 24
    default_output_tokens: PositiveInt = 1024
    images: int = Field(default=1, ge=0)
    script: list[Rule] = Field(default_factory=list)
    reads: bool = False
    obeys: bool = False
    tool_calls: int = Field(default=0, ge=0)
    tool_turns: PositiveInt = 1

    latency_seconds: Seconds = 0
    stream_seconds: Seconds = 0
    stream_chunk_tokens: PositiveInt = 8
    limits: list[Limits] = Field(default_factory=list)
    faults: Faults = Field(default_factory=Faults)

    @model_validator(mode="before")
    @classmethod
    def _short_forms(cls, data: Any) -> Any:
        """One limit instead of a list of one; a script as {regex: reply}."""
        if isinstance(data, dict):
            data = dict(data)
            if isinstance(data.get("limits"), dict):
                data["limits"] = [data["limits"]]
            if isinstance(data.get("script"), dict):
                data["script"] = [{"match": k, "reply": v} for k, v in data["script"].items()]
        return data

    @model_validator(mode="after")
    def _ranges_ascend(self) -> "Config":
        for name in ("output_tokens", "latency_seconds", "stream_seconds"):
            value = getattr(self, name)
            if isinstance(value, tuple) and value[0] > value[1]:
                raise ValueError(f"{name}: {value[0]} is above {value[1]}")
        return self

    def price_table(self) -> dict[str, Price]:
        """The default prices with those of the config over them."""
        return {**DEFAULT_PRICES, **self.prices}
