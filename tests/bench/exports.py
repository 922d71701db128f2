"""Made-up exports of millions of rows for the benchmarks: the same every time, nobody's numbers but by chance."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np

AT_ONCE: Final = 100_000

AREAS: Final = [
    f"{first}{second}{third}"
    for first in range(2, 10)
    for second in range(9)
    for third in range(10)
    if (second, third) != (1, 1)
]
LAYOUTS: Final = (
    *("{0}{1}{2}", "{0}-{1}-{2}", "({0}) {1}-{2}", "+1{0}{1}{2}", "1{0}{1}{2}", "+1 ({0}) {1}-{2}", "{0}.{1}.{2}"),
    *("1-{0}-{1}-{2}", "+1 {0} {1} {2}"),
)
"""What sources write most."""
ODD: Final = (
    *("{0}-{1}-{2} x45", "{0}{1}{2} ext 12", "1-800-FLOWERS", "{0}{1}{2}.0", "2.12555E9", "+47 {0} {1} {2}"),
    *("+44 20 7946 {2}", "{0}\u2011{1}\u2011{2}", "{1}-{2}", "n/a", "({0})\u00a0{1}-{2}"),
)
"""What else comes: 4.2 % of the mixed shape."""
FIRST: Final = ("Ada", "Grace", "Linus", "Ken", "Barbara", "Edsger")
LAST: Final = ("Lovelace", "Hopper", "Torvalds", "Thompson", "Liskov", "Dijkstra")

SHAPES: Final = ("clean", "mixed", "quoted", "email")


def write_export(path: Path, shape: str, rows: int, segments: int = 1) -> None:
    """Write an export of one of `SHAPES`.

    `clean` has numbers as `+1…`, 1.5 % of them too short or missing; `mixed` nine layouts and 4.2 % odd ones; `quoted`
    eleven columns, all in quotes, with delimiters in some; `email` addresses, 2 % of them bad.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(_HEADERS[shape] + "\n")
        for begin in range(0, rows, AT_ONCE):
            file.writelines(_rows(shape, range(begin, min(begin + AT_ONCE, rows)), segments))


_HEADERS: Final = {
    "clean": "amperity_id,phone,given_name,surname,segment_name",
    "mixed": "amperity_id,phone,given_name,surname,segment_name",
    "email": "amperity_id,email,given_name,surname,segment_name",
    "quoted": '"amperity_id","phone","given_name","surname","address","address2","city","state","postal","country",'
    '"segment_name"',
}


def _rows(shape: str, numbers: range, segments: int) -> Iterator[str]:
    chance = np.random.default_rng(numbers.start)
    count = len(numbers)
    areas = chance.integers(0, len(AREAS), count).tolist()
    exchanges = chance.integers(200, 1000, count).tolist()
    lines = chance.integers(0, 10_000, count).tolist()
    kinds = chance.random(count).tolist()
    names = chance.integers(0, segments, count).tolist()
    for number, area, exchange, line, kind, name in zip(numbers, areas, exchanges, lines, kinds, names, strict=True):
        parts = (AREAS[area], str(exchange), f"{line:04}")
        key = f"{number:08x}-{number & 0xFFFF:04x}-{number * 7 & 0xFFFF:04x}-aaaa-{number * 104729:012x}"
        first, last = FIRST[number % 6], LAST[number // 6 % 6]
        identifier = _email(number, kind) if shape == "email" else _phone(shape, parts, kind)
        if shape == "quoted":
            street = f"{number} Main Street, Apt {number % 90}"
            rest = f'"{street}","","Springfield","NY","{number % 100000:05}","US"'
            yield f'"{key}","{identifier}","{first}","{last}",{rest},"segment {name + 1}"\n'
        else:
            yield f"{key},{identifier},{first},{last},segment {name + 1}\n"


def _phone(shape: str, parts: tuple[str, str, str], kind: float) -> str:
    if shape == "clean":
        return "" if kind < 0.0075 else f"{parts[1]}{parts[2]}" if kind < 0.015 else f"+1{''.join(parts)}"
    if shape == "mixed":
        layouts = ODD if kind < 0.042 else LAYOUTS
        return layouts[int(kind * 1e6) % len(layouts)].format(*parts)
    return LAYOUTS[int(kind * 3)].format(*parts)


def _email(number: int, kind: float) -> str:
    if kind < 0.02:
        return ("", "n/a", f"person{number}@", "@example.com")[int(kind * 200)]
    written = f"Person.{number}+{int(kind * 100)}@{'mail' if number % 3 else 'shop'}{number % 50}.example.com"
    return written.upper() if kind > 0.9 else written
