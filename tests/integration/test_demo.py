"""`relay demo` as somebody runs it who sees the relay for the first time, and the parts that play both ends."""

import asyncio
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import asyncssh
import pytest
from parts.service import RELAY

from relay.config import load
from relay.demo.player import Player
from relay.demo.run import DemoFailed, compare, run
from relay.demo.sample import Sample, write_sample
from relay.demo.scene import Scene
from relay.demo.service import Line, Service, ServiceTrouble
from relay.demo.stand_in import StandIn
from relay.keys import generate_host_keys
from relay.log import Event
from relay.model import RelayError

ROWS = 600
NAME = re.compile(r"sirendenim_subscriber_segment_\d{8}_\d+\.csv")


def demo(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the demo."""
    return subprocess.run(
        [*RELAY, "demo", *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        env={**os.environ, **environment},
    )


def test_the_whole_way_is_shown_and_everything_is_kept(tmp_path: Path) -> None:
    """Each step in words, what was received, rejects, places, and a command that works when it is pasted; exit 0."""
    directory = tmp_path / "the demo"
    (tmp_path / "attentive.password").write_text("of the service that the demo is run from")
    (tmp_path / "attentive.password").chmod(0o600)
    said = demo("--directory", str(directory), "--rows", str(ROWS), CREDENTIALS_DIRECTORY=str(tmp_path))
    assert said.returncode == 0, said.stdout + said.stderr
    assert "\x1b" not in said.stdout
    steps = [
        "exports 600 rows",
        "its landing zone listens",
        "safe on disk",
        "rewrote 600 rows",
        "queued “Most Loyal Customers”",
        "size verified, renamed",
        "uploads the same file again",
        "nothing is sent, no file number is used",
        "stopped in good order",
        "What the stand-in for Attentive received",
        "The reject report begins",
        "Where everything lies",
    ]
    places = [said.stdout.index(step) for step in steps]
    assert places == sorted(places)
    received = sorted(path.name for path in (directory / "attentive" / "uploads").iterdir())
    assert len(received) == 5
    for name in received:
        assert NAME.fullmatch(name)
        first = (directory / "attentive" / "uploads" / name).read_text().splitlines()[0]
        assert re.fullmatch(r"\d{3}55501\d\d,[\w -]+", first)
        assert said.stdout.count(name) >= 3
        assert first in said.stdout
    commands = said.stdout.partition("Did it go out? Ask the relay\n")[2].splitlines()
    assert len(commands) == 2
    for command in commands:
        pasted = subprocess.run(command, shell=True, check=True, capture_output=True, text=True)  # noqa: S602  as pasted
        assert "sent" in pasted.stdout


def test_without_a_directory_a_temporary_one_is_made_kept_and_named(tmp_path: Path) -> None:
    """Where everything lies is the first thing that is said."""
    said = demo("--rows", "1", TMPDIR=str(tmp_path))
    assert said.returncode == 0, said.stdout + said.stderr
    (made,) = tmp_path.iterdir()
    assert str(made) in said.stdout.splitlines()[0]
    assert stat.S_IMODE(made.stat().st_mode) == 0o700


@pytest.mark.parametrize("arguments", [("--rows", "0"), ("--rows", "many")])
def test_a_strange_number_of_rows_is_wrong_usage(arguments: tuple[str, ...]) -> None:
    """Exit 2, before anything is made."""
    assert demo(*arguments).returncode == 2


def test_a_directory_with_something_in_it_is_refused(tmp_path: Path) -> None:
    """A demo shows a first day; somebody's files, or an earlier demo's, stay untouched."""
    (tmp_path / "mine").touch()
    said = demo("--directory", str(tmp_path))
    assert said.returncode == 1
    assert "is not empty" in said.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_demo_that_takes_too_long_says_so_and_ends(tmp_path: Path) -> None:
    """Past the deadline it names the log, and what it started is stopped."""
    with pytest.raises(DemoFailed, match=r"not through after 0\.5 s") as failed:
        run(tmp_path, 1, lambda _who, _what: None, deadline=0.5)
    assert str(tmp_path / "relay.log") in failed.value.hint


def test_a_service_that_does_not_start_is_told_and_not_waited_for(tmp_path: Path) -> None:
    """What the program said is in the log file, and the error names it."""
    configuration, log = tmp_path / "relay.toml", tmp_path / "relay.log"
    configuration.write_text("state_dir = 7\n")

    async def start() -> None:
        async with Service(configuration, log, lambda _: None) as service:
            await service.until(Event.RELAY_READY)

    with pytest.raises(ServiceTrouble, match="ended before") as trouble:
        asyncio.run(start())
    assert str(log) in trouble.value.hint
    assert "state_dir" in log.read_text()


def tampered_with(path: Path) -> None:
    """Change one byte."""
    path.write_bytes(b"9" + path.read_bytes()[1:])


def beside_another(path: Path) -> None:
    """Put another file there."""
    shutil.copy(path, path.with_name("another.csv"))


@pytest.mark.parametrize(
    ("mishap", "words"),
    [(tampered_with, "does not hold"), (beside_another, "files received"), (Path.unlink, "files received")],
)
def test_what_arrives_otherwise_than_the_sample_says_fails_the_demo(
    tmp_path: Path, mishap: Callable[[Path], None], words: str
) -> None:
    """The comparison is with the sample's own account, byte by byte and file by file."""
    scene, sample, accepted, sent = arrived_rightly(tmp_path)
    compare(scene, sample, accepted, sent)
    mishap(scene.received / sent[0]["remote_name"])
    with pytest.raises(DemoFailed, match=words):
        compare(scene, sample, accepted, sent)


@pytest.mark.parametrize("count", ["rows_in", "duplicates", "empty", "rejected"])
def test_another_count_fails_the_demo(tmp_path: Path, count: str) -> None:
    """What the relay logs of an export is compared, too."""
    scene, sample, accepted, sent = arrived_rightly(tmp_path)
    with pytest.raises(DemoFailed, match="but the sample has"):
        compare(scene, sample, {**accepted, count: -1}, sent)


def arrived_rightly(directory: Path) -> tuple[Scene, Sample, Line, list[Line]]:
    """A demo in which all went well, up to the comparison."""
    scene = Scene(directory / "demo")
    scene.prepare()
    sample = write_sample(scene.sample, ROWS)
    scene.received.mkdir()
    sent = [
        {"segment": segment, "remote_name": f"sirendenim_subscriber_segment_20261123_{number}.csv"}
        for number, segment in enumerate(sample.lists, start=1)
    ]
    for line in sent:
        (scene.received / line["remote_name"]).write_bytes(sample.expected_file(line["segment"]))
    export = scene.state / "exports" / "sirendenim" / "an-export"
    export.mkdir(parents=True)
    (export / "rejects.csv").touch()
    accepted = {
        "export": "an-export",
        "rows_in": sample.rows,
        "duplicates": sample.duplicates,
        "empty": sample.empty,
        "rejected": sample.rejected,
    }
    return scene, sample, accepted, sent


def test_its_configuration_is_one_that_the_relay_accepts(tmp_path: Path) -> None:
    """Also in a directory whose name wants quoting; close to midnight the day is told in a zone where it is morning."""
    scene = Scene(tmp_path / 'a "strange" directory\\')
    scene.prepare()
    (scene.directory / "amperity.pub").write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_public_key())
    names = [key.path.name for key in generate_host_keys(scene.directory)]

    async def write(now: datetime) -> None:
        async with StandIn(scene.attentive, lambda _: None) as stand_in:
            scene.write_configuration(stand_in, names, now)

    asyncio.run(write(datetime(2026, 11, 23, 12, tzinfo=UTC)))
    config = load(scene.configuration)
    assert config.state_dir == scene.state
    assert str(config.routes["sirendenim"].timezone) == "UTC"
    asyncio.run(write(datetime(2026, 11, 23, 23, 59, 30, tzinfo=UTC)))
    zone = load(scene.configuration).routes["sirendenim"].timezone
    assert datetime(2026, 11, 23, 23, 59, 30, tzinfo=UTC).astimezone(zone).hour == 5


def test_the_stand_in_takes_files_by_rename_and_never_overwrites(tmp_path: Path) -> None:
    """It tells the final name, keeps to its directory, and knows one user with one password."""
    received: list[str] = []

    async def play() -> None:
        async with StandIn(tmp_path / "attentive", received.append) as stand_in:
            known_hosts = asyncssh.import_known_hosts(stand_in.known_hosts)
            to_it = {"port": stand_in.port, "known_hosts": known_hosts, "client_keys": None, "config": None}
            with pytest.raises(asyncssh.PermissionDenied):
                await asyncssh.connect(stand_in.host, username=stand_in.user, password="a guess", **to_it)
            async with (
                asyncssh.connect(
                    stand_in.host, username=stand_in.user, password=stand_in.password, **to_it
                ) as connection,
                connection.start_sftp_client() as sftp,
            ):
                for content in ("the first", "another"):
                    async with sftp.open("/uploads/list.csv.part", "w") as file:
                        await file.write(content)
                    if content == "another":
                        with pytest.raises(asyncssh.SFTPError):
                            await sftp.rename("/uploads/list.csv.part", "/uploads/list.csv")
                    else:
                        await sftp.rename("/uploads/list.csv.part", "/../uploads/list.csv")

    asyncio.run(play())
    assert received == ["list.csv"]
    assert (tmp_path / "attentive" / "uploads" / "list.csv").read_text() == "the first"


def test_an_upload_that_is_not_taken_is_trouble_in_words(tmp_path: Path) -> None:
    """Whatever the library raises, the demo ends with a sentence and not a traceback."""
    (tmp_path / "key").write_bytes(asyncssh.generate_private_key("ssh-ed25519").export_private_key())
    (tmp_path / "known_hosts").touch()
    nobody_listens = Player("127.0.0.1", 1, "amperity", tmp_path / "key", tmp_path / "known_hosts")
    with pytest.raises(RelayError, match="could not upload"):
        asyncio.run(nobody_listens.upload(tmp_path / "key", "/uploads/x.csv"))
