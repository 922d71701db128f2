"""A daemon killed at any instant costs time only: after a restart the same names and bytes arrive, once each."""

from pathlib import Path

import pytest
from parts.service import Service, Setup
from parts.sftp import sftp
from parts.sshd import NEEDS_SSHD, Sshd

pytestmark = NEEDS_SSHD

LIST = b"2125550101,VIP\n2125550102,VIP\n"


def upload(service: Service) -> None:
    """Upload one list."""
    local = service.setup.directory / "to-upload"
    local.write_bytes(LIST)
    sftp(service.port, "amperity", service.setup.client_key, f'put "{local}" /uploads/list.csv')


def test_killed_between_planning_and_sending(tmp_path: Path) -> None:
    """What was planned while the upstream was away arrives under the name it was given then, with the same bytes."""
    with Sshd(tmp_path / "upstream") as upstream:
        setup = Setup(tmp_path / "relay", upstream)
        setup.route()
        upstream.stop()
        with Service(setup) as service:
            upload(service)
            planned = service.wait_for("delivery.queued")
            service.wait_for("delivery.deferred")
            service.kill()
        upstream.start()
        with Service(setup) as service:
            sent = service.wait_for("delivery.sent")
            assert sent["remote_name"] == planned["remote_name"]
            assert sent["sha256"] == planned["sha256"]
            assert upstream.received() == {planned["remote_name"]: LIST}


@pytest.mark.parametrize(
    "event",
    [
        "landing.upload_confirmed",
        "arrival.landed",
        "arrival.claimed",
        "export.received",
        "export.accepted",
        "delivery.queued",
        "delivery.sending",
        "delivery.sent",
    ],
)
def test_killed_at_an_event(tmp_path: Path, event: str) -> None:
    """Killed as soon as `event` is logged, the daemon sends the list after its next start, in one file."""
    with Sshd(tmp_path / "upstream") as upstream:
        setup = Setup(tmp_path / "relay", upstream)
        setup.route()
        with Service(setup) as service:
            upload(service)
            service.wait_for(event)
            service.kill()
        with Service(setup) as service:
            service.wait_for("relay.ready")
            service.wait_for_state("sent")
            assert list(upstream.received().values()) == [LIST]
            assert service.stop() == 0


def test_who_follows_a_killed_one_says_so(tmp_path: Path) -> None:
    """A kill leaves no line of its own, so the next start tells of it, once; a stop in good order is none."""
    with Sshd(tmp_path / "upstream") as upstream:
        setup = Setup(tmp_path / "relay", upstream)
        setup.route()
        with Service(setup) as first:
            first.wait_for("relay.ready")
            first.kill()
        with Service(setup) as second:
            second.wait_for("relay.ready")
            assert second.stop() == 0
        with Service(setup) as third:
            third.wait_for("relay.ready")
        told = [service.named("relay.interrupted") for service in (first, second, third)]
        assert [len(lines) for lines in told] == [0, 1, 0]
        assert second.lines[1]["event"] == "relay.interrupted"
