"""The sections on who gets into the landing zone, and how much of it: limits and penalties (rules L20 to L23)."""

import ipaddress
import re
from datetime import timedelta
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer

from relay.config.bounds import NotEmpty, at_most
from relay.config.problems import trouble
from relay.settings import Duration, Settings

_LONGEST_PENALTY: Final = timedelta(hours=1)
_LONGEST_IDLE: Final = timedelta(days=1)
_STARTUPS = re.compile(r"([0-9]{1,5}):([0-9]{1,3}):([0-9]{1,5})")

_Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _parse_network(text: object) -> object:
    if isinstance(text, _Network):
        return text
    try:
        return ipaddress.ip_network(text if isinstance(text, str) else "")
    except ValueError:
        raise trouble(
            "this is no address and no network",
            hint='Write an address or a network, such as "203.0.113.7", "203.0.113.0/24" or "2001:db8::/48"; no host '
            "name, and no bits set behind the prefix.",
        ) from None


Network = Annotated[_Network, BeforeValidator(_parse_network), PlainSerializer(str, return_type=str)]
"""An address, or a network in CIDR notation."""


def split_startups(text: str) -> tuple[int, int, int]:
    """Split `start:rate:full` into its parts.

    Raises:
        PydanticCustomError: `text` is no such thing.
    """
    match = _STARTUPS.fullmatch(text)
    start, rate, full = map(int, match.groups()) if match else (0, 0, 0)
    if not 0 < start <= full or not 0 <= rate <= 100:
        raise trouble(
            "this is not start:rate:full",
            hint='Write three numbers such as "50:30:150": from 50 connections without a login on, 30 % of new ones '
            "are dropped, growing to all of them at 150.",
        )
    return start, rate, full


def _checked_startups(text: str) -> str:
    split_startups(text)
    return text


Count = Annotated[int, Field(ge=1, le=10_000)]
Penalty = Annotated[Duration, at_most(_LONGEST_PENALTY)]


class LimitSettings(Settings):
    """How many connections, tries and sessions there may be (rules L20, L21 and L25)."""

    startups: Annotated[str, AfterValidator(_checked_startups)] = "50:30:150"
    """How many connections may be without a login, as `start:rate:full`: from `start` on, a new one is dropped with a
    chance of `rate` percent, growing to certainty at `full`, as OpenSSH's MaxStartups has it."""
    startups_per_source: Count = 10
    """How many connections of one source may be without a login at once."""
    source_burst: Count = 15
    """How many connections one source may open in quick succession. One that logs in is given back."""
    source_rate: Annotated[int, Field(ge=1, le=1000)] = 5
    """How many connections per second one source may open in the long run without logging in."""
    ipv4_prefix: Annotated[int, Field(ge=8, le=32)] = 32
    """How many bits of an IPv4 address make a source."""
    ipv6_prefix: Annotated[int, Field(ge=16, le=128)] = 64
    """How many bits of an IPv6 address make a source: a server or a household usually has 64 bits to itself."""
    exempt: tuple[Network, ...] = ()
    """Networks that are neither limited by source nor punished, such as Amperity's published addresses and your
    monitoring."""
    tries: Annotated[int, Field(ge=1, le=20)] = 3
    """How often one connection may try to log in; each key and each password that is offered is a try."""
    sessions_per_account: Count = 64
    """How many sessions one account may have at once; a connection without one counts as one."""
    sessions_per_connection: Annotated[int, Field(ge=1, le=100)] = 10
    """How many sessions one connection may have at once."""
    idle_timeout: Annotated[Duration, at_most(_LONGEST_IDLE)] = timedelta(minutes=15)
    """How long a client that has logged in may do nothing before its connection is ended."""
    keepalive: Annotated[Duration, at_most(_LONGEST_PENALTY)] = timedelta(seconds=30)
    """How often a silent client is asked whether it is still there."""
    keepalives_unanswered: Annotated[int, Field(ge=1, le=100)] = 3
    """How many such questions a client may leave unanswered before its connection counts as broken."""

    @property
    def startups_parts(self) -> tuple[int, int, int]:
        """What `startups` says, as three numbers."""
        return split_startups(self.startups)


class PenaltySettings(Settings):
    """What a source is charged for an offence before it is shut out for a while; waiting pays it off (rule L22)."""

    refused_login: Penalty = timedelta(seconds=20)
    """For each refused password, and for each connection that only offered keys which may not log in."""
    too_slow: Penalty = timedelta(seconds=10)
    """For a connection that took up its place for the whole `login_timeout`."""
    no_login: Penalty = timedelta(seconds=2)
    """For a client that began to speak SSH and left without trying to log in, as scanners do."""
    broken_protocol: Penalty = timedelta(seconds=20)
    """For a client that broke the protocol, or does not speak it at all."""
    threshold: Penalty = timedelta(seconds=50)
    """A source that owes as much is shut out until all of it is paid off."""
    most_sources: Annotated[int, Field(ge=100, le=1_000_000)] = 10_000
    """How many sources are kept in mind; beyond that, those that owe least are forgotten."""


AllowedSources = Annotated[tuple[Network, ...], NotEmpty]
