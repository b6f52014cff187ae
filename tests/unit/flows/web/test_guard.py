"""Nothing that an agent is talked into fetching reaches what is not public: in no form of an
address, by no redirect, by no resolver that answers otherwise the second time."""

import socket
from ipaddress import ip_address
from urllib.parse import quote

import httpx
import pytest

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.web.network.addresses import why_not_public
from prefect_governor.flows.web.network.fetching import Fetcher
from prefect_governor.flows.web.network.guard import NotFetched, Rules, check_patterns, read_url
from tests.unit.flows.web.site import NAME, PUBLIC, Resolver, Site, redirect, reply, rules_for

# URLs by what is said of them; PORT is where the trap listens.
REFUSED = {
    # Loopback, in every form that some program reads as it.
    "http://127.0.0.1:PORT/": "loopback",
    "http://127.0.0.1:PORT": "loopback",
    "http://127.0.0.3:PORT/": "loopback",
    "http://127.255.255.254:PORT/": "loopback",
    "http://127.0.0.1.:PORT/": "loopback",
    "http://127.1:PORT/": "read differently",
    "http://127.0.1:PORT/": "read differently",
    "http://0127.0.0.1:PORT/": "cannot be read",
    "http://0177.0.0.1:PORT/": "cannot be read",
    "http://0177.1:PORT/": "read differently",
    "http://0x7f.0.0.1:PORT/": "read differently",
    "http://0x7f.1:PORT/": "read differently",
    "http://0x7f000001:PORT/": "read differently",
    "http://0X7F000001:PORT/": "read differently",
    "http://2130706433:PORT/": "read differently",
    "http://017700000001:PORT/": "read differently",
    "http://127.0.0.0x1:PORT/": "read differently",
    "http://127.0.0.1.1:PORT/": "read differently",
    "http://00000000127.0.0.1:PORT/": "cannot be read",
    "http://0:PORT/": "read differently",
    "http://0.0.0.0:PORT/": "unspecified",
    "http://\u0661\u0662\u0667.0.0.1:PORT/": "cannot be read",
    "http://\u2460\u2461\u2466.0.0.1:PORT/": "cannot be read",
    "http://\uff11\uff12\uff17.0.0.1:PORT/": "cannot be read",
    "http://127\u30020\u30020\u30021:PORT/": "loopback",
    "http://%31%32%37.0.0.1:PORT/": "no name of a host",
    "http://127.0.0.1%00.example.org:PORT/": "no name of a host",
    "http://[::1]:PORT/": "loopback",
    "http://[0:0:0:0:0:0:0:1]:PORT/": "loopback",
    "http://[0000::0001]:PORT/": "loopback",
    "http://[::]:PORT/": "unspecified",
    "http://[::1%25lo]:PORT/": "zone",
    "http://[fe80::1%25eth0]:PORT/": "zone",
    # IPv4 inside of IPv6.
    "http://[::ffff:127.0.0.1]:PORT/": "loopback",
    "http://[::ffff:7f00:1]:PORT/": "loopback",
    "http://[0:0:0:0:0:ffff:7f00:0001]:PORT/": "loopback",
    "http://[::ffff:169.254.169.254]/": "metadata",
    "http://[::127.0.0.1]:PORT/": "IPv4 address in IPv6",
    "http://[2002:7f00:1::]/": "6to4",
    "http://[2002:a9fe:a9fe::1]/": "6to4",
    "http://[2001:0:7f00:1::]/": "Teredo",
    "http://[64:ff9b::127.0.0.1]/": "loopback",
    "http://[64:ff9b::a9fe:a9fe]/": "metadata",
    "http://[64:ff9b:1::7f00:1]/": "local NAT64",
    "http://[2606:4700::5efe:7f00:1]/": "loopback",
    "http://[2606:4700::200:5efe:10.0.0.1]/": "private",
    # What is no public address.
    "http://10.0.0.1/": "private",
    "http://172.16.0.1/": "private",
    "http://172.31.255.255/": "private",
    "http://192.168.1.1/": "private",
    "http://169.254.1.1/": "link-local",
    "http://100.64.0.1/": "shared",
    "http://198.18.0.1/": "benchmarks",
    "http://192.0.2.1/": "documentation",
    "http://198.51.100.1/": "documentation",
    "http://203.0.113.1/": "documentation",
    "http://192.88.99.1/": "6to4",
    "http://224.0.0.1/": "multicast",
    "http://240.0.0.1/": "reserved",
    "http://255.255.255.255/": "broadcast",
    "http://[fc00::1]/": "private",
    "http://[fd12:3456::1]/": "private",
    "http://[fe80::1]/": "link-local",
    "http://[fec0::1]/": "private",
    "http://[ff02::1]/": "multicast",
    "http://[2001:db8::1]/": "documentation",
    "http://[3fff::1]/": "documentation",
    "http://[100::1]/": "discarding",
    "http://[4000::1]/": "reserved",
    # What serves a cloud's machines their secrets.
    "http://169.254.169.254/latest/meta-data/": "metadata",
    "http://169.254.170.2/v2/credentials": "metadata",
    "http://168.63.129.16/": "metadata",
    "http://100.100.100.200/": "metadata",
    "http://[fd00:ec2::254]/": "metadata",
    "http://metadata.google.internal/computeMetadata/v1/": "metadata",
    "http://METADATA.google.internal./": "metadata",
    "http://instance-data.ec2.internal/": "metadata",
    "http://metadata/": "metadata",
    # Names of this machine and its network.
    "http://localhost:PORT/": "no name of the public",
    "http://LOCALHOST.:PORT/": "no name of the public",
    "http://a.localhost:PORT/": "no name of the public",
    "http://printer.local/": "no name of the public",
    "http://wiki.internal/": "no name of the public",
    "http://router.home.arpa/": "no name of the public",
    "http://router/": "no name of the public",
    # Names that stand for it.
    "http://127.0.0.1.resolves.example.org:PORT/": "loopback",
    "http://two.example.org:PORT/": "loopback",
    "http://six.example.org:PORT/": "loopback",
    "http://mapped.example.org:PORT/": "loopback",
    "http://zoned.example.org:PORT/": "interface",
    "http://metadata.example.org/": "metadata",
    "http://nobody.example.org:PORT/": "has no address",
    # Who is asked is not who is named.
    f"http://{NAME}@127.0.0.1:PORT/": "user or a password",
    f"http://127.0.0.1:PORT@{NAME}:PORT/": "user or a password",
    f"http://user:secret@{NAME}:PORT/": "user or a password",
    f"http://{NAME}\\@127.0.0.1:PORT/": "backslashes",
    f"http://{NAME}:PORT\\@127.0.0.1/": "backslashes",
    "http://127.0.0.1:PORT\\.example.org/": "backslashes",
    f"http:{NAME}:PORT/": "only http:// and https://",
    f"http:/\\{NAME}:PORT/": "backslashes",
    "http:///127.0.0.1:PORT/": "no name of a host",
    f"http://{NAME}..:PORT/": "no name of a host",
    "http://xn--a.example.org/": "no name of a host",
    "http://a_b-.example.org/": "no name of a host",
    f"http://{'a' * 64}.example.org/": "no name of a host",
    "http://exa\u00admple.org/": "cannot be read",
    "http://loca\u200blhost:PORT/": "not seen",
    # Other schemes, other ports.
    "file:///etc/passwd": "only http:// and https://",
    "file://127.0.0.1/etc/passwd": "only http:// and https://",
    "ftp://pages.example.org/": "only http:// and https://",
    "gopher://127.0.0.1:PORT/_x": "only http:// and https://",
    "data:text/plain,hello": "only http:// and https://",
    "jar:http://127.0.0.1:PORT/!/": "only http:// and https://",
    "dict://127.0.0.1:PORT/": "only http:// and https://",
    f"http://{NAME}:22/": "port 22",
    f"http://{NAME}:6379/": "port 6379",
    f"http://{NAME}:2375/": "port 2375",
    f"http://{NAME}:99999/": "no port",
    f"http://{NAME}:0/": "no port",
    f"http://{NAME}:PORT/{'a' * 2000}": "characters",
}
# A redirect's target is joined to its page's URL first, so that these mean another.
RELATIVE = {f"http:{NAME}:PORT/", "http:///127.0.0.1:PORT/"}


@pytest.fixture
def resolver() -> Resolver:
    resolver = Resolver()
    resolver.know("127.0.0.1.resolves.example.org", ["127.0.0.1"])
    resolver.know("two.example.org", [PUBLIC, "127.0.0.1"])
    resolver.know("six.example.org", [PUBLIC, "::1"])
    resolver.know("mapped.example.org", ["::ffff:127.0.0.1"])
    resolver.know("zoned.example.org", ["fe80::1%lo"])
    resolver.know("metadata.example.org", ["169.254.169.254"])
    return resolver


def fetcher(site: Site, resolver: Resolver, **rules: object) -> Fetcher:
    return Fetcher(rules_for(site, **rules), resolve=resolver)


def test_there_are_at_least_sixty() -> None:
    assert len(REFUSED) >= 60


async def outcome(fetcher: Fetcher, url: str) -> str:
    try:
        await fetcher.get(url)
    except NotFetched as error:
        return str(error)
    return "fetched"


async def test_what_is_not_public_is_not_reached(site: Site, resolver: Resolver) -> None:
    """All in one test: they are many, and each takes a millisecond."""
    fetching = fetcher(site, resolver)
    said = {url: await outcome(fetching, url.replace("PORT", str(site.port))) for url in REFUSED}
    assert {url: told for url, told in said.items() if REFUSED[url] not in told} == {}
    assert (site.trapped, site.asked) == ([], [])


async def test_nor_by_a_redirect(site: Site, resolver: Resolver) -> None:
    fetching = fetcher(site, resolver)
    urls = sorted({*REFUSED} - RELATIVE)
    said = {}
    for url in urls:
        to = quote(url.replace("PORT", str(site.port)), safe="%/:@[]\\!,?=_.-~")
        site.replies["/page"] = redirect(to)
        said[url] = await outcome(fetching, f"{site.url}/page")
    assert [url for url in urls if said[url] == "fetched"] == []
    assert (site.trapped, site.paths) == ([], ["/page"] * len(urls))
    print(f"{len(REFUSED)} URLs and {len(urls)} redirects were refused")


@pytest.mark.parametrize(
    "host", ["127.1", "0x7f.1", "2130706433", "localhost", "0", "[::ffff:127.0.0.1]"]
)
def test_the_control_without_a_guard_is_trapped(host: str, site: Site) -> None:
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        httpx.get(f"http://{host}:{site.port}/", trust_env=False)
    assert site.trapped


async def test_a_public_page_is_reached_at_the_address_that_was_checked_by_its_name(
    site: Site, resolver: Resolver
) -> None:
    site.replies["/page"] = reply("hello")
    fetched = await fetcher(site, resolver).get(f"HTTP://PAGES.Example.org.:{site.port}/page#part")
    assert (fetched.url, fetched.data) == (f"{site.url}/page", b"hello")
    assert (site.asked[0].address, site.asked[0].headers["host"]) == (
        PUBLIC, f"{NAME}:{site.port}",
    )  # fmt: skip
    assert resolver.asked == [NAME]


async def test_a_resolver_that_answers_otherwise_the_second_time_is_not_asked_a_second_time(
    site: Site, resolver: Resolver
) -> None:
    """Rebinding: the name is public when it is checked, and private when it is connected to."""
    resolver.know("rebound.example.org", [PUBLIC], ["127.0.0.1"])
    site.replies["/page"] = reply("hello")
    await fetcher(site, resolver).get(f"http://rebound.example.org:{site.port}/page")
    assert resolver.asked == ["rebound.example.org"] and not site.trapped


async def test_what_is_rebound_between_a_page_and_its_redirect_is_refused(
    site: Site, resolver: Resolver
) -> None:
    resolver.know("rebound.example.org", [PUBLIC], ["127.0.0.1"])
    there = f"http://rebound.example.org:{site.port}"
    site.replies["/page"] = redirect("/next")
    site.replies["/next"] = reply("hello")
    with pytest.raises(NotFetched, match="loopback"):
        await fetcher(site, resolver).get(f"{there}/page")
    assert site.paths == ["/page"] and not site.trapped


async def test_the_first_address_that_answers_is_taken_and_none_that_was_not_checked(
    site: Site, resolver: Resolver
) -> None:
    # Nobody listens at the first.
    resolver.know("several.example.org", ["127.0.0.9", PUBLIC])
    site.replies["/page"] = reply("hello")
    rules = rules_for(site, not_public=lambda address: None)
    fetched = await Fetcher(rules, resolve=resolver).get(
        f"http://several.example.org:{site.port}/page"
    )
    assert fetched.data == b"hello" and not site.trapped


@pytest.mark.parametrize(
    ("allow", "deny", "host", "why"),
    [
        ((), ("example.org",), NAME, "denied"),
        (("example.org",), ("pages.example.org",), NAME, "denied"),
        (("example.com",), (), NAME, "not on the list"),
        (("notexample.org",), (), NAME, "not on the list"),
        (("org.example",), (), NAME, "not on the list"),
        (("example.org",), (), NAME, None),
        (("pages.*",), (), NAME, None),
        ((), ("*.pages.example.org",), NAME, None),
        (("b\u00fccher.example",), (), "xn--bcher-kva.example", "public internet"),
        # What is on the list is still not private.
        (("127.0.0.1", "localhost"), (), "127.0.0.1", "loopback"),
        (("127.0.0.1", "localhost"), (), "localhost", "no name of the public"),
    ],
)
def test_hosts_that_are_allowed_and_denied(
    allow: tuple[str, ...], deny: tuple[str, ...], host: str, why: str | None
) -> None:
    rules = Rules(
        allow=check_patterns(allow, name="allow_hosts"),
        deny=check_patterns(deny, name="deny_hosts"),
    )
    if why is None:
        assert rules.target(f"https://{host}/").host == host
    else:
        with pytest.raises(NotFetched, match=why):
            rules.target(f"https://{host}/")


@pytest.mark.parametrize(
    "pattern", ["", "https://example.org", "example.org/a", "a b", "user@example.org", "a.org:80"]
)
def test_a_pattern_that_is_no_host_is_refused_before_anything_starts(pattern: str) -> None:
    with pytest.raises(ConfigurationError, match="allow_hosts"):
        check_patterns([pattern], name="allow_hosts")


@pytest.mark.parametrize(
    ("given", "form"),
    [
        ("HTTPS://Example.ORG:443/A?b=C#d", "https://example.org/A?b=C"),
        ("http://example.org", "http://example.org/"),
        ("http://example.org:443/", "http://example.org:443/"),
        ("http://B\u00dcCHER.example.org/\u00fc", "http://xn--bcher-kva.example.org/%C3%BC"),
        ("http://8.8.8.8/", "http://8.8.8.8/"),
        ("http://[2606:4700:0::1]/", "http://[2606:4700::1]/"),
        ("http://example.org/a[1]\u3010x", "http://example.org/a%5B1%5D%E3%80%90x"),
    ],
)
def test_a_url_has_one_form(given: str, form: str) -> None:
    assert read_url(given).url == form
    assert read_url(form).url == form


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8"]
)
def test_what_is_public_is(address: str) -> None:
    assert why_not_public(ip_address(address)) is None


def test_a_host_that_a_person_named_is_reached_at_home_but_not_as_a_clouds_metadata() -> None:
    rules = Rules(named=frozenset({"127.0.0.1", "tools.internal", "169.254.169.254"}))
    assert rules.target("http://127.0.0.1:8080/mcp").port == 8080
    rules.check("tools.internal", 9000, None)
    rules.check_address("tools.internal", ip_address("10.0.0.1"))
    for host, address in (("tools.internal", "169.254.169.254"), ("169.254.169.254",) * 2):
        with pytest.raises(NotFetched, match="metadata"):
            rules.check_address(host, ip_address(address))
    with pytest.raises(NotFetched, match="loopback"):
        rules.check_address("other.example.org", ip_address("127.0.0.1"))


def test_the_traps_listen(site: Site) -> None:
    """Or nothing above means anything."""
    for address in ("127.0.0.1", "127.0.0.3"):
        with socket.create_connection((address, site.port), 5) as client:
            assert client.recv(1) == b""
    assert len(site.trapped) == 2
