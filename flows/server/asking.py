"""What a Prefect API says of itself: asked for a bounded time, and never started."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from prefect_governor.blocks.leases.prefect_limits import TIMEOUT_SECONDS, impatient


@dataclass(frozen=True)
class Answer:
    """What an API answered.

    Attributes:
        why: why it does not answer; None where it does.
        version: of its Prefect; None where it does not say.
        settings: those that it shows; none of Prefect Cloud.
        ahead_seconds: how far its clock is before ours at the least, 0 where it may be as ours;
            None where it has none.
    """

    url: str
    ui_url: str
    why: str | None = None
    version: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    ahead_seconds: float | None = None

    @property
    def answers(self) -> bool:
        return self.why is None

    @property
    def in_words(self) -> str:
        """ "answers, Prefect 3.9.1", or why it does not."""
        if self.why is not None:
            return f"does not answer: {self.why}"
        return "answers" if self.version is None else f"answers, Prefect {self.version}"

    def setting(self, *place: str) -> Any:
        """One of its settings, None where it does not show it."""
        value: Any = self.settings
        for part in place:
            value = value.get(part) if isinstance(value, Mapping) else None
        return value


def ask(url: str | None = None, *, clock: Callable[[], float] = time.time) -> Answer:
    """Ask an API, by default the one that Prefect's settings name. Raises nothing.

    Every question waits for 5 s at the most; one that is not answered at all is asked nothing more.
    """
    # Prefect's client, because it alone knows the key, the certificates and the headers.
    from prefect.client.orchestration import get_client
    from prefect.settings import get_current_settings

    with _of(url), impatient():
        settings = get_current_settings()
        url = str(settings.api.url)
        ui_url = str(settings.ui_url or url.removesuffix("/api"))
        try:
            with get_client(sync_client=True) as client:
                before = clock()
                health = client.request("GET", "/health")
                ahead = ahead_at_least(health.headers.get("date"), before, clock())
                return Answer(
                    url,
                    ui_url,
                    version=_said(client, "/admin/version", str),
                    settings=_said(client, "/admin/settings", dict) or {},
                    ahead_seconds=ahead,
                )
        except httpx.TimeoutException:
            return Answer(url, ui_url, f"not within {TIMEOUT_SECONDS:g} s")
        except (httpx.HTTPError, OSError, ValueError, RuntimeError) as error:
            return Answer(url, ui_url, str(error).splitlines()[0] if str(error) else repr(error))


def is_from_environment() -> bool:
    """Whether PREFECT_API_URL is a variable of the environment, not of Prefect's profile."""
    return bool(os.environ.get("PREFECT_API_URL"))


def _said(client: Any, path: str, kind: type) -> Any:
    with suppress(httpx.HTTPStatusError, ValueError):
        found = client.request("GET", path).json()
        return found if isinstance(found, kind) else None
    return None


def ahead_at_least(date: str | None, before: float, after: float) -> float | None:
    """How far a Date header is before our clock at the least: it was written between two instants
    of ours, and leaves out what is under a second. None where it is none. Pure."""
    try:
        told = None if date is None else parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None
    if told is None:
        return None
    return max(0.0, told - after) + min(0.0, told + 1 - before)


@contextmanager
def _of(url: str | None) -> Iterator[None]:
    from prefect.settings import PREFECT_API_URL, PREFECT_UI_URL, temporary_settings

    if url is None:
        yield
        return
    with temporary_settings({PREFECT_API_URL: url}, restore_defaults={PREFECT_UI_URL}):
        yield
