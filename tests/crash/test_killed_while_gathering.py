"""A daemon killed while an export of several files comes in: whatever it had done, one whole list leaves, once."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from parts.landing import until
from parts.people import people
from parts.service import Service, Setup
from parts.sftp import sftp
from parts.sshd import NEEDS_SSHD, Sshd

pytestmark = NEEDS_SSHD

PARTS = range(1, 5)
MANY = range(1, 401)


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[Sshd]:
    """Somewhere to send to."""
    with Sshd(tmp_path / "upstream") as upstream:
        yield upstream


@pytest.fixture
def setup(tmp_path: Path, upstream: Sshd) -> Setup:
    """A route that makes one export of a directory and its end marker."""
    setup = Setup(tmp_path / "relay", upstream)
    setup.route(sections='[source]\ngroup = "directory"\ncomplete = "done"')
    return setup


def part(number: int) -> str:
    """A part of the list: one person."""
    return "".join(f"{it.phone},VIP\n" for it in people(1, first=number))


def put(service: Service, numbers: Sequence[int], *, done: bool = False) -> None:
    """Upload parts, and the end marker if it is time."""
    local = service.setup.directory / "to-upload"
    local.mkdir(exist_ok=True)
    commands = ["-mkdir /uploads/VIP"]
    for number in numbers:
        (local / f"{number:07}.csv").write_text(part(number), encoding="utf-8")
        commands.append(f'put "{local}/{number:07}.csv" /uploads/VIP/')
    if done:
        (local / "marker").touch()
        commands.append(f'put "{local}/marker" /uploads/VIP/.DONE')
    sftp(service.port, "amperity", service.setup.client_key, *commands)


def whole(numbers: Sequence[int]) -> str:
    """The list that all parts make."""
    return "".join(map(part, numbers))


@pytest.mark.parametrize("event", ["landing.upload_confirmed", "arrival.landed", "export.gathering"])
def test_killed_between_parts(setup: Setup, upstream: Sshd, event: str) -> None:
    """Killed when the first parts are there, it takes them with those that come after its next start."""
    with Service(setup) as service:
        put(service, PARTS[:2])
        service.wait_for(event)
        service.kill()
    with Service(setup) as service:
        service.wait_for("relay.ready")
        put(service, PARTS[2:], done=True)
        service.wait_for_state("sent")
        assert [it.decode() for it in upstream.received().values()] == [whole(PARTS)]
        assert service.stop() == 0


@pytest.mark.parametrize("event", ["arrival.claimed", "export.received", "export.accepted"])
def test_killed_when_all_is_there(setup: Setup, upstream: Sshd, event: str) -> None:
    """Killed as soon as `event` is logged, it sends the one list after its next start."""
    with Service(setup) as service:
        put(service, PARTS, done=True)
        service.wait_for(event)
        service.kill()
    with Service(setup) as service:
        service.wait_for("relay.ready")
        service.wait_for_state("sent")
        assert [it.decode() for it in upstream.received().values()] == [whole(PARTS)]
        assert service.stop() == 0


def test_killed_between_the_claims_of_parts(setup: Setup, upstream: Sshd) -> None:
    """Killed when the first of many parts are linked into the export's directory, it begins that again."""
    with Service(setup) as service:
        put(service, MANY, done=True)
        source = setup.state / "exports" / "sirendenim"
        until(lambda: any(source.glob("*/source/*")), "the first part is linked")
        service.kill()
    with Service(setup) as service:
        service.wait_for("relay.ready")
        service.wait_for_state("sent")
        assert [it.decode() for it in upstream.received().values()] == [whole(MANY)]
        assert service.stop() == 0
