"""The addresses to listen on: `host:port`, an IPv6 host in brackets, none of them twice."""

import ipaddress
import re
from typing import Annotated

from pydantic import AfterValidator

from relay.config.names import valid_host
from relay.config.problems import trouble

_ADDRESS = re.compile(r"(?:\[(?P<v6>[^\[\]]+)\]|(?P<host>[^:\[\]]+)):(?P<port>[0-9]{1,5})")
_LARGEST_PORT = 65535


def split_address(text: str) -> tuple[str, int]:
    """Split `host:port` into its parts.

    Raises:
        PydanticCustomError: `text` is no such address.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None or int(match["port"]) > _LARGEST_PORT or (match["v6"] and not _is_v6(match["v6"])):
        raise trouble(
            "this is not an address to listen on",
            hint='Write "host:port", such as "0.0.0.0:2222" or "[::]:2222", with a port from 0 to 65535.',
        )
    return match["v6"] or valid_host(match["host"]), int(match["port"])


def _is_v6(host: str) -> bool:
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True


def _checked(text: str) -> str:
    split_address(text)
    return text


def distinct(listen: tuple[str, ...]) -> tuple[str, ...]:
    """Check that no two of the addresses would claim the same port of the same interface. Port 0 claims none."""
    seen: list[tuple[str, int]] = []
    for host, port in map(split_address, listen):
        if port and any(port == other_port and _same_interface(host, other) for other, other_port in seen):
            raise trouble("two of these addresses claim the same port", hint="Keep one of them.")
        seen.append((host, port))
    return listen


def _same_interface(one: str, other: str) -> bool:
    try:
        first, second = ipaddress.ip_address(one), ipaddress.ip_address(other)
    except ValueError:
        return one.lower() == other.lower()
    return first == second or (first.version == second.version and (first.is_unspecified or second.is_unspecified))


Address = Annotated[str, AfterValidator(_checked)]
