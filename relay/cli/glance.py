"""`relay status` as text: in full, or, where that is more than a screen, trouble first and the rest in short."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import click

from relay.cli.deliveries import how_far, in_common, outgoing, why_it_waits
from relay.cli.exports import print_exports
from relay.cli.figures import change, minute, moment, rows, size
from relay.cli.listing import ListedRow, print_heading, print_listing, print_wrapped
from relay.cli.pasting import command_line, decisions_due
from relay.cli.tables import as_text
from relay.freshness import SENT_LATELY
from relay.model import Delivery, DeliveryState, Freshness
from relay.standing import SHOWN_FOR, RouteStanding, SegmentStanding, Standing, UpstreamStanding

_FRESHNESS_STYLES: Final[Mapping[Freshness, Mapping[str, Any]]] = {
    Freshness.OK: {"fg": "green"},
    Freshness.LATE: {"fg": "yellow"},
    Freshness.MISSING: {"fg": "red", "bold": True},
}
_MOST_IN_TROUBLE: Final = 4
"""Of how many lists that wait for a person the short form shows all; it is one screen."""


def print_in_full(standing: Standing, state_dir: Path, config: Path) -> None:
    """Print every segment of every route, those first that want a person."""
    _print_headline(standing)
    for route in sorted(standing.routes, key=lambda it: it.is_well):
        _print_route(route, config)
    _print_exports(standing, config)
    print_heading("Upstreams")
    _print_upstreams(standing.upstreams, config)
    print_heading("Disk")
    click.echo(f"  {_disk(standing, state_dir)}")


def print_in_short(standing: Standing, state_dir: Path, config: Path) -> None:
    """Print what wants a person, with what to do, and a line for each route."""
    _print_headline(standing)
    _print_trouble(standing, config)
    if suspended := [it for it in standing.upstreams if it.suspension]:
        print_heading("Suspended upstreams")
        _print_upstreams(suspended, config)
    _print_exports(standing, config)
    click.echo()
    print_listing(
        ["route", "standing", "segments", "last sent (UTC)", "rows", "change", "rejected", "expected by"],
        [ListedRow(_in_short(route)) for route in sorted(standing.routes, key=lambda it: it.is_well)],
        right=["segments", "rows", "change", "rejected"],
    )
    in_use = ", ".join(it.settings.name for it in standing.upstreams if not it.suspension)
    click.echo(f"\nupstreams in use: {in_use or 'none'}; {_disk(standing, state_dir)}")
    click.echo(f"all segments of a route: {command_line(config, 'status', '--route', 'NAME')}")


def _print_headline(standing: Standing) -> None:
    click.secho(standing.headline, fg="red" if standing.findings else "green", bold=bool(standing.findings))


def _disk(standing: Standing, state_dir: Path) -> str:
    return f"{size(standing.disk_free)} of {size(standing.disk_total)} free for {state_dir}"


def _print_exports(standing: Standing, config: Path) -> None:
    """Print the exports that wait, and the files that belong to none."""
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


def _print_trouble(standing: Standing, config: Path) -> None:
    """Print which routes are not fresh, and which lists wait for a person, why, and what ends that."""
    unfresh = [route for route in standing.troubled if _lacks_more_than_it_holds(route)]
    click.echo("\n" * bool(unfresh), nl=False)
    for route in unfresh:
        click.echo(f"{click.style(route.name, bold=True)}, {_freshness(route)}")
    for it in standing.undecided[:_MOST_IN_TROUBLE]:
        first, *more = _waits(it)
        click.echo(f"\n{click.style(f'{it.route}, {as_text(it.segment)}', bold=True)}: {first}")
        for words in more:
            print_wrapped(words, indent=4)
        for command in decisions_due(it, config):
            click.echo(f"    {command}")
    left = len(standing.undecided) - _MOST_IN_TROUBLE
    if left > 0:
        click.echo(f"\nand {left:,} more: {command_line(config, 'deliveries', '--state', 'held')}")


def _lacks_more_than_it_holds(route: RouteStanding) -> bool:
    """Say whether a route is not fresh for more than its lists that wait for a person, which are shown anyway."""
    if route.freshness is None or route.freshness.route in {None, Freshness.OK}:
        return False
    unfresh = {segment for segment, it in route.freshness.segments.items() if it is not Freshness.OK}
    return not unfresh or bool(unfresh - {it.segment for it in route.troubled})


def _in_short(route: RouteStanding) -> tuple[object, ...]:
    """Say in a line how a route stands: of all of its segments together."""
    sent = [it.last_sent for it in route.segments if it.last_sent]
    before = [it.previous_rows for it in sent]
    out = sum(it.counts.rows_out for it in sent)
    report = route.last_accepted.report if route.last_accepted else None
    return (
        route.name,
        _word(route),
        len(route.segments),
        moment(max((it.sent_at for it in sent if it.sent_at), default=None)),
        out if sent else None,
        change(out, sum(it or 0 for it in before)) if all(before) else None,
        report and report.totals.rejected,
        f"{route.settings.expect_by:%H:%M}" if route.settings and route.settings.expect_by else None,
    )


def _word(route: RouteStanding) -> str:
    """Say in a word how a route stands: what presses most."""
    states = {it.state for segment in route.segments for it in segment.waiting}
    for state in (DeliveryState.HELD, DeliveryState.FAILED):
        if state in states:
            return state
    if route.freshness and route.freshness.route not in {None, Freshness.OK}:
        return str(route.freshness.route)
    if route.settings is None:
        return "not configured"
    for state in (DeliveryState.DEFERRED, DeliveryState.SENDING, DeliveryState.QUEUED):
        if state in states:
            return state
    return DeliveryState.SENT if any(it.last_sent for it in route.segments) else "nothing yet"


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
            ["segment", "state", "rows", "change", "kept", "lost", "gained", "last sent (UTC)", "as"],
            [_listed(segment, config) for segment in route.segments],
            right=["rows", "change", "kept", "lost", "gained"],
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
        (standing.segment, standing.state, None, None, None, None, None, None, None)
        if sent is None
        else (
            standing.segment,
            standing.state,
            sent.counts.rows_out,
            change(sent.counts.rows_out, sent.previous_rows),
            sent.kept,
            sent.lost,
            sent.gained,
            minute(sent.sent_at),
            _short_name(sent),
        )
    )
    return ListedRow(
        cells,
        remarks=[words for it in standing.waiting for words in _waits(it)],
        commands=[command for it in standing.waiting for command in decisions_due(it, config)],
    )


def _short_name(delivery: Delivery) -> str:
    """The remote name without what all names of a client domain have in common: `…_20261123_1`."""
    return (outgoing(delivery) or "").replace(f"{delivery.client_domain}_subscriber_segment", "…").replace(".csv", "")


def _waits(delivery: Delivery) -> Iterator[str]:
    """Say which list waits and why; where the upstream refused it, also what to do there."""
    people = in_common(delivery)
    yield f"{delivery.id}, {rows(delivery.counts.rows_out)}, {delivery.state}{f'; {people}' if people else ''}"
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
