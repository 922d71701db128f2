"""What every group of settings has in common: frozen, complete, no unknown key, durations and sizes with a unit."""

import ast
import inspect
import re
from collections.abc import Mapping
from datetime import time, timedelta
from functools import cache
from itertools import pairwise
from textwrap import dedent
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ByteSize, ConfigDict, PlainSerializer

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_SIZES = {"TB": 10**12, "GB": 10**9, "MB": 10**6, "kB": 10**3, "B": 1}


class Settings(BaseModel):
    """Base of every group of settings: immutable, and an unknown key is an error, not a silence."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


@cache
def meanings(settings: type[BaseModel]) -> Mapping[str, str]:
    """Return what each key of a group of settings means: the docstring below it.

    pydantic can note them with its fields, but takes a tenth of a second at every start to read the source for that.
    """
    found: dict[str, str] = {}
    for group in reversed(settings.__mro__):
        if issubclass(group, Settings):
            source = ast.parse(dedent(inspect.getsource(group)))
            for key, below in pairwise(
                it for part in ast.iter_child_nodes(source) for it in ast.iter_child_nodes(part)
            ):
                match key, below:
                    case (ast.AnnAssign(target=ast.Name(name)), ast.Expr(value=ast.Constant(str(text)))):
                        found[name] = inspect.cleandoc(text)
    return found


def parse_duration(text: object) -> object:
    """Turn `"90s"`, `"5m"`, `"48h"` or `"14d"` into a timedelta; anything else but a timedelta is refused.

    A bare number is refused on purpose: whoever reads the file must not have to guess the unit.
    """
    if isinstance(text, timedelta):
        return text
    match = re.fullmatch(r"([0-9]{1,6}(?:\.[0-9]{1,6})?)([smhd])", text) if isinstance(text, str) else None
    if match is None:
        raise ValueError('a duration is a number with a unit: "30s", "5m", "48h" or "14d"')
    return timedelta(**{_UNITS[match[2]]: float(match[1])})


def format_duration(duration: timedelta) -> str:
    """Write a duration the way the configuration does, in the largest unit that keeps it whole."""
    seconds = duration.total_seconds()
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds and seconds % length == 0:
            return f"{seconds // length:.0f}{unit}"
    return f"{seconds:.6f}".rstrip("0").rstrip(".") + "s"


def parse_time(text: object) -> object:
    """Turn `"06:00"` into a time of day; anything else is refused, seconds too."""
    if isinstance(text, time):
        if text.tzinfo is None and not text.second and not text.microsecond:
            return text
    elif isinstance(text, str) and (match := re.fullmatch(r"([01][0-9]|2[0-3]):([0-5][0-9])", text)):
        return time(int(match[1]), int(match[2]))
    raise ValueError('a time of day is "HH:MM", from "00:00" to "23:59"')


TimeOfDay = Annotated[
    time,
    BeforeValidator(parse_time),
    PlainSerializer(lambda at: at.isoformat(timespec="minutes"), return_type=str),
]
"""A time of the clock on the wall, to the minute."""

Duration = Annotated[timedelta, BeforeValidator(parse_duration), PlainSerializer(format_duration, return_type=str)]
"""A length of time with its unit, as the configuration writes it."""


def parse_size(text: object) -> object:
    """Turn `"500kB"`, `"20MB"`, `"1.5GB"` or `"2TB"` into bytes; a kB is 1000 of them, as disks are sold.

    A bare number is refused, as it is for a duration.
    """
    if isinstance(text, ByteSize):
        return text
    match = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]{1,3})?)([kMGT]?B)", text) if isinstance(text, str) else None
    if match is None:
        raise ValueError('a size is a number with a unit: "500kB", "20MB", "1.5GB" or "2TB"')
    # In thousandths, so that no fraction is rounded away.
    whole, _, fraction = match[1].partition(".")
    return ByteSize(int(whole + f"{fraction:0<3}") * _SIZES[match[2]] // 1000)


def format_size(size: int) -> str:
    """Write a size the way the configuration does, in the largest unit that keeps it whole."""
    unit = next(unit for unit, length in _SIZES.items() if (size and size % length == 0) or unit == "B")
    return f"{size // _SIZES[unit]}{unit}"


Size = Annotated[ByteSize, BeforeValidator(parse_size), PlainSerializer(format_size, return_type=str)]
"""A number of bytes, which the configuration writes with its unit."""
