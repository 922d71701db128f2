"""Canaries by the doors that are seldom used: crashes, refusals, wrong settings, terminals, what operators type."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from parts.canary import assert_no_person, assert_no_person_below
from parts.people import PHONE_FORMS, people, person
from parts.service import DEADLINE_SECONDS, RELAY, Service, Setup, relay
from parts.sftp import sftp
from parts.sshd import NEEDS_SSHD, Sshd
from parts.terminal import on_a_terminal

pytestmark = [NEEDS_SSHD, pytest.mark.timeout(300)]

PAYLOAD = ("landing/*", "incoming/*", "exports/*/source/*", "exports/*/drafts/*")
"""What holds the payload, and so holds people."""

FORMS = "phone,segment_name\n" + "".join(
    f"{person(number).written(form)},VIP\n" for number, form in enumerate(PHONE_FORMS)
)
REFUSED_PHONES = """\
phone,segment_name
212 555 0120 or 212 555 0121,VIP
(212) 555-0122 x,VIP
+44 212 555 0123,VIP
212555012４5,VIP
"212-555-0125
at home",VIP
2125550126,VIP (212) 555-0126
2125550127,VIP,2125550127
"""
REFUSED_EMAILS = """\
email,segment_name
ADA@EXAMPLE.COM,VIP
ben+tag@example.com,VIP
cleo d@example.com,VIP
<dan@example.com>,VIP
mailto:eve@example.com,VIP
fay@@example.com,VIP
gil@example.com;hal@example.com,VIP
ida＠example.com,VIP
2125550116,VIP
jon@example.com,jon@example.com
"""


WITHOUT_RIGHTS = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") if os.geteuid() == 0 else ()
"""Runs a program as its user without what root may do beyond its files: to look into the memory of any process."""


def unprivileged(*command: str) -> "subprocess.Popen[str]":
    """Start a program like that; its standard error is read."""
    return subprocess.Popen([*WITHOUT_RIGHTS, *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def serve_unprivileged(setup: Setup) -> "subprocess.Popen[str]":
    """Start the service like that."""
    return unprivileged(*RELAY, "--config", str(setup.config), "serve")


def memory_is_closed(pid: int) -> bool:
    """Whether another process of the same user is refused a process's memory, which then no core dump may hold."""
    with unprivileged("cat", f"/proc/{pid}/auxv") as look:
        _, said = look.communicate()
    assert not said or "ermission denied" in said or "No such" in said, said
    return bool(said)


def upload(service: Service, name: str, content: str) -> None:
    """Have Amperity send a file."""
    local = service.setup.directory / "to-upload"
    local.write_text(content, encoding="utf-8")
    sftp(service.port, "amperity", service.setup.client_key, f'put "{local}" "/uploads/{name}"')


def test_no_person_in_what_is_said_of_rows_however_written(tmp_path: Path) -> None:
    """Every accepted and every refused form, of numbers and of addresses: none in a log, an answer or another file."""
    with Sshd(tmp_path / "upstream") as upstream:
        setup = Setup(tmp_path / "relay", upstream)
        setup.route("phones", top='path = "/uploads/phones/**"')
        setup.route("emails", identifier="email", top='path = "/uploads/emails/**"')
        with Service(setup) as service:
            sftp(service.port, "amperity", setup.client_key, "mkdir /uploads/phones", "mkdir /uploads/emails")
            upload(service, "phones/forms.csv", FORMS)
            upload(service, "phones/refused.csv", REFUSED_PHONES)
            upload(service, "emails/refused.csv", REFUSED_EMAILS)
            service.wait_for("export.accepted", count=3)
            held = service.wait_for("delivery.held")
            for command in (
                ("show", held["export"]),
                ("show", held["delivery"], "--json"),
                ("status", "--json"),
                ("release", held["delivery"], "--reason", "asked by (212) 555-0117 and lea@example.com"),
                ("show", held["delivery"]),
                ("show", "212-555-0118"),
                ("restore", "--route", "phones", "--segment", "mia@example.com"),
                ("report",),
            ):
                said = relay(setup, *command)
                assert_no_person(said.stdout + said.stderr, f"the output of relay {command[0]}")
            service.stop()
            assert_no_person("".join(service.raw), "the log")
        assert_no_person_below(setup.state, but=PAYLOAD)


def test_no_person_in_what_a_dying_rewrite_leaves(tmp_path: Path) -> None:
    """Killed with rows in memory, time and again: a quarantine with a reason, and neither a core dump nor a row."""
    rows = "".join(f"{it.phone},VIP\n" for it in people(4_800)) * 300
    with Sshd(tmp_path / "upstream") as upstream:
        setup = Setup(tmp_path / "relay", upstream)
        setup.route()
        with Service(setup, launch=serve_unprivileged) as service:
            upload(service, "crash.csv", "phone,segment_name\n" + rows)
            deadline = time.monotonic() + DEADLINE_SECONDS
            while not service.named("export.quarantined"):
                assert time.monotonic() < deadline, "it was not given up"
                for child in children_reading(service.pid, setup.state):
                    assert "0                    0 " in core_limit(child)
                    assert memory_is_closed(child)
                    with suppress(ProcessLookupError):  # It was dying of the last one, and has ended meanwhile.
                        os.kill(child, signal.SIGSEGV)
            assert "killed by SIGSEGV" in service.named("export.quarantined")[0]["detail"]
            assert "0                    0 " in core_limit(service.pid)
            assert memory_is_closed(service.pid)
            service.stop()
            assert_no_person("".join(service.raw), "the log")
        assert not [it for it in tmp_path.rglob("core*") if it.is_file()]
        assert_no_person_below(setup.state, but=PAYLOAD)


def test_memory_that_may_be_dumped_is_told_apart() -> None:
    """The look into a process's memory that the test above rests on finds one that is open."""
    with unprivileged("sh", "-c", "echo begun >&2; exec sleep 600") as open_process:
        try:
            # Until it has taken the program's place, setpriv, which gave rights up, has closed its own memory.
            assert open_process.stderr is not None
            assert open_process.stderr.readline() == "begun\n"
            assert not memory_is_closed(open_process.pid)
        finally:
            open_process.kill()


BROKEN_LIBRARY = """
class EmailNotValidError(ValueError):
    pass


def validate_email(address, **_):
    raise LookupError(f"no rule for {address}, nor for its neighbours ada@example.com and (212) 555-0101")
"""


@pytest.fixture
def with_broken_library(tmp_path: Path) -> dict[str, str]:
    """An environment in which the library that judges addresses fails, with a person in what it says."""
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "email_validator.py").write_text(BROKEN_LIBRARY)
    return {"PYTHONPATH": str(tmp_path / "broken")}


def test_no_person_in_what_is_said_of_a_defect(tmp_path: Path, with_broken_library: dict[str, str]) -> None:
    """An exception that quotes rows, in the running service and in a command: said are its kind and its place."""
    with Sshd(tmp_path / "upstream") as upstream:
        setup = Setup(tmp_path / "relay", upstream)
        setup.route(identifier="email")
        with Service(setup, environment=with_broken_library) as service:
            upload(service, "list.csv", "email,segment_name\nben@example.com,VIP\ncleo.d@example.com,VIP\n")
            quarantined = service.wait_for("export.quarantined")
            assert quarantined["reason"] == "rewrite_crashed"
            assert "LookupError in email.py" in quarantined["detail"]
            shown = relay(setup, "show", quarantined["export"], "--json")
            assert_no_person(shown.stdout + shown.stderr, "the output of relay show")
            assert service.stop() == 0
            assert all(line["event"] != "not JSON" for line in service.lines)
            assert_no_person("".join(service.raw), "the log")
        route = ("--route", "sirendenim")
        said = subprocess.run(
            [*RELAY, "--config", str(setup.config), "preview", str(setup.directory / "to-upload"), *route],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | with_broken_library,
        )
        assert said.returncode == 1
        assert "relay: a defect: LookupError at email_validator.py:" in said.stderr
        assert_no_person(said.stdout + said.stderr, "the output of relay preview")
        assert_no_person_below(setup.state, but=PAYLOAD)


def children_reading(pid: int, state: Path) -> list[int]:
    """The children of a process that have a file of an export open: those with rows in hand."""
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        try:
            files = [str(it.readlink()) for it in Path(f"/proc/{child}/fd").iterdir()]
        except OSError:
            continue  # It has ended meanwhile.
        if any("/source/" in file and file.startswith(str(state)) for file in files):
            found.append(int(child))
    return found


def core_limit(pid: int) -> str:
    """How large a core dump of a process may be."""
    try:
        limits = Path(f"/proc/{pid}/limits").read_text()
    except OSError:
        return "0                    0 "  # It has ended meanwhile.
    return next(line for line in limits.splitlines() if line.startswith("Max core file size"))


def test_no_person_on_a_terminal_and_in_a_search(tmp_path: Path) -> None:
    """The progress of a long preview, and a search for somebody, who is there, is not, or is mistyped."""
    with Sshd(tmp_path / "upstream") as upstream:
        setup = Setup(tmp_path / "relay", upstream)
        setup.route()
        with Service(setup) as service:
            upload(service, "list.csv", FORMS)
            service.wait_for("delivery.sent")
            service.stop()
        big = tmp_path / "big.csv"
        big.write_text("".join(f"{it.phone} x1,VIP\n" for it in people(4_800)) * 20, encoding="utf-8")
        assert_no_person(on_a_terminal(setup.config, "preview", str(big), "--route", "sirendenim"), "a terminal")
        for wanted in ("(201) 555-0101", "lea@example.com", "212 555 0101 or 212 555 0102", "a person, 2125550101"):
            said = subprocess.run(
                [*RELAY, "--config", str(setup.config), "find"],
                input=wanted,
                capture_output=True,
                text=True,
                check=False,
            )
            assert said.stdout + said.stderr
            assert_no_person(said.stdout + said.stderr, "a search")


@pytest.mark.parametrize(
    "settings",
    [
        'timezone = "212-555-0101"',
        'expect_by = "2125550102"',
        'path = "212 555 0103"',
        '[segment]\npattern = "(212) 555-0104 ("',
        '[segment]\nrename = {"VIP" = "ada@example.com"}',
        '[source]\nescape = "2125550105"',
        "[guards]\nmax_rows = 2125550106",
        '[phone]\nvalidation = "ada@example.com"',
        'stale_after = "ada@example.com',
    ],
)
def test_no_person_in_what_is_said_of_wrong_settings(tmp_path: Path, settings: str) -> None:
    """A person who strayed into a setting is not shown by the check, nor by a reload that refuses it."""
    with Sshd(tmp_path / "upstream") as upstream:
        setup = Setup(tmp_path / "relay", upstream)
        setup.route(sections=settings)
        said = relay(setup, "check")
        assert said.returncode == 2
        assert_no_person(said.stdout + said.stderr, "the check")
