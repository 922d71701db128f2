r"""The patterns of phone number metadata, expanded: every way of matching ten digits as a set of digits for each place.

Understood is what the metadata is written in today: digits, `\d`, `[…]`, `(?:…)`, `|` and `{n}`. Anything else raises,
so that a new kind of pattern is never read wrongly.
"""

import re
from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import Final

Digits = frozenset[int]
Box = tuple[Digits, ...]
"""For each place of a number the digits that may stand there: the numbers that it holds are their product."""

ANY: Final[Digits] = frozenset(range(10))

_TOKEN: Final = re.compile(r"(?P<open>\(\?:)|(?P<close>\))|(?P<bar>\|)|(?P<times>\{\d+\})|(?P<one>\d|\\d|\[[\d-]+\])")


class UnknownPatternError(Exception):
    """A pattern has something in it that is not understood here."""


def expand(pattern: str) -> list[Box]:
    """Return what a pattern matches, as boxes; they may overlap and differ in length.

    Raises:
        UnknownPatternError: the pattern is written in a way that is not understood.
    """
    tokens = list(_tokens(pattern))
    boxes, rest = _alternatives(tokens)
    if rest:
        raise UnknownPatternError(pattern)
    return boxes


def intersection(one: Box, other: Box) -> Box | None:
    """Return the box of what is in both, as long as the longer one; None where nothing is."""
    length = max(len(one), len(other))
    both = tuple(a & b for a, b in zip(_padded(one, length), _padded(other, length), strict=True))
    return both if all(both) else None


def _padded(box: Box, length: int) -> Box:
    return box + (ANY,) * (length - len(box))


def _tokens(pattern: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(pattern):
        token = _TOKEN.match(pattern, at)
        if token is None or token.lastgroup is None:
            raise UnknownPatternError(pattern)
        yield token.lastgroup, token[0]
        at = token.end()


def _alternatives(tokens: list[tuple[str, str]]) -> tuple[list[Box], list[tuple[str, str]]]:
    """Read `a|b|c` up to what closes it, and return its boxes and what follows."""
    boxes, rest = _sequence(tokens)
    while rest and rest[0][0] == "bar":
        more, rest = _sequence(rest[1:])
        boxes += more
    return boxes, rest


def _sequence(tokens: list[tuple[str, str]]) -> tuple[list[Box], list[tuple[str, str]]]:
    """Read what stands side by side, and return its boxes and what follows."""
    sofar: list[Box] = [()]
    rest = tokens
    while rest and rest[0][0] not in {"bar", "close"}:
        part, rest = _part(rest)
        if rest and rest[0][0] == "times":
            part, rest = _repeated(part, int(rest[0][1][1:-1])), rest[1:]
        sofar = [before + after for before, after in product(sofar, part)]
    return sofar, rest


def _part(tokens: list[tuple[str, str]]) -> tuple[list[Box], list[tuple[str, str]]]:
    (kind, text), *rest = tokens
    if kind == "one":
        return [(_digits(text),)], rest
    if kind != "open":
        raise UnknownPatternError(text)
    boxes, rest = _alternatives(rest)
    if not rest:
        raise UnknownPatternError("a group does not close")
    return boxes, rest[1:]


def _repeated(part: list[Box], times: int) -> list[Box]:
    return [sum(boxes, ()) for boxes in product(part, repeat=times)]


@cache
def _digits(text: str) -> Digits:
    return frozenset(digit for digit in range(10) if re.fullmatch(text, str(digit)))
