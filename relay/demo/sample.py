"""An Amperity-shaped export of invented customers: always the same for the same number of rows.

Every phone number is `NXX-555-01XX`, the block kept free for fiction in each area code, so none can be a person's.
The generator keeps its own account of what must arrive at Attentive, without asking the rewrite: the demo compares.
"""

import csv
import random
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Final, TypeVar

HEADER: Final = ("amperity_id", "given_name", "phone", "segment_name")
Row = tuple[str, str, str, str]
_T = TypeVar("_T")

REFUSED_SEGMENT: Final = "VIP+ Customers"
"""A name with a special character: its rows must be rejected, never cleaned up into another segment (rule S4)."""

_SEGMENTS: Final = {
    "Most Loyal Customers": 35,
    "Lapsed 90 Days": 26,
    "Holiday Shoppers": 20,
    "New Arrivals Fans": 12,
    "Store-Only Buyers": 7,
}
"""Names with their share of the rows, in percent."""

_ROWS_PER_REGION: Final = 50_000
"""A larger sample is of more regions, each with segments of its own: one region would run out of numbers."""

# Each code begins with the digit before the colon. 222 is not in use, so its numbers count as suspect (rule P3).
_AREA_CODES: Final = """
2: 01 02 03 05 06 07 08 09 10 12 13 14 15 16 17 18 19 20 22 23 24 25 27 28 29 31 34 35 39 40 48 51 52 53 54 56 60 62 67
   69 70 72 74 76 79 81 83
3: 01 02 03 04 05 07 08 09 10 12 13 14 15 16 17 18 19 20 21 23 24 25 26 27 30 31 32 34 36 37 39 41 46 47 50 51 52 53 60
   61 64 69 80 85 86
4: 01 02 04 05 06 07 08 09 10 12 13 14 15 17 19 23 24 25 30 32 34 35 40 42 43 45 47 48 58 63 64 69 70 72 75 78 79 80 84
5: 01 02 03 04 05 07 08 09 10 12 13 15 16 17 18 20 30 31 34 39 40 41 51 57 59 61 62 63 64 67 70 71 72 73 74 75 80 82 85
   86
6: 01 02 03 05 06 07 08 09 10 12 14 15 16 17 18 19 20 23 26 28 29 30 31 36 40 41 45 46 50 51 56 57 59 60 61 62 67 69 78
   80 81 82 86 89
7: 01 02 03 04 06 07 08 12 13 14 15 16 17 18 19 20 24 25 26 27 28 30 31 32 34 37 38 40 43 47 48 54 57 60 62 63 65 69 70
   71 72 73 74 75 79 81 85 86
8: 01 02 03 04 05 06 08 10 12 13 14 15 16 17 18 20 26 28 30 31 32 35 38 39 40 43 45 47 48 50 54 56 57 58 59 60 62 63 64
   65 70 72 78
9: 01 03 04 06 07 08 09 10 12 13 14 15 16 17 18 19 20 25 28 29 30 31 34 36 37 38 40 41 43 45 47 48 49 51 52 54 56 59 70
   71 72 73 78 79 80 83 84 85 86 89
"""

_LAYOUTS: Final = (
    "{area}555{line}",
    "{area}-555-{line}",
    "({area}) 555-{line}",
    "({area})-555-{line}",
    "{area}.555.{line}",
    "1{area}555{line}",
    "1-{area}-555-{line}",
    "+1{area}555{line}",
    "+1 ({area}) 555 {line}",
)
"""The same number as one source or another writes it: all are accepted (rule P1)."""

_UNUSABLE: Final = (
    "{area}-555-{line} x45",
    "555-{line}",
    "+1 1 {area} 555 {line}",
    "{area}555{line}.0",
    "2.12555E9",
    "ask in store",
    "+44 20 7946 {line}",
    "someone{line}@example.com",
)
"""What does not make a number that Attentive accepts (rule P4). 020 7946 0XXX is Britain's block for fiction."""

_GIVEN_NAMES: Final = (
    "Ada", "Bruno", "Chloé", "Dmitri", "Esra", "Fatima", "Grace", "Hiroshi", "Inés", "Jamal", "Kim", "Lars",
    "Mary Jo", "Noor", "O'Neal", "Priya", "Quinn", "Rosa, Maria", "Søren", "Tariq", "Uma", "Viktor", "Wren", "Zoë",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Customer:
    """One invented customer; `digits` is the phone number as Attentive takes it."""

    amperity_id: str
    given_name: str
    digits: str


@dataclass(slots=True)
class Sample:
    """What a sample holds: the generator's own account.

    `lists` has the customers of each segment that can be sent, in order of first appearance.
    """

    rows: int = 0
    lists: dict[str, list[Customer]] = field(default_factory=dict)
    duplicates: int = 0
    empty: int = 0
    rejected: int = 0

    def expected_file(self, segment: str) -> bytes:
        """Return the bytes that must arrive at Attentive for `segment` (rules A3 and A5)."""
        return "".join(f"{customer.digits},{segment}\n" for customer in self.lists[segment]).encode()


def write_sample(path: Path, rows: int) -> Sample:
    """Write an export of `rows` rows, header aside, to `path` and return what it holds."""
    generator = _Generator(rows)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADER)
        writer.writerows(generator.rows())
    return generator.sample


def phone_numbers() -> Iterator[str]:
    """Every number that a sample may use, as ten digits: `555-0100` to `555-0199` of each area code."""
    for first, codes in re.findall(r"(\d):([\d\s]+)(?=\n\d:|$)", _AREA_CODES):
        for code in codes.split():
            yield from (f"{first}{code}55501{serial:02}" for serial in range(100))


class _Generator:
    """Makes the rows one by one and keeps the account of them.

    Flaws come at fixed steps rather than by chance, so that their share stays under the guards' limits in every
    segment of a sample of any size.
    """

    def __init__(self, rows: int) -> None:
        self.sample = Sample()
        self._rows = rows
        self._chance = random.Random(rows)  # noqa: S311  the same sample every time is the purpose
        self._customers = self._invent_customers()
        regions = range(1, -(-rows // _ROWS_PER_REGION) + 1)
        self._shares = {
            name if region == 1 else f"{name} {region}": share
            for region in regions
            for name, share in _SEGMENTS.items()
        }
        self._newcomers = {name: iter(self._shuffled(self._customers)) for name in self._shares}
        self._places = {name: count() for name in self._shares}

    def rows(self) -> Iterator[Row]:
        """Yield all rows; the first ones are of each segment once, so that even the smallest sample shows them all."""
        names, shares = list(self._shares), list(self._shares.values())
        for number in range(self._rows):
            self.sample.rows += 1
            if number % 100 == 99:
                yield self._refused_row()
            else:
                yield self._row(names[number] if number < len(names) else self._chance.choices(names, shares)[0])

    def _row(self, segment: str) -> Row:
        members = self.sample.lists.setdefault(segment, [])
        place = next(self._places[segment])
        if place % 20 == 19:
            self.sample.duplicates += 1
            return self._write(self._chance.choice(members), segment, _LAYOUTS)
        customer = next(self._newcomers[segment])
        if place % 40 == 9:
            self.sample.empty += 1
            return self._write(customer, segment, ("",))
        if place % 64 == 32:
            self.sample.rejected += 1
            return self._write(customer, segment, _UNUSABLE)
        members.append(customer)
        return self._write(customer, segment, _LAYOUTS)

    def _refused_row(self) -> Row:
        self.sample.rejected += 1
        return self._write(self._chance.choice(self._customers), REFUSED_SEGMENT, _LAYOUTS)

    def _write(self, customer: Customer, segment: str, layouts: tuple[str, ...]) -> Row:
        phone = self._chance.choice(layouts).format(area=customer.digits[:3], line=customer.digits[6:])
        return customer.amperity_id, customer.given_name, phone, segment

    def _invent_customers(self) -> list[Customer]:
        return [
            Customer(
                str(uuid.UUID(int=self._chance.getrandbits(128), version=4)), self._chance.choice(_GIVEN_NAMES), digits
            )
            for digits in self._shuffled(list(phone_numbers()))
        ]

    def _shuffled(self, items: list[_T]) -> list[_T]:
        return self._chance.sample(items, len(items))
