"""`relay status`: today at a glance."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from relay.cli.context import config_option
from relay.cli.deliveries import how_far, outgoing, why_it_waits
from relay.cli.documents import Document, arrival_document, delivery_document, export_document, instant
from relay.cli.exports import print_exports
from relay.cli.figures import change, moment, rows, size
from relay.cli.listing import ListedRow, print_heading, print_listing
from relay.cli.pasting import command_line, decisions_due
from relay.cli.probing import probe_fields
from relay.cli.standing import SHOWN_FOR, RouteStanding, SegmentStanding, Standing, UpstreamStanding, gather
from relay.cli.state import read_state
from relay.cli.tables import as_text, print_json
from relay.freshness import SENT_LATELY
from relay.model import Delivery, DeliveryState, Export, Freshness

_FRESHNESS_STYLES: Final[Mapping[Freshness, Mapping[str, Any]]] = {
    Freshness.OK: {"fg": "green"},
    Freshness.LATE: {"fg": "yellow"},
    Freshness.MISSING: {"fg": "red", "bold": True},
}


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of text.")
@click.pass_context
def status(ctx: click.Context, config: Path, *, as_json: bool) -> None:
    """Show today at a glance: what was sent last, what waits and why, and what a person must decide.

    \b
    Example:
      relay status
      relay status --json | jq '.findings'

    "sent" says that the upstream has the file under its final name, no more. Exit status 1 if a list is late or
    missing, held or has failed, an export is quarantined or an upstream is suspended; rejected rows alone are fine.
    """  # noqa: D301  click's mark for a paragraph that is not to be wrapped
    from relay.config import load

    loaded = load(config, with_files=False)
    with read_state(loaded) as store:
        standing = gather(loaded, store, datetime.now(UTC))
    if as_json:
        print_json(_document(standing, loaded.state_dir, config))
    else:
        _print(standing, loaded.state_dir, config)
    ctx.exit(1 if standing.findings else 0)


def _print(standing: Standing, state_dir: Path, config: Path) -> None:
    click.echo(f"{moment(standing.at)} UTC, the relay is {'' if standing.running else 'not '}running")
    for route in standing.routes:
        _print_route(route, config)
    if standing.quarantined:
        print_heading("Quarantined exports")
        print_exports(standing.quarantined, config, indent=2)
    if standing.gathering:
        print_heading("Exports that wait for more files")
        print_exports(standing.gathering, config, indent=2)
    if standing.unrouted:
        print_heading("Files that no route wants")
        for arrival in standing.unrouted:
            click.echo(f"  {moment(arrival.landed_at)}  {as_text(arrival.path)}, account {arrival.account}")
    print_heading("Upstreams")
    _print_upstreams(standing.upstreams, config)
    print_heading("Disk")
    click.echo(f"  {size(standing.disk_free)} of {size(standing.disk_total)} free for {state_dir}\n")
    if standing.findings:
        click.secho(f"To decide: {', '.join(standing.findings)}.", fg="red", bold=True)
    else:
        click.secho("Nothing waits for a decision.", fg="green")


def _print_route(route: RouteStanding, config: Path) -> None:
    print_heading(f"Route {route.name}")
    if route.settings is None:
        click.echo("  The configuration does not have this route any more.")
    else:
        it = route.settings
        click.echo(
            f"  from {it.account} to {it.upstream} as {it.client_domain}; today is {route.today} ({it.timezone})"
        )
    if words := _freshness(route):
        click.echo(f"  {words}")
    for words in _last_exports(route):
        click.echo(f"  {words}")
    if route.segments:
        print_listing(
            ["segment", "state", "rows", "change", "lost", "gained", "last sent (UTC)", "as"],
            [_listed(segment, config) for segment in route.segments],
            right=["rows", "change", "lost", "gained"],
            indent=2,
        )
    if route.older_segments:
        click.echo(f"  and {route.older_segments:,} segments of which no list came for {SHOWN_FOR.days} days")


def _freshness(route: RouteStanding) -> str | None:
    """Say whether what was expected by now has gone out (rule W2), or nothing where nothing is expected."""
    if route.settings is None or route.settings.expect_by is None:
        return None
    expected = f"expected by {route.settings.expect_by:%H:%M}"
    if route.freshness is None or route.freshness.route is None:
        return f"{expected}, from the next deadline on"
    verdict = click.style(route.freshness.route.upper(), **_FRESHNESS_STYLES[route.freshness.route])
    unfresh = [segment for segment, it in route.freshness.segments.items() if it is not Freshness.OK]
    if route.freshness.route is Freshness.OK:
        whose = ""
    else:
        whose = f": {', '.join(unfresh)}" if unfresh else f": nothing was sent for {SENT_LATELY.days} days"
    return f"{expected}: {verdict} for {route.freshness.day}{whose}"


def _last_exports(route: RouteStanding) -> Iterator[str]:
    """Say what came last, and, where that was not accepted, what was accepted last."""
    last, accepted = route.last_export, route.last_accepted
    if last is None:
        yield "no export yet"
    elif last != accepted:
        yield f"last export {last.id}, {last.state}, received {moment(last.received_at)}"
    if accepted is not None and accepted.report is not None:
        totals = accepted.report.totals
        yield f"last accepted {accepted.id}, received {moment(accepted.received_at)}"
        yield f"  {totals.rows_in:,} rows, {totals.rows_out:,} to send, {totals.rejected:,} rejected"


def _listed(standing: SegmentStanding, config: Path) -> ListedRow:
    sent = standing.last_sent
    cells = (
        (standing.segment, standing.state, None, None, None, None, None, None)
        if sent is None
        else (
            standing.segment,
            standing.state,
            sent.counts.rows_out,
            change(sent.counts.rows_out, sent.previous_rows),
            sent.lost,
            sent.gained,
            moment(sent.sent_at),
            _short_name(sent),
        )
    )
    return ListedRow(
        cells,
        remarks=[words for it in standing.waiting for words in _waits(it)],
        commands=[command for it in standing.waiting for command in decisions_due(it, config)],
    )


def _short_name(delivery: Delivery) -> str:
    """The remote name without the part that all names of a client domain have in common."""
    return (outgoing(delivery) or "").replace(f"{delivery.client_domain}_subscriber_segment", "…")


def _waits(delivery: Delivery) -> Iterator[str]:
    """Say which list waits and why; where the upstream refused it, also what to do there."""
    yield f"{delivery.id}, {rows(delivery.counts.rows_out)}, {delivery.state}"
    if why := why_it_waits(delivery):
        yield why
    if words := how_far(delivery):
        yield words
    if delivery.state is DeliveryState.FAILED and delivery.hint:
        yield delivery.hint


def _print_upstreams(upstreams: Sequence[UpstreamStanding], config: Path) -> None:
    print_listing(
        ["upstream", "state", "where", "publish"],
        [
            ListedRow(
                (it.settings.name, "suspended" if it.suspension else "in use", _where(it), it.settings.publish),
                remarks=[*_suspended(it), *_checked(it)],
                commands=[command_line(config, "resume", it.settings.name)] if it.suspension else [],
            )
            for it in upstreams
        ],
        indent=2,
    )


def _where(upstream: UpstreamStanding) -> str:
    it = upstream.settings
    return f"{it.user}@{it.host}:{it.port}{it.directory}"


def _suspended(upstream: UpstreamStanding) -> Sequence[str]:
    it = upstream.suspension
    if it is None:
        return ()
    since = f"nothing is sent there since {moment(it.suspended_at)}; looked at again at {moment(it.probe_at)}"
    return (f"{it.reason}: {it.detail}", since, it.hint)


def _checked(upstream: UpstreamStanding) -> Iterator[str]:
    """Say what `relay check --connect` found there last."""
    if it := upstream.probe:
        said = f"lists get their names by {it.publish}" if it.publish else "no list could be sent"
        weak = ", so that a cut-off one could be read there" if it.publish == "direct" else ""
        yield f"checked {moment(it.probed_at)}: {said}{weak}"


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
