"""The host's clock is set back between two exports of one segment: the newer list is the one that came later."""

from datetime import timedelta
from pathlib import Path

import pytest
from parts.people import people
from parts.service import Service, Setup, relay
from parts.sftp import sftp
from parts.sshd import NEEDS_SSHD, Sshd
from soak.clock import COMPILER, Clock

pytestmark = [NEEDS_SSHD, pytest.mark.skipif(COMPILER is None, reason="needs gcc")]

HOUR = timedelta(hours=1)
SUPERSEDE = '[guards]\nsame_day = "supersede"\nmin_overlap = 0'


def upload(service: Service, name: str, first: int) -> str:
    """Have Amperity send a list, and return what is to arrive of it."""
    content = "".join(f"{it.phone},VIP\n" for it in people(50, first=first))
    local = service.setup.directory / "to-upload"
    local.write_text(content)
    sftp(service.port, "amperity", service.setup.client_key, f'put "{local}" "/uploads/{name}.csv"')
    return content


def test_the_list_that_came_later_wins_though_the_clock_was_set_back_an_hour(tmp_path: Path) -> None:
    """The first waits for an upstream that is down; the second, an hour earlier by the clock, goes out in its place.

    Then the clock is set back once more, and the first list, restored, counts as the newest.
    """
    clock = Clock(tmp_path)
    with Sshd(tmp_path / "upstream") as upstream:
        setup = Setup(tmp_path / "relay", upstream)
        setup.route(sections=SUPERSEDE)
        with clock.moved():
            service = Service(setup)
        with service:
            live = upload(service, "live", 0)
            service.wait_for("delivery.sent")
            upstream.stop()
            upload(service, "older", 100)
            older = service.wait_for("delivery.deferred")["delivery"]
            clock.move(-HOUR)
            newer = upload(service, "newer", 200)
            superseded = service.wait_for("delivery.superseded")
            upstream.start()
            sent = service.wait_for("delivery.sent", count=2, deadline=120)
            assert (superseded["delivery"], superseded["other"]) == (older, sent["delivery"])
            assert sorted(upstream.received().values()) == sorted([live.encode(), newer.encode()])

            clock.move(-HOUR)
            with clock.moved():
                said = relay(
                    setup, "restore", "--route", "sirendenim", "--segment", "VIP", "--reason", "the newer one was wrong"
                )
            assert said.returncode == 0, said.stderr
            again = service.wait_for("delivery.sent", count=3)
            assert upstream.received()[again["remote_name"]] == live.encode()
            assert service.named("delivery.superseded") == [superseded]
