"""One day of the soak in a process of its own, with a clock of its own."""

import shutil
import tempfile
import traceback
from dataclasses import dataclass
from multiprocessing import forkserver
from pathlib import Path

import parts.lives  # noqa: F401  what the daemons are forked from

from soak.clock import Clock
from soak.day import Day


@dataclass(frozen=True)
class Outcome:
    """How one seed ended."""

    seed: int
    lives: int
    uploads: int
    sent: int
    trouble: str


_clock: Clock


def prepare(directory: Path) -> None:
    """Give this process and the daemons that it starts a clock of their own."""
    global _clock  # noqa: PLW0603  one per process, set before anything else
    _clock = Clock(Path(tempfile.mkdtemp(dir=directory)))
    with _clock.moved():
        forkserver.ensure_running()


def soak(seed: int, directory: Path) -> Outcome:
    """Live through the day of one seed."""
    here = directory / str(seed)
    here.mkdir()
    day = Day(seed, here, _clock)
    try:
        day.live_through()
    except Exception as error:  # noqa: BLE001  whatever it is, it is this seed's result
        log = [str(line) for life in day.lives for line in life]
        told = here / "what-happened"
        told.write_text("\n".join([traceback.format_exc(), *day.happened, *log]), encoding="utf-8")
        trouble = f"{str(error)[:300]}; see {told}"
    else:
        trouble = ""
        shutil.rmtree(here)
    sent = len({line["remote_name"] for life in day.lives for line in life if line["event"] == "delivery.sent"})
    return Outcome(seed, len(day.lives), day.told.acknowledged.total(), sent, trouble)
