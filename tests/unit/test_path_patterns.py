"""Path patterns: which files a route wants, and whether two routes could want the same one."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic_core import PydanticCustomError

from relay.config.patterns import PathPattern

# Every path of up to four names of one or two characters: few enough to try them all, enough to hold a common one of
# any two of the patterns below that have any, such as /a/a/b/b of /a/a/** and /**/b/b.
NAMES = [name for size in (1, 2) for name in map("".join, itertools.product("ab", repeat=size))]
PATHS = ["/" + "/".join(names) for size in (1, 2, 3, 4) for names in itertools.product(NAMES, repeat=size)]

names = st.text("ab*?", min_size=1, max_size=2).filter(lambda name: name != "**")
patterns = st.lists(names | st.just("**"), min_size=1, max_size=3).map(lambda parts: PathPattern("/" + "/".join(parts)))


def plainly_matches(pattern: tuple[str, ...], path: tuple[str, ...]) -> bool:
    """Say what a pattern means, as plainly as it can be said."""
    if not pattern:
        return not path
    if pattern[0] == "**":
        return any(plainly_matches(pattern[1:], path[skipped:]) for skipped in range(len(path) + 1))
    return bool(path) and plainly_named(pattern[0], path[0]) and plainly_matches(pattern[1:], path[1:])


def plainly_named(pattern: str, name: str) -> bool:
    """Say what a pattern of one name means, as plainly as it can be said."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return any(plainly_named(pattern[1:], name[skipped:]) for skipped in range(len(name) + 1))
    return bool(name) and pattern[0] in ("?", name[0]) and plainly_named(pattern[1:], name[1:])


@given(patterns, st.sampled_from(PATHS))
def test_a_pattern_matches_what_it_says(pattern: PathPattern, path: str) -> None:
    """Matching agrees with the plain meaning of the pattern."""
    assert pattern.matches(path) == plainly_matches(pattern.names, tuple(path.split("/")[1:]))


@given(patterns, patterns)
def test_patterns_overlap_if_a_path_is_wanted_by_both(one: PathPattern, other: PathPattern) -> None:
    """Two patterns overlap exactly if, of all paths, there is one that both want."""
    assert one.overlaps(other) == any(one.matches(path) and other.matches(path) for path in PATHS)


@given(patterns, patterns)
def test_overlap_has_no_direction(one: PathPattern, other: PathPattern) -> None:
    """It does not matter which route stands first."""
    assert one.overlaps(other) == other.overlaps(one)


@given(patterns)
def test_a_pattern_overlaps_with_itself(pattern: PathPattern) -> None:
    """Two routes cannot share a pattern."""
    assert pattern.overlaps(pattern)


@pytest.mark.parametrize(
    ("pattern", "wanted", "unwanted"),
    [
        ("/**", ["/x", "/uploads/x.csv", "/a/b/c/d"], []),
        ("/uploads/**", ["/uploads/x.csv", "/uploads/a/b.csv"], ["/upload/x.csv", "/x.csv", "/Uploads/x.csv"]),
        ("/uploads/*.csv", ["/uploads/x.csv", "/uploads/.csv"], ["/uploads/a/x.csv", "/uploads/x.csv.gz"]),
        ("/uploads/**/*.csv", ["/uploads/x.csv", "/uploads/a/b/x.csv"], ["/uploads/a/x.txt"]),
        ("/list-?.csv", ["/list-1.csv"], ["/list-.csv", "/list-10.csv"]),
    ],
)
def test_examples(pattern: str, wanted: list[str], unwanted: list[str]) -> None:
    """The patterns that people write mean what they expect."""
    assert all(PathPattern(pattern).matches(path) for path in wanted)
    assert not any(PathPattern(pattern).matches(path) for path in unwanted)


def test_a_name_with_a_star_is_a_name() -> None:
    """A client may call a file what it likes: only the pattern's own marks are special."""
    assert not PathPattern("/a").matches("/*")
    assert not PathPattern("/a/b").matches("/**")
    assert PathPattern("/?").matches("/*")


def test_a_path_of_thousands_of_names_is_no_trouble() -> None:
    """The depth of what a client sends cannot exhaust anything."""
    assert PathPattern("/**/x.csv").matches("/a" * 5_000 + "/x.csv")
    assert not PathPattern("/*/x.csv").matches("/a" * 5_000 + "/x.csv")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("uploads/**", "not a path pattern"),
        ("", "not a path pattern"),
        ("/", "not a path pattern"),
        ("/uploads/", "not a path pattern"),
        ("/uploads//x", "not a path pattern"),
        ("/uploads/../x", "not a path pattern"),
        ("/./x", "not a path pattern"),
        ("/uploads/**.csv", "stands alone"),
        ("/***", "stands alone"),
        ("/list-[0-9].csv", "only"),
        ("/{a,b}.csv", "only"),
        ("/a\\*", "only"),
    ],
)
def test_what_is_no_pattern_is_refused(wrong: str, message: str) -> None:
    """A pattern that would not mean what it seems to mean is an error of the configuration."""
    with pytest.raises(PydanticCustomError, match=message):
        PathPattern.checked(wrong)


def test_what_is_a_pattern_is_kept() -> None:
    """A right pattern is taken as it is."""
    assert PathPattern.checked("/uploads/**/*.csv") == "/uploads/**/*.csv"
