"""What an export's files tell of each other: which one is missing, empty, or of another run (rules C5 to C7). Pure.

Also which of them are no parts, told from their names (rules C3 and K4).

Only what can be known is said: a gap between numbers, a number that is there twice, an empty file among full ones, a
file that a list of all files names. That the last part is missing cannot be seen from the others.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from relay.naming import natural_order

_PART: Final = re.compile(r"(?P<head>part[-_.]?(?:[mr]-)?)(?P<number>[0-9]{1,9})(?P<tail>(?:[^0-9].*)?)", re.IGNORECASE)
"""Spark, Hadoop and their like: `part-00000-….csv`, `part-r-00000`, `part_1.csv`, `part1.csv`. What follows the number
may differ from part to part."""

_FORMS: Final = (
    # One that says how many there are: VIP-0001-of-0004.csv.
    re.compile(r"(?P<head>(?:.*[^0-9])?)(?P<number>[0-9]{1,9})(?P<tail>-of-[0-9]{1,9}(?:\..*)?)"),
    # A split output: 0000001.csv. Eight digits are a date.
    re.compile(r"(?P<head>)(?P<number>[0-9]{1,7})(?P<tail>(?:\..*)?)"),
    _PART,
    # A name of its own, then a number with zeros before it: VIP_0001.csv.
    re.compile(r"(?P<head>.*[^0-9])(?P<number>0[0-9]{2,8})(?P<tail>(?:\..*)?)"),
)
_TOTAL: Final = re.compile(r"-of-([0-9]{1,9})")
_SPARK: Final = re.compile(r"part-[0-9]{5}-.+", re.IGNORECASE)
_NAMED_AT_MOST: Final = 3

_DONE: Final = ".done"
_SUCCESS: Final = "_success"
_BESIDE: Final = re.compile(r"_(?:started_.*|committed_.*|metadata|common_metadata)|\..*\.crc")


def is_end_marker(name: str) -> bool:
    """Say whether a file of this name marks that all parts are there: `.DONE` and Spark's `_SUCCESS`, in any case."""
    name = name.casefold()
    return name.endswith(_DONE) or name == _SUCCESS


def is_success_mark(name: str) -> bool:
    """Say whether this is Spark's own marker."""
    return name.casefold() == _SUCCESS


def stands_beside(name: str) -> bool:
    """Say whether a file of this name is what Spark puts beside its parts, and holds no rows."""
    return _BESIDE.fullmatch(name.casefold()) is not None


@dataclass(frozen=True, slots=True)
class _Numbered:
    """A name with the number that it has in its series."""

    name: str
    series: str
    number: int
    width: int
    head: str
    tail: str

    def another(self, number: int) -> str:
        """Return what the part of another number is called, as far as that can be told."""
        tail = "-…" if _SPARK.fullmatch(self.name) else self.tail
        return f"{self.head}{number:0{self.width}}{tail}"


def flaws(sizes: Mapping[str, int], *, listed: Collection[str] = (), written_by_spark: bool = False) -> list[str]:
    """Say, in words, what shows that the files are not all the parts of one list; nothing if nothing does.

    Args:
        sizes: the size of each file by its name; all lie in one directory.
        listed: the names that a list of all files has.
        written_by_spark: Spark's own marker is there. Spark makes no file, or an empty one, of a partition without
            rows, and says itself when all are written: then neither a gap nor an empty file tells anything (rule C6).
    """
    numbered = _numbered(sizes)
    found = [f"{_named(absent)} missing" for absent in [sorted(set(listed) - set(sizes))] if absent]
    for series in numbered:
        found += _said_twice(series)
        found += [] if written_by_spark else _gaps(series)
    if not written_by_spark and any(sizes.values()):
        found += [f"{_named(empty)} empty" for empty in [_empty(sizes, numbered)] if empty]
    return found


def is_a_run(names: Iterable[str]) -> bool:
    """Say whether the names are all numbers of one series, from its first and without a gap."""
    names = list(names)
    series = _numbered(names)
    return len(series) == 1 and len(series[0]) == len(names) and not _gaps(series[0])


def _numbered(names: Iterable[str]) -> list[list[_Numbered]]:
    """Return the numbered names by their series, each in the order of its numbers."""
    series: defaultdict[str, list[_Numbered]] = defaultdict(list)
    for found in filter(None, map(_number, names)):
        series[found.series].append(found)
    return [sorted(them, key=lambda it: (it.number, it.name)) for them in series.values() if _counts_parts(them)]


def _counts_parts(series: Sequence[_Numbered]) -> bool:
    """Say whether the numbers count parts. Other numbers lie far apart: a time, a customer's, that of agent 007."""
    first = series[0]
    if _TOTAL.search(first.tail) or first.series == "part" or (not first.head and first.width > len(str(first.number))):
        return True
    numbers = [it.number for it in series]
    return len(series) > 1 and max(numbers) - min(numbers) < 10 * len(series)


def _number(name: str) -> _Numbered | None:
    for form in _FORMS:
        if match := form.fullmatch(name):
            head, digits, tail = match["head"], match["number"], match["tail"]
            series = "part" if form is _PART else f"{head}\0{tail}"
            return _Numbered(name, series, int(digits), len(digits), head, tail)
    return None


def _gaps(series: Sequence[_Numbered]) -> list[str]:
    """Say which numbers are missing: between those that are there, before the first, and up to a stated total."""
    absent: list[str] = []
    count = 0
    for missing in _ranges(series):
        count += len(missing)
        absent += [series[0].another(number) for number in missing[: _NAMED_AT_MOST + 1 - len(absent)]]
    return [f"{_named(absent, count)} missing"] if absent else []


def _ranges(series: Sequence[_Numbered]) -> Iterator[range]:
    total = _TOTAL.search(series[0].tail)
    # Spark always writes its first partition, which is number 0; others count from 0 or from 1.
    first = 0 if _SPARK.fullmatch(series[0].name) else min(1, series[0].number)
    upcoming = first
    for it in series:
        yield range(upcoming, it.number)
        upcoming = it.number + 1
    if total:
        yield range(upcoming, int(total[1]) + first)


def _said_twice(series: Sequence[_Numbered]) -> list[str]:
    return [
        f"{one.name} and {other.name} have the same number"
        for one, other in pairwise(series)
        if one.number == other.number
    ][:1]


def _empty(sizes: Mapping[str, int], numbered: Iterable[Sequence[_Numbered]]) -> list[str]:
    parts = {it.name for series in numbered for it in series}
    return sorted((name for name, size in sizes.items() if not size and name in parts), key=natural_order)


def _named(names: Sequence[str], count: int | None = None) -> str:
    """Name the first few, with the verb that goes with them."""
    count = len(names) if count is None else count
    shown = ", ".join(names[:_NAMED_AT_MOST])
    more = f" and {count - _NAMED_AT_MOST:,} more" if count > _NAMED_AT_MOST else ""
    return f"{shown}{more} {'is' if count == 1 else 'are'}"
