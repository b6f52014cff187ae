"""Who searches the web: one HTTP request each, to the provider's own host. What they answer is
read here; nothing of it is trusted."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, ClassVar

import httpx

from prefect_governor.blocks.errors import ConfigurationError

AUTO = "auto"
OFF = "off"
# The most results that one search gives, whoever searches (Brave's and Tavily's own limit).
MOST_RESULTS = 20


@dataclass(frozen=True, slots=True)
class Found:
    """One result of a search, as the provider gives it."""

    title: str
    url: str
    snippet: str


@dataclass(frozen=True)
class SearchProvider(ABC):
    """A provider with its key. `name` is what `--search` calls it, `variable` where its key (or its
    URL) stands in the environment, `usd` what it bills for one search."""

    key: str = field(repr=False)
    name: ClassVar[str]
    variable: ClassVar[str]
    usd: ClassVar[Decimal]

    @abstractmethod
    def request(self, query: str, most: int) -> httpx.Request:
        """The one request of a search."""

    @abstractmethod
    def results(self, answer: Mapping[str, Any]) -> Any:
        """The list of results in its answer."""

    # Where a result's text stands.
    snippet: ClassVar[str] = "content"

    def found(self, answer: Any, most: int) -> Iterator[Found]:
        """The results of an answer, in its order; what is no result is passed over."""
        results = self.results(answer) if isinstance(answer, Mapping) else None
        for each in results[:most] if isinstance(results, list) else ():
            if isinstance(each, Mapping) and isinstance(url := each.get("url"), str):
                yield Found(str(each.get("title") or ""), url, str(each.get(self.snippet) or ""))


@dataclass(frozen=True)
class Brave(SearchProvider):
    """https://api-dashboard.search.brave.com/app/documentation/web-search/get-started; $5 a
    thousand requests: https://api-dashboard.search.brave.com/app/plans (2026-11)."""

    url: str = "https://api.search.brave.com/res/v1/web/search"
    name: ClassVar[str] = "brave"
    variable: ClassVar[str] = "BRAVE_API_KEY"
    usd: ClassVar[Decimal] = Decimal("0.005")
    snippet: ClassVar[str] = "description"

    def request(self, query: str, most: int) -> httpx.Request:
        return httpx.Request(
            "GET",
            self.url,
            # Its limits: 400 characters and 50 words.
            params={
                "q": " ".join(query.split()[:50])[:400], "count": str(most),
                "result_filter": "web", "text_decorations": "false",
            },
            headers={"X-Subscription-Token": self.key, "Accept": "application/json"},
        )  # fmt: skip

    def results(self, answer: Mapping[str, Any]) -> Any:
        web = answer.get("web")
        return web.get("results") if isinstance(web, Mapping) else None


@dataclass(frozen=True)
class Tavily(SearchProvider):
    """https://docs.tavily.com/documentation/api-reference/endpoint/search; a basic search is one
    credit, at most $0.008: https://docs.tavily.com/documentation/api-credits (2026-11)."""

    url: str = "https://api.tavily.com/search"
    name: ClassVar[str] = "tavily"
    variable: ClassVar[str] = "TAVILY_API_KEY"
    usd: ClassVar[Decimal] = Decimal("0.008")

    def request(self, query: str, most: int) -> httpx.Request:
        return httpx.Request(
            "POST",
            self.url,
            json={"query": query[:400], "max_results": most, "search_depth": "basic"},
            headers={"Authorization": f"Bearer {self.key}"},
        )

    def results(self, answer: Mapping[str, Any]) -> Any:
        return answer.get("results")


@dataclass(frozen=True)
class SearXNG(SearchProvider):
    """https://docs.searxng.org/dev/search_api.html; one's own, so it costs nothing. Its `key` is
    its URL; its settings must allow the format `json`."""

    name: ClassVar[str] = "searxng"
    variable: ClassVar[str] = "SEARXNG_API_BASE"
    usd: ClassVar[Decimal] = Decimal(0)

    def __post_init__(self) -> None:
        try:
            scheme = httpx.URL(self.key).scheme
        except httpx.InvalidURL:
            scheme = ""
        if scheme not in ("http", "https"):
            raise ConfigurationError(
                f"{self.variable} is no URL of a SearXNG: give it with http:// or https://"
            )

    def request(self, query: str, most: int) -> httpx.Request:
        url = f"{self.key.rstrip('/').removesuffix('/search')}/search"
        return httpx.Request("GET", url, params={"q": query[:400], "format": "json"})

    def results(self, answer: Mapping[str, Any]) -> Any:
        return answer.get("results")


# In the order in which "auto" takes them: what costs nothing first.
PROVIDERS: tuple[type[SearchProvider], ...] = (SearXNG, Brave, Tavily)


def chosen(search: str, environment: Mapping[str, str]) -> SearchProvider | None:
    """The provider of a name; of "auto" the first that has a key, None without one, and for "off".

    Raises ConfigurationError for an unknown name, and for one whose key is not set or of no use.
    """
    if search == OFF:
        return None
    for kind in PROVIDERS:
        key = environment.get(kind.variable, "").strip()
        if search == AUTO and key:
            return kind(key)
        if search == kind.name:
            if not key:
                raise ConfigurationError(
                    f"search {search!r} needs its {kind.variable} in the environment"
                )
            return kind(key)
    if search == AUTO:
        return None
    names = ", ".join(repr(each) for each in (AUTO, OFF, *(kind.name for kind in PROVIDERS)))
    raise ConfigurationError(f"search takes {names}, not {search!r}")
