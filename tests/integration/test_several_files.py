"""Several files, one export: real uploads by OpenSSH's `sftp`, the real daemon, and what arrives at a real sshd."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from parts.landing import until
from parts.packed import zipped
from parts.people import people
from parts.service import Line, Service, Setup, relay
from parts.sftp import sftp
from parts.sshd import NEEDS_SSHD, Sshd

pytestmark = NEEDS_SSHD

HEADER = "phone,segment_name\n"


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[Sshd]:
    """Somewhere to send to."""
    with Sshd(tmp_path / "upstream") as upstream:
        yield upstream


@pytest.fixture
def setup(tmp_path: Path, upstream: Sshd) -> Setup:
    """A configuration directory."""
    return Setup(tmp_path / "relay", upstream)


def part(first: int, count: int = 2, *, header: bool = False) -> str:
    """One part of a list: `count` people from number `first` on."""
    rows = "".join(f"{it.phone},VIP\n" for it in people(count, first=first))
    return f"{HEADER if header else ''}{rows}"


def put(service: Service, files: dict[str, str], *, directories: Sequence[str] = ()) -> None:
    """Upload files in their order, in one session, into directories that are made first."""
    commands = [f"-mkdir {directory}" for directory in directories]
    for number, (path, text) in enumerate(files.items()):
        local = service.setup.directory / f"upload-{number}"
        local.write_text(text, encoding="utf-8")
        commands.append(f'put "{local}" "{path}"')
    sftp(service.port, "amperity", service.setup.client_key, *commands)


def received(upstream: Sshd) -> str:
    """The one list that the upstream has."""
    (content,) = upstream.received().values()
    return content.decode()


def shown(setup: Setup, export_id: str) -> Line:
    """What `relay show` prints of an export as JSON."""
    document: Line = json.loads(relay(setup, "show", export_id, "--json").stdout)
    return document


@pytest.mark.parametrize("header", ["in each", "in the first", "in none"])
def test_a_split_output_with_a_marker_is_one_list(setup: Setup, upstream: Sshd, header: str) -> None:
    """The parts arrive in any order, each with a header or not; one list leaves, in the order of their numbers."""
    setup.route(sections='[source]\ngroup = "directory"\ncomplete = "done"')
    with_header = {"in each": {1, 2, 3}, "in the first": {1}, "in none": set[int]()}[header]
    with Service(setup) as service:
        put(
            service,
            {
                f"/uploads/VIP.csv/{number:07}.csv": part(number * 10, header=number in with_header)
                for number in (2, 3, 1)
            },
            directories=["/uploads/VIP.csv"],
        )
        service.wait_for("export.gathering", path="/uploads/VIP.csv/")
        put(service, {"/uploads/VIP.csv.DONE": ""})
        sent = service.wait_for("delivery.sent", rows_out=6)
        assert service.named("export.received")[0]["parts"] == 3
        assert service.stop() == 0
    assert received(upstream) == part(10) + part(20) + part(30)
    export = shown(setup, sent["export"])
    assert [(it["path"], it["part"]) for it in export["arrivals"] if it["part"]] == [
        (f"/uploads/VIP.csv/{number:07}.csv", number) for number in (1, 2, 3)
    ]


def test_a_folder_of_generated_names_is_one_list_when_it_is_quiet(setup: Setup, upstream: Sshd) -> None:
    """`X.csv/part-….csv`, without any marker (rule C1)."""
    setup.route(sections='[source]\ngroup = "directory"\ncomplete = "quiet"\nquiet = "2s"')
    with Service(setup) as service:
        names = [f"/uploads/VIP.csv/part-{number:05}-7f{number}c-c000.csv" for number in range(3)]
        put(
            service,
            {name: part(number * 10) for number, name in enumerate(names)},
            directories=["/uploads/VIP.csv"],
        )
        service.wait_for("delivery.sent", rows_out=6)
        assert service.stop() == 0
    assert received(upstream) == part(0) + part(10) + part(20)


def test_a_file_waits_for_its_marker(setup: Setup, upstream: Sshd) -> None:
    """Each file is an export of its own, and sent when its own marker is there (rule C3)."""
    setup.route(top='path = "/uploads/*.csv"', sections='[source]\ncomplete = "done"')
    with Service(setup) as service:
        put(service, {"/uploads/VIP.csv": part(1)})
        waiting = service.wait_for("export.gathering")
        listed = json.loads(relay(setup, "exports", "--state", "gathering", "--json").stdout)
        assert [it["id"] for it in listed] == [waiting["export"]]
        until(lambda: "no end marker" in " ".join(relay(setup, "status").stdout.split()), "status says what is missing")
        assert relay(setup, "status").returncode == 0
        put(service, {"/uploads/VIP.DONE": ""})
        service.wait_for("delivery.sent")
        assert service.stop() == 0
    assert received(upstream) == part(1)


def test_a_marker_that_nobody_waits_for_is_no_trouble(setup: Setup, upstream: Sshd) -> None:
    """With `complete = "close"`, a marker is claimed with its file: no warning, no error, nothing sent of it."""
    setup.route(top='path = "/uploads/*.csv"')
    with Service(setup) as service:
        put(service, {"/uploads/VIP.csv": part(1), "/uploads/VIP.csv.DONE": ""})
        service.wait_for("delivery.sent")
        service.wait_for("arrival.claimed", count=2)
        assert service.stop() == 0
        assert [it["event"] for it in service.lines if it["level"] != "info"] == []
    assert received(upstream) == part(1)
    assert relay(setup, "status").returncode == 0


def test_a_split_output_without_grouping_never_wipes_its_first_part(setup: Setup, upstream: Sshd) -> None:
    """The second file of the segment is held for the same day, and the hint names the setting (rule D5)."""
    setup.route()
    with Service(setup) as service:
        put(service, {"/uploads/0000001.csv": part(1)})
        service.wait_for("delivery.sent")
        put(service, {"/uploads/0000002.csv": part(11)})
        held = service.wait_for("delivery.held")
        assert held["reason"] == "same_day"
        assert 'source.group = "directory"' in held["hint"]
        assert service.stop() == 0
    assert received(upstream) == part(1)


def test_an_incomplete_export_is_quarantined_until_a_person_says_that_it_is_whole(setup: Setup, upstream: Sshd) -> None:
    """A gap sends nothing by itself; the command that is shown sends what is there (rules C5, C6 and C8)."""
    setup.route(sections='[source]\ngroup = "directory"\ncomplete = "done"\nwait = "2s"')
    files = {f"/uploads/VIP/{name}": part(number) for name, number in (("1.csv", 10), ("3.csv", 30), (".DONE", 0))}
    with Service(setup) as service:
        put(service, files, directories=["/uploads/VIP"])
        given_up = service.wait_for("export.quarantined")
        assert given_up["reason"] == "incomplete"
        assert "2.csv is missing" in given_up["detail"]
        assert upstream.received() == {}
        export = given_up["export"]
        refused = relay(setup, "requeue", export)
        assert refused.returncode == 1
        assert "--as-whole" in refused.stderr
        assert f"requeue --as-whole {export}" in relay(setup, "show", export).stdout
        relay(setup, "requeue", "--as-whole", export, "--reason", "there is no second", check=True)
        service.wait_for("delivery.sent", rows_out=4)
        assert service.stop() == 0
    assert received(upstream) == part(10) + part(30)


def test_a_persons_word_holds_for_an_archive(setup: Setup, upstream: Sshd) -> None:
    """An archive that lacks a part is quarantined, and sent as it is when a person says that it is whole (rule C8)."""
    setup.route()
    archive = setup.directory / "export.zip"
    archive.write_bytes(zipped({"0000001.csv": part(10).encode(), "0000003.csv": part(30).encode()}))
    with Service(setup) as service:
        sftp(service.port, "amperity", setup.client_key, f'put "{archive}" "/uploads/export.csv"')
        given_up = service.wait_for("export.quarantined")
        assert given_up["reason"] == "incomplete"
        assert "0000002.csv is missing" in given_up["detail"]
        assert "--as-whole" in relay(setup, "requeue", given_up["export"]).stderr
        relay(setup, "requeue", "--as-whole", given_up["export"], check=True)
        service.wait_for("delivery.sent", rows_out=4)
        assert service.stop() == 0
    assert received(upstream) == part(10) + part(30)


def test_a_person_decides_about_an_export_that_waits(setup: Setup, upstream: Sshd) -> None:
    """One is taken as it is, another given up, while the service runs (rule C8)."""
    setup.route(sections='[source]\ngroup = "directory"\ncomplete = "done"')
    with Service(setup) as service:
        put(
            service,
            {"/uploads/a/1.csv": part(10), "/uploads/b/1.csv": part(20)},
            directories=["/uploads/a", "/uploads/b"],
        )
        service.wait_for("export.gathering", count=2)
        by_path = {it["path"]: it["export"] for it in service.named("export.gathering")}
        relay(setup, "discard", by_path["/uploads/b/"], check=True)
        relay(setup, "requeue", "--as-whole", by_path["/uploads/a/"], check=True)
        service.wait_for("delivery.sent")
        service.wait_for("export.discarded", export=by_path["/uploads/b/"])
        assert service.stop() == 0
    assert received(upstream) == part(10)


def test_the_next_run_of_the_same_names_is_another_list(setup: Setup, upstream: Sshd) -> None:
    """Recurring campaigns use the same names; each run is an export of its own (rule C2)."""
    setup.route(sections='[source]\ngroup = "directory"\ncomplete = "done"\n[guards]\nsame_day = "send"')
    with Service(setup) as service:
        for run in (1, 2):
            files = {f"/uploads/VIP/{number}.csv": part(run * 100 + number * 10) for number in (1, 2)}
            put(service, files | {"/uploads/VIP/.DONE": ""}, directories=["/uploads/VIP"])
            service.wait_for("delivery.sent", count=run)
        assert service.stop() == 0
    assert sorted(it.decode() for it in upstream.received().values()) == [
        part(110) + part(120),
        part(210) + part(220),
    ]
