"""`relay restore`: the list before the last sent one goes out again, on a real state and through the real service."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from parts.host import SHRUNK, Host, a_host
from parts.people import people
from parts.service import Service, Setup, relay
from parts.sftp import sftp
from parts.sshd import NEEDS_SSHD, Sshd

from relay.model import Delivery, DeliveryState
from relay.spool import Spool, hash_file

ASKED = ("restore", "--route", "sirendenim", "--segment", "VIP")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A host whose service has run."""
    with a_host(tmp_path) as host:
        yield host


def send(host: Host, content: str, *, days_ago: int = 0, rows: int = 1000) -> Delivery:
    """A list of the segment that was sent, with its bytes where they belong."""
    host.books.now -= timedelta(days=days_ago)
    sent = host.send(content=content, rows=rows)
    host.books.now += timedelta(days=days_ago)
    draft = Spool(host.state_dir).draft(sent)
    draft.parent.mkdir(parents=True, exist_ok=True)
    draft.write_text(content)
    return sent


def newest(host: Host) -> Delivery:
    """The delivery that was planned last."""
    return host.books.store.deliveries(limit=1)[0]


def test_the_list_before_the_last_one_is_queued_under_a_new_name(host: Host) -> None:
    """Its bytes, its counts, today's date, and the decision in the history; nothing waits for it (rule D12)."""
    right, wrong = send(host, "right", days_ago=1), send(host, "wrong", rows=1_100)
    said = host.run(*ASKED, "--reason", "wrong query", SUDO_USER="mel")
    assert said.exit_code == 0, said.output
    restored = newest(host)
    assert (restored.id, restored.state) == (f"{right.export_id}.2", DeliveryState.QUEUED)
    assert f"{restored.id} is queued as {restored.remote_name}" in said.stdout
    assert restored.remote_name not in {right.remote_name, wrong.remote_name}
    assert (restored.sha256, restored.counts, restored.previous_rows) == (right.sha256, right.counts, 1_100)
    assert hash_file(Spool(host.state_dir).draft(restored)) == right.sha256
    told = host.books.store.transitions(restored.id)
    assert [it.event for it in told] == ["delivery.queued", "delivery.restored"]
    assert told[1].fields["other"] == right.id
    assert (told[1].fields["operator"], told[1].fields["reason"]) == ("mel", "wrong query")


def test_it_takes_the_place_of_everything_unsent(host: Host) -> None:
    """Also of a list of today that is held: the operator has decided what is to be live."""
    send(host, "right", days_ago=1)
    send(host, "wrong")
    held = host.books.plan(SHRUNK)
    assert host.run(*ASKED).exit_code == 0
    assert host.books.look(held).state is DeliveryState.SUPERSEDED


def test_the_one_named_may_be_any_that_was_sent(host: Host) -> None:
    """Two wrong lists in a row: the operator says which one was right."""
    right = send(host, "right", days_ago=2)
    send(host, "wrong", days_ago=1)
    send(host, "wrong too")
    assert host.run(*ASKED, "--delivery", right.id).exit_code == 0
    assert newest(host).sha256 == right.sha256


def test_it_may_be_restored_twice(host: Host) -> None:
    """Each time under a number of its own; what a kill left of an earlier try is in nobody's way."""
    right = send(host, "right", days_ago=1)
    send(host, "wrong")
    leftover = Spool(host.state_dir).draft_of(right.route, right.export_id, 2)
    leftover.write_text("cut off")
    for number in (2, 3):
        assert host.run(*ASKED, "--delivery", right.id).exit_code == 0
        assert newest(host).id == f"{right.export_id}.{number}"
        assert hash_file(Spool(host.state_dir).draft(newest(host))) == right.sha256


@pytest.mark.parametrize(("flags", "status"), [([], 1), (["--even-if-old"], 0)])
def test_an_old_list_is_refused_unless_told(host: Host, flags: list[str], status: int) -> None:
    """People may have opted out since."""
    send(host, "right", days_ago=8)
    send(host, "wrong")
    said = host.run(*ASKED, *flags)
    assert said.exit_code == status
    assert ("max_restore_age is 7 days" in said.stderr) is bool(status)


@pytest.mark.parametrize(
    ("contents", "words"),
    [
        ([], "no list of the segment “VIP” was ever sent"),
        (["only"], "is the only list of “VIP” that was sent"),
        (["same", "same"], "is the same list"),
    ],
)
def test_where_there_is_nothing_to_go_back_to_it_says_so(host: Host, contents: list[str], words: str) -> None:
    """And what to do instead; nothing is queued."""
    for days, content in enumerate(reversed(contents)):
        send(host, content, days_ago=len(contents) - days)
    before = host.books.store.deliveries()
    said = host.run(*ASKED)
    assert said.exit_code == 1
    assert words in said.stderr
    assert "hint: " in said.stderr
    assert host.books.store.deliveries() == before


def test_only_what_was_sent_can_be_named(host: Host) -> None:
    """A held list is released, not restored; another segment's is somebody else's."""
    sent = send(host, "right", days_ago=1)
    held = host.books.plan(SHRUNK)
    said = host.run(*ASKED, "--delivery", held.id)
    assert said.exit_code == 1
    assert f"Those that were: {sent.id}" in said.stderr


@pytest.mark.parametrize(("damage", "words"), [("other bytes", "its SHA-256 is another"), (None, "not kept any more")])
def test_bytes_that_are_not_those_that_were_sent_are_refused(host: Host, damage: str | None, words: str) -> None:
    """Gone or changed: nothing is queued."""
    right = send(host, "right", days_ago=1)
    send(host, "wrong")
    draft = Spool(host.state_dir).draft(right)
    draft.unlink() if damage is None else draft.write_text(damage)
    said = host.run(*ASKED)
    assert said.exit_code == 1
    assert words in said.stderr
    assert newest(host).state is DeliveryState.SENT


def test_an_unknown_route_is_wrong_usage(host: Host) -> None:
    """Exit 2, with the routes that there are."""
    said = host.run("restore", "--route", "x", "--segment", "VIP")
    assert said.exit_code == 2
    assert "there are: sirendenim" in said.stderr


@NEEDS_SSHD
def test_the_running_service_sends_it(tmp_path: Path) -> None:
    """A wrong list went out; one command later the one before it is at the upstream again, as a new file."""
    with Sshd(tmp_path / "upstream") as upstream:
        setup = Setup(tmp_path / "relay", upstream)
        setup.route(sections='[guards]\nsame_day = "send"')
        with Service(setup) as service:
            for count, content in enumerate(("right", "wrong"), start=1):
                first = 0 if content == "right" else 200
                local = setup.directory / "to-upload"
                local.write_text("".join(f"{it.phone},VIP\n" for it in people(150, first=first)))
                sftp(service.port, "amperity", setup.client_key, f'put "{local}" /uploads/{content}.csv')
                service.wait_for("delivery.sent", count=count)
            assert relay(setup, *ASKED, "--reason", "wrong query").returncode == 0
            restored = service.wait_for("delivery.restored")
            assert service.wait_for("delivery.sent", count=3)["delivery"] == restored["delivery"]
        right, wrong, again = (content for _, content in sorted(upstream.received().items()))
        assert right == again != wrong
