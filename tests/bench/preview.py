"""How soon `relay preview` says what a file is taken for, and how soon all of it, beside what one would do by hand.

    python tests/bench/preview.py [--rows 1000000] [--rounds 3] [--shapes clean mixed quoted email]

The preview is the command as an operator types it, from its start: Python, the configuration, the rewrite, the guards.
Its first line is timed where a reader would see it. By hand is a script that reads the file with the csv module and
asks the library for each row (phonenumbers, or email-validator): it has nothing to say before its end, and judges the
first rows only, from which its time for all is reckoned. The limit is `wc -l`, which does nothing but read the file.

Each file is read once before, so that the disk is in nobody's time. Only ratios within one run mean anything.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1]))

from bench.exports import SHAPES, write_export
from parts.host import configure
from parts.service import RELAY

PEERS: Final = Path(__file__).with_name("peers.py")
BY_HAND_ROWS: Final = 50_000


@dataclass(frozen=True, slots=True)
class Taken:
    """Seconds of one round."""

    first_line: float
    whole: float
    by_hand: float
    limit: float


def measure(export: Path, config: Path, rows: int, directory: Path) -> Taken:
    """Look at an export in each way."""
    limit = _seconds("wc", "-l", str(export))
    first_line, whole = preview(export, config)
    return Taken(first_line, whole, by_hand(export, rows, directory), limit)


def preview(export: Path, config: Path) -> tuple[float, float]:
    """Return the seconds to the first line of `relay preview`, and to its end."""
    began = time.perf_counter()
    with subprocess.Popen(
        [*RELAY, "--config", str(config), "preview", str(export), "--route", "sirendenim"], stdout=subprocess.PIPE
    ) as command:
        assert command.stdout is not None
        line = command.stdout.readline()
        first_line = time.perf_counter() - began
        rest = command.stdout.read()
    whole = time.perf_counter() - began
    if not line.startswith(b"recognised as") or b"rows = " not in rest:
        raise RuntimeError(f"the preview said something else: {(line + rest).decode()}")
    return first_line, whole


def by_hand(export: Path, rows: int, directory: Path) -> float:
    """Return the seconds of the script for all rows, reckoned from the first ones."""
    judged = min(rows, BY_HAND_ROWS)
    with tempfile.TemporaryDirectory(dir=directory) as out:
        start = _seconds(sys.executable, str(PEERS), "plain", str(export), out, "1")
        return start + (_seconds(sys.executable, str(PEERS), "plain", str(export), out, str(judged)) - start) * (
            rows / judged
        )


def _configured(directory: Path, shape: str) -> Path:
    """Write a configuration for the export, of a host whose service never ran, and return its path."""
    config, _ = configure(directory)
    route = config.parent / "routes.d" / "sirendenim.toml"
    kind = "email" if shape == "email" else "phone"
    route.write_text(route.read_text().replace('identifier = "phone"', f'identifier = "{kind}"'))
    return config


def _seconds(*command: str) -> float:
    began = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - began


def table(shapes: Sequence[str], rows: int, rounds: int, directory: Path) -> str:
    """Return the table: medians."""
    lines = [
        f"{rows:,} rows\n",
        "| shape | MB | first line, s | whole, s | by hand, s | by hand, times the preview | `wc -l`, s |",
        "|---|---|---|---|---|---|---|",
    ]
    for shape in shapes:
        export = directory / f"{shape}.csv"
        write_export(export, shape, rows)
        _seconds("cat", str(export))
        config = _configured(directory / shape, shape)
        taken = [measure(export, config, rows, directory) for _ in range(rounds)]
        first_line, whole, script, limit = (
            statistics.median(getattr(it, part) for it in taken) for part in Taken.__slots__
        )
        lines.append(
            f"| {shape} | {export.stat().st_size / 1e6:.0f} | {first_line:.2f} | {whole:.2f} | {script:.1f}"
            f" | {script / whole:.0f} | {limit:.2f} |"
        )
        export.unlink()
    return "\n".join(lines)


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="of each export (default: %(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="how often each is measured (default: %(default)s)")
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=SHAPES, help="which exports (default: all)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="relay-bench-") as directory:
        print(table(options.shapes, options.rows, options.rounds, Path(directory)))


if __name__ == "__main__":
    main()
