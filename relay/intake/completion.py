"""When an export is complete, or given up (rules C1 to C7): its files against time. Pure."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from relay.intake.markers import Mark
from relay.model import Arrival
from relay.parts import flaws, is_a_run


@dataclass(frozen=True, slots=True)
class Patience:
    """How long what is waited for; the route's settings."""

    complete: Literal["close", "done", "quiet"]
    gaps: Literal["quarantine", "accept"]
    settle: timedelta
    quiet: timedelta
    wait: timedelta


@dataclass(frozen=True, slots=True)
class Gathered:
    """What there is of one export.

    `parts` are its files, `ends` its end markers with how they mark it. `sent_anew` are the paths of parts of which an
    earlier version was there. `listed` names the parts that a list of them has, and `written_by_spark` says that
    Spark's own marker is there. `busy_at` is when an upload of the account that is not finished last got bytes, or
    when a file not yet noted was last written.
    """

    parts: Sequence[Arrival]
    ends: Sequence[tuple[Arrival, Mark]] = ()
    sent_anew: Collection[str] = ()
    listed: Collection[str] = ()
    written_by_spark: bool = False
    busy_at: datetime | None = None

    @property
    def last_at(self) -> datetime:
        """When the last of it landed."""
        return max(it.landed_at for it in (*self.parts, *(end for end, _ in self.ends)))


@dataclass(frozen=True, slots=True)
class Prospect:
    """What is missing, in words, and when the export is taken if nothing changes: as whole, or as incomplete."""

    lacks: tuple[str, ...]
    due_at: datetime


def prospect(gathered: Gathered, patience: Patience, *, is_directory: bool) -> Prospect:
    """Say what an export lacks, and when it is to be taken as it is."""
    lacks = _lacks(gathered, patience, is_directory=is_directory)
    rest = patience.wait if lacks else _rest(gathered, patience, is_directory=is_directory)
    due_at = gathered.last_at + max(rest, patience.settle)
    if is_directory and gathered.busy_at is not None:
        # Rule C1: what is on its way may be one of its parts.
        due_at = max(due_at, gathered.busy_at + patience.quiet)
    return Prospect(lacks, due_at)


def _lacks(gathered: Gathered, patience: Patience, *, is_directory: bool) -> tuple[str, ...]:
    lacks = ["there is no end marker"] if patience.complete == "done" and not gathered.ends else []
    if is_directory and patience.gaps == "quarantine":
        sizes = {_name(it): it.size for it in gathered.parts}
        lacks += flaws(sizes, listed=gathered.listed, written_by_spark=gathered.written_by_spark)
        lacks += _of_an_earlier_run(gathered)
    return tuple(lacks)


def _rest(gathered: Gathered, patience: Patience, *, is_directory: bool) -> timedelta:
    """Return how long nothing more must have come."""
    if patience.complete == "quiet":
        return patience.quiet
    if not is_directory:
        return patience.settle
    last_part = max(it.id for it in gathered.parts)
    is_marked = any(mark is Mark.WHOLE and end.id > last_part for end, mark in gathered.ends)
    return patience.settle if is_marked else patience.quiet


def _of_an_earlier_run(gathered: Gathered) -> list[str]:
    """Say which parts were left over when a new run began to send the others anew (rule C7)."""
    anew = [it.id for it in gathered.parts if it.path in gathered.sent_anew]
    if not anew:
        return []
    first = min(anew)
    run = [_name(it) for it in gathered.parts if it.id >= first]
    older = [_name(it) for it in gathered.parts if it.id < first]
    if not older or not is_a_run([*run, *older]) or not is_a_run(run):
        return []
    return [f"{run[0]} was sent anew, and {older[0]}, from before, was not: it may be of an earlier run"]


def _name(arrival: Arrival) -> str:
    return arrival.path.rpartition("/")[2]
