"""Sources: which addresses count as one, and which are never held to account (rules L20 and L22)."""

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def plain_address(text: str) -> Address:
    """Return the address of a peer: without its scope, and as IPv4 where it only came by way of an IPv6 socket.

    Raises:
        ValueError: `text` is no address.
    """
    address = ip_address(text.partition("%")[0])
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def is_among(address: Address, networks: Iterable[Network]) -> bool:
    """Say whether an address lies in one of the networks."""
    return any(address in network for network in networks)


@dataclass(frozen=True, slots=True)
class Sources:
    """Tells sources apart: a household or a server has one IPv4 address, but a whole prefix of IPv6.

    Args:
        ipv4_prefix: how many bits of an IPv4 address tell sources apart.
        ipv6_prefix: the same of an IPv6 address.
        exempt: the networks that are neither limited by source nor punished.
    """

    ipv4_prefix: int = 32
    ipv6_prefix: int = 64
    exempt: tuple[Network, ...] = ()

    def source_of(self, address: Address) -> Network:
        """Return the network that an address counts as."""
        prefix = self.ipv4_prefix if address.version == 4 else self.ipv6_prefix
        return ip_network((address, prefix), strict=False)

    def is_exempt(self, address: Address) -> bool:
        """Say whether an address is the customer's, or a monitor's, and trusted not to be an attacker's."""
        return is_among(address, self.exempt)
