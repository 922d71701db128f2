"""The log: the catalogue of every event, and the only structlog set-up.

An alert may rest on an event's name, level and fields, so they are an interface: `docs/events.md` is generated from
this catalogue, and emitting an event or a field that it does not list is an error. No field can carry a phone number
or an address.
"""

import sys
from typing import TextIO

import structlog

from relay.log.catalogue import CATALOGUE, Entry, Level
from relay.log.events import FIELDS, Event
from relay.log.libraries import listen_to_libraries
from relay.log.lines import as_json, emit, harmless, in_order

__all__ = ["CATALOGUE", "FIELDS", "Entry", "Event", "Level", "configure", "emit"]


def configure(stream: TextIO | None = None, *, pretty: bool | None = None) -> None:
    """Set the log up, once per process: one JSON object a line, or readable text where `stream` is a terminal.

    What libraries say by way of `logging` and `warnings` becomes `library.warned`, without its words.

    Args:
        stream: where lines go, standard error by default.
        pretty: force the readable form on or off; None looks whether `stream` is a terminal.
    """
    stream = stream or sys.stderr
    readable = stream.isatty() if pretty is None else pretty
    structlog.configure(
        processors=[
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.add_log_level,
            in_order,
            *([harmless, structlog.dev.ConsoleRenderer(sort_keys=False)] if readable else [as_json]),
        ],
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    listen_to_libraries()
