"""A power cut loses what was not synced: in what order a whole run syncs, publishes, commits and answers."""

import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from parts.people import people
from parts.service import RELAY, Service, Setup
from parts.sftp import sftp
from parts.sshd import NEEDS_SSHD, Sshd
from parts.sync_order import Call, Checker, calls_of, is_whole, strace, untraceable

UNTRACEABLE = untraceable()

pytestmark = [NEEDS_SSHD, pytest.mark.skipif(UNTRACEABLE is not None, reason=str(UNTRACEABLE))]

DEADLINE_SECONDS = 30.0


@dataclass(frozen=True)
class Run:
    """What a run of the service did: its calls, and those of an operator's command."""

    state: Path
    landing: str
    service: list[Call]
    command: list[Call]

    def checked(self, calls: list[Call]) -> Checker:
        """What the checker finds in these calls."""
        checker = Checker(self.state, self.landing)
        checker.follow(calls)
        return checker


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A list of two segments that is sent, one that lands in several files, one that is renamed, and one restored."""
    directory = tmp_path_factory.mktemp("run")
    trace, of_command = directory / "trace", directory / "trace-of-command"
    with Sshd(directory / "upstream") as upstream:
        setup = Setup(directory / "relay", upstream)
        setup.route(top='path = "/uploads/*.csv"')
        parts = '[source]\ngroup = "directory"\ncomplete = "done"'
        setup.route("parts", top='path = "/uploads/parts/*"', sections=parts)
        with Service(setup, launch=lambda setup: traced(trace, setup)) as service:
            port, key = service.port, setup.client_key
            upload = content(directory, "VIP", "Other")
            sftp(port, "amperity", key, f'put "{upload}" "/uploads/tmp"', 'rename "/uploads/tmp" "/uploads/list.csv"')
            service.wait_for("delivery.sent", count=2)
            part, done = content(directory, "VIP"), directory / "done"
            done.touch()
            sftp(
                port,
                "amperity",
                key,
                'mkdir "/uploads/parts"',
                f'put "{part}" "/uploads/parts/0000001.csv"',
                f'put "{part}" "/uploads/parts/0000002.csv"',
                f'put "{done}" "/uploads/parts/.DONE"',
            )
            service.wait_for("delivery.sent", route="parts")
            restore = ["restore", "--route", "parts", "--segment", "VIP", "--delivery"]
            again = service.named("delivery.sent", route="parts")[0]["delivery"]
            command = [*RELAY, "--config", str(setup.config), *restore, again]
            with subprocess.Popen(strace(of_command, command), stdout=subprocess.PIPE) as restoring:
                assert restoring.wait(timeout=60) == 0
            service.wait_for("delivery.sent", route="parts", count=2)
            assert service.stop() == 0
            until_whole(trace, service.pid)
            until_whole(of_command, restoring.pid)
    return Run(setup.state, f"TCP:[127.0.0.1:{port}->", calls_of(trace), calls_of(of_command))


def content(directory: Path, *segments: str) -> Path:
    """A file to upload."""
    file = directory / f"{'-'.join(segments)}.csv"
    file.write_text("".join(f"{it.phone},{segment}\n" for it in people(50) for segment in segments))
    return file


def traced(trace: Path, setup: Setup) -> "subprocess.Popen[str]":
    """Start the service with its calls noted."""
    command = strace(trace, [*RELAY, "--config", str(setup.config), "serve"])
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def until_whole(trace: Path, process: int) -> None:
    """Wait for the end of a trace."""
    until = time.monotonic() + DEADLINE_SECONDS
    while not is_whole(trace, process):
        assert time.monotonic() < until, f"{trace} has no end"


def test_nothing_is_counted_on_before_it_is_synced(run: Run) -> None:
    """Files are synced before they get their names, directories before a commit tells of them or a client is answered.

    From the landing of an upload, over its source and its rewrite, to what is sent; and for a list restored.
    """
    checker = run.checked(run.service)
    assert checker.troubles == []
    published = sorted({shape(it) for it in checker.published})
    assert published == [
        "exports/parts/ID/drafts",
        "exports/parts/ID/rejects.csv",
        "exports/parts/ID/report.json",
        "exports/parts/ID/source/0001",
        "exports/parts/ID/source/0002",
        "exports/sirendenim/ID/drafts",
        "exports/sirendenim/ID/rejects.csv",
        "exports/sirendenim/ID/report.json",
        "exports/sirendenim/ID/source/0001",
        "landing/amperity/uploads/list.csv",
        "landing/amperity/uploads/parts/.DONE",
        "landing/amperity/uploads/parts/0000001.csv",
        "landing/amperity/uploads/parts/0000002.csv",
        "landing/amperity/uploads/tmp",
    ]
    restoring = run.checked(run.command)
    assert restoring.troubles == []
    assert [shape(it) for it in restoring.published] == ["exports/parts/ID/drafts/2.csv"]


@pytest.mark.parametrize(
    ("file", "trouble"),
    [
        ("incoming/amperity/[0-9a-f]+", r"incoming/.* becomes landing/amperity/uploads/tmp before it is synced"),
        ("landing/amperity/uploads", r"before the directory of landing/amperity/uploads/tmp is synced"),
        ("landing/amperity", r"before the directory of landing/amperity/uploads is synced"),
        ("exports/sirendenim/[^/]+/source", r"before the directory of .*/source/0001 is synced"),
        ("exports/sirendenim", r"before the directory of exports/sirendenim/sirendenim-[^/]+ is synced"),
        ("exports", r"before the directory of exports/sirendenim is synced"),
        (r"exports/.*/drafts/1\.csv", r"/drafts/1\.csv becomes exports/sirendenim/.*/drafts before it is synced"),
        (r"exports/.*/report\.json", r"/report\.json becomes exports/.*/report\.json before it is synced"),
        ("exports/sirendenim/[^/]+", r"before the directory of .*/report\.json is synced"),
    ],
)
def test_a_sync_that_is_missing_is_found(run: Run, file: str, trouble: str) -> None:
    """Without the syncs of one file or directory, the same run is found wanting, and for that."""
    synced = re.compile(re.escape(f"{run.state}/") + file)
    doctored = [it for it in run.service if not (it.name == "fsync" and synced.fullmatch(it.on))]
    assert len(doctored) < len(run.service)
    assert any(re.search(trouble, it) for it in run.checked(doctored).troubles)


@pytest.mark.parametrize(
    ("what", "file", "trouble"),
    [
        ("fsync", "/landing/amperity/uploads", "a commit tells of landing/amperity/uploads/tmp before the directory"),
        ("fdatasync", "/relay.db-wal", "the client is answered before landing/amperity/uploads/tmp is noted"),
        ("pwrite64", "/incoming/amperity/", "becomes landing/amperity/uploads/tmp before it is synced"),
    ],
)
def test_a_step_that_comes_too_late_is_found(run: Run, what: str, file: str, trouble: str) -> None:
    """A sync behind what relies on it, and a write behind the sync that was to make it durable."""
    landed = next(it for it in run.service if it.name == "renameat" and '"tmp"' in it.arguments)
    of_it = [it for it in run.service if it.name == what and file in it.on]
    if what == "pwrite64":
        doctored = moved(run.service, of_it[0], landed.began - 0.5)
    else:
        late = next(it for it in of_it if it.thread == landed.thread and it.began > landed.began)
        doctored = moved(run.service, late, late.ended + 100)
    assert any(trouble in it for it in run.checked(doctored).troubles)


def moved(calls: list[Call], late: Call, to: float) -> list[Call]:
    """The calls with one of them at another moment."""
    instead = Call(late.thread, late.name, late.arguments, to, to)  # type: ignore[arg-type]
    return sorted([instead, *(it for it in calls if it is not late)], key=lambda it: it.began)


def shape(name: str) -> str:
    """A name without what differs from run to run."""
    return re.sub(r"\w+-\d{8}T\d{6}Z-[0-9a-f]{6}", "ID", name)
