"""What things are called."""

from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest

from relay import naming
from relay.rewrite.files import SourceFile


def test_a_file_is_named_as_the_specification_says() -> None:
    """Client domain, `subscriber_segment`, date and number, joined by underscores (rule A1)."""
    assert naming.remote_name("sirendenim", date(2020, 11, 25), 2) == "sirendenim_subscriber_segment_20201125_2.csv"


def test_days_and_months_are_padded_and_numbers_are_not() -> None:
    """The date has eight digits always, the number as many as it needs (rules A1 and A2)."""
    assert naming.remote_name("sirendenim", date(2026, 1, 2), 10) == "sirendenim_subscriber_segment_20260102_10.csv"


@pytest.mark.parametrize("number", [0, -1])
def test_a_number_below_one_is_refused(number: int) -> None:
    """File numbers begin at 1 (rule A2)."""
    with pytest.raises(ValueError, match="begin at 1"):
        naming.remote_name("sirendenim", date(2026, 1, 2), number)


def test_a_temporary_name_is_ours_and_no_csv() -> None:
    """Attentive reads `*.csv`; the delivery's id says whose file it is (rule U1)."""
    assert naming.temporary_name("x_1.csv", "sirendenim-20261123T062155Z-9c1e2a.1", 2) == (
        "x_1.csv.sirendenim-20261123T062155Z-9c1e2a.1.2.part"
    )


def test_an_export_is_named_after_its_route_and_its_instant_in_utc() -> None:
    """The id sorts by time, whatever zone the instant was given in."""
    landed_at = datetime(2026, 11, 23, 7, 21, 55, 999_999, tzinfo=timezone(timedelta(hours=1)))
    assert naming.export_id("sirendenim", landed_at, "9c1e2a") == "sirendenim-20261123T062155Z-9c1e2a"


def test_a_naive_instant_names_no_export() -> None:
    """Without a zone an instant could be any, so it is refused."""
    with pytest.raises(ValueError, match="aware"):
        naming.export_id("sirendenim", datetime(2026, 11, 23, tzinfo=UTC).replace(tzinfo=None), "9c1e2a")


def test_a_delivery_is_its_export_and_a_number() -> None:
    """`grep` of an export's id finds its deliveries, too."""
    assert naming.delivery_id("sirendenim-20261123T062155Z-9c1e2a", 3) == "sirendenim-20261123T062155Z-9c1e2a.3"


def test_files_on_disk_have_names_of_ours() -> None:
    """Sources sort in their order; a draft has the number of its segment."""
    assert (naming.source_name(1), naming.source_name(12)) == ("0001", "0012")
    assert naming.draft_name(12) == "12.csv"


def test_numbers_in_names_are_compared_as_numbers() -> None:
    """Whatever zeros are before them, and whatever text is around them, in any case (rules C4 and K4)."""
    names = ["part-10.csv", "part-9.csv", "a", "a2b10", "A2b9", "0010", "002", "2", "b", "", "part.csv"]
    assert sorted(names, key=naming.natural_order) == [
        *("", "002", "2", "0010", "a", "A2b9", "a2b10", "b", "part-9.csv", "part-10.csv", "part.csv"),
    ]


def test_a_name_is_shown_so_that_it_can_be_seen() -> None:
    """What a client hid in it, or what is no text, is spelled out."""
    assert naming.printable("/uploads/VIP 1é.csv") == "/uploads/VIP 1é.csv"
    assert naming.printable("a\nb\u200b\udcff") == "a\\u000ab\\u200b\\udcff"
    assert SourceFile(Path("x"), "/uploads/\udcff.zip", "1.csv").shown == "/uploads/\\udcff.zip: 1.csv"
