"""Each guard, lived through: a list is held, explained with its figures, and then released, given up or overtaken.

The service, the upload, the commands and the upstream are real. What a later date does to a held list is in the week.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
from parts.people import people
from parts.service import Line, Service, Setup, relay
from parts.sftp import sftp
from parts.sshd import NEEDS_SSHD, Sshd
from soak.clock import COMPILER, Clock

pytestmark = [NEEDS_SSHD, pytest.mark.timeout(600)]

HEADER = "phone,segment_name\n"


def rows(segment: str, count: int, *, first: int = 0) -> str:
    """A list of so many invented people."""
    return "".join(f"{it.phone},{segment}\n" for it in people(count, first=first))


def unassigned(segment: str, count: int) -> str:
    """Rows of an area code that nobody has."""
    return "".join(f"999555{100 + number:04},{segment}\n" for number in range(count))


@dataclass(frozen=True)
class Case:
    """A list that a guard holds.

    `before` is sent first, if there is anything; `rows_sent` is how many rows go out at the release, None where the
    list is given up instead.
    """

    reason: str
    before: str
    content: str
    detail: str
    rows_sent: int | None
    folder: str = "usual"


CASES = [
    Case("shrunk", rows("S1", 200), rows("S1", 60), "60 rows, last sent 200, −70.0 %, limit −50.0 %", 60),
    Case("empty", rows("S2", 120), HEADER + ",S2\n" * 10, "no row of 10 is left to send, last sent 120", None),
    Case("grew", rows("S3", 100), rows("S3", 1_100), "1,100 rows, last sent 100, 11.0 times as many", 1_100),
    Case(
        "rejected_rows",
        "",
        rows("S4", 150) + "x,S4\n" * 20,
        "20 of 170 rows of this segment, empty ones aside, rejected, 11.8 %",
        150,
    ),
    Case("empty_identifiers", "", HEADER + rows("S5", 100) + ",S5\n" * 150, "150 of 250 rows have no identifier", 100),
    Case("suspect_rows", "", rows("S6", 120) + unassigned("S6", 80), "80 of 200 numbers do not exist, 40.0 %", 200),
    Case("oversize", "", rows("S7", 1_501), "1,501 rows, limit 1,500", 1_501),
    Case(
        *("same_day", rows("S8", 100), rows("S8", 101)),
        "a different list of this segment for the same date is sent as sirendenim_subscriber_segment_",
        101,
    ),
    Case(
        *("near_duplicate_name", rows("S 9 x", 50), rows("s9_x", 50)),
        "“s9_x” is new, and known is “S 9 x”, the same but for case, blanks, _ or -",
        50,
    ),
    Case("new_segment", "", rows("S10", 30), "30 rows of “S10”, of which no list was sent before", 30, "strict"),
    Case(
        *("replaced", rows("S11", 1_000), rows("S11", 1_000, first=2_000)),
        "1,000 rows, of which 0 were in the list last sent: 1,000 lost, 1,000 gained",
        None,
    ),
]


class Tenant:
    """A running service with two routes to one upstream; `strict` holds new segments."""

    def __init__(self, directory: Path, upstream: Sshd) -> None:
        self.upstream = upstream
        self.setup = Setup(directory / "relay", upstream)
        self.setup.route("sirendenim", top='path = "/uploads/usual/**"', sections="[guards]\nmax_rows = 1500")
        self.setup.route("strict", top='path = "/uploads/strict/**"', sections='[guards]\nnew_segment = "hold"')
        self.service = Service(self.setup)
        self.count = 0
        self.sftp("mkdir /uploads/usual", "mkdir /uploads/strict")

    def sftp(self, *commands: str) -> None:
        """Do something as Amperity."""
        sftp(self.service.port, "amperity", self.setup.client_key, *commands)

    def upload(self, content: str, folder: str = "usual") -> int:
        """Send a file, and return its number."""
        self.count += 1
        local = self.setup.directory / "to-upload"
        local.write_text(content)
        self.sftp(f'put "{local}" "/uploads/{folder}/{self.count}.csv"')
        return self.count

    def say(self, *command: str) -> str:
        """Give a command, and return what it says, in one line."""
        said = relay(self.setup, *command)
        return " ".join((said.stdout + said.stderr).split())

    def received(self, line: Line) -> str:
        """What the upstream has of a delivery."""
        return self.upstream.received()[line["remote_name"]].decode()


@pytest.fixture(scope="module")
def tenant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tenant]:
    """The service; each case has segments of its own."""
    directory = tmp_path_factory.mktemp("guards")
    with Sshd(directory / "upstream") as upstream:
        tenant = Tenant(directory, upstream)
        with tenant.service:
            yield tenant


@pytest.mark.parametrize("case", CASES, ids=lambda it: it.reason)
def test_a_guard_holds_explains_and_lets_a_person_decide(tenant: Tenant, case: Case) -> None:
    """The log and the commands give reason and figures; released it goes out as it is, given up nothing does."""
    segment = case.content.rstrip().rpartition(",")[2]
    if case.before:
        first = case.before.rstrip().rpartition(",")[2]
        tenant.upload(case.before, case.folder)
        tenant.service.wait_for("delivery.sent", segment=first)
    tenant.upload(case.content, case.folder)
    held = tenant.service.wait_for("delivery.held", segment=segment)
    assert held["reason"] == case.reason
    assert held["detail"].startswith(case.detail)
    assert "`relay " in held["hint"]
    shown = tenant.say("show", held["delivery"])
    assert " ".join(case.detail.split()) in shown
    assert f"discard {held['delivery']}" in tenant.say("status")
    if case.rows_sent is None:
        tenant.say("discard", held["delivery"], "--reason", "looked at it")
        tenant.service.wait_for("delivery.discarded", segment=segment, reason="looked at it")
        assert tenant.service.named("delivery.sent", segment=segment)[1:] == []
        return
    tenant.say("release", held["delivery"], "--reason", "looked at it")
    released = tenant.service.wait_for("delivery.released", segment=segment)
    sent = tenant.service.wait_for("delivery.sent", segment=segment, delivery=held["delivery"])
    assert (released["reason"], sent["remote_name"]) == ("looked at it", released["remote_name"])
    assert tenant.received(sent).count("\n") == case.rows_sent


def test_an_empty_list_cannot_be_released(tenant: Tenant) -> None:
    """A file without rows cannot empty a segment, and the refusal says what to do instead (rule A9)."""
    tenant.upload(rows("S12", 110))
    tenant.service.wait_for("delivery.sent", segment="S12")
    tenant.upload(HEADER + ",S12\n" * 10)
    held = tenant.service.wait_for("delivery.held", segment="S12")
    refusal = tenant.say("release", held["delivery"])
    assert "has no row left" in refusal
    assert "hint: Correct the export" in refusal


def test_a_segment_that_disappears_is_warned_of(tenant: Tenant) -> None:
    """What came together with others the last time, and does not now, keeps its list, and somebody hears of it."""
    tenant.upload(rows("S13 a", 30) + rows("S13 b", 30))
    tenant.service.wait_for("delivery.sent", segment="S13 b")
    tenant.upload(rows("S13 a", 30))
    warned = tenant.service.wait_for("segment.disappeared", segment="S13 b")
    assert warned["level"] == "warning"
    assert warned["other"] in tenant.say("show", warned["other"])


def test_what_an_operator_holds_waits_and_keeps_its_name(tmp_path: Path) -> None:
    """While the upstream is away, a list is held by hand, and released when somebody has looked (rule G7)."""
    with Sshd(tmp_path / "upstream") as upstream:
        tenant = Tenant(tmp_path, upstream)
        with tenant.service:
            upstream.stop()
            tenant.upload(rows("VIP", 30))
            deferred = tenant.service.wait_for("delivery.deferred")
            assert "is held" in tenant.say("hold", deferred["delivery"], "--reason", "marketing is checking")
            held = tenant.service.wait_for("delivery.held", reason="operator")
            assert (held["detail"], held["remote_name"]) == ("marketing is checking", deferred["remote_name"])
            upstream.start()
            tenant.say("release", held["delivery"], "--reason", "checked")
            assert tenant.received(tenant.service.wait_for("delivery.sent")) == rows("VIP", 30)


@pytest.mark.skipif(COMPILER is None, reason="needs gcc")
def test_what_is_held_is_said_again_and_stale_lists_are_held(tmp_path: Path) -> None:
    """Unsent for two days is stale; then it is said again after 2 and 7 days, and before retention decides."""
    clock = Clock(tmp_path)
    with Sshd(tmp_path / "upstream") as upstream:
        with clock.moved():
            tenant = Tenant(tmp_path, upstream)
        with tenant.service:
            upstream.stop()
            tenant.upload(rows("VIP", 30))
            tenant.service.wait_for("delivery.deferred")
            clock.move(timedelta(hours=49))
            held = tenant.service.wait_for("delivery.held", reason="stale")
            assert "unsent after" in held["detail"]
            for count, days in enumerate((2, 5, 5), start=1):
                clock.move(timedelta(days=days, minutes=1))
                overdue = tenant.service.wait_for("delivery.overdue", count=count, delivery=held["delivery"])
                assert (overdue["reason"], overdue["level"]) == ("stale", "error")
                assert overdue["discard_at"] > overdue["since"]
            upstream.start()
            with clock.moved():
                tenant.say("release", held["delivery"], "--reason", "the upstream is back")
            assert tenant.received(tenant.service.wait_for("delivery.sent")) == rows("VIP", 30)


@pytest.mark.skipif(COMPILER is None, reason="needs gcc")
def test_an_export_that_a_person_requeues_late_is_not_stale_at_once(tmp_path: Path) -> None:
    """Quarantined over a long weekend, then put right: wanted now, so that its time counts from now (rule G8)."""
    clock = Clock(tmp_path)
    with Sshd(tmp_path / "upstream") as upstream:
        with clock.moved():
            tenant = Tenant(tmp_path, upstream)
        with tenant.service:
            tenant.upload(rows("VIP", 30).replace("\n", ",x\n"))
            quarantined = tenant.service.wait_for("export.quarantined")
            clock.move(timedelta(hours=72))
            named = 'path = "/uploads/usual/**"\nsegment.name = "VIP"'
            tenant.setup.route("sirendenim", top=named)
            tenant.service.reload()
            tenant.service.wait_for("config.reloaded")
            with clock.moved():
                tenant.say("requeue", quarantined["export"], "--reason", "segment.name is set now")
            sent = tenant.service.wait_for("delivery.sent")
            assert tenant.received(sent) == rows("VIP", 30)
            assert not tenant.service.named("delivery.held")
