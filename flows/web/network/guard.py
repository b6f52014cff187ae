"""What may be fetched: a URL is read once, in one form, and judged before anything is sent. Pure.

Programs read odd URLs differently, which is how guards are passed by: so whatever is not plain is
refused (a number that is no dotted quad, a backslash, credentials), not interpreted.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from ipaddress import AddressValueError, IPv4Address, IPv6Address, ip_address

import httpx
import idna

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.web.network.addresses import Address, why_not_public

PORTS = frozenset({80, 443})
_SCHEMES = {"http": 80, "https": 443}
# A citation of it must stand in one bracket, see flows/agent/citations.py.
MOST_URL_CHARACTERS = 1_900

# Names that never leave a machine or a network (RFC 6761, RFC 6762, RFC 8375, and those in use).
_LOCAL = (
    *("localhost", "localdomain", "local", "internal", "intranet", "lan", "home", "corp"),
    *("private", "home.arpa", "onion", "invalid", "test", "example"),
)
# Names under which clouds serve their machines secrets, also where a resolver knows them by more.
_METADATA = (
    *("metadata", "metadata.google.internal", "metadata.goog", "metadata.azure.com"),
    *("metadata.azure.internal", "metadata.tencentyun.com", "metadata.platformequinix.com"),
    *("instance-data", "instance-data.ec2.internal"),
)

_ODD = re.compile(r"[\x00-\x20\x7f\\\u0080-\u00a0\u200b-\u200f\u2028-\u202f\u2060\ufeff]")
_LABEL = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"\d+|0x[0-9a-f]*")
_IN_A_BRACKET = {"[": "%5B", "]": "%5D", "【": "%E3%80%90", "】": "%E3%80%91", "†": "%E2%80%A0"}


class NotFetched(Exception):
    """A page that was not fetched, or not shown; the message says why. It ends nobody's work: an
    agent is told of it as the answer of its tool."""


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that may be asked for, as far as it says by itself. `url` is its one form, without a
    fragment; `host` in ASCII, without a final dot; `address` where the host is one."""

    url: str
    scheme: str
    host: str
    port: int
    address: Address | None = None

    @property
    def origin(self) -> str:
        shown = f"[{self.host}]" if ":" in self.host else self.host
        usual = self.port == _SCHEMES[self.scheme]
        return f"{self.scheme}://{shown}{'' if usual else f':{self.port}'}"


@dataclass(frozen=True)
class Rules:
    """What may be reached.

    Attributes:
        allow: hosts that alone may be reached; empty for all that are public. `example.org` is it
            and whatever ends in `.example.org`; with `*`, `?` or `[` it is a pattern.
        deny: hosts that may not, though they are allowed.
        ports: those that may be reached; 80 and 443.
        not_public: why an address may not be reached, None where it may.
        named: hosts that a person wrote down as they are: of them any port may be reached and any
            address but a cloud's metadata.
    """

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    ports: frozenset[int] = PORTS
    not_public: Callable[[Address], str | None] = field(default=why_not_public, repr=False)
    named: frozenset[str] = frozenset()

    def target(self, url: str) -> Target:
        """The URL in its one form. Raises NotFetched for one that may not be asked for."""
        target = read_url(url)
        self.check(target.host, target.port, target.address)
        return target

    def check(self, host: str, port: int, address: Address | None) -> None:
        """Raises NotFetched for a host (in its one form), port or literal address that may not be
        reached."""
        if host not in self.named:
            self._check_host(host, address)
            if port not in self.ports:
                ports = ", ".join(str(each) for each in sorted(self.ports))
                raise NotFetched(f"port {port} of {host} may not be reached; {ports} may")
        if address is not None:
            self.check_address(host, address)

    def _check_host(self, host: str, address: Address | None) -> None:
        if any(_covers(pattern, host) for pattern in self.deny):
            raise NotFetched(f"{host} is on the list of hosts that are denied")
        if self.allow and not any(_covers(pattern, host) for pattern in self.allow):
            raise NotFetched(f"{host} is not on the list of hosts that are allowed")
        if address is not None:
            return
        if host in _METADATA:
            raise NotFetched(f"{host} is a name of a cloud's metadata")
        if is_local(host):
            raise NotFetched(f"{host} is no name of the public internet")

    def check_address(self, host: str, address: Address) -> None:
        """Raises NotFetched for an address of a host that may not be reached. What a name stands
        for inside of a network is not told."""
        why = self.not_public(address)
        if why is None or (host in self.named and "metadata" not in why):
            return
        if host == str(address):
            raise NotFetched(f"{host} is no address of the public internet: it is {why}")
        raise NotFetched(f"{host} has an address that is not public: it is {why}")


def is_local(host: str) -> bool:
    """Whether a name (in its one form) is of this machine, or of its network alone."""
    return "." not in host or any(host == name or host.endswith(f".{name}") for name in _LOCAL)


def read_url(url: str) -> Target:
    """A URL in its one form. Raises NotFetched for one that is odd."""
    if len(url) > MOST_URL_CHARACTERS:
        raise NotFetched(f"the URL has {len(url):,} characters; {MOST_URL_CHARACTERS:,} are read")
    if _ODD.search(url):
        raise NotFetched("the URL holds blanks, backslashes or characters that are not seen")
    scheme = url.partition(":")[0].lower()
    if scheme not in _SCHEMES or not url[len(scheme) :].startswith("://"):
        raise NotFetched("only http:// and https:// are fetched")
    try:
        parsed = httpx.URL(url)
        host = parsed.raw_host.decode("ascii")
        port = parsed.port
    except (httpx.InvalidURL, UnicodeError, ValueError) as error:
        raise NotFetched(f"the URL cannot be read: {error}") from None
    if parsed.userinfo:
        raise NotFetched("the URL holds a user or a password: leave them out")
    host, address = _host(host)
    if port is not None and not 0 < port < 65_536:
        raise NotFetched(f"{port} is no port")
    path = parsed.raw_path.decode("ascii", "replace")
    for character, written in _IN_A_BRACKET.items():
        path = path.replace(character, written)
    found = Target("", scheme, host, port or _SCHEMES[scheme], address)
    whole = f"{found.origin}{path or '/'}"
    if len(whole) > MOST_URL_CHARACTERS:
        raise NotFetched(f"the URL has {len(whole):,} characters; {MOST_URL_CHARACTERS:,} are read")
    return Target(whole, found.scheme, found.host, found.port, address)


def read_host(host: str) -> tuple[str, Address | None]:
    """A host as a connection is asked for by it: a name or an address, in its one form. Raises
    NotFetched."""
    return _host(host)


def check_patterns(patterns: Iterable[str], *, name: str) -> tuple[str, ...]:
    """Patterns of hosts in the form that hosts are compared in. Raises ConfigurationError for what
    is none; `name` says whose they are."""
    found = []
    for pattern in patterns:
        text = pattern.strip().rstrip(".").lower()
        if text.startswith("[") and text.endswith("]") and ":" in text:
            text = text[1:-1]
        if not text or "/" in text or "@" in text or re.search(r"\s|:\d+$", _without_ipv6(text)):
            raise ConfigurationError(
                f"{name} takes names of hosts, such as example.org or *.example.org, without a"
                f" scheme, a port or a path; not {pattern!r}"
            )
        try:
            found.append(text if text.isascii() else idna.encode(text).decode("ascii"))
        except idna.IDNAError as error:
            raise ConfigurationError(f"{name}: {pattern!r} is no name of a host: {error}") from None
    return tuple(found)


def _without_ipv6(text: str) -> str:
    return "" if text.count(":") > 1 else text


def _covers(pattern: str, host: str) -> bool:
    if any(mark in pattern for mark in "*?["):
        return fnmatchcase(host, pattern)
    return host == pattern or host.endswith(f".{pattern}")


def _host(host: str) -> tuple[str, Address | None]:
    if ":" in host or "[" in host:
        try:
            address = IPv6Address(host)
        except AddressValueError:
            raise NotFetched(f"{host} is no IPv6 address that is read here") from None
        if address.scope_id is not None:
            raise NotFetched("an address with a zone is of one interface alone")
        return str(address), address
    name = host.lower()
    # The root's dot, which changes nothing; two are no name.
    name = name[:-1] if name.endswith(".") else name
    labels = name.split(".")
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise NotFetched(f"{host!r} is no name of a host")
    if _NUMBER.fullmatch(labels[-1]):
        return _dotted_quad(name)
    for label in labels:
        if label.startswith("xn--"):
            try:
                idna.decode(label)
            except (idna.IDNAError, UnicodeError):
                raise NotFetched(f"{host!r} is no name of a host") from None
    return name, None


def _dotted_quad(name: str) -> tuple[str, Address]:
    """A name that ends in a number is an IPv4 address to whoever connects, in octal, hexadecimal,
    or fewer parts too; only the form that all read alike is taken."""
    try:
        address = ip_address(name)
    except ValueError:
        raise NotFetched(
            f"{name} is a number that programs read differently: write an IPv4 address as four"
            " decimal numbers"
        ) from None
    assert isinstance(address, IPv4Address)
    return str(address), address
