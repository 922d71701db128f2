"""`relay bans`, `relay unban`: who is shut out of the landing zone, and letting back in.

Both work beside the running service, which sees what they change within seconds.
"""

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relay.cli.context import config_option, show_error
from relay.cli.decide import operator
from relay.cli.figures import moment
from relay.cli.state import changed_state, read_state, soon
from relay.cli.tables import print_json, print_table
from relay.model import RelayError

if TYPE_CHECKING:
    from relay.model import Ban
    from relay.store import Store


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def bans(config: Path, as_json: bool) -> None:  # noqa: FBT001  a flag of the command line
    """List the sources that are shut out of the landing zone, and until when.

    \b
    Example:
      relay bans
      relay bans --json

    A source is an IPv4 address or, by default, a /64 of IPv6. It is shut out for offences such as wrong passwords, and
    let in again by itself. `relay unban` lets it in at once; landing.limits.exempt keeps it from being shut out at all.
    """  # noqa: D301  click's mark for a paragraph that is not to be wrapped
    from relay.config import load

    with read_state(load(config, with_files=False)) as store:
        found = store.bans(_now())
    if as_json:
        print_json([_document(ban) for ban in found])
    elif found:
        rows = [(ban.source, ban.reason, moment(ban.banned_at), moment(ban.until)) for ban in found]
        print_table(("source", "reason", "since (UTC)", "until (UTC)"), rows)
    else:
        click.echo("nobody is shut out")


@click.command()
@config_option
@click.argument("addresses", metavar="ADDRESS...", nargs=-1, required=True)
@click.pass_context
def unban(ctx: click.Context, config: Path, addresses: Sequence[str]) -> None:
    """Let sources in again that are shut out of the landing zone.

    \b
    Example:
      relay unban 203.0.113.7
      relay unban 2001:db8::/64

    ADDRESS is an address, or a source as `relay bans` shows it. The running service lets it in within seconds.
    """  # noqa: D301  click's mark for a paragraph that is not to be wrapped
    from relay.config import load

    status = 0
    loaded = load(config, with_files=False)
    with changed_state(loaded) as store:
        for address in addresses:
            try:
                for source in _sources_of(store, address):
                    store.lift_ban(source, operator(), _now())
                    click.echo(f"{source} is let in again; {soon(loaded, 'does so')}")
            except RelayError as refusal:
                status = show_error(refusal)
    ctx.exit(status)


def _sources_of(store: "Store", text: str) -> list[str]:
    """Return the sources that are shut out and that an address, or a network, is meant by.

    Raises:
        RelayError: it is no address, or not shut out.
    """
    try:
        meant = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise RelayError(
            f"{text} is no address", hint="Write an address or a network as `relay bans` shows it."
        ) from None
    banned = [ban.source for ban in store.bans(_now())]
    sources = [it for it in banned if _overlap(meant, ipaddress.ip_network(it))]
    if not sources:
        raise RelayError(f"{text} is not shut out", hint="`relay bans` shows who is.")
    return sources


def _overlap(
    one: ipaddress.IPv4Network | ipaddress.IPv6Network, other: ipaddress.IPv4Network | ipaddress.IPv6Network
) -> bool:
    return one.version == other.version and one.overlaps(other)


def _document(ban: "Ban") -> dict[str, object]:
    return {"source": ban.source, "reason": ban.reason, "banned_at": ban.banned_at, "until": ban.until}


def _instant(instant: datetime) -> str:
    return instant.isoformat(sep=" ", timespec="seconds")


def _now() -> datetime:
    return datetime.now(UTC)
