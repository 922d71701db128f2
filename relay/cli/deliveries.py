"""`relay deliveries`: each segment's list on its way to Attentive, or sent."""

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click

from relay.cli.context import config_option
from relay.cli.documents import delivery_document
from relay.cli.figures import moment
from relay.cli.filters import narrowed
from relay.cli.listing import ListedRow, print_listing
from relay.cli.pasting import decisions_due
from relay.cli.state import read_state
from relay.cli.tables import print_json
from relay.model import Delivery, DeliveryState


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

    with read_state(load(config, with_files=False)) as store:
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
                remarks=[words for words in (it.remote_name, why_it_waits(it)) if words],
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
