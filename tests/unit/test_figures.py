"""How figures are written for people."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from relay.cli.figures import change, moment, recognised, rows, size


def test_an_instant_is_written_in_utc() -> None:
    """Whatever zone it comes in, to the second."""
    east = timezone(timedelta(hours=5, minutes=30))
    assert moment(datetime(2026, 11, 23, 6, 22, 10, 999_999, tzinfo=UTC)) == "2026-11-23 06:22:10"
    assert moment(datetime(2026, 11, 24, 2, 0, tzinfo=east)) == "2026-11-23 20:30:00"
    assert moment(None) is None


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1_000, "1.0 kB"),
        (3_214_998, "3.2 MB"),
        (40_000_000_000, "40.0 GB"),
        (81_500_000_000_000, "81.5 TB"),
    ],
)
def test_a_size_is_written_in_the_unit_that_reads_best(count: int, text: str) -> None:
    """Powers of a thousand, one decimal."""
    assert size(count) == text


@pytest.mark.parametrize(
    ("count", "before", "text"),
    [(102, 100, "+2.0 %"), (20, 48_000, "−100.0 %"), (7, 7, "±0 %"), (7, None, None), (7, 0, None)],
)
def test_a_change_has_its_sign(count: int, before: int | None, text: str | None) -> None:
    """Against nothing there is no change."""
    assert change(count, before) == text


def test_rows_are_counted() -> None:
    """One row is a row."""
    assert [rows(0), rows(1), rows(15_830)] == ["0 rows", "1 row", "15,830 rows"]


def test_what_a_source_was_taken_for() -> None:
    """Texts in quotation marks, so that a delimiter can be seen."""
    assert recognised({"delimiter": ",", "header": True, "columns": 4}) == 'delimiter ",", header yes, columns 4'
