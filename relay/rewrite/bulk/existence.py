"""Which numbers exist: the answer of `phonenumbers` for +1 and ten digits, looked up by the millions (rules P2 and P3).

For +1 the library's answer depends on the first seven digits. The table of all ten million is painted from the metadata
of the installed version whenever it is first wanted, so no upgrade can leave it stale. Where the metadata cannot be
painted (a pattern that looks deeper, or is written in a new way) the library itself is asked, number by number.
"""

from collections.abc import Iterable
from functools import cache
from itertools import product
from typing import Final

import numpy as np
import phonenumbers
from numpy.typing import NDArray

from relay.rewrite.bulk.patterns import ANY, Box, UnknownPatternError, expand, intersection
from relay.rewrite.phone import exists

_REGIONS: Final = phonenumbers.COUNTRY_CODE_TO_REGION_CODE[1]
_LENGTH: Final = 10
_DEEP: Final = 7
"""The digits that decide."""

_KINDS: Final = (
    *("fixed_line", "mobile", "toll_free", "premium_rate", "shared_cost"),
    *("personal_number", "voip", "pager", "uan", "voicemail"),
)
"""The descriptions by which the library tells a number's type; one without a type does not exist."""

_FEW: Final = 1000
"""So many numbers are asked about before the table would be painted."""

_OPEN: Final = 0
_EXISTS: Final = 1
_CLAIMED: Final = 2


def existing(numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Say of each number of ten digits whether it exists, as `phonenumbers.is_valid_number` does of +1 and it."""
    table = _table() if len(numbers) > _FEW else None
    if table is None:
        return asked(numbers)
    found: NDArray[np.bool_] = table[numbers // 10 ** (_LENGTH - _DEEP)]
    return found


def asked(numbers: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Say the same by asking the library about each of them."""
    return np.fromiter((exists(f"{number:0{_LENGTH}}") for number in numbers.tolist()), np.bool_, len(numbers))


@cache
def _table() -> NDArray[np.bool_] | None:
    """Return for each seven digits whether a number that begins with them exists; None if it cannot be painted."""
    try:
        return paint(phonenumbers.PhoneMetadata.metadata_for_region(region) for region in _REGIONS)
    except UnknownPatternError:
        return None


def paint(regions: Iterable[phonenumbers.PhoneMetadata | None]) -> NDArray[np.bool_]:
    """Paint the table from the metadata of the regions of +1, in the library's order.

    The library looks for the number's region first: the first one whose leading digits fit, or, of a region without
    leading digits, in which the number has a type. Then it asks whether the number has a type there.

    Raises:
        UnknownPatternError: the metadata cannot be painted.
    """
    table: NDArray[np.uint8] = np.full(10**_DEEP, _OPEN, np.uint8)
    for metadata in regions:
        if metadata is None:
            raise UnknownPatternError("a region without metadata")
        area = [()] if metadata.leading_digits is None else expand(metadata.leading_digits)
        _fill(table, _overlaps(area, _overlaps(_boxes(metadata.general_desc), _typed(metadata))), _EXISTS)
        if metadata.leading_digits is not None:
            _fill(table, area, _CLAIMED)
    found: NDArray[np.bool_] = table == _EXISTS
    return found


def _typed(metadata: phonenumbers.PhoneMetadata) -> list[Box]:
    return [box for kind in _KINDS for box in _boxes(getattr(metadata, kind))]


def _boxes(desc: phonenumbers.PhoneNumberDesc | None) -> list[Box]:
    """Return the numbers of ten digits that a description matches."""
    if desc is None or (desc.possible_length and _LENGTH not in desc.possible_length):
        return []
    return [box for box in _expanded(desc.national_number_pattern or "") if len(box) == _LENGTH]


@cache
def _expanded(pattern: str) -> list[Box]:
    return expand(pattern) if pattern else []


def _overlaps(some: Iterable[Box], others: Iterable[Box]) -> list[Box]:
    return [box for one, other in product(some, others) if (box := intersection(one, other)) is not None]


def _fill(table: NDArray[np.uint8], boxes: Iterable[Box], value: int) -> None:
    """Give `value` to what is open in each box.

    Raises:
        UnknownPatternError: a box depends on more digits than the table has.
    """
    for box in boxes:
        places = _cut(box)
        # What begins alike lies side by side, so that most of a box is filled in long runs.
        where = np.ix_(*map(sorted, places))
        parts = table.reshape((10,) * len(places) + (-1,))
        part = parts[where]
        part[part == _OPEN] = value
        parts[where] = part


def _cut(box: Box) -> Box:
    """Return the places that decide, up to the last one that does."""
    last = max((place for place, digits in enumerate(box) if digits != ANY), default=-1)
    if last >= _DEEP:
        raise UnknownPatternError(f"more than {_DEEP} digits decide")
    return box[: last + 1]
