"""How fast lists go out, beside OpenSSH's `sftp` and `rclone`, to one OpenSSH server in one run.

`python tests/bench/forwarding.py` prints the table; it takes a few minutes. Only ratios within one run mean anything.

The relay is the real outbox on a real state: every list is claimed, staged under a temporary name, verified by its
size, renamed, looked at once more, and recorded durably before and after; its bytes are held to the SHA-256 planned.
`sftp` writes the same files under a temporary name and renames them, in one batch over one connection; rclone does it
as it always does, over its four. All use the same cipher. What an empty session takes is taken off the large file's
times.
"""

import argparse
import asyncio
import os
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1]))

import uvloop
from parts.lists import rows
from parts.outbox import Bench
from parts.sftp import OPTIONS
from parts.sshd import Sshd

MB: Final = 1_000_000
CIPHER: Final = "aes128-gcm@openssh.com"
RCLONE: Final = Path(sys.executable).parent / "rclone"


@dataclass(frozen=True)
class Taken:
    """What one program took once."""

    seconds: float
    processor: float


_SENT: Final = "SELECT count(*) FROM deliveries WHERE state = 'sent'"

Uploader = Callable[[Sequence[Path]], Taken]
"""Uploads files and says what that took."""


class Way:
    """One program's way to the server, and what it took each time."""

    def __init__(self, name: str, upload: Uploader) -> None:
        self.name = name
        self.upload = upload
        self.taken: list[Taken] = []

    @property
    def seconds(self) -> float:
        """The median."""
        return statistics.median(it.seconds for it in self.taken)

    @property
    def processor(self) -> float:
        """The median."""
        return statistics.median(it.processor for it in self.taken)


def relay(sshd: Sshd, state: Path, connections: int) -> Uploader:
    """The relay's outbox, with the lists planned before the clock starts."""

    def upload(files: Sequence[Path]) -> Taken:
        shutil.rmtree(state, ignore_errors=True)
        state.mkdir()
        with Bench(state) as bench, asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            for number, file in enumerate(files):
                bench.plan(file.read_bytes(), f"Segment {number}")
            return runner.run(_send_all(bench, sshd, connections, len(files)))

    return upload


async def _send_all(bench: Bench, sshd: Sshd, connections: int, lists: int) -> Taken:
    # Not by the store: what it costs to look is no part of what is measured.
    with closing(sqlite3.connect(bench.spool.database)) as database:
        began, processor = time.perf_counter(), time.process_time()
        async with bench.outbox(sshd.settings(connections=connections)):
            while database.execute(_SENT).fetchone() != (lists,):
                await asyncio.sleep(0.01)
            return Taken(time.perf_counter() - began, time.process_time() - processor)


def sftp(sshd: Sshd) -> Uploader:
    """OpenSSH's client, with one batch."""

    def upload(files: Sequence[Path]) -> Taken:
        batch = [f"put {it} {sshd.directory}/{it.name}.part" for it in files]
        names = [f"{sshd.directory}/{it.name}" for it in files]
        lines = [line for put, name in zip(batch, names, strict=True) for line in (put, f"rename {name}.part {name}")]
        login = ("-P", str(sshd.port), "-i", str(sshd.client_key), "-b", "-", f"{sshd.user}@127.0.0.1")
        return _run(["sftp", *OPTIONS, "-o", f"Ciphers={CIPHER}", *login], "\n".join(["pwd", *lines]))

    return upload


def rclone(sshd: Sshd) -> Uploader:
    """The current rclone, as it is."""
    backend = (
        f":sftp,host=127.0.0.1,port={sshd.port},user={sshd.user},key_file={sshd.client_key},ciphers={CIPHER},"
        f"shell_type=none,md5sum_command=none,sha1sum_command=none:{sshd.directory}"
    )

    def upload(files: Sequence[Path]) -> Taken:
        wanted = sshd.root / "wanted"
        wanted.write_text("".join(f"{it.name}\n" for it in files), encoding="utf-8")
        source = files[0].parent if files else sshd.root
        options = ("--config", "/dev/null", "--files-from", str(wanted), "--no-traverse", "--ignore-times")
        return _run([str(RCLONE), "copy", *options, str(source), backend], "")

    return upload


def _run(command: Sequence[str], said: str) -> Taken:
    before, began = os.times(), time.perf_counter()
    subprocess.run(command, input=said.encode(), stdout=subprocess.DEVNULL, check=True)
    seconds, after = time.perf_counter() - began, os.times()
    processor = after.children_user + after.children_system - before.children_user - before.children_system
    return Taken(seconds, processor)


def measure(ways: Sequence[Way], files: Sequence[Path], sshd: Sshd, rounds: int, *, without_login: bool) -> None:
    """Have each way upload the files, turn and turn about."""
    for _ in range(rounds):
        for way in ways:
            empty = Taken(0, 0)
            if without_login:
                empty = way.upload([]) if way.name != "relay" else _login_of_relay(sshd)
            whole = way.upload(files)
            received = sum(size for it in sshd.uploads.iterdir() if (size := it.stat().st_size))
            assert received == sum(it.stat().st_size for it in files), f"{way.name} did not upload everything"
            for it in sshd.uploads.iterdir():
                it.unlink()
            way.taken.append(Taken(whole.seconds - empty.seconds, whole.processor - empty.processor))


def _login_of_relay(sshd: Sshd) -> Taken:
    from relay.upstream import connect

    async def log_in() -> Taken:
        began, processor = time.perf_counter(), time.process_time()
        async with connect(sshd.settings()):
            return Taken(time.perf_counter() - began, time.process_time() - processor)

    return asyncio.run(log_in())


def table(ways: Sequence[Way], unit: str, amount: float, processor_unit: str, processor_amount: float) -> str:
    """A table of speeds; `amount` units were uploaded each time, and the first way is what the others compare with."""
    first = ways[0].seconds
    lines = [f"| way | {unit} | × {ways[0].name} | client CPU, {processor_unit} |", "|---|---|---|---|"]
    for way in ways:
        processor = way.processor / processor_amount
        lines.append(f"| {way.name} | {amount / way.seconds:,.0f} | {first / way.seconds:.2f} | {processor:.2f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=512, help="megabytes of the large file (default: %(default)s)")
    parser.add_argument("--lists", type=int, default=500, help="how many small lists (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="how often each is measured (default: %(default)s)")
    parser.add_argument("--directory", type=Path, help="where to work, on a real disk (default: a temporary directory)")
    arguments = parser.parse_args()
    directory = Path(tempfile.mkdtemp(dir=arguments.directory))
    try:
        with Sshd(directory / "upstream") as sshd:
            print(_large(sshd, directory, arguments.size, arguments.rounds))
            print(_small(sshd, directory, arguments.lists, arguments.rounds))
    finally:
        shutil.rmtree(directory)


def _large(sshd: Sshd, directory: Path, size: int, rounds: int) -> str:
    file = directory / "large" / "large.csv"
    file.parent.mkdir()
    block = rows(100_000)
    with file.open("wb") as whole:
        while whole.tell() < size * MB:
            whole.write(block)
    ways = [
        Way("sftp", sftp(sshd)),
        Way("relay", relay(sshd, directory / "state", 1)),
        *([Way("rclone", rclone(sshd))] if RCLONE.exists() else []),
    ]
    measure(ways, [file], sshd, rounds, without_login=True)
    written = file.stat().st_size
    return f"One list of {size} MB\n\n{table(ways, 'MB/s', written / MB, 's/GB', written / 1e9)}\n"


def _small(sshd: Sshd, directory: Path, lists: int, rounds: int) -> str:
    files = [directory / "small" / f"list_{number}.csv" for number in range(lists)]
    files[0].parent.mkdir()
    for file in files:
        file.write_bytes(rows(1000))
    ways = [
        Way("sftp -b", sftp(sshd)),
        Way("relay, 1 connection", relay(sshd, directory / "state", 1)),
        Way("relay, 2 connections", relay(sshd, directory / "state", 2)),
        *([Way("rclone, 4 connections", rclone(sshd))] if RCLONE.exists() else []),
    ]
    measure(ways, files, sshd, rounds, without_login=False)
    return f"{lists} lists of 1,000 rows\n\n{table(ways, 'lists/s', lists, 'ms/list', lists / 1000)}\n"


if __name__ == "__main__":
    main()
