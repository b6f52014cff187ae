"""A page is bounded in bytes, time and redirects, is of a type that is read, and is fetched as
nobody: whatever a server does, one tool's answer says so."""

import asyncio
import gzip
import ssl
import time
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from prefect_governor.flows.web.network import connecting
from prefect_governor.flows.web.network.fetching import Bounds, Fetcher
from prefect_governor.flows.web.network.guard import PORTS, NotFetched
from prefect_governor.flows.web.network.robots import Robots
from tests.certificates import self_signed
from tests.unit.flows.web.site import (
    NAME,
    PUBLIC,
    Resolver,
    Site,
    redirect,
    reply,
    rules_for,
    serving,
)

SMALL = Bounds(bytes=100_000, seconds=5.0, redirects=3)
ZEROS = bytes(50_000_000)


def fetcher(site: Site, resolver: Resolver, bounds: Bounds = SMALL) -> Fetcher:
    return Fetcher(rules_for(site), resolve=resolver, bounds=bounds)


async def refused(site: Site, resolver: Resolver, said: object, bounds: Bounds = SMALL) -> str:
    site.replies["/page"] = said  # type: ignore[assignment]
    with pytest.raises(NotFetched) as caught:
        await fetcher(site, resolver, bounds).get(f"{site.url}/page")
    return str(caught.value)


BOMBS = {
    "gzip": reply(gzip.compress(ZEROS), content_encoding="gzip"),
    "gzip in capitals": reply(gzip.compress(ZEROS), content_encoding="GZIP"),
    "deflate": reply(zlib.compress(ZEROS), content_encoding="deflate"),
    "plain": reply(ZEROS[:200_000], content_length=""),
    "plain, as it says": reply(ZEROS[:200_000]),
}


@pytest.mark.parametrize("bomb", BOMBS)
async def test_what_becomes_too_large_is_left(bomb: str, site: Site, resolver: Resolver) -> None:
    assert "too large" in await refused(site, resolver, BOMBS[bomb])


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "gzip,deflate", "compress", "x"])
async def test_an_encoding_that_was_not_asked_for_is_not_read(
    encoding: str, site: Site, resolver: Resolver
) -> None:
    twice = gzip.compress(gzip.compress(ZEROS))
    said = await refused(site, resolver, reply(twice, content_encoding=encoding))
    assert "not asked for" in said
    assert site.asked[-1].headers["accept-encoding"] == "gzip, deflate"


async def test_a_bomb_takes_no_more_memory_than_its_bound() -> None:
    from prefect_governor.flows.web.network.bodies import Body

    body = Body("gzip", most=1_000_000)
    with pytest.raises(NotFetched, match="too large"):
        body.add(gzip.compress(ZEROS))
    assert body._size <= 1_000_000 + 65_536


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "raw deflate", ""])
async def test_a_compressed_page_is_read(encoding: str, site: Site, resolver: Resolver) -> None:
    text = b"".join(b"line %d\n" % at for at in range(9_000))
    raw = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    data = {
        "gzip": gzip.compress(text), "deflate": zlib.compress(text), "": text,
        "raw deflate": raw.compress(text) + raw.flush(),
    }[encoding]  # fmt: skip
    site.replies["/page"] = reply(data, content_encoding=encoding.removeprefix("raw "))
    assert (await fetcher(site, resolver).get(f"{site.url}/page")).data == text


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (reply(b"not gzip at all", content_encoding="gzip"), "not compressed as it says"),
        (reply(gzip.compress(b"a" * 999)[:-9], content_encoding="gzip"), "cut off"),
        (reply(b"x", type="image/png"), "of the type 'image/png'"),
        (reply(b"x", type="application/octet-stream"), "application/octet-stream"),
        (reply(b"x", type="application/zip"), "application/zip"),
        (reply(b"x", type="video/mp4"), "video/mp4"),
        (reply(b"x", type="image/svg+xml"), "image/svg+xml"),
        (reply(b"gone", status=404), "answered 404"),
        (reply(b"no", status=500), "answered 500"),
        (reply(b"no", status=401, www_authenticate="Basic"), "answered 401"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"a" * 400_000 + b"\r\n\r\n", "could not be asked"),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 60_000 + b"\r\n", "could not be asked"),
        (b"no HTTP\r\n\r\n", "could not be asked"),
        (b"", "could not be asked"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhalf", "could not be asked"),
        (redirect("http://[broken"), "no name of a host"),
        (redirect(f"/{'a' * 5000}"), "too long"),
        (redirect("file:///etc/passwd"), "only http"),
        (redirect("//127.0.0.1/"), "loopback"),
        (redirect("http://169.254.169.254/latest/"), "metadata"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_bad_reply_is_one_answer(
    said: bytes, why: str, site: Site, resolver: Resolver
) -> None:
    assert why in await refused(site, resolver, said)


async def test_endless_redirects_end(site: Site, resolver: Resolver) -> None:
    assert "more than 3 redirects" in await refused(site, resolver, redirect("/page"))
    assert len(site.asked) == 4


async def test_redirects_are_followed_to_the_page_and_its_own_url_is_told(
    site: Site, resolver: Resolver
) -> None:
    resolver.know("other.example.org", [PUBLIC])
    site.replies["/page"] = redirect(f"http://other.example.org:{site.port}/a", 301)
    site.replies["/a"] = redirect("b?c=d", 307)
    site.replies["/b"] = reply("hello")
    fetched = await fetcher(site, resolver).get(f"{site.url}/page")
    assert (fetched.url, fetched.data) == (
        f"http://other.example.org:{site.port}/b?c=d", b"hello",
    )  # fmt: skip


@pytest.mark.parametrize("slow", ["headers", "body", "nothing"])
async def test_a_server_that_drips_is_left_in_time(
    slow: str, site: Site, resolver: Resolver
) -> None:
    begins = {"headers": b"HTTP/1.1 200 OK\r\n", "body": reply(content_length="99999")}

    async def drips(writer: asyncio.StreamWriter) -> None:
        if slow == "nothing":
            await asyncio.sleep(30)
        writer.write(begins[slow])
        for _ in range(1_000):
            writer.write(b"x: y\r\n" if slow == "headers" else b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    began = time.monotonic()
    said = await refused(site, resolver, drips, Bounds(seconds=0.4))
    assert "not there after 0.4 s" in said or "in time" in said
    assert time.monotonic() - began < 3


async def test_it_comes_as_nobody(
    site: Site, resolver: Resolver, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """No cookie that was set, no netrc, no proxy, no credentials of this machine."""
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine {NAME} login me password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{site.port}")
    site.replies["/page"] = reply(status=302, location="/next", set_cookie="a=b; Path=/")
    site.replies["/next"] = reply("hello")
    await fetcher(site, resolver).get(f"{site.url}/page")
    told = {name for each in site.asked for name in each.headers}
    assert told == {"host", "user-agent", "accept", "accept-encoding"} and not site.trapped


# robots.txt


async def checked(site: Site, resolver: Resolver, path: str = "/page", times: int = 1) -> str:
    """What becomes of a page whose site has the robots.txt that it has."""
    site.replies["/page"] = reply("hello")
    getting = fetcher(site, resolver)
    robots = Robots(getting)
    for _ in range(times):
        try:
            await getting.get(f"{site.url}{path}", may_fetch=robots.check)
        except NotFetched as error:
            return str(error)
    return "fetched"


@pytest.mark.parametrize(
    ("robots", "said"),
    [
        (reply("User-agent: *\nDisallow: /page\n"), "does not allow"),
        (reply("User-agent: prefect-governor\nDisallow: /\n\nUser-agent: *\nAllow: /"), "not a"),
        (reply("User-agent: *\nDisallow: /\nAllow: /page\n"), "fetched"),
        (reply("User-agent: other\nDisallow: /\n"), "fetched"),
        (reply("<html>a page"), "fetched"),
        (reply(b"\xff\xfe\x00"), "fetched"),
        (reply(status=404), "fetched"),
        (reply(status=403), "fetched"),
        (reply(status=500), "answered 500"),
        (b"", "could not be read"),
        (reply(b"#" * 600_000), "could not be read"),
        (redirect("/robots.txt"), "could not be read"),
        (redirect("http://127.0.0.1/robots.txt"), "loopback"),
    ],
    ids=str,
)  # fmt: skip
async def test_what_a_site_says_to_robots_is_heeded(
    robots: bytes, said: str, site: Site, resolver: Resolver
) -> None:
    site.replies["/robots.txt"] = robots
    assert said in await checked(site, resolver)
    assert ("/page" in site.paths) == (said == "fetched")


async def test_robots_txt_is_asked_for_once_a_site_and_of_the_page_that_is_led_to_as_well(
    site: Site, resolver: Resolver
) -> None:
    assert await checked(site, resolver, times=3) == "fetched"
    assert [each.path for each in site.asked].count("/robots.txt") == 1
    site.replies["/robots.txt"] = reply("User-agent: *\nDisallow: /page")
    site.replies["/in"] = redirect("/page")
    assert "does not allow" in await checked(site, resolver, "/in")
    assert site.paths[-1] == "/in"


async def test_the_rules_are_read_again_after_a_day_and_after_a_minute_where_they_were_missing(
    site: Site, resolver: Resolver
) -> None:
    now = 0.0
    getting = fetcher(site, resolver)
    robots = Robots(getting, clock=lambda: now)
    target = getting.rules.target(f"{site.url}/page")
    site.replies["/robots.txt"] = reply(status=503)
    with pytest.raises(NotFetched):
        await robots.check(target)
    site.replies["/robots.txt"] = reply("User-agent: *\nAllow: /")
    now = 61.0
    await robots.check(target)
    site.replies["/robots.txt"] = reply("User-agent: *\nDisallow: /")
    now += 3600.0
    await robots.check(target)
    now += 24 * 3600.0
    with pytest.raises(NotFetched, match="does not allow"):
        await robots.check(target)


# TLS


@pytest.fixture
async def secure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    """A site with a certificate for its name."""
    pem = self_signed(NAME, tmp_path / "site.pem")
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(pem)
    ours = ssl.create_default_context(cafile=str(pem))
    monkeypatch.setattr(connecting, "tls_context", lambda: ours)
    with serving(theirs) as site:
        theirs.sni_callback = lambda _, named, __: site.named.append(str(named))
        yield site


async def test_tls_is_of_the_name_though_the_address_is_pinned(
    secure: Site, resolver: Resolver
) -> None:
    secure.replies["/page"] = reply("hello")
    getting = fetcher(secure, resolver)
    fetched = await getting.get(f"https://{NAME}:{secure.port}/page")
    assert (fetched.data, secure.named, secure.asked[0].address) == (b"hello", [NAME], PUBLIC)
    # Another's certificate is none.
    resolver.know("other.example.org", [PUBLIC])
    with pytest.raises(NotFetched, match="could not be asked"):
        await getting.get(f"https://other.example.org:{secure.port}/page")
    assert len(secure.asked) == 1 and not PORTS & {secure.port}
