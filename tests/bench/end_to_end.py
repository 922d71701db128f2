"""How long a list is on its way, from its client's CLOSE to its final name upstream, beside what one would script.

    python tests/bench/end_to_end.py [--rows 1000000] [--rounds 3]

The relay is the real service between two real ends: OpenSSH's `sftp`, which uploads the export, and OpenSSH's sshd,
which takes the list. It has its defaults, so the two seconds in which a client may still rename or remove what it
uploaded (`landing.settle`) are in its time; of more than half a million rows it makes several files, of which the last
one counts. The pipeline is what a competent engineer would write: sshd as the landing zone, `inotifywait`, a Python
script with the csv module and phonenumbers, and `sftp -b` (`apt-get install inotify-tools`; left out where it is
missing). The floor is what no program can save: the export read and two of its columns written by DuckDB (`pip install
duckdb`), and the list uploaded by `sftp`.

The second table is how long commands take to start. Only ratios within one run mean anything.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.exports import write_export
from parts.service import RELAY, Line, Service, Setup
from parts.sftp import OPTIONS
from parts.sshd import Sshd

PEERS: Final = Path(__file__).with_name("peers.py")
DEADLINE_SECONDS: Final = 600.0
NAME: Final = "acme_subscriber_segment_20261130_1.csv"


def relay(export: Path, directory: Path, upstream: Sshd) -> tuple[float, dict[str, float]]:
    """Return the seconds from CLOSE to the final name, and what they went to."""
    setup = Setup(directory / "relay", upstream, settle="2s")
    # Numbers made up at random are suspect more often than those of people, and a file takes half a million rows.
    setup.route(sections='[guards]\nmax_suspect = 1.0\noversize = "split"')
    with Service(setup) as service:
        _sftp(service.port, "amperity", setup.client_key, f"put {export} /uploads/export.csv")
        sent = service.wait_for("delivery.sent", deadline=DEADLINE_SECONDS)
        (confirmed,), (accepted,) = service.named("landing.upload_confirmed"), service.named("export.accepted")
        service.stop()
    parts = {**accepted["delays"], **sent["delays"]}
    return (_instant(sent) - _instant(confirmed)).total_seconds(), parts


def pipeline(export: Path, directory: Path, upstream: Sshd) -> float:
    """Return the same seconds of a script on the end of `inotifywait`."""
    with Sshd(directory / "landing") as landing:
        watch = ["inotifywait", "--monitor", "--quiet", "--event", "close_write", "--format", "%w%f"]
        watching = subprocess.Popen(
            [*watch, str(landing.uploads)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        try:
            assert watching.stdout is not None
            _until_watching(watching.pid)
            _sftp(landing.port, landing.user, landing.client_key, f"put {export} {landing.directory}/export.csv")
            began = time.perf_counter()
            landed = watching.stdout.readline().strip()
            out = directory / "out"
            out.mkdir()
            _peer("plain", Path(landed), out)
            _upload(next(out.glob("*.csv")), upstream)
            return time.perf_counter() - began
        finally:
            watching.kill()
            watching.wait()


def floor(export: Path, directory: Path, upstream: Sshd) -> float:
    """Return the seconds of a bare projection and of the upload of a list."""
    out = directory / "floor"
    out.mkdir()
    began = time.perf_counter()
    _peer("projection_duckdb", export, out)
    _upload(next(it for it in out.iterdir() if it.is_file()), upstream)
    return time.perf_counter() - began


def _upload(file: Path, upstream: Sshd) -> None:
    part = f"{upstream.directory}/{NAME}.part"
    _sftp(
        *(upstream.port, upstream.user, upstream.client_key),
        f"put {file} {part}",
        f"rename {part} {upstream.directory}/{NAME}",
    )


def _sftp(port: int, user: str, key: Path, *commands: str) -> None:
    login = ("-P", str(port), "-i", str(key), "-b", "-", f"{user}@127.0.0.1")
    subprocess.run(
        ["sftp", *OPTIONS, *login], input="\n".join(commands).encode(), stdout=subprocess.DEVNULL, check=True
    )


def _peer(engine: str, export: Path, out: Path) -> None:
    subprocess.run([sys.executable, str(PEERS), engine, str(export), str(out), str(sys.maxsize)], check=True)


def _until_watching(pid: int) -> None:
    """Wait until a process has an inotify watch."""
    until = time.monotonic() + DEADLINE_SECONDS
    while time.monotonic() < until:
        if any("inotify wd" in it.read_text() for it in Path(f"/proc/{pid}/fdinfo").iterdir()):
            return
        time.sleep(0.01)
    raise RuntimeError("inotifywait does not watch")


def _instant(line: Line) -> datetime:
    return datetime.fromisoformat(line["timestamp"])


def whole_way(rows: int, rounds: int, directory: Path) -> str:
    """Return the table of the whole way."""
    export = directory / "export.csv"
    write_export(export, "clean", rows)
    taken: dict[str, list[float]] = {"relay": [], "pipeline": [], "floor": []}
    parts: list[dict[str, float]] = []
    for number in range(rounds):
        place = directory / str(number)
        place.mkdir()
        with Sshd(place / "upstream") as upstream:
            seconds, delays = relay(export, place, upstream)
            taken["relay"].append(seconds)
            parts.append(delays)
            if shutil.which("inotifywait"):
                taken["pipeline"].append(pipeline(export, place, upstream))
            if _is_there("duckdb"):
                taken["floor"].append(floor(export, place, upstream))
        shutil.rmtree(place)
    medians = {way: statistics.median(seconds) for way, seconds in taken.items() if seconds}
    lines = [f"{rows:,} rows\n", "| way | s | × the relay's |", "|---|---|---|"]
    lines += [f"| {way} | {seconds:.2f} | {seconds / medians['relay']:.2f} |" for way, seconds in medians.items()]
    shares = {part: statistics.median(it.get(part, 0.0) for it in parts) for part in parts[0]}
    told = ", ".join(f"{part} {seconds:.2f} s" for part, seconds in shares.items())
    return "\n".join([*lines, f"\nThe relay's seconds by part: {told}."])


def starts(rounds: int, directory: Path) -> str:
    """Return the table of starts: from the command to ready, and to the help."""
    with Sshd(directory / "sshd") as upstream:
        setup = Setup(directory / "start", upstream)
        setup.route()

        def serve() -> None:
            with Service(setup) as service:
                service.wait_for("relay.ready")
                ready.append(time.perf_counter())
                service.stop()

        ready: list[float] = []
        times = []
        for _ in range(rounds + 1):
            began = time.perf_counter()
            serve()
            times.append(ready[-1] - began)
    lines = ["| command | s |", "|---|---|"]
    lines += [f"| `relay serve` to ready, on a new state | {times[0]:.2f} |"]
    lines += [f"| `relay serve` to ready | {statistics.median(times[1:]):.2f} |"]
    lines += [f"| `relay --help` | {_median(rounds, lambda: _command('--help')):.2f} |"]
    lines += [f"| `python -c pass` | {_median(rounds, _nothing):.2f} |"]
    return "\n".join(lines)


def _median(rounds: int, once: Callable[[], None]) -> float:
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        once()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


def _command(*arguments: str) -> None:
    subprocess.run([*RELAY, *arguments], stdout=subprocess.DEVNULL, check=True)


def _nothing() -> None:
    subprocess.run([sys.executable, "-c", "pass"], check=True)


def _is_there(package: str) -> bool:
    from importlib.util import find_spec

    return find_spec(package) is not None


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the export (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (default: %(default)s)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="relay-bench-") as directory:
        print(whole_way(options.rows, options.rounds, Path(directory)), end="\n\n", flush=True)
        print(starts(options.rounds, Path(directory)))


if __name__ == "__main__":
    main()
