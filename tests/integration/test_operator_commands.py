"""Listing, showing and deciding on a real state, as an operator does."""

import getpass
import os
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from parts.books import draft
from parts.host import SHRUNK, Host, a_host, configure, run

from relay.model import DeliveryState, Duplicate, ExportState, Fingerprint, Landing, NewExport
from relay.naming import remote_name
from relay.spool import Spool


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A host whose service has run, and has done nothing yet."""
    with a_host(tmp_path) as host:
        yield host


def ids(document: list[dict[str, Any]]) -> list[str]:
    """What a listing listed."""
    return [str(it["id"]) for it in document]


@pytest.mark.parametrize(
    "command", ["exports", "deliveries", "show x", "hold x", "release x", "discard x", "requeue x"]
)
def test_without_a_state_every_command_says_so(tmp_path: Path, command: str) -> None:
    """A command before the service's first start finds nothing, says why and makes nothing."""
    config, state_dir = configure(tmp_path)
    said = run(config, *command.split())
    assert said.exit_code == 1
    assert "no state" in said.stderr
    assert not state_dir.exists()


def test_listings_are_newest_first_and_narrowed_down(host: Host) -> None:
    """`--route`, `--state`, `--since` and `--limit` choose; without them all are listed."""
    books = host.books
    books.now -= timedelta(days=3)
    old = host.send(segment="Old")
    books.now += timedelta(days=2)
    other = books.accept(books.receive(route="other"), draft())[0]
    books.now += timedelta(days=1)
    held = books.plan(SHRUNK)
    assert ids(host.document("deliveries")) == [held.id, other.id, old.id]
    assert ids(host.document("deliveries", "--state", "held")) == [held.id]
    assert ids(host.document("deliveries", "--route", "other")) == [other.id]
    assert ids(host.document("deliveries", "--since", "36h")) == [held.id, other.id]
    day = (books.now - timedelta(hours=36)).isoformat()
    assert ids(host.document("deliveries", "--since", day)) == [held.id, other.id]
    assert ids(host.document("deliveries", "--limit", "1")) == [held.id]
    assert ids(host.document("exports")) == [held.export_id, other.export_id, old.export_id]
    assert ids(host.document("exports", "--since", "36h", "--limit", "1")) == [held.export_id]
    assert ids(host.document("exports", "--route", "other", "--state", "accepted")) == [other.export_id]
    assert host.document("exports", "--state", "quarantined") == []


@pytest.mark.parametrize(("command", "states"), [("exports", ExportState), ("deliveries", DeliveryState)])
def test_every_state_can_be_asked_for(
    host: Host, command: str, states: type[ExportState] | type[DeliveryState]
) -> None:
    """The words of `--state` are the states; another word, or a strange time, is wrong usage."""
    for state in states:
        assert host.run(command, "--state", state.value).exit_code == 0
    assert host.run(command, "--state", "lost").exit_code == 2
    assert host.run(command, "--since", "yesterday").exit_code == 2


@pytest.mark.parametrize("command", ["exports", "deliveries"])
def test_a_misspelt_route_is_no_empty_listing(host: Host, command: str) -> None:
    """A route that is not configured is wrong usage and says which there are; one that the history has is listed."""
    assert host.run(command, "--route", "sirendenim").exit_code == 0
    refused = host.run(command, "--route", "sirendennim")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "there is no route sirendennim; there are: sirendenim" in refused.stderr
    host.books.plan(route="former")
    former = host.run(command, "--route", "former")
    assert former.exit_code == 0
    assert "former-" in former.stdout


def test_a_listing_says_what_became_of_each(host: Host) -> None:
    """Rows, the name at the upstream, why something waits, and that nothing is listed where nothing is."""
    assert host.run("deliveries").stdout == "no deliveries\n"
    assert host.run("exports").stdout == "no exports\n"
    sent = host.send(segment="Most Loyal Customers", rows=1_234)
    host.books.plan(SHRUNK)
    quarantined = host.quarantine()
    shown = host.run("deliveries").stdout
    assert "1,234" in shown
    assert str(sent.remote_name) in shown
    assert SHRUNK.detail in shown
    shown += host.run("exports").stdout
    assert "truncated: line 7 is cut off" in shown
    assert f"requeue {quarantined}\n" in shown
    assert max(len(line) for line in shown.splitlines() if " --config " not in line) <= 100


def test_a_decision_says_when_it_takes_effect(host: Host) -> None:
    """Within seconds beside a running service; without one, once it is started."""
    held = host.books.plan(SHRUNK, rows=20)
    assert "; the relay is not running, and sends it once it is started\n" in host.run("release", held.id).stdout
    quarantined = host.quarantine()
    with Spool(host.state_dir).lock():
        again = host.run("requeue", quarantined).stdout
    assert "is to be rewritten again; the running service does so within seconds\n" in again


def test_show_an_export(host: Host) -> None:
    """Source, hash, counts, reject reasons with their lines, files, lists and history."""
    delivery = host.send(segment="VIP", rows=1_000)
    export = delivery.export_id
    source = host.state_dir / "exports" / "sirendenim" / export / "source" / "0001"
    source.parent.mkdir(parents=True)
    source.touch()
    document = host.document("show", export)
    assert document["kind"] == "export"
    assert document["counts"]["rows_in"] == 1_007
    assert document["rejects"] == [{"reason": "letters", "rows": 4, "first_lines": [7, 9]}]
    assert document["recognised"] == {"header": True}
    assert document["files"] == [str(source)]
    assert ids(document["deliveries"]) == [delivery.id]
    assert [it["event"] for it in document["history"]] == ["export.received", "export.accepted"]
    shown = host.run("show", export).stdout
    for words in (document["source_sha256"], document["arrivals"][0]["path"], "header yes", "source/0001", delivery.id):
        assert words in shown
    assert ["4", "letters", "7,", "9"] in [line.split() for line in shown.splitlines()]


def test_show_a_delivery(host: Host) -> None:
    """Every transition with its time, who decided and why."""
    held = host.books.plan(SHRUNK, rows=20)
    host.run("release", held.id, "--reason", "asked marketing", SUDO_USER="ana")
    document = host.document("show", held.id)
    assert document["kind"] == "delivery"
    assert [it["event"] for it in document["history"]] == ["delivery.held", "delivery.released"]
    fields = document["history"][1]["fields"]
    assert (fields["operator"], fields["reason"]) == ("ana", "asked marketing")
    assert document["history"][1]["at"].endswith("Z")
    shown = host.run("show", held.id).stdout
    for words in (f"shrunk: {SHRUNK.detail}", "by ana", "asked marketing", document["remote_name"], document["sha256"]):
        assert words in shown


def test_an_unknown_id_is_answered_with_the_one_that_was_meant(host: Host) -> None:
    """A part of an id, or a slip of the pen, leads to the id; exit 1."""
    delivery = host.send()
    for wrong in (delivery.id[-8:], delivery.id.replace("sirendenim", "sirenedenim")):
        said = host.run("show", wrong)
        assert said.exit_code == 1
        assert "there is no export and no delivery" in said.stderr
        assert delivery.id in said.stderr
    assert "list them" in host.run("show", "###").stderr


def test_every_decision_is_recorded_with_its_operator(host: Host) -> None:
    """hold, release, discard and requeue change the state and say what comes of it; the history has who and why."""
    books = host.books
    failed, quarantined = host.fail(segment="One"), host.quarantine()
    queued, held = books.plan(segment="Two"), books.plan(SHRUNK, segment="Three")
    for command, it, event in (
        ("hold", queued.id, "delivery.held"),
        ("release", held.id, "delivery.released"),
        ("requeue", failed.id, "delivery.requeued"),
        ("discard", queued.id, "delivery.discarded"),
        ("requeue", quarantined, "export.requeued"),
    ):
        said = host.run(command, it, "--reason", "because", SUDO_USER="ana")
        assert said.exit_code == 0, said.stderr
        assert said.stdout.startswith(f"{it} is ")
        last = books.store.transitions(it)[-1]
        assert (last.event, last.fields["operator"]) == (event, "ana")
        assert "because" in (last.fields.get("reason"), last.fields.get("detail"))


def test_without_sudo_the_login_name_counts(host: Host) -> None:
    """The operator is whoever runs the command."""
    held = host.books.plan(SHRUNK)
    host.run("discard", held.id, SUDO_USER="")
    assert host.books.store.transitions(held.id)[-1].fields["operator"] == getpass.getuser()


def test_a_refused_decision_says_what_is_possible(host: Host) -> None:
    """Exit 1, the state as it is, and the rest of the ids decided all the same."""
    sent, held = host.send(segment="Sent"), host.books.plan(SHRUNK, segment="Held")
    said = host.run("release", sent.id, "no-such-list", held.id)
    assert said.exit_code == 1
    assert "is sent, so it cannot be released" in said.stderr
    assert "no-such-list" in said.stderr
    assert host.books.look(sent).state is DeliveryState.SENT
    assert host.books.look(held).state is DeliveryState.QUEUED
    said = host.run("requeue", held.id)
    assert said.exit_code == 1
    assert "relay hold" in said.stderr


def test_a_decision_needs_an_id(host: Host) -> None:
    """Without an id it is wrong usage."""
    assert host.run("release").exit_code == 2


def test_a_release_dates_the_list_in_the_routes_time_zone(host: Host) -> None:
    """The name has today's date there (rule D2), and the time until it is stale starts again (rule G8)."""
    zone = ZoneInfo("Etc/GMT-14" if datetime.now(UTC).hour >= 10 else "Etc/GMT+12")
    host.set_route(f'timezone = "{zone}"\nstale_after = "10h"')
    held = host.books.plan(SHRUNK)
    before = datetime.now(UTC)
    assert host.run("release", held.id).exit_code == 0
    released = host.books.look(held)
    day = datetime.now(zone).date()
    assert day != before.date()
    assert released.remote_name == remote_name("sirendenim", day, 1)
    assert timedelta() <= released.stale_at - before - timedelta(hours=10) < timedelta(minutes=1)


def test_a_release_of_what_is_there_already_sends_nothing(host: Host) -> None:
    """The same list for the same date is a duplicate, and the operator is told (rule D10)."""
    host.send(content="the same")
    held = host.books.plan(SHRUNK, content="the same")
    said = host.run("release", held.id)
    assert said.exit_code == 0
    assert "is a duplicate" in said.stdout
    assert host.books.look(held).state is DeliveryState.DUPLICATED


def test_a_list_of_a_lost_route_can_be_discarded_but_not_released(host: Host) -> None:
    """Without its route's time zone a list cannot be dated, and the operator is told the ways out."""
    (held,) = host.books.accept(host.books.receive(route="lost"), draft(), plan=lambda *_: SHRUNK)
    said = host.run("release", held.id)
    assert said.exit_code == 1
    assert "routes.d/lost.toml" in said.stderr
    assert host.run("discard", held.id).exit_code == 0


def test_a_duplicate_names_what_it_repeats(host: Host) -> None:
    """A list that was there already, and an export whose bytes were, lead to the first."""
    first = host.send(content="a list")
    again = host.books.plan(Duplicate(first.id), content="a list")
    export = host.books.receive()
    host.books.store.duplicate(export.id, first.export_id, host.books.today, host.books.now)
    assert f"see {first.id}" in host.run("show", again.id).stdout
    assert f"the same bytes as {first.export_id}" in host.run("exports").stdout


def test_a_path_that_is_no_text_is_shown_escaped(host: Host) -> None:
    """A client may choose any bytes for a name: they neither break a document nor steer a terminal."""
    path = os.fsdecode(b"/uploads/\xff\x1b[2J.csv")
    landing = Landing("amperity", path, Fingerprint(7, 7), 120, confirmed=True)
    arrival = host.books.store.land(landing, host.books.now)
    new = NewExport("sirendenim-20261123T062155Z-9c1e2a", "sirendenim", 120, "0" * 64, "amperity", path)
    export = host.books.store.receive(new, [arrival.id], host.books.now)
    assert host.document("show", export.id)["arrivals"][0]["path"] == path
    shown = host.run("show", export.id)
    assert shown.exit_code == 0, shown.output
    assert "\x1b" not in shown.stdout
