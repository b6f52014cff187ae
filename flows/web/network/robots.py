"""What a site lets robots fetch: its robots.txt, read by protego and heeded as RFC 9309 says."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from protego import Protego

from prefect_governor.flows.web.network.fetching import AGENT, Fetcher
from prefect_governor.flows.web.network.guard import NotFetched, Target

# RFC 9309, section 2.5: at least 500 kibibytes are to be read.
_MOST_BYTES = 512 * 1024
# RFC 9309, section 2.4: not to be used for longer than a day.
_KEPT_SECONDS = 24 * 3600.0
# One that could not be read is asked for again after this.
_MISSED_SECONDS = 60.0


@dataclass(frozen=True)
class _Rules:
    """`reason` says why nothing may be fetched, where nothing may."""

    parsed: Protego | None
    reason: str | None
    until: float


class Robots:
    """The rules of the sites of one run; each is asked for once."""

    def __init__(self, fetcher: Fetcher, clock: Callable[[], float] = time.monotonic) -> None:
        self._fetcher, self._clock = fetcher, clock
        self._known: dict[str, _Rules] = {}

    async def check(self, target: Target) -> None:
        """Raises NotFetched where the site does not let robots of our name fetch it."""
        known = self._known.get(target.origin)
        if known is None or known.until < self._clock():
            known = self._known[target.origin] = await self._read(target)
        if known.reason is not None:
            raise NotFetched(known.reason)
        if known.parsed is not None and not known.parsed.can_fetch(target.url, AGENT):
            raise NotFetched(f"the robots.txt of {target.host} does not allow it")

    async def _read(self, target: Target) -> _Rules:
        """A site that has none allows all; one whose rules nobody can read allows nothing."""
        try:
            status, data = await self._fetcher.get_plain(
                f"{target.origin}/robots.txt", most=_MOST_BYTES
            )
        except NotFetched as error:
            return self._missed(f"the robots.txt of {target.host} could not be read: {error}")
        if 200 <= status < 300:
            parsed = await asyncio.to_thread(Protego.parse, data.decode("utf-8", "replace"))
            return _Rules(parsed, None, self._clock() + _KEPT_SECONDS)
        if 400 <= status < 500:
            return _Rules(None, None, self._clock() + _KEPT_SECONDS)
        return self._missed(
            f"the robots.txt of {target.host} could not be read: it answered {status}"
        )

    def _missed(self, reason: str) -> _Rules:
        return _Rules(None, reason, self._clock() + _MISSED_SECONDS)
