"""Scans of a landing zone where each file is an export of its own: the order in which they are noted and taken."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from parts.zone import ACCOUNT, SETTLE, Zone

QUIET = 60


@pytest.fixture
def zone(tmp_path: Path) -> Iterator[Zone]:
    """A landing zone."""
    with Zone(tmp_path / "state") as zone:
        yield zone


def test_what_came_first_is_taken_first(zone: Zone) -> None:
    """Whatever its name is: the older of two lists of a segment is to be planned first (rule D8)."""
    zone.put("/uploads/b.csv")
    zone.put("/uploads/a.csv")
    received = zone.scan(SETTLE.total_seconds()).received
    assert [it.path for it in map(zone.store.export, received) if it] == ["/uploads/b.csv", "/uploads/a.csv"]


def test_what_nobody_told_of_is_noted_in_the_order_in_which_it_was_written(zone: Zone) -> None:
    """The numbers of arrivals are the order of lists, and a kill may come before they are given (rule D8)."""
    zone.put("/uploads/b.csv", noted=False)
    zone.put("/uploads/a.csv", noted=False)
    later = zone.now.timestamp() + 1
    os.utime(zone.spool.landing(ACCOUNT) / "uploads" / "a.csv", (later, later))
    zone.scan(2 * QUIET)
    assert [it.path for it in zone.arrivals()] == ["/uploads/b.csv", "/uploads/a.csv"]


def test_a_file_that_landed_before_the_clock_was_set_back_is_not_waited_for(zone: Zone) -> None:
    """It would not have settled for as long as the clock was set back."""
    zone.put("/uploads/list.csv")
    assert zone.scan(-3600).received
