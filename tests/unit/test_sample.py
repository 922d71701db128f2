"""The demo's sample: invented, the same every time, and shaped like what Amperity sends."""

import csv
import re
from pathlib import Path

import pytest

from relay.demo.sample import HEADER, REFUSED_SEGMENT, phone_numbers, write_sample

SIZES = (1, 7, 99, 100, 101, 640, 3_000, 120_000)


def rows_of(file: Path) -> list[list[str]]:
    """Read a CSV file, header included."""
    with file.open(encoding="utf-8", newline="") as lines:
        return list(csv.reader(lines))


def test_every_number_is_of_the_block_for_fiction() -> None:
    """No number that the sample may use can be a person's: each is NXX-555-01XX."""
    numbers = list(phone_numbers())
    assert len(numbers) == len(set(numbers)) > 30_000
    assert all(re.fullmatch(r"[2-9]\d\d55501\d\d", number) for number in numbers)


def test_cells_hold_no_other_number(tmp_path: Path) -> None:
    """Whatever a phone cell has, digits of a person's number are not among it."""
    write_sample(tmp_path / "sample.csv", 3_000)
    fictional = re.compile(r"(?:\+1 1 |\+?1[- ]?)?(?:\(?\d{3}\)?[-. ]?)?555[-. ]?01\d\d(?: x45|\.0)?")
    for _, _, phone, _ in rows_of(tmp_path / "sample.csv")[1:]:
        other = phone in {"", "2.12555E9", "ask in store"} or re.fullmatch(
            r"\+44 20 7946 01\d\d|someone01\d\d@example\.com", phone
        )
        assert other or fictional.fullmatch(phone), "a cell is neither fictional nor one of the known odd ones"


def test_the_same_size_gives_the_same_bytes(tmp_path: Path) -> None:
    """Two demos with the same number of rows are of the same export."""
    for name in ("one.csv", "two.csv"):
        write_sample(tmp_path / name, 3_000)
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "two.csv").read_bytes()


@pytest.mark.parametrize("rows", SIZES)
def test_the_account_adds_up(tmp_path: Path, rows: int) -> None:
    """Rows in = rows to send + duplicates + rejected + empty, for a sample of any size."""
    sample = write_sample(tmp_path / "sample.csv", rows)
    header, *written = rows_of(tmp_path / "sample.csv")
    assert tuple(header) == HEADER
    assert len(written) == sample.rows == rows
    to_send = sum(map(len, sample.lists.values()))
    assert to_send + sample.duplicates + sample.rejected + sample.empty == rows
    assert sum(row[2] == "" for row in written) == sample.empty
    assert all(members for members in sample.lists.values())
    assert REFUSED_SEGMENT not in sample.lists


@pytest.mark.parametrize("rows", SIZES)
def test_no_guard_objects_to_the_flaws(tmp_path: Path, rows: int) -> None:
    """In each segment, flawed rows stay clearly under the shares at which a guard holds a list."""
    sample = write_sample(tmp_path / "sample.csv", rows)
    written = [row for row in rows_of(tmp_path / "sample.csv")[1:] if row[3] != REFUSED_SEGMENT]
    usable = re.compile(r"\+?1?[- ]?\(?\d{3}\)?[-. ]?555[-. ]?01\d\d")
    for segment in sample.lists:
        phones = [row[2] for row in written if row[3] == segment]
        refused = [phone for phone in phones if phone and not usable.fullmatch(phone)]
        assert len(refused) <= max(1, 0.03 * len(phones))
        assert phones.count("") <= max(1, 0.1 * len(phones))


def test_each_list_has_everybody_once(tmp_path: Path) -> None:
    """The account of a list names each number once, although the export repeats some in another layout."""
    sample = write_sample(tmp_path / "sample.csv", 50_000)
    for segment, members in sample.lists.items():
        lines = sample.expected_file(segment).decode().splitlines()
        assert len(lines) == len(set(lines)) == len(members)
        assert all(re.fullmatch(rf"\d{{10}},{re.escape(segment)}", line) for line in lines)
