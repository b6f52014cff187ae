"""The table of cases: provider, part, what is billed, where that is documented, what becomes of it.

Each file of `providers/` holds the rows of one provider in `PROVIDER`. `test_table.py` sends the
request of each row through a governed client to the strict provider, whose bill is the judge;
`page.py` makes docs/reference/bounds.md of the same rows.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import import_module
from typing import Any, Literal

import tests.integration.billing.providers as folder
from tests.provider.books.bill import Price

# settled: spent is the bill. above: spent at the dearest that it may be, never below the bill.
# unconfirmed: charged at its bound. released: nobody billed it. again: that,
# and sent again, which is settled. refused: not sent. free: sent, and nothing held for it.
Outcome = Literal["settled", "above", "unconfirmed", "released", "again", "refused", "free"]
Api = Literal[
    "chat", "responses", "embeddings", "messages", "generate", "ollama",
    "converse", "invoke", "rawPredict", "cohere", "embed", "rerank", "embedContent", "ollamaEmbed",
]  # fmt: skip

NONE: Mapping[str, Any] = {}


@dataclass(frozen=True)
class Row:
    """One part of a call that a provider bills, or does not.

    `part` names it, `billed` says in words what is billed, `page` where (a host and path of the
    provider's own documentation). `asks` are the request's fields that ask for it, beside a text
    and a limit (None takes a field away). `used` is what the reply is billed for (`config.Used`),
    by default 1,000 tokens of input and 100 of output; `reply` what else there is to it
    (`config.Reply`). `usd` is the bill reckoned by hand from the page. `says` is what a refusal
    must name.

    `origin` and `base` stand in place of the provider's own, `path` in place of the API's; `place`
    is what Vertex AI's paths have before `/models`: the project, the location, the publisher.
    `unseen`, `allow`, `given` and `whose` are what the caller says: `unseen="context"`,
    `allow_fields`, `prices`, `provider`.
    """

    part: str
    model: str
    page: str
    billed: str = ""
    outcome: Outcome = "settled"
    says: str = ""
    api: Api = "chat"
    asks: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    stream: bool = False
    used: Mapping[str, Any] = field(default_factory=dict)
    reply: Mapping[str, Any] = field(default_factory=dict)
    usd: str | None = None
    words: int = 1000
    origin: str | None = None
    base: str | None = None
    path: str | None = None
    place: str = ""
    unseen: bool = False
    allow: tuple[str, ...] = ()
    given: Any = None
    whose: str | None = None


@dataclass(frozen=True)
class Provider:
    """A provider: where its API stands, what its own page says that its models cost, its rows.

    `base` is what its paths have in place of OpenAI's `/v1`. `prices` are by model, for all of its
    hosts, `places` those of other hosts, by origin; `routes` those of all who may serve a model,
    where it is a router.
    """

    name: str
    origin: str
    base: str
    prices: Mapping[str, Price]
    rows: tuple[Row, ...]
    places: Mapping[str, Mapping[str, Price]] = field(default_factory=dict)
    routes: Mapping[str, tuple[Price, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Case:
    """A row, and whose it is."""

    provider: Provider
    row: Row

    @property
    def key(self) -> str:
        """Unique, and fit for a header and a test's name."""
        words = f"{self.provider.name} {self.row.part}".lower()
        return "-".join("".join(sign if sign.isalnum() else " " for sign in words).split())

    @property
    def origin(self) -> str:
        return self.row.origin or self.provider.origin

    @property
    def base(self) -> str:
        return self.provider.base if self.row.base is None else self.row.base

    @property
    def host(self) -> str:
        """As the header `host` has it."""
        return self.origin.partition("://")[2]


@lru_cache(maxsize=1)
def providers() -> tuple[Provider, ...]:
    """Of every file, by the file's name."""
    found = pkgutil.walk_packages(folder.__path__, f"{folder.__name__}.")
    names = sorted(each.name for each in found if not each.ispkg)
    return tuple(import_module(name).PROVIDER for name in names)


def cases() -> Iterator[Case]:
    """Every row of the table."""
    for provider in providers():
        for row in provider.rows:
            yield Case(provider, row)
