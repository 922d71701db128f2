"""End markers and what they mark."""

import pytest

from relay.intake.markers import Group, Role, is_spark_success, key_of_marker, role_of


@pytest.mark.parametrize(
    ("path", "role"),
    [
        ("/uploads/X.csv", Role.PART),
        ("/uploads/X.csv.DONE", Role.END),
        ("/uploads/X.done", Role.END),
        ("/uploads/.Done", Role.END),
        ("/uploads/X.csv/_SUCCESS", Role.END),
        ("/uploads/X.csv/_committed_77", Role.BESIDE),
        ("/uploads/X.csv/_started_77", Role.BESIDE),
        ("/uploads/X.csv/.part-00000.csv.crc", Role.BESIDE),
        ("/uploads/X.csv/_common_metadata", Role.BESIDE),
        ("/uploads/x.DONE/part-00000.csv", Role.PART),
        ("/uploads/UNDONE.csv", Role.PART),
        ("/uploads/_VIP.csv", Role.PART),
        ("/uploads/undone", Role.PART),
    ],
)
def test_a_name_tells_what_a_file_is(path: str, role: Role) -> None:
    """End markers, in any case, and Spark's own files hold no list; whatever is called otherwise does (rule C3)."""
    assert role_of(path) is role


@pytest.mark.parametrize(
    ("marker", "file", "marks"),
    [
        ("/uploads/X.csv.DONE", "/uploads/X.csv", True),
        ("/uploads/X.DONE", "/uploads/X.csv", True),
        ("/uploads/x.CSV.done", "/uploads/X.csv", True),
        ("/uploads/X.DONE", "/uploads/X.csv.gz", True),
        ("/uploads/X.csv.DONE", "/uploads/X.csv.gz.pgp", True),
        ("/uploads/.DONE", "/uploads/X.csv", True),
        ("/uploads.DONE", "/uploads/X.csv", True),
        ("/.DONE", "/X.csv", True),
        ("/uploads/Y.DONE", "/uploads/X.csv", False),
        ("/uploads/a/.DONE", "/uploads/X.csv", False),
        ("/uploads/.DONE", "/uploads/a/X.csv", False),
        ("/other/X.csv.DONE", "/uploads/X.csv", False),
        ("/uploads/VIP.DONE", "/uploads/VIP.old.csv", False),
        ("/uploads/X.DONE", "/uploads/X.csv/", True),
        ("/uploads/X.csv.DONE", "/uploads/X.csv/", True),
        ("/uploads/X.csv/.DONE", "/uploads/X.csv/", True),
        ("/uploads/X.csv/_SUCCESS", "/uploads/X.csv/", True),
        ("/uploads/X.csv/X.csv.DONE", "/uploads/X.csv/", True),
        ("/uploads/X.csv/X.DONE", "/uploads/X.csv/", True),
        ("/uploads/X.csv/0000001.csv.DONE", "/uploads/X.csv/", False),
        ("/uploads/.DONE", "/uploads/X.csv/", False),
    ],
)
def test_a_marker_marks_by_its_name(marker: str, file: str, marks: bool) -> None:  # noqa: FBT001  a parameter
    """A file by its name or stem, or with its directory; a directory from within, or from beside it (rule C3)."""
    assert (key_of_marker(marker) in set(Group("sirendenim", file).marks())) is marks


def test_spark_says_that_it_is_done_in_two_ways() -> None:
    """By the file that Hadoop's committer leaves, or the one that a transactional committer does (rule C6)."""
    assert is_spark_success("/uploads/X/_SUCCESS")
    assert is_spark_success("/uploads/X/_committed_4711")
    assert not is_spark_success("/uploads/X/.DONE")
