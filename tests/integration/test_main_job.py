"""The main job against real parts: OpenSSH's client uploads, the daemon relays, OpenSSH's server receives."""

import hashlib
import shutil
import socket
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from parts.service import Service, Setup, relay
from parts.sftp import sftp
from parts.sshd import NEEDS_SSHD, Sshd

from relay.freshness import Expectation
from relay.store import Store

pytestmark = NEEDS_SSHD

EXPORT = b"""\
amperity_id,given_name,phone,segment_name
a-1,Ada,(212) 555-0101,VIP
a-2,Ben,+1 212 555 0102,VIP
a-3,Cleo,2125550102,VIP
a-4,Dan,,VIP
a-5,Eve,+47 922 34 567,VIP
a-6,Fay,212.555.0106,Lapsed
a-1,Ada,12125550101,Lapsed
"""
VIP = b"2125550101,VIP\n2125550102,VIP\n"
LAPSED = b"2125550106,Lapsed\n2125550101,Lapsed\n"


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[Sshd]:
    """A real sshd in Attentive's place."""
    with Sshd(tmp_path / "upstream") as sshd:
        yield sshd


@pytest.fixture
def setup(tmp_path: Path, upstream: Sshd) -> Setup:
    """A configuration with one route for phone numbers."""
    setup = Setup(tmp_path / "relay", upstream)
    setup.route()
    return setup


def upload(service: Service, content: bytes, name: str = "/uploads/export.csv") -> None:
    """Upload `content` with OpenSSH's `sftp`."""
    local = service.setup.directory / "to-upload"
    local.write_bytes(content)
    sftp(service.port, "amperity", service.setup.client_key, f'put "{local}" "{name}"')


def rows(count: int, segment: str = "VIP", first: int = 0) -> bytes:
    """A ready-made list of `count` synthetic people."""
    areas = [area for area in range(201, 990) if area // 10 % 10 != 9 and area % 100 != 11]
    numbers = [f"{area}5550{line}" for area in areas for line in range(100, 200)]
    return "".join(f"{number},{segment}\n" for number in numbers[first : first + count]).encode()


def names(upstream: Sshd) -> list[str]:
    """What lies upstream, without the date in the names."""
    return [name.replace(name.split("_")[3], "DATE") for name in upstream.received()]


def test_an_export_becomes_one_compliant_file_per_segment(setup: Setup, upstream: Sshd) -> None:
    """The main job: mixed phones in, two headerless two-column files out, under their final names."""
    with Service(setup) as service:
        upload(service, EXPORT)
        service.wait_for("delivery.sent", count=2)
        assert names(upstream) == [
            "sirendenim_subscriber_segment_DATE_1.csv",
            "sirendenim_subscriber_segment_DATE_2.csv",
        ]
        assert list(upstream.received().values()) == [VIP, LAPSED]
        accepted = service.wait_for("export.accepted")
        assert {name: accepted[name] for name in ("rows_in", "rows_out", "duplicates", "rejected", "empty")} == {
            "rows_in": 7,
            "rows_out": 4,
            "duplicates": 1,
            "rejected": 1,
            "empty": 1,
        }
        sent = service.named("delivery.sent", segment="VIP")[0]
        assert sent["verified"] is True
        assert sent["sha256"] == hashlib.sha256(VIP).hexdigest()
        assert set(sent["delays"]) == {"landing", "rewrite", "queue", "connect", "transfer"}
        assert service.stop() == 0
        assert [line["event"] for line in service.lines[-2:]] == ["relay.draining", "relay.stopped"]


def test_a_ready_made_file_of_amperitys_own_destination_passes_through(setup: Setup, upstream: Sshd) -> None:
    """A headerless two-column file for `/uploads` is relayed as it is (rules L7 and S7)."""
    with Service(setup) as service:
        upload(service, VIP, "/uploads//sirendenim_subscriber_segment_20200101.csv")
        service.wait_for("delivery.sent")
        assert list(upstream.received().values()) == [VIP]


def test_the_same_file_again_on_one_day_sends_nothing(setup: Setup, upstream: Sshd) -> None:
    """A re-delivery is a new arrival, recorded as a duplicate, and burns no number (rules D4 and D9)."""
    with Service(setup) as service:
        upload(service, VIP)
        service.wait_for("delivery.sent")
        upload(service, VIP)
        service.wait_for("export.duplicated")
        upload(service, b"Phone,segment_name\n" + VIP)
        service.wait_for("delivery.duplicated")
        upload(service, LAPSED)
        service.wait_for("delivery.sent", count=2)
        assert names(upstream) == [
            "sirendenim_subscriber_segment_DATE_1.csv",
            "sirendenim_subscriber_segment_DATE_2.csv",
        ]


def test_two_parts_of_one_segment_never_replace_one_another_unasked(setup: Setup, upstream: Sshd) -> None:
    """The second part is held and names the first; nothing overwrites what was sent (rule D5)."""
    with Service(setup) as service:
        upload(service, rows(300), "/uploads/0000001.csv")
        first = service.wait_for("delivery.sent")
        upload(service, rows(300, first=300), "/uploads/0000002.csv")
        held = service.wait_for("delivery.held", reason="same_day")
        assert first["delivery"] in held["detail"]
        assert list(upstream.received().values()) == [rows(300)]


@pytest.mark.parametrize("decision", ["release", "discard"])
def test_a_sample_does_not_replace_a_list_unless_a_person_says_so(setup: Setup, upstream: Sshd, decision: str) -> None:
    """20 rows against 48,000 sent are held; `release` sends them, `discard` does not (rule G1)."""
    # So many fictional numbers there are only with area codes that nobody has, which makes them suspect.
    setup.route(sections='[guards]\nsame_day = "send"\nmax_suspect = 1.0')
    with Service(setup) as service:
        upload(service, rows(48_000))
        service.wait_for("delivery.sent", rows_out=48_000)
        upload(service, rows(20))
        held = service.wait_for("delivery.held", reason="shrunk")
        assert "20 rows, last sent 48,000" in held["detail"]
        assert relay(setup, "status").returncode == 1
        decided = relay(setup, decision, held["delivery"], "--reason", "asked marketing")
        assert decided.returncode == 0, decided.stderr
        if decision == "release":
            service.wait_for("delivery.released", reason="asked marketing")
            service.wait_for("delivery.sent", rows_out=20)
            assert list(upstream.received().values()) == [rows(48_000), rows(20)]
        else:
            service.wait_for("delivery.discarded", reason="asked marketing")
            assert list(upstream.received().values()) == [rows(48_000)]


def test_a_file_put_there_by_other_means_is_taken_after_a_rest(setup: Setup, upstream: Sshd) -> None:
    """A file copied into the landing directory becomes an export once it has been quiet (rule L5)."""
    setup.route(sections='[source]\nquiet = "0.5s"')
    with Service(setup) as service:
        service.wait_for("relay.ready")
        local = setup.directory / "local.csv"
        local.write_bytes(VIP)
        shutil.copy(local, setup.state / "landing/amperity/uploads/by-hand.csv")
        service.wait_for("delivery.sent")
        assert list(upstream.received().values()) == [VIP]


def test_what_a_client_removes_in_time_was_never_an_export(setup: Setup, upstream: Sshd) -> None:
    """A probe that is written, renamed and removed again leaves no export and no alarm (rule L6)."""
    setup.settle = "30s"
    setup.write()
    with Service(setup) as service:
        probe = setup.directory / "probe"
        probe.write_bytes(b"probe")
        port, key = service.port, setup.client_key
        sftp(port, "amperity", key, f'put "{probe}" /uploads/probe.part')
        service.wait_for("arrival.landed", path="/uploads/probe.part")
        sftp(port, "amperity", key, "rename /uploads/probe.part /uploads/probe")
        service.wait_for("arrival.withdrawn", path="/uploads/probe.part")
        service.wait_for("arrival.landed", path="/uploads/probe")
        sftp(port, "amperity", key, "rm /uploads/probe")
        service.wait_for("arrival.withdrawn", path="/uploads/probe")
        assert not service.named("export.received")
        assert upstream.received() == {}


def test_a_file_that_no_route_wants_is_reported_and_kept(setup: Setup, upstream: Sshd) -> None:
    """Nothing that landed is without an end state."""
    setup.route(top='path = "/uploads/lists/**"')
    with Service(setup) as service:
        upload(service, VIP, "/uploads/other.csv")
        unrouted = service.wait_for("arrival.unrouted")
        assert unrouted["path"] == "/uploads/other.csv"
        assert (setup.state / "landing/amperity/uploads/other.csv").read_bytes() == VIP
        assert upstream.received() == {}


def test_an_unusable_export_is_quarantined_and_judged_again_on_request(setup: Setup, upstream: Sshd) -> None:
    """What cannot be used waits for a person, and `requeue` judges it anew under corrected settings."""
    setup.route(sections='[source]\nidentifier_column = ["msisdn"]')
    two_candidates = b"home,work,segment_name\n2125550101,2125550102,VIP\n"
    with Service(setup) as service:
        upload(service, two_candidates)
        quarantined = service.wait_for("export.quarantined")
        assert quarantined["hint"]
        setup.route(sections='[source]\nidentifier_column = ["work"]')
        service.reload()
        service.wait_for("config.reloaded")
        assert relay(setup, "requeue", quarantined["export"]).returncode == 0
        service.wait_for("delivery.sent")
        assert list(upstream.received().values()) == [b"2125550102,VIP\n"]


def test_a_bad_reload_keeps_the_old_settings(setup: Setup) -> None:
    """A configuration with problems changes nothing and says so as an ERROR."""
    with Service(setup) as service:
        service.wait_for("relay.ready")
        (setup.directory / "routes.d" / "broken.toml").write_text("identifier = 7\n", encoding="utf-8")
        service.reload()
        refused = service.wait_for("config.refused")
        assert refused["level"] == "error"
        upload(service, VIP)
        service.wait_for("delivery.sent")


def test_the_log_is_json_and_may_hide_segment_names(setup: Setup) -> None:
    """`log.segment_names = "hash"` shows digits instead of names; every line is one JSON object."""
    setup.config.write_text(setup.config.read_text() + '\n[log]\nsegment_names = "hash"\n', encoding="utf-8")
    with Service(setup) as service:
        upload(service, VIP)
        sent = service.wait_for("delivery.sent")
        hashed = hashlib.sha256(b"VIP").hexdigest()[:12]
        assert sent["segment"] == hashed
        upload(service, VIP.replace(b",VIP", b",vip"), name="/uploads/another.csv")
        held = service.wait_for("delivery.held")
        assert held["reason"] == "near_duplicate_name"
        assert f"known is “{hashed}”" in held["detail"]
        service.stop()
        assert not service.named("not JSON")
        assert all({"timestamp", "level", "event"} <= set(line) for line in service.lines)


def test_an_address_that_is_taken_is_named(setup: Setup) -> None:
    """The service that cannot listen ends with status 1, and its log says where and what to do."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        text = setup.config.read_text(encoding="utf-8")
        setup.config.write_text(text.replace("127.0.0.1:0", f"127.0.0.1:{port}"), encoding="utf-8")
        with Service(setup) as service:
            failed = service.wait_for("relay.failed")
            assert str(port) in failed["detail"]
            assert failed["hint"]
            assert service.stop() == 1


def test_a_list_that_never_came_is_said_by_itself(setup: Setup) -> None:
    """Nothing happened at all, and the service was down at the deadline: it says so as soon as it is up (rule W2)."""
    by = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=1)
    setup.route(top=f'expect_by = "{by:%H:%M}"\ngrace = "30m"')
    setup.state.mkdir(mode=0o700)
    with closing(Store.open(setup.state / "relay.db")) as store:
        watched = Expectation(by.time(), timedelta(minutes=30), ZoneInfo("UTC"))
        store.judge_freshness("sirendenim", watched, by - timedelta(hours=1))
    with Service(setup) as service:
        missing = service.wait_for("freshness.missing")
        assert (missing["level"], missing["route"], missing["list_date"]) == ("error", "sirendenim", f"{by:%Y-%m-%d}")
        assert missing["hint"]
        upload(service, VIP)
        service.wait_for("delivery.sent")
        assert service.wait_for("freshness.ok", segment="VIP")["list_date"] == f"{by:%Y-%m-%d}"
        assert relay(setup, "status").returncode == 0


def test_another_segments_people_are_held_though_the_size_is_right(setup: Setup) -> None:
    """The next day's list has as many rows and other people: held as `replaced`, with the counts (rule G12)."""
    with Service(setup) as service:
        upload(service, rows(1_000))
        service.wait_for("delivery.sent")
        service.stop()
    a_day_ago(setup)
    with Service(setup) as service:
        upload(service, rows(1_050, first=990))
        held = service.wait_for("delivery.held")
        assert held["reason"] == "replaced"
        assert (held["kept"], held["lost"], held["gained"]) == (10, 990, 1_040)
        shown = relay(setup, "status")
        assert shown.returncode == 1
        assert "replaced: 1,050 rows, of which 10 were in the list last sent" in " ".join(shown.stdout.split())


def a_day_ago(setup: Setup) -> None:
    """Have everything that is in the state have happened a day earlier."""
    earlier = "{0} = strftime('%Y-%m-%dT%H:%M:%S', {0}, '-1 day') || substr({0}, 20)"
    instants = (earlier.format(column) for column in ("landed_at", "planned_at", "queued_at", "sent_at"))
    dates = (f"{column} = date({column}, '-1 day')" for column in ("remote_date", "planned_on"))
    with closing(sqlite3.connect(setup.state / "relay.db")) as connection, connection:
        connection.execute(f"UPDATE deliveries SET {', '.join((*instants, *dates))}")  # noqa: S608  our own columns
