"""From one version to the next and back, on a machine with systemd: nothing is lost, nothing is sent twice.

The older version is a commit of this repository whose tables are not today's, until there is a release to begin with.
"""

import os
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from parts.installation import (
    UPLOADS,
    flap,
    furnish,
    install,
    received,
    relay,
    remove,
    upload,
    write_hashes,
)
from parts.lists import phones
from parts.machine import CHECKOUT, Machine, missing

from relay.model import ArrivalState, DeliveryState, ExportState

OLDER: Final = "0c8bdb42247cac5c2a4ed198d91360ac9c06cba8~1"
"""The last commit before the tables were changed for the last time."""

STATES: Final = {"arrivals": ArrivalState, "exports": ExportState, "deliveries": DeliveryState}

ROUTES: Final = {
    "super": '[guards]\nsame_day = "supersede"\n',
    "taken": "",
    "gather": '[source]\ncomplete = "done"\nwait = "2h"\n',
    "brief": '[source]\ncomplete = "done"\nwait = "1s"\n',
}

_HAS_HISTORY: Final = (
    subprocess.run(["git", "cat-file", "-e", OLDER], cwd=CHECKOUT, capture_output=True, check=False).returncode == 0
)
_MISSING = missing() or (None if _HAS_HISTORY else "takes a clone with its history, to make the older version of")
pytestmark = [
    pytest.mark.skipif(_MISSING is not None, reason=_MISSING or ""),
    pytest.mark.timeout(600),
]


@dataclass(frozen=True)
class Site:
    """A machine, and the releases that it goes through."""

    machine: Machine
    older: Path
    newer: Path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, release: Path) -> Iterator[Site]:
    """A machine on which the older version runs, with several routes and two upstreams, one of which is away."""
    directory = tmp_path_factory.mktemp("upgrade")
    older = _make_older(directory, release)
    with Machine(directory / "machine") as machine:
        machine.boot()
        furnish(machine, ("main", "away"))
        for route, sections in ROUTES.items():
            text = (machine.root / "etc/relay/routes.d/main.toml").read_text()
            text = text.replace('"main"', f'"{route}"').replace("/main/", f"/{route}/")
            machine.write(f"/etc/relay/routes.d/{route}.toml", text + sections)
        assert "runs." in install(machine, older).stdout
        yield Site(machine, older, release)


def _make_older(directory: Path, newer: Path) -> Path:
    """Make a release of the older commit, with this checkout's tools: its own would set up an environment first."""
    tree, release = directory / "tree", directory / "older" / newer.name
    tree.mkdir()
    release.mkdir(parents=True)
    archive = subprocess.run(["git", "archive", OLDER], cwd=CHECKOUT, capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x", "-C", tree], input=archive, check=True)
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", release, tree], check=True)
    shutil.copytree(tree / "systemd", release / "systemd")
    for name in ("deploy/install", "deploy/state.py", "requirements.lock"):
        shutil.copy(tree / name, release)
    if (release / "requirements.lock").read_bytes() == (newer / "requirements.lock").read_bytes():
        shutil.copytree(newer / "wheels", release / "wheels")
    else:
        locked = ["--require-hashes", "-r", str(release / "requirements.lock")]
        wheels = ["--no-deps", "--only-binary", ":all:", "--dest", str(release / "wheels")]
        subprocess.run([*pip, "download", *wheels, *locked], check=True)
    write_hashes(release)
    return release


def _break(release: Path, into: Path) -> Path:
    """Copy a release, with a program in it that does not start."""
    shutil.copytree(release, into)
    (wheel,) = into.glob("attentive_relay-*.whl")
    whole = wheel.rename(wheel.with_suffix(".whole"))
    with zipfile.ZipFile(whole) as there, zipfile.ZipFile(wheel, "w") as here:
        for name in there.namelist():
            broken = b"raise SystemExit(3)\n" if name == "relay/daemon.py" else b""
            here.writestr(name, broken or there.read(name))
    whole.unlink()
    write_hashes(into)
    return into


Books = dict[str, dict[str, dict[str, Any]]]


def books(database: Path, scratch: Path) -> Books:
    """What a database of any version holds, by table and id; looked at in a copy, so that nothing is changed by it."""
    copies = scratch / "look"
    shutil.rmtree(copies, ignore_errors=True)
    copies.mkdir()
    for file in database.parent.glob(f"{database.name}*"):
        shutil.copy(file, copies)
    with closing(sqlite3.connect(copies / database.name)) as connection:
        connection.row_factory = sqlite3.Row
        return {
            table: {str(row["id"]): dict(row) for row in connection.execute(f"SELECT * FROM {table}")}  # noqa: S608
            for table in STATES
        }


def states(found: Books, table: str) -> set[str]:
    """Which states occur in a table."""
    return {row["state"] for row in found[table].values()}


def at_the_upstream(machine: Machine) -> dict[str, tuple[int, int]]:
    """What lies there, and by what one would see that it was written again."""
    files = {file.name: file.stat() for file in (machine.root / UPLOADS).iterdir()}
    return {name: (stat.st_ino, stat.st_mtime_ns) for name, stat in files.items()}


def version(machine: Machine) -> str:
    """The version that is in use."""
    return machine.run("readlink", "/opt/relay/current").stdout.strip()


def the_list(machine: Machine, state: str, scratch: Path) -> str:
    """The id of the one list of the route `main` that is in a state."""
    found = books(machine.root / "var/lib/relay/relay.db", scratch)["deliveries"]
    (it,) = [row["id"] for row in found.values() if (row["route"], row["state"]) == ("main", state)]
    return str(it)


def test_an_upgrade_is_taken_back_as_long_as_nothing_happened_since(site: Site, tmp_path: Path) -> None:
    """The tables are other ones in the newer version; the copy made before is put back, and the older version runs."""
    machine, database = site.machine, site.machine.root / "var/lib/relay/relay.db"
    upload(machine, "/uploads/main/first.csv", phones(99, "VIP"))
    machine.wait_for("delivery.sent", segment="VIP")
    older, before, there = version(machine), books(database, tmp_path), at_the_upstream(machine)
    install(machine, site.newer)
    assert version(machine) != older
    (copy,) = (machine.root / "var/lib/relay/backups").iterdir()
    assert books(copy, tmp_path) == before
    assert machine.run("stat", "-c", "%U %a", f"/var/lib/relay/backups/{copy.name}").stdout == "relay 600\n"
    install(machine, site.newer, "--rollback")
    assert version(machine) == older
    assert machine.show("relay.service", "ActiveState") == "active"
    assert books(database, tmp_path) == before
    assert at_the_upstream(machine) == there


def test_nothing_is_lost_or_sent_twice_in_an_upgrade(site: Site, tmp_path: Path) -> None:
    """The older version is killed with something in every state that there is; the newer one goes on with all of it."""
    machine, database = site.machine, site.machine.root / "var/lib/relay/relay.db"
    _have_something_in_each_final_state(machine, tmp_path)
    _kill_it_in_the_middle(machine)
    before, there = books(database, tmp_path), at_the_upstream(machine)
    assert {table: states(before, table) for table in STATES} == {table: set(all_) for table, all_ in STATES.items()}

    install(machine, site.newer)
    flap(machine, up=True)
    machine.run("systemctl", "reload", "relay.service")
    for segment in ("Away", "Sending", "Sending too", "Queued", "Received"):
        machine.wait_for("delivery.sent", segment=segment)
    after = books(database, tmp_path)
    _check_that_what_was_final_is_as_it_was(before, after)
    assert at_the_upstream(machine).items() >= there.items()

    # What waited for a client or a person waits no less, and is done when they come.
    upload(machine, "/uploads/gather/waiting.csv.DONE", b"")
    machine.wait_for("delivery.sent", segment="Waiting")
    upload(machine, "/uploads/gather/later.csv", phones(99, "Later"))
    machine.wait_for("delivery.sent", segment="Later")
    relay(machine, "release", the_list(machine, "held", tmp_path), "--reason", "it is right")
    machine.wait_for("delivery.sent", segment="VIP", rows_out=93)
    _give_way(machine)
    failed = next(key for key, row in before["deliveries"].items() if row["state"] == DeliveryState.FAILED)
    relay(machine, "requeue", failed, "--reason", "the stranger's file is gone")
    machine.wait_for("delivery.sent", segment="Taken")
    # What was sent by the older version is known to the newer one.
    upload(machine, "/uploads/super/once-more.csv", phones(180, "Super"))
    machine.wait_for("export.duplicated", 2)

    contents = [content for name, content in received(machine).items() if "stranger" not in content.decode()]
    assert len(contents) == len(set(contents))
    wanted = {phones(99, segment) for segment in ("Away", "Sending", "Sending too", "Queued", "Received", "Waiting")}
    assert set(contents) >= wanted | {phones(99, "Later"), phones(99, "Taken"), phones(99, "VIP"), phones(93, "VIP")}


def test_going_back_is_refused_where_it_would_forget(site: Site, tmp_path: Path) -> None:
    """Lists were sent by the newer version, whose tables are other ones: nothing is changed, and it runs on."""
    machine, database = site.machine, site.machine.root / "var/lib/relay/relay.db"
    newer, before = version(machine), books(database, tmp_path)
    refused = install(machine, site.newer, "--rollback", check=False)
    assert refused.returncode != 0
    assert "send it again" in refused.stderr
    assert version(machine) == newer
    assert machine.show("relay.service", "ActiveState") == "active"
    assert books(database, tmp_path) == before


@pytest.mark.skipif(os.environ.get("HYPOTHESIS_PROFILE") != "full", reason="takes long: `.ci/full` does it")
def test_a_version_that_does_not_start_is_taken_back_by_itself(site: Site, tmp_path: Path) -> None:
    """The installer fails and says so, and the version from before runs, with everything."""
    machine = site.machine
    newer, there = version(machine), at_the_upstream(machine)
    failed = install(machine, _break(site.newer, tmp_path / "broken" / site.newer.name), check=False)
    assert failed.returncode != 0
    assert "going back" in failed.stderr
    assert version(machine) == newer
    upload(machine, "/uploads/super/after.csv", phones(99, "After"))
    machine.wait_for("delivery.sent", segment="After")
    assert at_the_upstream(machine).items() >= there.items()


def _have_something_in_each_final_state(machine: Machine, scratch: Path) -> None:
    """Upload, decide and wait, until what can be made in peace is there."""
    # Two lists that say the same, an export that is the same, a list that was discarded, and one that is held.
    upload(machine, "/uploads/main/again.csv", phones(99, "VIP"))
    upload(machine, "/uploads/main/same.csv", phones(99, "VIP", header=True))
    machine.wait_for("export.duplicated")
    machine.wait_for("delivery.duplicated")
    upload(machine, "/uploads/main/wrong.csv", phones(95, "VIP"))
    machine.wait_for("delivery.held", segment="VIP")
    relay(machine, "discard", the_list(machine, "held", scratch), "--reason", "a test")
    upload(machine, "/uploads/main/right.csv", phones(93, "VIP"))
    machine.wait_for("delivery.held", 2, segment="VIP")
    # Exports that are cut off, one of which somebody has discarded; and a file that no route wants.
    upload(machine, "/uploads/main/cut-off.csv", phones(9, "VIP") + b'2125550100,"VIP')
    discarded = machine.wait_for("export.quarantined")["export"]
    relay(machine, "discard", discarded, "--reason", "a test")
    upload(machine, "/uploads/main/cut-off-too.csv", phones(8, "VIP") + b'2125550100,"VIP')
    machine.wait_for("export.quarantined", 2)
    upload(machine, "/elsewhere.csv", b"2125550100,VIP\n")
    machine.wait_for("arrival.unrouted")
    # A list that a newer one has overtaken, and one whose name is taken.
    for people in (200, 60, 180):
        upload(machine, f"/uploads/super/{people}.csv", phones(people, "Super"))
        machine.wait_for("delivery.held" if people == 60 else "delivery.sent", segment="Super", rows_out=people)
    machine.wait_for("delivery.superseded")
    for name in _strangers():
        machine.write(name, "a stranger's\n")
    upload(machine, "/uploads/taken/list.csv", phones(99, "Taken"))
    machine.wait_for("delivery.failed")
    # An export that waits for its marker, one that its client took back, and markers without an export.
    upload(machine, "/uploads/gather/waiting.csv", phones(99, "Waiting"))
    upload(machine, "/uploads/gather/taken-back.csv", phones(99, "Taken back"))
    machine.wait_for("export.gathering", 2)
    remove(machine, "/uploads/gather/taken-back.csv")
    machine.wait_for("arrival.withdrawn")
    upload(machine, "/uploads/gather/later.csv.DONE", b"")
    upload(machine, "/uploads/brief/nothing.csv.DONE", b"")
    machine.wait_for("arrival.ignored")
    # A list for an upstream that is away.
    upload(machine, "/uploads/away/list.csv", phones(99, "Away"))
    machine.wait_for("delivery.deferred", segment="Away")


def _kill_it_in_the_middle(machine: Machine) -> None:
    """Have the service die with lists on their way and an export in hand, and stay dead."""
    machine.run("systemctl", "kill", "--signal", "STOP", "--kill-whom", "main", "ssh")
    for segment in ("Sending", "Sending too"):
        upload(machine, f"/uploads/main/{segment}.csv", phones(99, segment))
        machine.wait_for("delivery.sending", segment=segment)
    upload(machine, "/uploads/main/queued.csv", phones(99, "Queued"))
    machine.wait_for("delivery.queued", segment="Queued")
    freeze = [*machine.entering(), "sh", "-c", _FREEZE, "sh", machine.show("relay", "MainPID")]
    with subprocess.Popen(freeze, stdout=subprocess.PIPE, text=True) as freezing:
        upload(machine, "/uploads/main/received.csv", phones(99, "Received"))
        rewrite, _ = freezing.communicate(timeout=60)
    machine.run("systemctl", "kill", "--signal", "KILL", "--kill-whom", "main", "relay")
    machine.run("systemctl", "stop", "relay.service")
    # Not every container lets systemd see what else it has to kill.
    machine.run("kill", "-KILL", rewrite.strip(), check=False)
    machine.run("systemctl", "kill", "--signal", "CONT", "--kill-whom", "main", "ssh")


_FREEZE = """
while :; do
    for child in $(cat /proc/"$1"/task/*/children); do
        if grep -q relay.rewrite /proc/"$child"/cmdline; then
            kill -STOP "$child"
            echo "$child"
            exit
        fi
    done
done
"""
"""Stops the rewrite that a service begins next; one that has only been forked is not one yet."""


def _strangers() -> list[str]:
    """The names that a list of the route `taken` may get: today's, and tomorrow's for a test around midnight."""
    days = [datetime.now(UTC).date() + timedelta(days=days) for days in (0, 1)]
    return [f"/{UPLOADS}/taken_subscriber_segment_{day:%Y%m%d}_1.csv" for day in days]


def _give_way(machine: Machine) -> None:
    machine.run("rm", *_strangers())


def _check_that_what_was_final_is_as_it_was(before: Books, after: Books) -> None:
    """Every arrival, export and list is there, and where it had come to an end or waits for a person, the same."""
    moving = {"landed", "gathering", "received", "queued", "sending", "deferred"}
    for table in STATES:
        assert after[table].keys() >= before[table].keys()
        for key, row in before[table].items():
            if row["state"] not in moving:
                assert {name: after[table][key][name] for name in row} == row
