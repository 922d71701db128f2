"""How a line comes about: held to the catalogue, and written as JSON, or as text that no content of it can garble."""

import json
import math
from collections.abc import Mapping
from datetime import date
from typing import Any

import structlog
from structlog.typing import EventDict

from relay.log.catalogue import CATALOGUE
from relay.log.events import Event


def emit(event: Event, **fields: Any) -> None:
    """Write one line for `event`. A field that the catalogue demands may be None, and is then left out of the line.

    Raises:
        TypeError: a field is missing or not in the catalogue: a bug, which a test over every call finds first.
    """
    entry = CATALOGUE[event]
    missing = [name for name in entry.fields if name not in fields]
    unknown = [name for name in fields if name not in entry.fields and name not in entry.optional]
    if missing or unknown:
        raise TypeError(f"{event}: missing fields {missing}, fields that the catalogue does not list {unknown}")
    log = getattr(structlog.get_logger(), entry.level)
    log(event.value, **{name: value for name, value in fields.items() if value is not None})


def in_order(_logger: object, _level: str, line: EventDict) -> EventDict:
    """Put what every line has first."""
    return {**{key: line[key] for key in ("timestamp", "level", "event")}, **line}


def as_json(_logger: object, _level: str, line: EventDict) -> str:
    """Write a line as one JSON object."""
    # Keys become text here and values below, so that no value of any type can keep a line from being written.
    return json.dumps({str(key): _plain(value) for key, value in line.items()})


def _plain(value: object) -> object:
    """Return `value` in types that JSON has: times, paths and anything else unknown to it as text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(inner) for inner in value]
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float | None) else str(value)


def harmless(_logger: object, _level: str, line: EventDict) -> EventDict:
    """Escape what could steer a terminal or not be written to one: a client chooses the names of its files."""
    return {
        key: value.encode("unicode_escape").decode("ascii")
        if isinstance(value, str) and not value.isprintable()
        else value
        for key, value in line.items()
    }
