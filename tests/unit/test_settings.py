"""What every group of settings has in common: durations and sizes with units, nothing unknown, nothing changeable."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ByteSize, ValidationError

from relay.settings import Duration, Settings, Size, format_duration, format_size, parse_duration, parse_size


class Pause(Settings):
    """A group of settings with one duration."""

    length: Duration = timedelta(seconds=1)


class Limit(Settings):
    """A group of settings with one size."""

    most: Size = ByteSize(1)


@pytest.mark.parametrize(
    ("text", "seconds"), [("30s", 30), ("5m", 300), ("48h", 172_800), ("14d", 1_209_600), ("0.5s", 0.5), ("1.5h", 5400)]
)
def test_a_duration_has_a_unit(text: str, seconds: float) -> None:
    """A duration is a number and one of s, m, h, d."""
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("wrong", [30, "30", "s", "-5s", "5 m", "5min", "1h30m", "٣s", "9999999d", "", None, True])
def test_anything_else_is_refused(wrong: object) -> None:
    """A bare number is refused: whoever reads the file must not have to guess the unit."""
    with pytest.raises(ValidationError, match="a duration is a number with a unit"):
        Pause.model_validate({"length": wrong})


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (0.5, "0.5s"), (59, "59s"), (60, "1m"), (90, "90s"), (7200, "2h"), (86_400, "1d")]
)
def test_a_duration_is_written_in_its_largest_whole_unit(seconds: float, text: str) -> None:
    """Durations are shown as the configuration would write them."""
    assert format_duration(timedelta(seconds=seconds)) == text


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=9)))
def test_a_written_duration_is_read_as_the_same(duration: timedelta) -> None:
    """Nothing is lost between writing a duration and reading it."""
    assert parse_duration(format_duration(duration)) == duration


def test_settings_write_durations_as_text() -> None:
    """Settings in JSON have their durations as the configuration has them."""
    assert Pause(length=timedelta(minutes=2)).model_dump(mode="json") == {"length": "2m"}


def test_an_unknown_key_is_refused() -> None:
    """A mistyped key is an error, not a silence."""
    with pytest.raises(ValidationError, match="lenght"):
        Pause.model_validate({"lenght": "1s"})


def test_settings_do_not_change() -> None:
    """What was validated stays as it was validated."""
    pause = Pause()
    with pytest.raises(ValidationError, match="frozen"):
        pause.length = timedelta(0)  # type: ignore[misc]  # what this test is about


def test_an_error_does_not_repeat_the_input() -> None:
    """A wrong value may be a secret that was put into the wrong place."""
    with pytest.raises(ValidationError) as caught:
        Pause.model_validate({"length": "hunter2"})
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "size"), [("0B", 0), ("7B", 7), ("500kB", 500_000), ("20MB", 20_000_000), ("1.5GB", 1_500_000_000)]
)
def test_a_size_has_a_unit(text: str, size: int) -> None:
    """A size is a number and one of B, kB, MB, GB, TB; a kB is 1000 bytes."""
    assert parse_size(text) == size


@pytest.mark.parametrize("wrong", [30, "30", "GB", "-5GB", "5 MB", "5Mb", "5KB", "1GiB", "1e3B", "٣B", "", None, True])
def test_no_other_size_is_taken(wrong: object) -> None:
    """Neither a bare number nor a unit that could be read in two ways."""
    with pytest.raises(ValidationError, match="a size is a number with a unit"):
        Limit.model_validate({"most": wrong})


@given(st.integers(0, 10**15))
def test_a_written_size_is_read_as_the_same(size: int) -> None:
    """Nothing is lost between writing a size and reading it."""
    assert parse_size(format_size(size)) == size


def test_settings_write_sizes_as_text() -> None:
    """In the largest unit that keeps it whole."""
    assert Limit(most=ByteSize(2_500_000_000)).model_dump(mode="json") == {"most": "2500MB"}
