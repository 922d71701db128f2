"""When an export is complete, or given up: virtual time, no files."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Literal

from relay.intake.completion import Gathered, Patience, Prospect, prospect
from relay.intake.markers import Mark
from relay.model import Arrival, ArrivalState, Fingerprint

START = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)
SETTLE, QUIET, WAIT = timedelta(seconds=2), timedelta(seconds=60), timedelta(hours=2)


def landed(name: str, after: float, size: int = 100) -> Arrival:
    """A file that landed `after` so many seconds."""
    return Arrival(
        id=int(after) + 1,
        account="amperity",
        path=f"/uploads/X/{name}",
        fingerprint=Fingerprint(1, 1),
        size=size,
        confirmed=True,
        session="s1",
        state=ArrivalState.LANDED,
        landed_at=START + timedelta(seconds=after),
        export_id=None,
    )


def seen(
    gathered: Gathered,
    *,
    complete: Literal["done", "quiet"] = "done",
    gaps: Literal["quarantine", "accept"] = "quarantine",
    is_directory: bool = True,
) -> Prospect:
    """The prospect of an export."""
    return prospect(gathered, Patience(complete, gaps, SETTLE, QUIET, WAIT), is_directory=is_directory)


def due(prospect: Prospect) -> float:
    """When it is due, in seconds from the start."""
    return (prospect.due_at - START).total_seconds()


ONE, TWO, THREE = landed("0000001.csv", 0), landed("0000002.csv", 10), landed("0000003.csv", 20)


def test_a_directory_is_whole_when_its_marker_came_last() -> None:
    """It is taken as soon as the marker has settled (rule C3)."""
    it = seen(Gathered([ONE, TWO], [(landed(".DONE", 30), Mark.WHOLE)]))
    assert (it.lacks, due(it)) == ((), 32)


def test_without_its_marker_an_export_is_given_up() -> None:
    """It waits `wait` after the last file, and then lacks its marker (rule C5)."""
    it = seen(Gathered([ONE, TWO]))
    assert (it.lacks, due(it)) == (("there is no end marker",), 10 + 7200)


def test_a_part_after_the_marker_makes_it_wait_for_quiet() -> None:
    """The order was broken, so the marker no longer says that nothing comes (rule C3)."""
    it = seen(Gathered([ONE, THREE, TWO], [(landed(".DONE", 15), Mark.WHOLE)]))
    assert (it.lacks, due(it)) == ((), 20 + 60)


def test_a_marker_of_one_part_makes_it_wait_for_quiet() -> None:
    """Whether every part has a marker, or the last one ends the whole, its name does not tell (rule C3)."""
    it = seen(Gathered([ONE, TWO], [(landed("0000002.csv.DONE", 30), Mark.VAGUE)]))
    assert (it.lacks, due(it)) == ((), 30 + 60)


def test_a_file_with_its_marker_is_whole_in_any_order() -> None:
    """One file has no more parts that could come (rule C3)."""
    it = seen(Gathered([TWO], [(landed("0000002.csv.DONE", 0), Mark.WHOLE)]), is_directory=False)
    assert (it.lacks, due(it)) == ((), 12)


def test_quiet_counts_from_the_last_file() -> None:
    """Also from a marker, which ends nothing then (rule C1)."""
    assert due(seen(Gathered([ONE, TWO]), complete="quiet")) == 70
    assert due(seen(Gathered([ONE, TWO], [(landed(".DONE", 30), Mark.WHOLE)]), complete="quiet")) == 90


def test_quiet_is_not_quiet_while_something_is_uploaded() -> None:
    """An upload that gets bytes may become one of the parts (rule C1)."""
    busy = Gathered([ONE, TWO], busy_at=START + timedelta(seconds=50))
    assert due(seen(busy, complete="quiet")) == 110
    assert due(seen(replace(busy, ends=[(landed(".DONE", 11), Mark.WHOLE)]))) == 110
    assert due(seen(replace(busy, busy_at=START - timedelta(hours=1)), complete="quiet")) == 70


def test_a_gap_is_waited_for_and_given_up() -> None:
    """A marker does not make a gap whole (rule C6)."""
    gap = Gathered([ONE, THREE], [(landed(".DONE", 30), Mark.WHOLE)])
    it = seen(gap)
    assert (it.lacks, due(it)) == (("0000002.csv is missing",), 30 + 7200)
    assert seen(gap, gaps="accept").lacks == ()


def test_an_empty_part_is_waited_for_and_given_up() -> None:
    """It may be sent again in full (rule C6)."""
    assert seen(Gathered([ONE, replace(TWO, size=0)]), complete="quiet").lacks == ("0000002.csv is empty",)


def test_what_was_left_over_from_an_earlier_run_is_not_mixed_in() -> None:
    """A run of two parts was sent over one of three that never became complete (rule C7)."""
    anew = [landed("0000001.csv", 100), landed("0000002.csv", 110)]
    it = seen(
        Gathered([*anew, THREE], [(landed(".DONE", 120), Mark.WHOLE)], sent_anew={it.path for it in anew}),
    )
    assert it.lacks == (
        "0000001.csv was sent anew, and 0000003.csv, from before, was not: it may be of an earlier run",
    )


def test_one_part_sent_anew_belongs_to_its_run() -> None:
    """A client that was not sure of one part sends that again (rule C2)."""
    again = landed("0000002.csv", 100)
    it = seen(Gathered([ONE, again, THREE], [(landed(".DONE", 120), Mark.WHOLE)], sent_anew={again.path}))
    assert it.lacks == ()
