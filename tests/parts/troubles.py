"""What can go wrong, played with the real service, so that its log has every line that an alert rests on.

Each scene is one or more lives of a service, from a configuration of its own to its end; what it returns is the log.
"""

import re
import shutil
import socket
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from parts.gnupg import gnupg
from parts.lists import phones
from parts.service import Service, Setup, ssh_keygen
from parts.sftp import SlowUpload, sftp
from parts.sshd import Sshd
from relay.freshness import Expectation
from relay.store import Store

Scene = Callable[[Path], list[str]]
"""Plays in a directory of its own and returns the lines of the log, as they were written."""

_UPLOADS: Final = "/uploads"


def _set(setup: Setup, section: str, key: str, value: str) -> None:
    """Set a key of `relay.toml`."""
    text = setup.config.read_text()
    text = re.sub(rf"^{key} = .*\n", "", text, flags=re.MULTILINE)
    setup.config.write_text(text.replace(f"{section}\n", f"{section}\n{key} = {value}\n", 1))


def _put(service: Service, content: bytes, name: str = "list.csv", *, check: bool = True) -> None:
    local = service.setup.directory / "to-upload"
    local.write_bytes(content)
    put = f'put "{local}" "{_UPLOADS}/{name}"'
    sftp(service.port, "amperity", service.setup.client_key, put, check=check)


def a_good_day(directory: Path) -> list[str]:
    """An export of two segments is forwarded in time, a minute passes, and the service is stopped."""
    with Sshd(directory / "upstream") as upstream:
        setup = Setup(directory / "relay", upstream)
        by = datetime.now(UTC).replace(second=0, microsecond=0)
        setup.route(top=f'expect_by = "{by:%H:%M}"\ngrace = "12h"')
        with Service(setup) as service:
            _put(service, phones(50, "VIP", "Lapsed"))
            service.wait_for("delivery.sent", count=2)
            service.wait_for("relay.heartbeat", deadline=90)
            assert service.stop() == 0
            return service.raw


def guests(directory: Path) -> list[str]:
    """Uploads that break off, are too many or are for nobody; wrong keys until their source is shut out."""
    with Sshd(directory / "upstream") as upstream:
        setup = Setup(directory / "relay", upstream)
        setup.route(top=f'path = "{_UPLOADS}/wanted/**"')
        _set(setup, "[accounts.amperity]", "max_files", "3")
        stranger = ssh_keygen(setup.directory / "stranger")
        with Service(setup) as service:
            _put(service, b"for nobody", "unwanted.csv")
            service.wait_for("arrival.unrouted")
            big = setup.directory / "big"
            big.write_bytes(bytes(5_000_000))
            with SlowUpload(service.port, "amperity", setup.client_key, big, f"{_UPLOADS}/big") as upload:
                service.wait_for("landing.login_succeeded", count=2)
                while not any((setup.state / "incoming" / "amperity").iterdir()):
                    assert service.is_running
                upload.kill()
                service.wait_for("landing.upload_unconfirmed")
            _put(service, b"1", "1")
            _put(service, b"2", "2", check=False)
            service.wait_for("landing.upload_refused")
            while not service.named("landing.address_banned"):
                sftp(service.port, "amperity", stranger, "ls", check=False)
            sftp(service.port, "amperity", stranger, "ls", check=False)
            service.wait_for("landing.connections_dropped")
            assert service.stop() == 0
            return service.raw


def the_operators_mistakes(directory: Path) -> list[str]:
    """A disk with too little room, a report that cannot be written, a reload that is refused, keys that end."""
    with Sshd(directory / "upstream") as upstream, gnupg() as theirs:
        setup = Setup(directory / "relay", upstream)
        theirs.make_key("relay", subkeys=())
        theirs.run("--passphrase", "", "--quick-add-key", theirs.fingerprint("relay"), "cv25519", "encr", "9d")
        key = setup.directory / "relay.pgp"
        key.write_bytes(theirs.private_key("relay"))
        key.chmod(0o600)
        setup.route(sections='[pgp]\nprivate_key = "relay.pgp"')
        public = setup.directory / "amperity.pub"
        public.write_text(f'expiry-time="20200101" {public.read_text()}')
        _set(setup, "[landing]", "min_free", '"900TB"')
        setup.config.write_text(f'report = "{directory}/nowhere/report.html"\n{setup.config.read_text()}')
        with Service(setup) as service:
            for event in ("disk.low", "report.failed", "key.expired", "key.expiring", "relay.ready"):
                service.wait_for(event)
            setup.route("another", top="no_such_key = 1")
            service.reload()
            service.wait_for("config.refused")
            assert service.stop() == 0
            return service.raw


def doubtful_lists(directory: Path) -> list[str]:
    """A list that grew, one that shrank, a segment that stays away, an export that is cut off; nobody decides."""
    with Sshd(directory / "upstream") as upstream:
        setup = Setup(directory / "relay", upstream)
        setup.route(sections='[guards]\nsame_day = "send"\nremind_after = ["1s"]\nmax_rejected = 1.0')
        with Service(setup) as service:
            _put(service, phones(200, "VIP", "Lapsed"))
            service.wait_for("delivery.sent", count=2)
            _put(service, phones(500, "VIP") + b"+47 922 34 567,VIP\n" * 50)
            service.wait_for("delivery.sent", count=3)
            service.wait_for("segment.disappeared")
            _put(service, phones(20, "VIP"))
            _put(service, phones(20, "VIP") + b'2125550100,"VIP', "cut-off.csv")
            for event in (
                "delivery.grown",
                "delivery.held",
                "export.quarantined",
                "delivery.overdue",
                "export.overdue",
            ):
                service.wait_for(event)
            assert service.stop() == 0
            return service.raw


def no_list(directory: Path) -> list[str]:
    """Two routes of which nothing comes: one is late, the other's grace is over."""
    with Sshd(directory / "upstream") as upstream:
        setup = Setup(directory / "relay", upstream)
        by = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=30)
        setup.state.mkdir(mode=0o700)
        with closing(Store.open(setup.state / "relay.db")) as store:
            for route, grace in (("late", timedelta(hours=12)), ("missing", timedelta(minutes=1))):
                expected = f'expect_by = "{by:%H:%M}"\ngrace = "{int(grace.total_seconds())}s"'
                setup.route(route, top=f'{expected}\npath = "{_UPLOADS}/{route}/**"')
                watched = Expectation(by.time(), grace, ZoneInfo("UTC"))
                store.judge_freshness(route, watched, by - timedelta(hours=1))
        with Service(setup) as service:
            service.wait_for("freshness.late", route="late")
            service.wait_for("freshness.missing", route="missing")
            assert service.stop() == 0
            return service.raw


def an_ill_upstream(directory: Path) -> list[str]:
    """A name that is taken, a host key beside the pinned one and then another one, an upstream that is away.

    The service is killed while it sends.
    """
    next_key = ssh_keygen(directory / "next", "ecdsa")
    lives = []
    with Sshd(directory / "upstream", options=(f"HostKey {next_key}",)) as upstream:
        setup = Setup(directory / "relay", upstream)
        setup.route()
        (upstream.uploads / f"sirendenim_subscriber_segment_{datetime.now(UTC):%Y%m%d}_2.csv").touch()
        with Service(setup) as service:
            _put(service, phones(40, "VIP"))
            service.wait_for("delivery.sending")
            service.kill()
            lives.append(service)
        with Service(setup) as service:
            service.wait_for("delivery.recovered")
            service.wait_for("delivery.sent")
            service.wait_for("upstream.host_key_offered")
            _put(service, phones(40, "Lapsed"), "second.csv")
            service.wait_for("delivery.failed")
            upstream.stop()
            _put(service, phones(40, "New"), "third.csv")
            service.wait_for("delivery.deferred")
            assert service.stop() == 0
            lives.append(service)
        upstream.change_host_key()
        upstream.start()
        with Service(setup) as service:
            _put(service, phones(40, "Newer"), "fourth.csv")
            service.wait_for("upstream.suspended")
            assert service.stop() == 0
            lives.append(service)
        return [line for life in lives for line in life.raw]


def no_standing(directory: Path) -> list[str]:
    """A database that somebody holds, and an address that somebody has."""
    with Sshd(directory / "upstream") as upstream:
        setup = Setup(directory / "relay", upstream)
        setup.route()
        with Service(setup) as first:
            first.wait_for("relay.ready")
            with closing(sqlite3.connect(setup.state / "relay.db", isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                _put(first, phones(40, "VIP"), check=False)
                first.wait_for("relay.suspended")
            first.wait_for("relay.resumed")
            first.wait_for("relay.ready", count=2)
            assert first.stop() == 0
        with socket.create_server(("127.0.0.1", 0)) as taken:
            _set(setup, "[landing]", "listen", f'["127.0.0.1:{taken.getsockname()[1]}"]')
            with Service(setup) as second:
                second.wait_for("relay.failed")
        return [*first.raw, *second.raw]


SCENES: Final[dict[str, Scene]] = {
    scene.__name__: scene
    for scene in (
        a_good_day,
        guests,
        the_operators_mistakes,
        doubtful_lists,
        no_list,
        an_ill_upstream,
        no_standing,
    )
}


def needed() -> str | None:
    """Return the Debian package that a scene needs and that is not there."""
    packages = {"sshd": "openssh-server", "sftp": "openssh-client", "gpg": "gnupg"}
    return next((name for tool, name in packages.items() if shutil.which(tool, path=_path()) is None), None)


def _path() -> str:
    return subprocess.run(["getconf", "PATH"], capture_output=True, text=True, check=True).stdout.strip() + ":/usr/sbin"
