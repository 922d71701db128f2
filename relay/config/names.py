"""The grammar of names: what may be an account, a route, an upstream, a client domain, a host, a time zone."""

import difflib
import ipaddress
import re
import zoneinfo
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator

from relay.config.problems import trouble
from relay.settings import Settings

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
_ACCOUNT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_DOMAIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")
_HOST_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")


class NamedSettings(Settings):
    """Settings that have a name, which is no key of theirs: it is that of their table or file."""

    name: str


def _short_name(name: str) -> str:
    # A route's name begins the ids of its exports and names directories, so it is short and needs no quoting anywhere.
    if _NAME.fullmatch(name) is None:
        raise trouble(
            "this name cannot be used",
            hint="A name has 1 to 32 ASCII letters, digits, - and _, and begins with a letter or digit.",
        )
    return name


def _account_name(name: str) -> str:
    # It names the account's directory too: no slash, nothing that begins with a dot. And it stands in the log, so it is
    # no e-mail address.
    if _ACCOUNT.fullmatch(name) is None:
        raise trouble(
            "this name cannot be used for an account",
            hint="Use 1 to 64 ASCII letters, digits and . _ -, beginning with a letter or digit.",
        )
    return name


def _client_domain(label: str) -> str:
    if _DOMAIN.fullmatch(label) is None:
        raise trouble(
            "a client domain is a bare label such as sirendenim",
            hint="Write it as the White Glove team gave it: 1 to 63 ASCII letters, digits and inner hyphens; "
            "no dot, underscore, blank or slash, because it begins the name of every file.",
        )
    return label


def _login_name(name: str) -> str:
    if not name.strip() or not name.isprintable():
        raise trouble("this is not a user name", hint="Fill in the one that the server's owner gave you.")
    return name


def valid_host(host: str) -> str:
    """Check that `host` is an IP address or a host name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        labels = host.removesuffix(".").split(".")
        if len(host) > 253 or not all(_HOST_LABEL.fullmatch(label) for label in labels):
            raise trouble(
                "this is not a host name or address",
                hint="Write the name alone, such as sftp.attentivemobile.com, without sftp://, port or directory.",
            ) from None
    return host


def _zone(zone: object) -> object:
    if not isinstance(zone, str):
        return zone
    try:
        return zoneinfo.ZoneInfo(zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        # OSError: `America` is a directory of the zone database, which ZoneInfo tries to read.
        near = difflib.get_close_matches(zone, zoneinfo.available_timezones(), n=1, cutoff=0.8)
        suggestion = f"Did you mean {near[0]}? " if near else ""
        raise trouble(
            "this time zone is not known", hint=f"{suggestion}Use an IANA name such as UTC or America/New_York."
        ) from None


RouteName = Annotated[str, AfterValidator(_short_name)]
UpstreamName = Annotated[str, AfterValidator(_short_name)]
AccountName = Annotated[str, AfterValidator(_account_name)]
ClientDomain = Annotated[str, AfterValidator(_client_domain)]
TimeZone = Annotated[zoneinfo.ZoneInfo, BeforeValidator(_zone)]
LoginName = Annotated[str, AfterValidator(_login_name)]
HostName = Annotated[str, AfterValidator(valid_host)]
