"""The rewrite in a process of its own: it neither stalls the daemon's loop nor takes the daemon down with it."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from relay.model import Overlap, RelayError, Report
from relay.rewrite.files import REPORT, SourceFile
from relay.rewrite.report import load_report
from relay.rewrite.rules import Rules
from relay.rewrite.unusable import UnusableSource

# -P: the child imports the relay that its parent runs, not what lies in the directory that the parent was started in.
_COMMAND: Final = (sys.executable, "-P", "-m", "relay.rewrite")

ENVIRONMENT: Final = {
    # Arrays of some megabytes are made and dropped all the time: kept by the allocator instead of given back to the
    # system each time, they cost a fifth less.
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
    # One rewrite is one core's work; the others are for the uploads.
    "OPENBLAS_NUM_THREADS": "1",
}
"""What the child's environment has beside the daemon's."""

_UNUSABLE: Final = 3
_NO_ROOM: Final = 4


class RewriteCrashed(RelayError):  # noqa: N818  what happened, in the past tense, as the log has it
    """The child ended without a result.

    Args:
        detail: how it ended: a kind of exception and a place in the code, or a signal; never what was in a cell.
    """

    def __init__(self, detail: str) -> None:
        super().__init__(
            f"the rewrite crashed: {detail}",
            hint="Report it as a defect of the relay; if it names EIO, check the disk first.",
        )
        self.detail = detail


class NoRoom(RelayError):  # noqa: N818  as above
    """The disk took no more, which is no fault of the export's: it waits for room (rule T2)."""

    def __init__(self, number: int) -> None:
        super().__init__(
            f"the rewrite cannot be written: {os.strerror(number)}",
            hint="Make room on the file system of `state_dir`: see `relay purge`, or enlarge the disk.",
        )


async def rewrite_in_child(sources: Sequence[SourceFile], rules: Rules, into: Path) -> Report:
    """Rewrite an export in a child process; see `relay.rewrite.engine.rewrite`. Cancelling kills the child.

    Raises:
        UnusableSource: the export cannot be used.
        NoRoom: the disk is full or takes nothing.
        RewriteCrashed: the child ended without a result.
    """
    status, output, trouble = await _talk(_request(sources, rules, into))
    if status == _UNUSABLE:
        raise UnusableSource(**json.loads(output))
    if status == _NO_ROOM:
        raise NoRoom(json.loads(output)["errno"])
    if status != 0:
        raise RewriteCrashed(_how_it_ended(status, trouble))
    return await asyncio.to_thread(_read_report, into / REPORT)


async def compare_in_child(pairs: Sequence[tuple[Path | None, Path]]) -> list[Overlap | None]:
    """Compare each list with the one before it in a child process; see `relay.rewrite.overlap.compare`.

    Raises:
        RewriteCrashed: the child ended without a result.
    """
    request = {"compare": [[today and str(today), str(before)] for today, before in pairs]}
    status, output, trouble = await _talk(request)
    if status != 0:
        raise RewriteCrashed(_how_it_ended(status, trouble))
    return [found and Overlap(**found) for found in json.loads(output)]


async def _talk(request: dict[str, Any]) -> tuple[int | None, bytes, bytes]:
    """Have a child serve a request; return its exit status and what it said on standard output and error."""
    # A pipe would be written to also when the child was killed at once, which uvloop answers with a RuntimeError.
    with os.fdopen(os.memfd_create("relay-request"), "r+b") as said:
        said.write(json.dumps(request | {"parent": os.getpid()}).encode())
        said.seek(0)
        child = await asyncio.create_subprocess_exec(
            *_COMMAND,
            stdin=said,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            # Ctrl-C at a terminal is the parent's to act on.
            start_new_session=True,
            env=os.environ | ENVIRONMENT,
        )
    try:
        output, trouble = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
            await child.wait()
    return child.returncode, output, trouble


def _request(sources: Sequence[SourceFile], rules: Rules, into: Path) -> dict[str, Any]:
    return {
        "sources": [{"path": str(source.path), "name": source.name} for source in sources],
        "rules": rules.model_dump(mode="json"),
        "into": str(into),
    }


def _read_report(path: Path) -> Report:
    return load_report(path.read_bytes())


def _how_it_ended(status: int | None, trouble: bytes) -> str:
    if status is not None and status < 0:
        name = signal.Signals(-status).name
        return f"killed by {name}{', perhaps for want of memory' if name == 'SIGKILL' else ''}"
    try:
        # Only the child's own words are passed on: what an interpreter in trouble prints may quote anything.
        return str(json.loads(trouble)["crash"])
    except (ValueError, KeyError, TypeError):
        return f"ended with status {status}"
