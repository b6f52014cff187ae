"""Which IP addresses belong to the public internet. Pure.

The tables are IANA's, of special-purpose addresses
(https://www.iana.org/assignments/iana-ipv4-special-registry,
https://www.iana.org/assignments/iana-ipv6-special-registry), and stand here because the standard
library's answers differ between the versions of Python. Of IPv6 only what IANA has given out for
global unicast is public, 2000::/3, whatever else may become of the rest.
"""

from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address

_IPV4: Mapping[IPv4Network, str] = {
    IPv4Network(network): why
    for network, why in (
        # What serves a cloud's machines their secrets, before the ranges that they are in.
        ("169.254.169.254/32", "a cloud's metadata"),
        ("169.254.170.2/32", "a cloud's metadata"),
        ("168.63.129.16/32", "a cloud's metadata"),
        ("100.100.100.200/32", "a cloud's metadata"),
        ("192.0.0.192/32", "a cloud's metadata"),
        ("0.0.0.0/8", "unspecified"),
        ("10.0.0.0/8", "private"),
        ("100.64.0.0/10", "shared by a provider's customers"),
        ("127.0.0.0/8", "loopback"),
        ("169.254.0.0/16", "link-local"),
        ("172.16.0.0/12", "private"),
        ("192.0.0.0/24", "reserved"),
        ("192.0.2.0/24", "for documentation"),
        ("192.31.196.0/24", "reserved"),
        ("192.52.193.0/24", "reserved"),
        ("192.88.99.0/24", "a 6to4 relay"),
        ("192.168.0.0/16", "private"),
        ("192.175.48.0/24", "reserved"),
        ("198.18.0.0/15", "for benchmarks"),
        ("198.51.100.0/24", "for documentation"),
        ("203.0.113.0/24", "for documentation"),
        ("224.0.0.0/4", "multicast"),
        ("255.255.255.255/32", "broadcast"),
        ("240.0.0.0/4", "reserved"),
    )
}
_IPV6: Mapping[IPv6Network, str] = {
    IPv6Network(network): why
    for network, why in (
        ("fd00:ec2::254/128", "a cloud's metadata"),
        ("fd00:ec2::23/128", "a cloud's metadata"),
        ("fd20:ce::254/128", "a cloud's metadata"),
        ("::/128", "unspecified"),
        ("::1/128", "loopback"),
        ("::/96", "an IPv4 address in IPv6"),
        ("64:ff9b:1::/48", "of a local NAT64"),
        ("100::/64", "for discarding"),
        ("2001::/32", "of Teredo"),
        ("2001:db8::/32", "for documentation"),
        ("2001::/23", "reserved"),
        ("2002::/16", "of 6to4"),
        ("2620:4f:8000::/48", "reserved"),
        ("3fff::/20", "for documentation"),
        ("fc00::/7", "private"),
        ("fe80::/10", "link-local"),
        ("fec0::/10", "private"),
        ("ff00::/8", "multicast"),
    )
}
_GLOBAL = IPv6Network("2000::/3")
# Those that hold an IPv4 address in their last 32 bits, and mean it.
_MAPPED = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))
# ISATAP (RFC 5214): so does an interface identifier that begins like these, in any network.
_ISATAP = (0x00005EFE, 0x02005EFE)


def why_not_public(address: Address) -> str | None:
    """Why an address is none of the public internet's, in words that stand after "it is"; None for
    one that is.

    An IPv4 address in an IPv6 one (mapped, NAT64, ISATAP) is judged by itself. 6to4 and Teredo are
    refused whatever they hold: nobody who serves pages is reached by them.
    """
    if isinstance(address, IPv4Address):
        return next((why for network, why in _IPV4.items() if address in network), None)
    if address.scope_id is not None:
        return "of one interface alone"
    if any(address in network for network in _MAPPED):
        return why_not_public(_last_32_bits(address))
    for network, why in _IPV6.items():
        if address in network:
            return why
    if address not in _GLOBAL:
        return "reserved"
    if int(address) >> 32 & 0xFFFFFFFF in _ISATAP:
        return why_not_public(_last_32_bits(address))
    return None


def _last_32_bits(address: IPv6Address) -> IPv4Address:
    return IPv4Address(int(address) & 0xFFFFFFFF)
