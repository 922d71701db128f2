"""`relay restore`: a segment's earlier list once more, the only undo that a replacing platform offers."""

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from relay.cli.context import config_option, unknown_route
from relay.cli.decide import decision
from relay.cli.deliveries import outgoing
from relay.cli.figures import moment, rows
from relay.cli.state import changed_state, soon
from relay.model import Delivery, RelayError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from relay.config import RouteSettings


@click.command()
@config_option
@click.option("--route", required=True, metavar="NAME", help="The route that the segment comes by.")
@click.option("--segment", required=True, metavar="NAME", help="The segment, exactly as it is called.")
@click.option("--delivery", metavar="ID", help="Which of its lists; by default the one before the last sent.")
@click.option("--reason", metavar="TEXT", help="Why; kept in the history.")
@click.option("--even-if-old", is_flag=True, help="Also a list that was sent longer ago than max_restore_age.")
def restore(
    config: Path, route: str, segment: str, delivery: str | None, reason: str | None, *, even_if_old: bool
) -> None:
    """Send the list before the last sent one again, or the one named, under a new name.

    \b
    Example:
      relay restore --route sirendenim --segment VIP --reason "today's query was wrong"

    No guard judges it. It takes the place of whatever waits of its segment, and the next export is compared with it.
    Where only some files of the newest list were sent, the list meant is the last one that was sent whole.
    """  # noqa: D301  click's mark for a paragraph that is not to be wrapped
    from relay.config import load
    from relay.spool import Spool

    loaded = load(config, with_files=False)
    if route not in loaded.routes:
        raise unknown_route(route, loaded.routes)
    settings, spool, now = loaded.routes[route], Spool(loaded.state_dir), datetime.now(UTC)
    with changed_state(loaded) as store:
        sent = store.sent_lists(settings.upstream, settings.client_domain, segment)
        partly = store.partly_sent(settings.upstream, settings.client_domain, segment)
        source = _chosen(sent, segment, delivery, partly)
        _refuse_if_old(source, settings, now, even_if_old=even_if_old)
        _refuse_if_damaged(source, spool.draft(source))
        restored = store.restore(
            source.id,
            decision(reason),
            settings.day_of(now),
            now + settings.stale_after,
            now,
            keep=spool.link_draft,
        )
    click.echo(
        f"{restored.id} is queued as {outgoing(restored)}: {rows(source.counts.rows_out)}, sent before at "
        f"{moment(source.sent_at)} UTC; {soon(loaded, 'sends it')}"
    )


def _chosen(sent: "Sequence[Delivery]", segment: str, delivery: str | None, partly: Delivery | None) -> Delivery:
    """Return the list that is meant: the one named, or the one before the last sent.

    Where of the newest only some files were sent, that is the last whole one (rule D14).
    """
    if not sent:
        from relay.rewrite.mask import mask_name

        raise RelayError(
            f"no list of the segment “{mask_name(segment)}” was ever sent",
            hint="`relay status` has the segments' names.",
        )
    if delivery is not None:
        found = next((it for it in sent if it.id == delivery), None)
        if found is None:
            raise RelayError(
                f"{delivery} is no list of “{segment}” that was sent", hint=f"Those that were: {_some(sent)}."
            )
        return found
    if partly is not None:
        return sent[0]
    if len(sent) == 1:
        raise RelayError(
            f"{sent[0].id} is the only list of “{segment}” that was sent; there is none before it",
            hint="Have the right list exported, or name this one with --delivery to have it sent again.",
        )
    if sent[1].sha256 == sent[0].sha256:
        raise RelayError(
            f"the list before the last sent one, {sent[1].id}, is the same list",
            hint=f"Name the one that you mean with --delivery: {_some(sent)}.",
        )
    return sent[1]


def _some(sent: "Sequence[Delivery]") -> str:
    return ", ".join(f"{it.id} ({rows(it.counts.rows_out)}, {moment(it.sent_at)})" for it in sent[:5])


def _refuse_if_old(source: Delivery, settings: "RouteSettings", now: datetime, *, even_if_old: bool) -> None:
    sent_at = source.sent_at or source.planned_at
    if not even_if_old and now - sent_at > settings.max_restore_age:
        raise RelayError(
            f"{source.id} was sent {(now - sent_at).days} days ago, and max_restore_age is "
            f"{settings.max_restore_age.days} days",
            hint="Its people may have opted out since. With --even-if-old it is sent all the same.",
        )


def _refuse_if_damaged(source: Delivery, draft: Path) -> None:
    """Look before anything is noted: what is sent again must be what was sent."""
    from relay.spool import hash_file

    if draft.exists() and hash_file(draft) != source.sha256:
        raise RelayError(
            f"{draft} is not the list that was sent as {source.id}: its SHA-256 is another",
            hint="Do not use it. Find out who changed it, and have the list exported again.",
        )
