"""What the files of an export tell of each other."""

import pytest

from relay.parts import flaws, is_a_run


def sizes(*names: str) -> dict[str, int]:
    """Files of some size."""
    return dict.fromkeys(names, 100)


@pytest.mark.parametrize(
    "names",
    [
        ("0000001.csv",),
        ("0000001.csv", "0000002.csv", "0000003.csv"),
        ("1.csv", "2.csv", "3.csv"),
        ("0.csv", "1.csv"),
        ("0000001", "0000002"),
        ("0000001.csv.gz", "0000002.csv.gz"),
        ("part-00000-a1.csv", "part-00001-b2.csv"),
        ("part-00000-a1.c000.snappy.parquet",),
        ("part-r-00000", "part-r-00001"),
        ("part_1.csv", "part_2.csv"),
        ("VIP_0001.csv", "VIP_0002.csv", "Lapsed_0001.csv"),
        ("VIP-0000-of-0002.csv", "VIP-0001-of-0002.csv"),
        ("VIP.csv", "Lapsed.csv"),
        ("VIP_20261123.csv", "VIP_20261125.csv"),
        ("20261123.csv", "20261125.csv"),
        ("agent 007.csv",),
        ("123456.csv",),
        ("run_061502.csv", "run_062155.csv"),
        ("Campaign_Group_2026-05-01.csv", "Campaign_Group_2026-05-09.csv"),
    ],
)
def test_nothing_is_amiss(names: tuple[str, ...]) -> None:
    """Whole series are whole, and numbers that count no parts tell nothing (rule C6)."""
    assert flaws(sizes(*names)) == []


@pytest.mark.parametrize(
    ("names", "flaw"),
    [
        (("0000001.csv", "0000003.csv"), "0000002.csv is missing"),
        (("0000002.csv",), "0000001.csv is missing"),
        (("1.csv", "2.csv", "4.csv"), "3.csv is missing"),
        (("0000001.csv", "0000004.csv"), "0000002.csv, 0000003.csv are missing"),
        (
            ("0000001.csv", "0000010.csv"),
            "0000002.csv, 0000003.csv, 0000004.csv and 5 more are missing",
        ),
        (("part-00001-b2.csv",), "part-00000-… is missing"),
        (("part-00000-a1.csv", "part-00002-c3.csv"), "part-00001-… is missing"),
        (("VIP_0001.csv", "VIP_0003.csv"), "VIP_0002.csv is missing"),
        (("VIP-0001-of-0003.csv", "VIP-0002-of-0003.csv"), "VIP-0003-of-0003.csv is missing"),
        (("VIP-0000-of-0002.csv",), "VIP-0001-of-0002.csv is missing"),
        (
            ("part-00000-a1.csv", "part-00000-z9.csv"),
            "part-00000-a1.csv and part-00000-z9.csv have the same number",
        ),
    ],
)
def test_a_gap_is_seen(names: tuple[str, ...], flaw: str) -> None:
    """What is missing is named, whether it is before, between or after what is there (rule C6)."""
    assert flaws(sizes(*names)) == [flaw]


def test_a_gap_of_millions_is_told_at_once() -> None:
    """A number far away costs no time and no memory."""
    assert flaws(sizes("0000001.csv", "9999999.csv")) == [
        "0000002.csv, 0000003.csv, 0000004.csv and 9,999,994 more are missing"
    ]


def test_an_empty_part_among_full_ones_is_suspicious() -> None:
    """It may be one that failed; where all are empty, or it is no part, the rewrite says what to say (rule C6)."""
    assert flaws({"0000001.csv": 9, "0000002.csv": 0, "0000003.csv": 0}) == ["0000002.csv, 0000003.csv are empty"]
    assert flaws({"0000001.csv": 0, "0000002.csv": 0}) == []
    assert flaws({"VIP.csv": 9, "Lapsed.csv": 0}) == []


def test_spark_leaves_partitions_out_and_says_when_it_is_done() -> None:
    """With Spark's own marker, gaps and empty files tell nothing; a number that is there twice still does (rule C6)."""
    there = {"part-00000-a1.csv": 0, "part-00004-b2.csv": 9}
    assert flaws(there, written_by_spark=True) == []
    assert flaws(there | {"part-00004-z9.csv": 9}, written_by_spark=True) == [
        "part-00004-b2.csv and part-00004-z9.csv have the same number"
    ]


def test_a_list_of_the_parts_is_believed() -> None:
    """What Spark's committer lists must be there (rule C6)."""
    there = sizes("part-00000-a1.csv")
    assert flaws(there, listed={"part-00000-a1.csv"}, written_by_spark=True) == []
    assert flaws(there, listed={"part-00000-a1.csv", "part-00003-d4.csv"}, written_by_spark=True) == [
        "part-00003-d4.csv is missing"
    ]


def test_a_run_is_one_series_from_its_first_number() -> None:
    """Neither a gap, nor a late beginning, nor another file makes a run."""
    assert is_a_run(["0000002.csv", "0000001.csv"])
    assert not is_a_run(["0000001.csv", "0000003.csv"])
    assert not is_a_run(["0000002.csv"])
    assert not is_a_run(["0000001.csv", "VIP.csv"])
    assert not is_a_run([])
