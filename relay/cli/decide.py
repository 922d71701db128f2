"""`relay hold`, `release`, `discard`, `requeue`: an operator's decisions, recorded with the operator's name.

They are written into the state; the running service sees them within seconds and acts on them.
"""

import getpass
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from relay.cli.context import config_option, show_error
from relay.cli.deliveries import how_far, outgoing
from relay.cli.state import changed_state, soon, unknown_id
from relay.model import Cut, Decision, Delivery, DeliveryState, Export, ExportState, RelayError

if TYPE_CHECKING:
    from relay.config import Config, RouteSettings
    from relay.store import Store

_Command = TypeVar("_Command", bound=Callable[..., Any])
Verb = Callable[["Store", "Config", str, Decision], Delivery | Export]
"""Records one decision: on what id, whose and why; returns what it was about as it stands then."""


def _decision(command: _Command) -> _Command:
    """Give a command the ids and the reason that every decision takes."""
    for option in (
        config_option,
        click.option("--reason", metavar="TEXT", help="Why; kept in the history."),
        click.argument("ids", metavar="ID...", nargs=-1, required=True),
    ):
        command = option(command)
    return command


@click.command()
@_decision
@click.pass_context
def hold(ctx: click.Context, config: Path, ids: Sequence[str], reason: str | None) -> None:
    """Keep lists that wait from being sent, until they are released or discarded.

    \b
    Example:
      relay hold sirendenim-20261123T062155Z-9c1e2a.1 --reason "marketing is checking"

    The list last sent stays live. What is being sent or was sent cannot be held.
    """  # noqa: D301  click's mark for a paragraph that is not to be wrapped

    def verb(store: "Store", _: "Config", it: str, decision: Decision) -> Delivery | Export:
        return store.hold(it, decision, _now())

    ctx.exit(_decide(config, ids, reason, verb))


@click.command()
@_decision
@click.pass_context
def release(ctx: click.Context, config: Path, ids: Sequence[str], reason: str | None) -> None:
    """Send lists that are held, as they are.

    \b
    Example:
      relay release sirendenim-20261123T062155Z-9c1e2a.1 --reason "the segment really is that small now"

    Each replaces its segment's list at Attentive. One that was never queued gets its name now, with today's date in
    the route's time zone; one of more rows than a file takes goes out as several, if the route says oversize = "split".
    """  # noqa: D301  click's mark for a paragraph that is not to be wrapped

    def verb(store: "Store", loaded: "Config", it: str, decision: Decision) -> Delivery | Export:
        route, now = _route_of(store, loaded, it), _now()
        day, cuts = route.day_of(now), _cuts(store, loaded, it, route)
        return store.release(it, decision, day, now + route.stale_after, now, cuts=cuts)

    ctx.exit(_decide(config, ids, reason, verb))


@click.command()
@_decision
@click.pass_context
def discard(ctx: click.Context, config: Path, ids: Sequence[str], reason: str | None) -> None:
    """Give up lists that wait, or exports that are quarantined or wait for files, for good.

    \b
    Example:
      relay discard sirendenim-20261123T062155Z-9c1e2a.1 --reason "was a campaign test"

    The list last sent stays live.
    """  # noqa: D301  click's mark for a paragraph that is not to be wrapped

    def verb(store: "Store", _: "Config", it: str, decision: Decision) -> Delivery | Export:
        return store.discard(it, decision, _now())

    ctx.exit(_decide(config, ids, reason, verb))


@click.command()
@_decision
@click.option(
    "--as-whole", is_flag=True, help="Of an incomplete export: the files that are there are all of it, so take them."
)
@click.pass_context
def requeue(ctx: click.Context, config: Path, ids: Sequence[str], reason: str | None, *, as_whole: bool) -> None:
    """Try failed lists, or quarantined exports, again.

    \b
    Example:
      relay requeue sirendenim-20261123T062155Z-9c1e2a --reason "identifier_column is right now"
      relay requeue --as-whole sirendenim-20261123T062155Z-9c1e2a --reason "part 2 had no rows"

    A list keeps its name and bytes. An export is rewritten and judged anew, by the settings as they are now.
    """  # noqa: D301  click's mark for a paragraph that is not to be wrapped

    def verb(store: "Store", loaded: "Config", it: str, decision: Decision) -> Delivery | Export:
        now = _now()
        stale_at = now + _route_of(store, loaded, it).stale_after
        return store.requeue(it, decision, now, stale_at=stale_at, as_whole=as_whole)

    ctx.exit(_decide(config, ids, reason, verb))


def _decide(config: Path, ids: Sequence[str], reason: str | None, verb: Verb) -> int:
    """Have every decision recorded that can be, say what came of each, and return the exit status."""
    from relay.config import load

    loaded = load(config, with_files=False)
    status = 0
    with changed_state(loaded) as store:
        for it in ids:
            try:
                decided = verb(store, loaded, it, decision(reason))
            except RelayError as refusal:
                status = show_error(refusal)
            else:
                click.echo(f"{decided.id} {_became(decided, loaded)}")
    return status


def _cuts(store: "Store", loaded: "Config", it: str, route: "RouteSettings") -> "Sequence[Cut]":
    """Say how a list is cut that is about to be released as several files (rule D13)."""
    from relay.spool import Spool, cut

    delivery = store.delivery(it)
    if delivery is None or delivery.remote_name or not route.guards.splits(delivery.counts.rows_out):
        return ()
    draft = Spool(loaded.state_dir).draft(delivery)
    if not draft.exists():
        raise RelayError(
            f"{draft} is gone, so there is nothing to send", hint="`relay discard` it, and have it exported again."
        )
    return cut(draft, route.guards.max_rows)


def _became(it: Delivery | Export, loaded: "Config") -> str:
    """Say what a decision led to."""
    match it:
        case Delivery(state=DeliveryState.QUEUED):
            return f"is queued as {outgoing(it)}; {soon(loaded, 'sends it')}"
        case Delivery(is_partly_sent=True):
            return f"is {it.state}; {how_far(it)}"
        case Delivery(state=DeliveryState.DUPLICATED):
            return "is a duplicate: the same list is already there for its date, so nothing is sent"
        case Export(state=ExportState.GATHERING):
            return f"is to be taken as it is; {soon(loaded, 'does so')}"
        case Export(state=ExportState.RECEIVED):
            return f"is to be rewritten again; {soon(loaded, 'does so')}"
        case _:
            return f"is {it.state}"


def _route_of(store: "Store", loaded: "Config", it: str) -> "RouteSettings":
    """Return the settings of the route that a delivery or an export came by.

    Raises:
        RelayError: there is no such delivery or export, or the configuration has lost its route.
    """
    subject = store.delivery(it) or store.export(it)
    if subject is None:
        raise unknown_id(it, store)
    if subject.route not in loaded.routes:
        raise RelayError(
            f"{it} came by the route {subject.route}, which the configuration does not have",
            hint=f"Put routes.d/{subject.route}.toml back, or `relay discard` it.",
        )
    return loaded.routes[subject.route]


def decision(reason: str | None) -> Decision:
    """Return an operator's word as it is kept: with who said so, and without people in its reason (rule R1)."""
    from relay.rewrite.mask import mask_text

    return Decision(operator(), reason and mask_text(reason))


def operator() -> str:
    """Return who decides: the person behind sudo where the command runs as the service's user."""
    return os.environ.get("SUDO_USER") or getpass.getuser()


def _now() -> datetime:
    return datetime.now(UTC)
