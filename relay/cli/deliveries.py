"""`relay deliveries`: each segment's list on its way to Attentive, or sent."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

import click

from relay.cli.context import config_option
from relay.cli.documents import delivery_document
from relay.cli.figures import moment
from relay.cli.filters import narrowed, refuse_unknown
from relay.cli.listing import ListedRow, print_listing
from relay.cli.pasting import decisions_due
from relay.cli.state import read_state
from relay.cli.tables import print_json
from relay.model import Delivery, DeliveryState
from relay.naming import names_in_a_row

_ON_THE_WAY: Final = (DeliveryState.QUEUED, DeliveryState.SENDING, DeliveryState.DEFERRED)

_RESTORE: Final = "`relay restore` sends the segment's last whole list again."
_COMPLETED: Final = {
    DeliveryState.HELD: f"`relay release` sends the others; {_RESTORE}",
    DeliveryState.FAILED: f"`relay requeue` sends the others; {_RESTORE}",
    DeliveryState.SUPERSEDED: "The newer list replaces it.",
    DeliveryState.DISCARDED: _RESTORE,
}
"""What makes a segment whole again of which only some files were sent."""


@click.command()
@config_option
@narrowed(DeliveryState)
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a table.")
def deliveries(
    config: Path, route: str | None, state: DeliveryState | None, since: datetime | None, limit: int, *, as_json: bool
) -> None:
    """List deliveries, the newest first.

    \b
    Example:
      relay deliveries --since 2026-11-20
      relay deliveries --state held

    A delivery is one segment's list. "sent" says that the upstream has it under its final name, no more: Attentive
    does not acknowledge what it makes of a file.
    """  # noqa: D301  click's mark for a paragraph that is not to be wrapped
    from relay.config import load

    loaded = load(config, with_files=False)
    with read_state(loaded) as store:
        refuse_unknown(route, loaded, store)
        found = store.deliveries(route=route, state=state, since=since, limit=limit)
    if as_json:
        print_json([delivery_document(delivery) for delivery in found])
    elif not found:
        click.echo("no deliveries")
    else:
        print_deliveries(found, config)


def print_deliveries(found: Sequence[Delivery], config: Path, *, indent: int = 0) -> None:
    """Print a table of deliveries; under each, its name at the upstream, why it waits, and the decisions due."""
    print_listing(
        ["delivery", "state", "rows", "when (UTC)", "segment"],
        [
            ListedRow(
                (it.id, it.state, it.counts.rows_out, moment(it.sent_at or it.queued_at or it.planned_at), it.segment),
                remarks=[words for words in (outgoing(it), why_it_waits(it), how_far(it)) if words],
                commands=decisions_due(it, config),
            )
            for it in found
        ],
        right=["rows"],
        indent=indent,
    )


def why_it_waits(delivery: Delivery) -> str:
    """Say why a delivery is not sent yet, or was given up: empty where there is nothing to say."""
    why = ": ".join(filter(None, (delivery.reason, delivery.detail)))
    if delivery.state is DeliveryState.DEFERRED:
        why += f"; tried {delivery.attempts}×, again at {moment(delivery.due_at)}"
    return why


def in_common(delivery: Delivery) -> str | None:
    """Say how many people a list has in common with the one sent before it; None where they were not compared."""
    if delivery.kept is None:
        return None
    return f"{delivery.kept:,} kept, {delivery.lost:,} lost, {delivery.gained:,} gained"


def outgoing(delivery: Delivery) -> str | None:
    """Name the file that a list goes out as, or the first and the last of several."""
    if delivery.remote_name is None or delivery.files == 1:
        return delivery.remote_name
    return f"{delivery.remote_name} to {names_in_a_row(delivery.remote_name, delivery.files)[-1]}"


def how_far(delivery: Delivery) -> str:
    """Say how many of a list's files the upstream has, and what that means where no more of them follow by itself."""
    if delivery.files == 1 or delivery.state is DeliveryState.SENT:
        return ""
    words = f"{delivery.files_sent} of its {delivery.files} files are at the upstream"
    if not delivery.is_partly_sent or delivery.state in _ON_THE_WAY:
        return words
    return f"{words}, so that the segment there may be incomplete. {_COMPLETED[delivery.state]}"
