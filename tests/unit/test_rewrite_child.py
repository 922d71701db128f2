"""The child: its answers, its silence about what it read, and its end."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pysequoia
import pytest
import uvloop
from parts.canary import assert_no_person

from relay.model import Report
from relay.rewrite.child import RewriteCrashed, rewrite_in_child
from relay.rewrite.files import SourceFile
from relay.rewrite.rules import PgpRules, Rules
from relay.rewrite.unusable import UnusableSource

PHONES = Rules.model_validate({"identifier": "phone", "source": {"delimiter": ","}})
DEADLINE_SECONDS = 30.0

CHILDREN = Path(f"/proc/self/task/{os.getpid()}/children")
NEEDS_PROC = pytest.mark.skipif(not CHILDREN.exists(), reason="needs Linux's /proc with CONFIG_PROC_CHILDREN")


def rewritten(path: Path, into: Path) -> Report:
    """Have a child rewrite a file."""
    return asyncio.run(rewrite_in_child([SourceFile(path, "/uploads/x.csv")], PHONES, into))


def children_of(pid: int) -> list[int]:
    """The processes that a process's first thread has started and not waited for."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid: int) -> bool:
    """Say whether a process is there and not only waiting to be buried."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def wait_until(holds: Callable[[], object], what: str) -> None:
    """Look until something holds, for as long as the deadline allows."""
    until = time.monotonic() + DEADLINE_SECONDS
    while not holds():
        assert time.monotonic() < until, f"{what} did not happen within {DEADLINE_SECONDS} s"


async def first_child(rewrite: asyncio.Task[Report]) -> int:
    """Wait until the rewrite's child is at its work, which its niceness shows, and return its process id."""
    until = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < until and not rewrite.done():
        await asyncio.sleep(0)
        for pid in children_of(os.getpid()):
            if os.getpriority(os.PRIO_PROCESS, pid) > os.getpriority(os.PRIO_PROCESS, 0):
                return pid
    raise AssertionError("the child did not start")


@pytest.fixture
def endless(tmp_path: Path) -> Path:
    """A source that nobody ever writes to, so that reading it takes for ever."""
    path = tmp_path / "endless.csv"
    os.mkfifo(path)
    return path


@contextmanager
def never_writing(pipe: Path) -> Iterator[None]:
    """Wait until somebody reads a pipe, and keep them waiting: the pipe neither ends nor has anything in it."""
    opened: list[int] = []

    def open_beside_a_reader() -> bool:
        with suppress(OSError):
            opened.append(os.open(pipe, os.O_WRONLY | os.O_NONBLOCK))
        return bool(opened)

    wait_until(open_beside_a_reader, "a reader's coming")
    try:
        yield
    finally:
        os.close(opened[0])


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_the_child_rewrites(tmp_path: Path, run: Callable[..., Report]) -> None:
    """What the child did is there, and its report is returned, whichever loop the parent runs."""
    (tmp_path / "x.csv").write_text("2125550100,VIP\n2125550101,VIP\n", encoding="utf-8")
    report = run(rewrite_in_child([SourceFile(tmp_path / "x.csv", "/uploads/x.csv")], PHONES, tmp_path / "rewrite"))
    assert [(draft.segment, draft.counts.rows_out) for draft in report.drafts] == [("VIP", 2)]
    assert (tmp_path / "rewrite/drafts/1.csv").read_bytes() == b"2125550100,VIP\n2125550101,VIP\n"


def test_an_unusable_source_is_said_in_the_same_words(tmp_path: Path) -> None:
    """Reason, detail and hint come back from the child as the engine said them."""
    (tmp_path / "x.csv").write_text("phone,group\n2125550100,VIP\n", encoding="utf-8")
    with pytest.raises(UnusableSource) as raised:
        rewritten(tmp_path / "x.csv", tmp_path / "rewrite")
    assert raised.value.reason == "no_segment_column"
    assert raised.value.detail == "2 columns (phone, group): none beside the identifier's is called segment_name"
    assert raised.value.hint.startswith("Name the column in segment.column")


def test_a_crash_says_what_and_where(tmp_path: Path) -> None:
    """A crash is told by the kind of exception, the system's word for it, and the place in our code."""
    with pytest.raises(RewriteCrashed, match=r"FileNotFoundError ENOENT in unpack.py:\d+ \(plain_files\)"):
        rewritten(tmp_path / "2125550100.csv", tmp_path / "rewrite")


def test_a_source_that_the_disk_has_lost_is_called_so(tmp_path: Path) -> None:
    """A sector that fails between the taking and the rewrite: the crash names EIO, which is no defect of ours."""
    with pytest.raises(RewriteCrashed, match=r"OSError EIO in \w+.py:\d+"):
        rewritten(Path("/proc/self/mem"), tmp_path / "rewrite")


def test_a_crash_shows_no_value() -> None:
    """Whatever an exception quotes, the child prints none of it: not its message, not a line of source."""
    rules = {"identifier": "2125550100", "jane@example.com": 1}
    request = {"parent": os.getpid(), "sources": [], "rules": rules, "into": "/nowhere"}
    for given in (json.dumps(request), "2125550100 is no JSON", '{"2125550100": "jane@example.com"}'):
        child = subprocess.run(
            [sys.executable, "-m", "relay.rewrite"], input=given, capture_output=True, text=True, check=False
        )
        assert (child.returncode, child.stdout) == (1, "")
        assert list(json.loads(child.stderr)) == ["crash"]
        assert_no_person(child.stderr, "the child's standard error")


@NEEDS_PROC
def test_cancelling_kills_the_child(endless: Path, tmp_path: Path) -> None:
    """When the rewrite is cancelled its child is gone before the cancellation is through."""

    async def cancel() -> int:
        rewrite = asyncio.create_task(
            rewrite_in_child([SourceFile(endless, "/uploads/x.csv")], PHONES, tmp_path / "rewrite")
        )
        pid = await first_child(rewrite)
        rewrite.cancel()
        with pytest.raises(asyncio.CancelledError):
            await rewrite
        return pid

    assert not is_running(asyncio.run(cancel()))


@NEEDS_PROC
def test_a_killed_child_is_a_crash(endless: Path, tmp_path: Path) -> None:
    """A child that the system kills for its memory, or a person by hand, is a crash and says so."""

    async def kill() -> None:
        rewrite = asyncio.create_task(
            rewrite_in_child([SourceFile(endless, "/uploads/x.csv")], PHONES, tmp_path / "rewrite")
        )
        os.kill(await first_child(rewrite), signal.SIGKILL)
        await rewrite

    with pytest.raises(RewriteCrashed, match="killed by SIGKILL, perhaps for want of memory"):
        asyncio.run(kill())


@NEEDS_PROC
@pytest.mark.parametrize("ask", ["rewrite_in_child([SourceFile(source, 'x')], rules, into)", "compare_in_child(pairs)"])
def test_a_child_does_not_outlive_its_parent(ask: str, endless: Path, tmp_path: Path) -> None:
    """When the daemon dies at once its child does too, also in a read that never ends: it meets no later daemon."""
    program = (
        "import asyncio, sys; from pathlib import Path; from relay.rewrite.child import *;"
        "from relay.rewrite.files import SourceFile; from relay.rewrite.rules import Rules;"
        "source, into, rules = Path(sys.argv[1]), Path(sys.argv[2]), Rules(identifier='phone');"
        f"pairs = [(source, source)]; asyncio.run({ask})"
    )
    command = [sys.executable, "-c", program, str(endless), str(tmp_path / "rewrite")]
    with subprocess.Popen(command) as parent, never_writing(endless):
        (child,) = children_of(parent.pid)
        parent.kill()
        wait_until(lambda: not is_running(child), "the child's end")


def test_a_child_whose_parent_died_first_does_nothing(tmp_path: Path) -> None:
    """Who died before the child could ask to die with it is not waited for: there is nothing but an end."""
    (tmp_path / "x.csv").write_text("2125550100,VIP\n", encoding="utf-8")
    with subprocess.Popen(["true"]) as gone:
        pass
    request = {
        "parent": gone.pid,
        "sources": [{"path": str(tmp_path / "x.csv"), "name": "/uploads/x.csv"}],
        "rules": PHONES.model_dump(mode="json"),
        "into": str(tmp_path / "rewrite"),
    }
    child = subprocess.run(
        [sys.executable, "-m", "relay.rewrite"], input=json.dumps(request), capture_output=True, text=True, check=False
    )
    assert (child.returncode, child.stdout) == (1, "")
    assert "OrphanedError" in child.stderr
    assert not (tmp_path / "rewrite").exists()


def test_the_child_reads_the_key_itself(tmp_path: Path) -> None:
    """A message is decrypted in the child, which is told where the key lies and not what it is."""
    key = pysequoia.Tsk.generate("Relay <relay@example.com>")
    message = pysequoia.encrypt(b"phone,segment_name\n2125550100,VIP\n", [key.extract_certificate()])
    (tmp_path / "key").write_bytes(bytes(key))
    (tmp_path / "export.pgp").write_bytes(message)
    rules = PHONES.model_copy(update={"pgp": PgpRules(private_key=str(tmp_path / "key"))})
    sources = [SourceFile(tmp_path / "export.pgp", "/uploads/export.pgp")]
    report = asyncio.run(rewrite_in_child(sources, rules, tmp_path / "rewrite"))
    assert (report.totals.rows_out, report.recognised["packing"]) == (1, "pgp")
    assert not list((tmp_path / "rewrite").glob("unpacked"))


@NEEDS_PROC
def test_a_child_that_is_killed_at_once_is_a_crash_and_nothing_else(tmp_path: Path) -> None:
    """Also before it was told what to do: whoever kills it (a want of memory) does not end the service with it."""
    (tmp_path / "x.csv").write_text("2125550100,VIP\n", encoding="utf-8")
    done = threading.Event()

    def kill() -> None:
        while not done.is_set():
            for child in children_of(os.getpid()):
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)

    async def crash(number: int) -> None:
        with pytest.raises(RewriteCrashed, match="SIGKILL"):
            await rewrite_in_child([SourceFile(tmp_path / "x.csv", "/x.csv")], PHONES, tmp_path / f"rewrite{number}")

    async def crash_again_and_again() -> None:
        for number in range(40):
            await crash(number)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        uvloop.run(crash_again_and_again())
    finally:
        done.set()
        killer.join()
