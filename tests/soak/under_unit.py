"""Half an hour of continuous deliveries under the unit, on a machine with systemd; run it as root on Debian.

    .venv/bin/python tests/soak/under_unit.py --minutes 30

Twenty routes get a list each few seconds; half of them have an upstream that comes and goes. Every ten seconds
memory, descriptors, threads and the database's size are written down, and in the end drawn. Nothing may be lost: every
list that was acknowledged lies at its upstream, once. The results are docs/soak.svg and what is printed.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).parents[1]))

from parts.installation import flap, furnish, install, make_release, received, relay, upload
from parts.machine import CHECKOUT, Machine, missing, until

ROUTES: Final = tuple(f"tenant{number:02}" for number in range(1, 21))
SAMPLED_EVERY: Final = 10.0
FLAPS_EVERY: Final = 45.0
KINDS: Final = ("memory (MB)", "descriptors", "threads", "database (MB)", "load of the host")

Sample = tuple[float, float, float, float, float, float]


def sample(machine: Machine, seconds: float) -> Sample:
    """Look at the service's process and at the database, and at how much else goes on here."""
    pid = machine.show("relay.service", "MainPID")
    script = f"grep -E '^(VmRSS|Threads)' /proc/{pid}/status; ls /proc/{pid}/fd | wc -l"
    said = machine.run("sh", "-c", script).stdout.split()
    files = (machine.root / "var/lib/relay").glob("relay.db*")
    size = sum(file.stat().st_size for file in files) / 1e6
    return seconds, float(said[1]) / 1e3, float(said[-1]), float(said[4]), size, os.getloadavg()[0]


def a_list(number: int) -> bytes:
    """A list of a segment of its own."""
    people = "".join(f"{212 + number % 7}55501{person:02},S{number}\n" for person in range(50))
    return f"phone,segment_name\n{people}".encode()


def load(machine: Machine, minutes: float, pause: float) -> tuple[list[Sample], int, int]:
    """Upload for so long; return the samples, how many lists were acknowledged, and how often the upstream came."""
    began = time.monotonic()
    samples: list[Sample] = []
    uploaded = flaps = 0
    up = False
    for route in ROUTES:
        upload(machine, f"/uploads/{route}/first.csv", a_list(uploaded))
        uploaded += 1
    while (now := time.monotonic() - began) < minutes * 60:
        if len(samples) <= now / SAMPLED_EVERY:
            samples.append(sample(machine, now))
        if flaps <= now / FLAPS_EVERY:
            up, flaps = not up, flaps + 1
            flap(machine, up=up)
        route = ROUTES[uploaded % len(ROUTES)]
        upload(machine, f"/uploads/{route}/export-{uploaded}.csv", a_list(uploaded))
        uploaded += 1
        time.sleep(pause)
    flap(machine, up=True)
    return samples, uploaded, flaps


def settle(machine: Machine) -> None:
    """Wait until nothing waits any more; a reload has the upstream that failed so often tried at once."""
    machine.run("systemctl", "reload", "relay.service")
    until(lambda: not _waiting(machine), "every list to be sent", patience=600)


def _waiting(machine: Machine) -> int:
    return sum(
        relay(machine, "deliveries", "--state", state, "--json").stdout.count('"id"')
        for state in ("queued", "sending", "deferred")
    )


def drawn(samples: Sequence[Sample]) -> str:
    """Draw each kind of sample over the minutes."""
    width, height, gap = 720, 110, 40
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width + 80} {len(KINDS) * (height + gap) + 20}">',
        "<style>text { font: 12px sans-serif }</style>",
        '<rect width="100%" height="100%" fill="white"/>',
    ]
    end = samples[-1][0]
    for number, kind in enumerate(KINDS):
        top = 20 + number * (height + gap)
        values = [it[number + 1] for it in samples]
        most = max(values) * 1.1 or 1
        points = " ".join(
            f"{50 + it[0] / end * width:.1f},{top + height - value / most * height:.1f}"
            for it, value in zip(samples, values, strict=True)
        )
        parts += [
            f'<text x="50" y="{top - 5}">{kind}: at most {max(values):.1f}, in the end {values[-1]:.1f}</text>',
            f'<path d="M50 {top}V{top + height}H{50 + width}" fill="none" stroke="#999"/>',
            f'<text x="45" y="{top + 10}" text-anchor="end">{most:.0f}</text>',
            f'<text x="45" y="{top + height}" text-anchor="end">0</text>',
            f'<polyline points="{points}" fill="none" stroke="#1f6feb" stroke-width="1.5"/>',
        ]
    bottom = len(KINDS) * (height + gap) + 10
    parts += [f'<text x="{50 + width}" y="{bottom}" text-anchor="end">{end / 60:.0f} minutes</text>', "</svg>"]
    return "\n".join(parts) + "\n"


def figures(samples: Sequence[Sample]) -> str:
    """A table of what was sampled: after a tenth of the time, in its middle, in the end, and the most."""
    chosen = [samples[len(samples) // 10], samples[len(samples) // 2], samples[-1]]
    lines = ["| | after a tenth | in the middle | in the end | at most |", "|---|---|---|---|---|"]
    for number, kind in enumerate(KINDS, start=1):
        cells = [f"{it[number]:.1f}" for it in chosen] + [f"{max(it[number] for it in samples):.1f}"]
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Run it, and return 0 if nothing was lost."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--minutes", type=float, default=30)
    arguments.add_argument("--pause", type=float, default=3.0, help="seconds between two uploads")
    arguments.add_argument("--plot", type=Path, default=CHECKOUT / "docs" / "soak.svg")
    chosen = arguments.parse_args()
    if why := missing():
        sys.exit(why)
    with tempfile.TemporaryDirectory() as scratch:
        release = make_release(Path(scratch) / "release")
        with Machine(Path(scratch) / "machine") as machine:
            machine.boot()
            furnish(machine, ROUTES)
            install(machine, release)
            samples, uploaded, flaps = load(machine, chosen.minutes, chosen.pause)
            settle(machine)
            contents = Counter(received(machine).values())
            restarts = machine.show("relay.service", "NRestarts")
    wanted = {a_list(number).partition(b"\n")[2] for number in range(uploaded)}
    lost, doubled = len(wanted - contents.keys()), sum(count - 1 for count in contents.values())
    chosen.plot.write_text(drawn(samples), encoding="utf-8")
    print(f"{uploaded} lists acknowledged, {lost} lost, {doubled} doubled, {flaps} flaps, {restarts} restarts")
    print(figures(samples))
    return 1 if lost or doubled or contents.keys() - wanted else 0


if __name__ == "__main__":
    sys.exit(main())
