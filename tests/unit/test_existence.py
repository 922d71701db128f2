"""The table of numbers that exist: the answers of `phonenumbers`, by the million (rules P2 and P3)."""

from random import Random

import numpy as np
import pytest
from phonenumbers import PhoneMetadata, PhoneNumberDesc

from relay.rewrite.bulk.existence import asked, existing, paint
from relay.rewrite.bulk.patterns import UnknownPatternError, expand


def test_the_table_has_the_answers_of_the_library() -> None:
    """For numbers of all kinds the table says what the library says when it is asked about each."""
    chance = Random(1)
    near = [int(f"{first}{chance.randrange(10**3):03}") for first in (246521, 246522, 876606, 800222, 900222, 310123)]
    anywhere = [chance.randrange(10**10) for _ in range(3000)]
    areas = [int(f"{area}{chance.randrange(10**7):07}") for area in range(200, 1000)]
    numbers = np.array([*anywhere, *areas, *(number * 10 + 5 for number in near)], np.int64)
    assert len(numbers) > 1000
    assert existing(numbers).tolist() == asked(numbers).tolist()


def test_few_numbers_are_asked_about() -> None:
    """What has a few numbers does not wait for the table."""
    assert existing(np.array([2125550100, 1234567890, 234567890, 2345678901])).tolist() == [True, False, False, True]


def test_the_first_region_that_claims_a_number_decides() -> None:
    """A region with leading digits claims all numbers that begin so, whether or not it has them itself."""
    everything = PhoneNumberDesc(national_number_pattern=r"[2-9]\d{9}", possible_length=(10,))
    few = PhoneNumberDesc(national_number_pattern=r"268[2-4]\d{6}", possible_length=(10,))
    claiming = PhoneMetadata(
        "AG", country_code=1, general_desc=everything, fixed_line=few, leading_digits="268", register=False
    )
    other = PhoneMetadata("US", country_code=1, general_desc=everything, fixed_line=everything, register=False)
    table = paint([claiming, other])
    assert (table[2682000], table[2689000], table[2129000], table[1129000]) == (True, False, True, False)
    assert paint([other, claiming])[2689000]


@pytest.mark.parametrize("pattern", [r"\d{7}1\d{2}", r"(?:2|3)(?=\d)\d{8}", r"2\d+", r"(2)\d{9}", r"2\d{9}|(?:"])
def test_metadata_that_the_table_cannot_have_is_not_guessed_at(pattern: str) -> None:
    """A pattern that looks at more than seven digits, or has something new in it, raises."""
    desc = PhoneNumberDesc(national_number_pattern=pattern, possible_length=(10,))
    with pytest.raises(UnknownPatternError):
        paint([PhoneMetadata("US", country_code=1, general_desc=desc, fixed_line=desc, register=False)])


def test_patterns_are_expanded() -> None:
    """Each way of matching is a box of digits for each place."""
    boxes = {tuple("".join(map(str, sorted(place))) for place in box) for box in expand(r"2(?:[3-5]|6[78]){2}|\d")}
    assert boxes == {
        ("2", "345", "345"),
        ("2", "345", "6", "78"),
        ("2", "6", "78", "345"),
        ("2", "6", "78", "6", "78"),
        ("0123456789",),
    }
