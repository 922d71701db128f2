"""How fast the rewrite is, beside what else one would use, in one run; only ratios within one run mean anything.

    python tests/bench/rewrite.py table                      times, processor time and memory, four shapes of exports
    python tests/bench/rewrite.py table --rows 10000000      the same at ten million rows
    python tests/bench/rewrite.py memory                     memory at 10 and 50 million rows, one segment and eight
    python tests/bench/rewrite.py packed                     a gzip file, beside the same file as it is
    python tests/bench/rewrite.py curve --output curve.svg   how time and memory grow with the rows
    python tests/bench/rewrite.py latency                    an SFTP operation while ten million rows are rewritten

Each engine is a process of its own that reads the export and writes the lists, the rejects and the counts; the relay's
has the environment that the daemon gives it. `plain` is what one would write first: the csv module, and phonenumbers
(email-validator) for every row. It is so slow that it reads a quarter of a million rows at most and counts for as many
times longer. The others do the nearest equivalent that their language makes natural: strip the punctuation, take ten
digits with or without a 1, drop doubles, split by segment; none of them knows which numbers exist, masks what it
rejects, or knows its line. The projections do not even judge: two columns in, two columns out. What is not installed is
left out: `pip install duckdb pandas`, `apt-get install miller`.
"""

import argparse
import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.exports import SHAPES, write_export
from bench.growth import draw
from bench.responsive import stat_while_rewriting

from relay.rewrite.child import ENVIRONMENT

PLAIN_ROWS: Final = 250_000
ENGINES: Final = ("relay", "plain", "pandas", "duckdb", "miller", "projection_duckdb", "projection_csv")
FOR_EMAIL: Final = ("relay", "plain", "projection_csv")
CURVE: Final = (100_000, 300_000, 1_000_000, 3_000_000, 10_000_000)
MB: Final = 1e6


@dataclass(frozen=True, slots=True)
class Measured:
    """What an engine took: seconds of time and of processor time, and the most memory in bytes."""

    wall: float
    cpu: float
    memory: int


def measure(engine: str, export: Path, directory: Path, most: int = sys.maxsize) -> Measured:
    """Run an engine once, in a process of its own.

    Raises:
        RuntimeError: it failed.
    """
    out = directory / "out"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    command = [sys.executable, str(Path(__file__).with_name("peers.py")), engine, str(export), str(out), str(most)]
    threads = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    own = ENVIRONMENT if engine == "relay" else {}
    began = time.perf_counter()
    child = subprocess.Popen(command, env=os.environ | threads | own)
    _, status, usage = os.wait4(child.pid, 0)
    wall = time.perf_counter() - began
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise RuntimeError(f"{engine} failed on {export.name}")
    return Measured(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def median(rounds: int, once: Callable[[], Measured]) -> Measured:
    """Return the median of each figure over some rounds."""
    return _median([once() for _ in range(rounds)])


def _median(runs: Sequence[Measured]) -> Measured:
    return Measured(
        statistics.median(run.wall for run in runs),
        statistics.median(run.cpu for run in runs),
        max(run.memory for run in runs),
    )


def table(options: argparse.Namespace, directory: Path) -> None:
    """Print every engine beside every other, one table for each shape."""
    for shape in options.shapes:
        export = directory / f"{shape}.csv"
        write_export(export, shape, options.rows)
        engines = [it for it in options.engines if _is_there(it) and (shape != "email" or it in FOR_EMAIL)]
        # Turn and turn about, so that whatever else the machine does meets all of them.
        runs = [
            {it: _measure_scaled(it, export, directory, options.rows) for it in engines} for _ in range(options.rounds)
        ]
        measured = {engine: _median([run[engine] for run in runs]) for engine in engines}
        print(f"\n{shape}: {options.rows:,} rows, {export.stat().st_size / MB:,.0f} MB\n")
        print("| engine | s | CPU s per 1M rows | peak MB | times `plain` | CPU, times DuckDB's projection |")
        print("|---|---|---|---|---|---|")
        for engine, it in measured.items():
            plain, bare = measured.get("plain"), measured.get("projection_duckdb")
            faster = f"{plain.wall / it.wall:.1f}" if plain else "–"
            beside = f"{it.cpu / bare.cpu:.2f}" if bare else "–"
            cpu = it.cpu / options.rows * 1e6
            print(f"| {engine} | {it.wall:.2f} | {cpu:.2f} | {it.memory / MB:,.0f} | {faster} | {beside} |", flush=True)
        export.unlink()


def _measure_scaled(engine: str, export: Path, directory: Path, rows: int) -> Measured:
    if engine != "plain":
        return measure(engine, export, directory)
    read = min(rows, PLAIN_ROWS)
    once, times = measure(engine, export, directory, read), rows / read
    return Measured(once.wall * times, once.cpu * times, once.memory)


def _is_there(engine: str) -> bool:
    needed = {"pandas": "pandas", "duckdb": "duckdb", "projection_duckdb": "duckdb"}.get(engine)
    there = shutil.which("mlr") is not None if engine == "miller" else needed is None or find_spec(needed) is not None
    if not there:
        print(f"{engine} is left out: it is not installed", file=sys.stderr)
    return there


def memory(options: argparse.Namespace, directory: Path) -> None:
    """Print the most memory that the relay takes at two sizes, and what each further row costs."""
    print("| segments | rows | peak MB | bytes for each further row |\n|---|---|---|---|")
    for segments in (1, 8):
        peaks = []
        for rows in (options.rows, options.rows * 5):
            export = directory / "clean.csv"
            write_export(export, "clean", rows, segments)
            peaks.append(measure("relay", export, directory).memory)
            more = f"{(peaks[1] - peaks[0]) / (rows - options.rows):.1f}" if len(peaks) > 1 else ""
            print(f"| {segments} | {rows:,} | {peaks[-1] / MB:,.0f} | {more} |", flush=True)


def packed(options: argparse.Namespace, directory: Path) -> None:
    """Print what a gzip file costs beside the same file as it is, and beside unpacking it."""
    export, archive = directory / "clean.csv", directory / "clean-packed.csv"
    write_export(export, "clean", options.rows)
    with archive.open("wb") as file:
        subprocess.run(["gzip", "-1", "-c", str(export)], stdout=file, check=True)
    bare = median(options.rounds, lambda: measure("relay", export, directory))
    gzip = median(options.rounds, lambda: measure("relay", archive, directory))
    began = time.perf_counter()
    with (directory / "unpacked").open("wb") as file:
        subprocess.run(["gzip", "-d", "-c", str(archive)], stdout=file, check=True)
    unpacking = time.perf_counter() - began
    print("| as it is, s | gzip, s | more, s | `gzip -d`, s |\n|---|---|---|---|")
    print(f"| {bare.wall:.2f} | {gzip.wall:.2f} | {gzip.wall - bare.wall:.2f} | {unpacking:.2f} |")


def curve(options: argparse.Namespace, directory: Path) -> None:
    """Draw how time and memory grow with the rows."""
    points = []
    for rows in CURVE:
        export = directory / "clean.csv"
        write_export(export, "clean", rows)
        it = median(options.rounds, lambda export=export: measure("relay", export, directory))  # type: ignore[misc]
        points.append((rows, it.wall, it.memory / MB))
        print(f"{rows:>12,} rows {it.wall:8.2f} s {it.memory / MB:8.0f} MB", flush=True)
    options.output.write_text(draw(points), encoding="utf-8")


def latency(options: argparse.Namespace, directory: Path) -> None:
    """Print how long a STAT takes in another session while an export is rewritten."""
    export = directory / "clean.csv"
    write_export(export, "clean", options.rows)
    idle, busy = asyncio.run(stat_while_rewriting(export, directory))
    print("| | operations | median ms | 99th percentile ms | longest ms |\n|---|---|---|---|---|")
    for name, times in (("nothing else to do", idle), (f"rewriting {options.rows:,} rows", busy)):
        ordered = sorted(times)
        shown = (statistics.median(ordered), ordered[int(len(ordered) * 0.99)], ordered[-1])
        print(f"| {name} | {len(ordered):,} | {' | '.join(f'{it * 1000:.2f}' for it in shown)} |")


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("table", "memory", "packed", "curve", "latency"))
    parser.add_argument("--rows", type=int)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=SHAPES)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--output", type=Path, default=Path("curve.svg"))
    options = parser.parse_args()
    options.rows = options.rows or (1_000_000 if options.what == "table" else 10_000_000)
    with tempfile.TemporaryDirectory(prefix="relay-bench-") as directory:
        {"table": table, "memory": memory, "packed": packed, "curve": curve, "latency": latency}[options.what](
            options, Path(directory)
        )


if __name__ == "__main__":
    main()
