"""`relay status`: today at a glance."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from relay.cli.context import config_option, unknown_route
from relay.cli.documents import Document, arrival_document, delivery_document, export_document, instant
from relay.cli.glance import print_in_full, print_in_short
from relay.cli.pasting import decisions_due
from relay.cli.probing import probe_fields
from relay.cli.state import has_state, read_state
from relay.cli.tables import print_json
from relay.model import Export
from relay.standing import RouteStanding, SegmentStanding, Standing, UpstreamStanding, gather, life_sign

if TYPE_CHECKING:
    from relay.config import Config

_LINES_OF_A_ROUTE: Final = 6
_LINES_OF_A_SCREEN: Final = 42


@click.command()
@config_option
@click.option("--route", metavar="NAME", help="Only this route, with all of its segments.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of text.")
@click.option("--health", is_flag=True, help="Only whether the service lives, for a supervisor.")
@click.pass_context
def status(ctx: click.Context, config: Path, route: str | None, *, as_json: bool, health: bool) -> None:
    """Show today at a glance: what was sent last, what waits and why, and what a person must decide.

    \b
    Example:
      relay status
      relay status --route sirendenim
      relay status --json | jq '.findings'
      relay status --health

    What wants a person comes first, with the commands that end it. Where all segments do not fit on a screen, routes
    that are well have a line each.

    "sent" says that the upstream has the file under its final name, no more. Exit status 1 if a list is late or
    missing, held or has failed, an export is quarantined or an upstream is suspended; rejected rows alone are fine.
    With --health, exit status 1 only if the service does not run or does not turn: no list that is held, and no
    upstream that is down, is a reason to restart it.
    """  # noqa: D301  click's mark for a paragraph that is not to be wrapped
    from relay.config import load

    loaded = load(config, with_files=False)
    if health:
        _show_health(ctx, loaded)
    with read_state(loaded) as store:
        standing = gather(loaded, store, datetime.now(UTC))
    if route is not None:
        standing = _only(standing, route)
    if as_json:
        print_json(_document(standing, loaded.state_dir, config))
    elif route is not None or _fits(standing):
        print_in_full(standing, loaded.state_dir, config)
    else:
        print_in_short(standing, loaded.state_dir, config)
    ctx.exit(1 if standing.findings else 0)


def _show_health(ctx: click.Context, config: "Config") -> None:
    from relay.spool import Spool

    # Another user than the service's is told so.
    has_state(config)
    sign = life_sign(Spool(config.state_dir), datetime.now(UTC))
    click.echo(sign.said)
    ctx.exit(0 if sign.is_alive else 1)


def _only(standing: Standing, route: str) -> Standing:
    """Return how one route stands, and its upstream."""
    found = [it for it in standing.routes if it.name == route]
    if not found:
        raise unknown_route(route, (it.name for it in standing.routes))
    return replace(
        standing,
        routes=tuple(found),
        quarantined=tuple(it for it in standing.quarantined if it.route == route),
        gathering=tuple(it for it in standing.gathering if it.route == route),
        unrouted=(),
        upstreams=tuple(
            it for it in standing.upstreams if found[0].settings and it.settings.name == found[0].settings.upstream
        ),
    )


def _fits(standing: Standing) -> bool:
    """Say whether every segment of every route fits on a screen."""
    return sum(_LINES_OF_A_ROUTE + len(route.segments) for route in standing.routes) <= _LINES_OF_A_SCREEN


def _document(standing: Standing, state_dir: Path, config: Path) -> Document:
    return {
        "at": instant(standing.at),
        "running": standing.running,
        "findings": standing.findings,
        "routes": [_route_document(route, config) for route in standing.routes],
        "quarantined": [_export_document(export, config) for export in standing.quarantined],
        "gathering": [export_document(export) for export in standing.gathering],
        "unrouted": [arrival_document(arrival) for arrival in standing.unrouted],
        "upstreams": [_upstream_document(upstream) for upstream in standing.upstreams],
        "disk": {"path": str(state_dir), "free_bytes": standing.disk_free, "total_bytes": standing.disk_total},
    }


def _route_document(route: RouteStanding, config: Path) -> Document:
    it = route.settings
    return {
        "name": route.name,
        "configured": it is not None,
        "account": it and it.account,
        "upstream": it and it.upstream,
        "client_domain": it and it.client_domain,
        "today": route.today and route.today.isoformat(),
        "last_export": route.last_export and export_document(route.last_export),
        "last_accepted": route.last_accepted and export_document(route.last_accepted),
        "segments": [_segment_document(segment, config) for segment in route.segments],
        "older_segments": route.older_segments,
        "freshness": _freshness_document(route),
    }


def _freshness_document(route: RouteStanding) -> Document | None:
    if route.settings is None or route.settings.expect_by is None:
        return None
    it = route.freshness
    return {
        "expect_by": route.settings.expect_by.isoformat(timespec="minutes"),
        "date": it and it.day.isoformat(),
        "expected_at": it and instant(it.deadline),
        "state": it and it.route and it.route.value,
        "segments": {} if it is None else {segment: verdict.value for segment, verdict in it.segments.items()},
    }


def _segment_document(standing: SegmentStanding, config: Path) -> Document:
    sent = standing.last_sent
    before = sent.previous_rows if sent else None
    return {
        "segment": standing.segment,
        "state": standing.state.value,
        "last_sent": sent and delivery_document(sent),
        "change": (sent.counts.rows_out - before) / before if sent and before else None,
        "waiting": [{**delivery_document(it), "decisions": decisions_due(it, config)} for it in standing.waiting],
    }


def _export_document(export: Export, config: Path) -> Document:
    return {**export_document(export), "decisions": decisions_due(export, config)}


def _upstream_document(upstream: UpstreamStanding) -> Document:
    it, suspension = upstream.settings, upstream.suspension
    return {
        "name": it.name,
        "host": it.host,
        "port": it.port,
        "directory": it.directory,
        "publish": it.publish,
        "checked": upstream.probe and probe_fields(upstream.probe),
        "suspended": suspension
        and {
            "reason": suspension.reason,
            "detail": suspension.detail,
            "hint": suspension.hint,
            "suspended_at": instant(suspension.suspended_at),
            "probe_at": instant(suspension.probe_at),
        },
    }
