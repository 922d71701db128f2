"""`relay status` on a real state: what went out, what waits and why, and the commands that end it."""

import shlex
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from parts.books import PERSON, draft
from parts.host import SHRUNK, Host, a_host, configure, run

from relay.freshness import Expectation
from relay.model import DeliveryState, RelayError
from relay.spool import Spool
from relay.store import Store


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A host whose service has run, and has done nothing yet."""
    with a_host(tmp_path) as host:
        yield host


def test_it_says_when_the_service_never_ran(tmp_path: Path) -> None:
    """Without a state there is nothing to show: exit 1, a hint, and nothing is made."""
    config, state_dir = configure(tmp_path)
    said = run(config, "status")
    assert said.exit_code == 1
    assert "no state" in said.stderr
    assert "relay serve" in said.stderr
    assert not state_dir.exists()


def test_a_day_when_all_went_out(host: Host) -> None:
    """Each segment with the list last sent: rows and name; rejected rows alone are fine: exit 0."""
    host.send(segment="VIP", rows=1_000)
    host.send(segment="Lapsed", rows=500)
    said = host.run("status")
    assert said.exit_code == 0, said.output
    lines = [line.split() for line in said.stdout.splitlines()]
    day = f"{host.books.today:%Y%m%d}"
    assert [(it[0], it[1], it[2], it[-1]) for it in lines if it[:1] in (["VIP"], ["Lapsed"])] == [
        ("Lapsed", "sent", "500", f"…_{day}_2"),
        ("VIP", "sent", "1,000", f"…_{day}_1"),
    ]
    assert "507 rows, 500 to send, 4 rejected" in said.stdout
    assert "nothing waits for a person" in said.stdout


def test_it_says_whether_the_service_runs(host: Host) -> None:
    """Nothing that waits is good news only while somebody would see that it waits."""
    assert "the relay is not running" in host.run("status").stdout
    with Spool(host.state_dir).lock():
        assert "the relay is running" in host.run("status").stdout
        assert host.document("status")["running"] is True
    assert host.document("status")["running"] is False


def test_the_change_is_against_the_list_before(host: Host) -> None:
    """What the last list has more or less than the one before it."""
    host.send(rows=1_000)
    host.send(rows=1_250)
    (segment,) = host.document("status")["routes"][0]["segments"]
    assert (segment["last_sent"]["counts"]["rows_out"], segment["change"]) == (1_250, 0.25)
    assert "+25.0 %" in host.run("status").stdout


def test_a_held_list_is_a_finding_with_commands_that_work(host: Host) -> None:
    """Why it waits, beside the list that stays live, and commands that do what they say when they are pasted."""
    host.send(segment="VIP", rows=48_000)
    held = host.books.plan(SHRUNK, segment="VIP", rows=20)
    said = host.run("status")
    assert said.exit_code == 1
    assert SHRUNK.detail in said.stdout
    assert "48,000" in said.stdout
    assert "; 1 list is held" in said.stdout
    commands = [line.strip() for line in said.stdout.splitlines() if line.endswith(held.id)]
    assert [shlex.split(command)[-2] for command in commands] == ["release", "discard"]
    pasted = subprocess.run(commands[1], shell=True, check=True, capture_output=True, text=True)  # noqa: S602  as pasted
    assert pasted.stdout == f"{held.id} is discarded\n"
    assert host.books.look(held).state is DeliveryState.DISCARDED
    assert host.run("status").exit_code == 0


def test_no_command_is_shown_that_would_be_refused(host: Host) -> None:
    """A list without rows cannot be released (rule A9)."""
    held = host.books.plan(SHRUNK, rows=0)
    waiting = host.document("status")["routes"][0]["segments"][0]["waiting"]
    assert [shlex.split(command)[-2:] for command in waiting[0]["decisions"]] == [["discard", held.id]]


def expect(host: Host, *, since_deadline: timedelta, watched: timedelta = timedelta(hours=20)) -> None:
    """Have lists expected by a time that long ago, with an hour's grace, of a route watched from before."""
    by = (host.books.now - since_deadline).replace(second=0, microsecond=0)
    host.set_route(f'expect_by = "{by:%H:%M}"\ngrace = "1h"')
    expectation = Expectation(by.time(), timedelta(hours=1), ZoneInfo("UTC"))
    host.books.store.judge_freshness("sirendenim", expectation, host.books.now - watched)


@pytest.mark.parametrize(
    ("since_deadline", "finding", "shown"),
    [
        (timedelta(minutes=30), "1 route is late", "LATE"),
        (timedelta(minutes=90), "1 route misses a list", "MISSING"),
    ],
)
def test_a_list_that_did_not_go_out_is_a_finding(
    host: Host, since_deadline: timedelta, finding: str, shown: str
) -> None:
    """Also while no service runs that would say so: exit 1, the segment named (rule W2)."""
    host.books.now -= timedelta(days=1, hours=3)
    host.send(segment="VIP")
    host.books.now += timedelta(days=1, hours=3)
    expect(host, since_deadline=since_deadline)
    said = host.run("status")
    assert said.exit_code == 1
    assert finding in said.stdout
    (line,) = [it for it in said.stdout.splitlines() if "expected by" in it]
    assert f": {shown} for " in line
    assert line.endswith(": VIP")
    freshness = host.document("status")["routes"][0]["freshness"]
    assert freshness["state"] == shown.lower()
    assert freshness["segments"] == {"VIP": shown.lower()}


def test_a_list_that_went_out_in_time_is_no_finding(host: Host) -> None:
    """Ok for today: exit 0."""
    host.send(segment="VIP")
    expect(host, since_deadline=timedelta(minutes=1))
    said = host.run("status")
    assert said.exit_code == 0, said.output
    assert ": OK for " in said.stdout


def test_a_route_that_was_never_watched_is_not_late(host: Host) -> None:
    """Who has just set `expect_by` is told from when on it counts."""
    expect(host, since_deadline=timedelta(hours=3), watched=timedelta(0))
    said = host.run("status")
    assert said.exit_code == 0
    assert "from the next deadline on" in said.stdout


def test_each_finding_is_named_and_counted(host: Host) -> None:
    """Held, failed, quarantined and suspended are findings; what is merely deferred is not."""
    host.books.defer(host.claim(segment="Deferred"))
    assert host.run("status").exit_code == 0
    host.books.plan(SHRUNK, segment="Held one")
    host.books.plan(SHRUNK, segment="Held two")
    host.fail(segment="Failed")
    host.quarantine()
    host.books.store.suspend("attentive", "host_key", "another key", "ask them", host.books.now, host.books.now)
    assert host.document("status")["findings"] == [
        "2 lists are held",
        "1 list has failed",
        "1 export is quarantined",
        "1 upstream is suspended",
    ]
    said = host.run("status")
    assert said.exit_code == 1
    for words in ("timeout: no answer", "line 7 is cut off", "other content", "host_key: another key", "ask them"):
        assert words in said.stdout


def test_a_list_of_a_lost_route_is_not_forgotten(host: Host) -> None:
    """Where the configuration has lost a route, its waiting lists are shown and still a finding."""
    host.books.accept(host.books.receive(route="lost"), draft(), plan=lambda *_: SHRUNK)
    said = host.run("status")
    assert said.exit_code == 1
    assert "Route lost" in said.stdout
    assert "does not have this route" in said.stdout


def test_segments_of_which_nothing_came_for_a_week_are_counted(host: Host) -> None:
    """One screen: old segments are a number, but a list that still waits is shown however old it is."""
    host.books.now -= timedelta(days=8)
    host.send(segment="Old")
    host.books.plan(SHRUNK, segment="Waiting")
    (route,) = host.document("status")["routes"]
    assert [segment["segment"] for segment in route["segments"]] == ["Waiting"]
    assert route["older_segments"] == 1
    assert "Old" not in host.run("status").stdout


def test_a_file_that_no_route_wants_is_named(host: Host) -> None:
    """A file under a path that nobody configured is easily missed otherwise."""
    arrival = host.books.land()
    host.books.store.unroute(arrival.id, "add a route", host.books.now)
    said = host.run("status")
    assert said.exit_code == 0
    assert arrival.path in said.stdout


def test_its_keys_are_stable(host: Host) -> None:
    """Programs rest on these keys."""
    host.send()
    host.books.plan(SHRUNK, segment="Held")
    expect(host, since_deadline=timedelta(minutes=1))
    document = host.document("status")
    assert set(document["routes"][0]["freshness"]) == {"expect_by", "date", "expected_at", "state", "segments"}
    assert set(document) == {
        "at",
        "running",
        "findings",
        "routes",
        "quarantined",
        "gathering",
        "unrouted",
        "upstreams",
        "disk",
    }
    (route,) = document["routes"]
    assert set(route) == {
        *("name", "configured", "account", "upstream", "client_domain", "today"),
        *("last_export", "last_accepted", "segments", "older_segments", "freshness"),
    }
    for segment in route["segments"]:
        assert set(segment) == {"segment", "state", "last_sent", "change", "waiting"}
    assert set(document["upstreams"][0]) == {"name", "host", "port", "directory", "publish", "checked", "suspended"}
    assert set(document["disk"]) == {"path", "free_bytes", "total_bytes"}


def test_it_fits_a_page_as_plain_text(host: Host) -> None:
    """Without a terminal there is no colour, and all but the commands to paste fits in 100 columns."""
    host.send(segment="Most Loyal Customers", rows=499_999)
    host.books.plan(SHRUNK, segment="Most Loyal Customers", rows=20)
    shown = host.run("status").stdout.replace(str(host.state_dir), "/var/lib/relay")
    assert "\x1b" not in shown
    assert max(len(line) for line in shown.splitlines() if " --config " not in line) <= 100


def test_the_store_that_it_reads_refuses_every_change(host: Host) -> None:
    """A look changes nothing, whatever a verb would do."""
    held = host.books.plan(SHRUNK)
    store = Store.open_beside(host.state_dir / "relay.db", read_only=True)
    with pytest.raises(RelayError, match="cannot be written"):
        store.discard(held.id, PERSON, host.books.now)
    store.close()
    assert host.books.look(held).state is DeliveryState.HELD


@pytest.mark.parametrize("command", ["status", "discard it"])
def test_a_state_of_another_version_is_left_alone(host: Host, command: str) -> None:
    """A command of a newer program does not change the tables of the service that runs."""
    with closing(sqlite3.connect(host.state_dir / "relay.db", isolation_level=None)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0000'")
    said = host.run(*command.split())
    assert said.exit_code == 1
    assert "another version" in said.stderr
    with closing(sqlite3.connect(host.state_dir / "relay.db")) as connection:
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("0000",)]
