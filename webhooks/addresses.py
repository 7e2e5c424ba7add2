"""Where a webhook may go: every address a name stands for must be public, or explicitly allowed, and is then pinned."""

import ipaddress
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final
from urllib.parse import SplitResult, urlsplit

from webhooks.errors import AddressRefused

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

# IPv6 ranges that carry an IPv4 address in their last 32 bits.
NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
COMPATIBLE: Final = ipaddress.ip_network("::/96")
PORTS: Final = {"https": 443, "http": 80}
LONGEST_URL: Final = 2000


@dataclass(frozen=True, slots=True)
class Target:
    """A checked place: the address to connect to, and the name to ask for there."""

    scheme: str
    host: str
    port: int
    path: str
    address: str


def networks(names: Sequence[str]) -> tuple[Network, ...]:
    """Return the networks of a setting."""
    return tuple(ipaddress.ip_network(name) for name in names)


def resolve(*, url: str, allowed: Sequence[Network]) -> Target:
    """Return where the URL leads now; raises AddressRefused.

    HTTPS alone, unless every address is in an allowed network. One address of the name that is neither public nor
    allowed refuses them all, so that an answer cannot be picked by luck.
    """
    parts = _parts(url)
    host, port = parts.hostname or "", parts.port or PORTS[parts.scheme]
    addresses = _addresses(host, port)
    inside = [_is_in(address, allowed) for address in addresses]
    bad = next((a for a, ok in zip(addresses, inside, strict=True) if not ok and not _is_public(a)), None)
    if bad is not None:
        raise AddressRefused(f"{host} leads to {bad}, which is not a public address", field="url")
    if parts.scheme != "https" and not all(inside):
        raise AddressRefused("a webhook goes over https", field="url")
    path = parts.path or "/"
    return Target(parts.scheme, host, port, f"{path}?{parts.query}" if parts.query else path, str(addresses[0]))


def _parts(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise AddressRefused(f"the URL cannot be read: {error}", field="url") from error
    if parts.scheme not in PORTS or not parts.hostname or len(url) > LONGEST_URL or port == 0:
        raise AddressRefused("the URL is not an absolute https URL", field="url")
    if parts.username is not None or parts.password is not None:
        raise AddressRefused("the URL names a user or a password", field="url")
    if any(ord(character) <= ord(" ") for character in url):
        raise AddressRefused("the URL holds blanks", field="url")
    return parts


def _addresses(host: str, port: int) -> list[Address]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise AddressRefused(f"{host} cannot be resolved", field="url") from error
    return [ipaddress.ip_address(str(row[4][0]).partition("%")[0]) for row in found]


def _is_public(address: Address) -> bool:
    return all(
        each.is_global and not each.is_multicast and not each.is_reserved and not each.is_unspecified
        for each in (address, *_carried(address))
    )


def _is_in(address: Address, allowed: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in allowed)


def _carried(address: Address) -> list[Address]:
    """Return the IPv4 addresses that an IPv6 address stands for."""
    if isinstance(address, IPv4Address):
        return []
    found: list[Address | None] = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if address in NAT64 or address in COMPATIBLE:
        found.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return [each for each in found if each is not None]
