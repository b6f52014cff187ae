"""One page from the network: through the guard at each step, within bounds, as nobody."""

import codecs
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import anyio
import httpx

from prefect_governor.flows.web.network.bodies import ACCEPTED, Body
from prefect_governor.flows.web.network.connecting import GuardedTransport, Resolve
from prefect_governor.flows.web.network.guard import NotFetched, Rules, Target

# What we are called in `User-Agent` and in a site's robots.txt.
AGENT = "prefect-governor"

_HEADERS = {
    "User-Agent": AGENT,
    "Accept": "text/html, application/pdf, text/*, application/json;q=0.9, */*;q=0.1",
    "Accept-Encoding": ACCEPTED,
}
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
# Of `type/subtype`: texts, and what flows/items/extraction.py takes the text out of.
_TYPES = frozenset(
    {
        *("application/json", "application/pdf", "application/xhtml+xml", "application/xml"),
        *("application/javascript", "application/x-ndjson", "application/yaml"),
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    }
)
# Codecs that make no text of bytes, or take a time that grows with the square of them.
_NO_CHARSETS = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape", "mbcs"})


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much one fetch may be.

    Attributes:
        bytes: of the body, decompressed.
        seconds: from the first look-up to the last byte, with all redirects and robots.txt.
        redirects: that are followed.
    """

    bytes: int = 10 * 2**20
    seconds: float = 20.0
    redirects: int = 5


DEFAULT_BOUNDS = Bounds()


@dataclass(frozen=True, slots=True)
class Fetched:
    """A page as it came. `url` is where it was in the end; `media_type` is "type/subtype", empty
    where it says none."""

    url: str
    media_type: str
    charset: str | None
    data: bytes


# Whether a site lets robots fetch a URL; raises NotFetched where it does not.
MayFetch = Callable[[Target], Awaitable[None]]


class Fetcher:
    """Fetches pages: without cookies, credentials, a proxy or anything else of this machine."""

    def __init__(
        self, rules: Rules, *, resolve: Resolve | None = None, bounds: Bounds = DEFAULT_BOUNDS
    ) -> None:
        self.rules, self.bounds = rules, bounds
        self._resolve = resolve

    async def get(self, url: str, *, may_fetch: MayFetch | None = None) -> Fetched:
        """A page of one of the types that are read. `may_fetch` is asked for each URL on the way.

        Raises NotFetched, whatever keeps it from being fetched.
        """
        return await self._in_time(self._get(url, may_fetch))

    async def get_plain(self, url: str, *, most: int) -> tuple[int, bytes]:
        """The status and the body of what `url` leads to, of any type. Raises NotFetched."""
        _, reply, data = await self._follow(url, None, most=most, any_type=True)
        return reply.status_code, data

    async def _in_time(self, fetching: Awaitable[Fetched]) -> Fetched:
        try:
            with anyio.fail_after(self.bounds.seconds):
                return await fetching
        except TimeoutError:
            raise NotFetched(f"not there after {self.bounds.seconds:g} s") from None

    async def _get(self, url: str, may_fetch: MayFetch | None) -> Fetched:
        target, reply, data = await self._follow(
            url, may_fetch, most=self.bounds.bytes, any_type=False
        )
        if not reply.is_success:
            raise NotFetched(f"{target.host} answered {reply.status_code} for it")
        return Fetched(target.url, _media_type(reply), _charset(reply), data)

    async def _follow(
        self, url: str, may_fetch: MayFetch | None, *, most: int, any_type: bool
    ) -> tuple[Target, httpx.Response, bytes]:
        # No client of httpx's in between: it would keep cookies, and read what a redirect says.
        async with GuardedTransport(self.rules, self._resolve) as transport:
            for _ in range(self.bounds.redirects + 1):
                target = self.rules.target(url)
                if may_fetch is not None:
                    await may_fetch(target)
                try:
                    reply = await transport.handle_async_request(self._request(target))
                    try:
                        if reply.status_code not in _REDIRECTS or "location" not in reply.headers:
                            data = await self._body(reply, most=most, any_type=any_type)
                            return target, reply, data
                        url = _joined(target, reply.headers["location"])
                    finally:
                        await reply.aclose()
                except httpx.TimeoutException:
                    raise NotFetched(f"{target.host} did not answer in time") from None
                except httpx.HTTPError as error:
                    raise NotFetched(f"{target.host} could not be asked: {_words(error)}") from None
        raise NotFetched(f"more than {self.bounds.redirects} redirects")

    def _request(self, target: Target) -> httpx.Request:
        return httpx.Request(
            "GET",
            target.url,
            headers=_HEADERS,
            extensions={"timeout": httpx.Timeout(self.bounds.seconds).as_dict()},
        )

    async def _body(self, reply: httpx.Response, *, most: int, any_type: bool) -> bytes:
        if not reply.is_success:
            return b""
        media_type = _media_type(reply)
        if not any_type and not _is_read(media_type):
            raise NotFetched(f"it is of the type {media_type[:80]!r}, of which no text is read")
        length = reply.headers.get("content-length", "")
        if length.isdigit() and len(length) < 20 and int(length) > most:
            raise NotFetched(f"the page is too large: {int(length):,} bytes, {most:,} are read")
        body = Body(reply.headers.get("content-encoding", ""), most=most)
        async for piece in reply.aiter_raw(65_536):
            body.add(piece)
        return body.whole()


def _joined(target: Target, location: str) -> str:
    if len(location) > 4_000:
        raise NotFetched("it leads to a URL that is too long")
    try:
        return str(httpx.URL(target.url).join(location))
    except (httpx.InvalidURL, ValueError) as error:
        raise NotFetched(f"it leads to what is no URL: {error}") from None


def _media_type(reply: httpx.Response) -> str:
    given: str = reply.headers.get("content-type", "")
    return given.partition(";")[0].strip().lower()


def _is_read(media_type: str) -> bool:
    if media_type in _TYPES or media_type == "" or media_type.startswith("text/"):
        return True
    return media_type.startswith("application/") and media_type.endswith(("+json", "+xml"))


def _charset(reply: httpx.Response) -> str | None:
    """What the header says that the text is encoded in, where Python knows it."""
    named = reply.charset_encoding
    try:
        found = codecs.lookup(named).name if named else None
        if found is not None:
            # Of some (base64, zlib) Python makes no text.
            b" ".decode(found, "replace")
    except (LookupError, ValueError):
        return None
    return None if found is None or found.replace("-", "_") in _NO_CHARSETS else found


def _words(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
