"""What a run may do on the web, as it was asked for."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.money.usd import Money, parse_usd
from prefect_governor.flows.web.network.guard import Rules, check_patterns
from prefect_governor.flows.web.providers import AUTO, OFF, PROVIDERS, SearchProvider, chosen

# Of a run that has the web and nobody who searches it.
NO_SEARCH = (
    "nobody searched the web: pages were fetched by URLs that were known; set one of "
    + ", ".join(each.variable for each in PROVIDERS)
)
# The same before it starts.
NO_SEARCHER = (
    "nobody searches the web here: only pages whose URLs are known will be fetched; set one of "
    + ", ".join(each.variable for each in PROVIDERS)
)


@dataclass(frozen=True, kw_only=True)
class WebSettings:
    """Which hosts may be reached, who searches, and what one search costs.

    Attributes:
        allow: hosts that alone may be reached; empty for all that are public.
        deny: hosts that may not be reached.
        provider: who searches; None for nobody: pages are then fetched by URLs that are known.
        search_usd: what one search costs.
    """

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    provider: SearchProvider | None = None
    search_usd: Decimal = Decimal(0)

    @property
    def rules(self) -> Rules:
        return Rules(allow=self.allow, deny=self.deny)

    @property
    def name(self) -> list[Any]:
        """Names what an answer may be made from."""
        return [self.allow, self.deny, None if self.provider is None else self.provider.name]


def web_of(
    web: bool,
    *,
    allow_hosts: Sequence[str] = (),
    deny_hosts: Sequence[str] = (),
    search: str = AUTO,
    search_usd: Money | None = None,
) -> WebSettings | None:
    """`web_settings` where a run is given the web, else None.

    Raises ConfigurationError as that does, and for what is said of a web that is not given.
    """
    said = [
        name
        for name, value in (
            ("allow_hosts", allow_hosts),
            ("deny_hosts", deny_hosts),
            ("search", None if search == AUTO else search),
            ("search_usd", search_usd),
        )
        if value not in (None, "", (), [])
    ]
    if not web and said:
        raise ConfigurationError(
            f"{', '.join(said)}: say web too (--web, or web among --tools), or leave it out"
        )
    if not web:
        return None
    return web_settings(
        allow_hosts=allow_hosts, deny_hosts=deny_hosts, search=search, search_usd=search_usd
    )


def web_settings(
    *,
    allow_hosts: Sequence[str] = (),
    deny_hosts: Sequence[str] = (),
    search: str = AUTO,
    search_usd: Money | None = None,
) -> WebSettings:
    """Settings that were checked. Keys are the environment's.

    Raises ConfigurationError for what is no host or no price, for an unknown provider, and for one
    whose key is not set.
    """
    provider = chosen(search, os.environ)
    if search_usd is None:
        price = Decimal(0) if provider is None else provider.usd
    elif provider is None:
        raise ConfigurationError(
            f"search_usd is the price of a search, and nobody searches: set a key of"
            f" {', '.join(each.variable for each in PROVIDERS)}, or leave it out"
            if search != OFF
            else "search_usd is the price of a search, and search is 'off': leave one of them out"
        )
    else:
        price = parse_usd(search_usd, name="search_usd")
    return WebSettings(
        allow=check_patterns(allow_hosts, name="allow_hosts"),
        deny=check_patterns(deny_hosts, name="deny_hosts"),
        provider=provider,
        search_usd=price,
    )
