"""The log: the catalogue of every event, and the only structlog set-up.

An alert may rest on an event's name, level and fields, so they are an interface: `docs/events.md` is generated from
this catalogue, and emitting an event or a field that it does not list is an error. No field can carry a phone number
or an address.
"""

import json
import logging
import math
import sys
import threading
import traceback
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Literal, TextIO

import structlog
from structlog.typing import EventDict

Level = Literal["info", "warning", "error"]


class Event(StrEnum):
    """Every event: `noun.past_participle`, or noun and adjective for a condition."""

    RELAY_STARTED = "relay.started"
    RELAY_INTERRUPTED = "relay.interrupted"
    RELAY_READY = "relay.ready"
    RELAY_HEARTBEAT = "relay.heartbeat"
    RELAY_DRAINING = "relay.draining"
    RELAY_STOPPED = "relay.stopped"
    RELAY_FAILED = "relay.failed"
    RELAY_SUSPENDED = "relay.suspended"
    RELAY_RESUMED = "relay.resumed"
    RELAY_STALLED = "relay.stalled"
    CONFIG_RELOADED = "config.reloaded"
    CONFIG_REFUSED = "config.refused"
    LANDING_LISTEN_IGNORED = "landing.listen_ignored"
    LANDING_LOGIN_SUCCEEDED = "landing.login_succeeded"
    LANDING_LOGIN_REFUSED = "landing.login_refused"
    LANDING_CONNECTIONS_DROPPED = "landing.connections_dropped"
    LANDING_ADDRESS_BANNED = "landing.address_banned"
    LANDING_ADDRESS_UNBANNED = "landing.address_unbanned"
    LANDING_UPLOAD_CONFIRMED = "landing.upload_confirmed"
    LANDING_UPLOAD_UNCONFIRMED = "landing.upload_unconfirmed"
    LANDING_UPLOAD_REFUSED = "landing.upload_refused"
    LANDING_SESSION_FAILED = "landing.session_failed"
    LANDING_WATCH_REFUSED = "landing.watch_refused"
    LANDING_PATH_BLOCKED = "landing.path_blocked"
    ARRIVAL_LANDED = "arrival.landed"
    ARRIVAL_CLAIMED = "arrival.claimed"
    ARRIVAL_WITHDRAWN = "arrival.withdrawn"
    ARRIVAL_UNROUTED = "arrival.unrouted"
    ARRIVAL_IGNORED = "arrival.ignored"
    EXPORT_GATHERING = "export.gathering"
    EXPORT_RECEIVED = "export.received"
    EXPORT_ACCEPTED = "export.accepted"
    EXPORT_DUPLICATED = "export.duplicated"
    EXPORT_QUARANTINED = "export.quarantined"
    EXPORT_OVERDUE = "export.overdue"
    EXPORT_WITHDRAWN = "export.withdrawn"
    EXPORT_REQUEUED = "export.requeued"
    EXPORT_DISCARDED = "export.discarded"
    DELIVERY_QUEUED = "delivery.queued"
    DELIVERY_HELD = "delivery.held"
    DELIVERY_GROWN = "delivery.grown"
    DELIVERY_OVERDUE = "delivery.overdue"
    DELIVERY_RELEASED = "delivery.released"
    DELIVERY_SENDING = "delivery.sending"
    DELIVERY_SENT = "delivery.sent"
    DELIVERY_DEFERRED = "delivery.deferred"
    DELIVERY_RECOVERED = "delivery.recovered"
    DELIVERY_FAILED = "delivery.failed"
    DELIVERY_REQUEUED = "delivery.requeued"
    DELIVERY_RESTORED = "delivery.restored"
    DELIVERY_SUPERSEDED = "delivery.superseded"
    DELIVERY_DUPLICATED = "delivery.duplicated"
    DELIVERY_DISCARDED = "delivery.discarded"
    FRESHNESS_OK = "freshness.ok"
    FRESHNESS_LATE = "freshness.late"
    FRESHNESS_MISSING = "freshness.missing"
    KEY_EXPIRING = "key.expiring"
    KEY_EXPIRED = "key.expired"
    REPORT_FAILED = "report.failed"
    RETENTION_SWEPT = "retention.swept"
    SEGMENT_DISAPPEARED = "segment.disappeared"
    SLICE_SENT = "slice.sent"
    UPSTREAM_SUSPENDED = "upstream.suspended"
    UPSTREAM_RESUMED = "upstream.resumed"
    UPSTREAM_HOST_KEY_OFFERED = "upstream.host_key_offered"
    DISK_LOW = "disk.low"
    DISK_RECOVERED = "disk.recovered"
    LIBRARY_WARNED = "library.warned"


FIELDS: Final[dict[str, str]] = {
    "account": "the login that the file came in by",
    "address": "network address of the peer",
    "arrival": "number of the landed file",
    "attempt": "which attempt this was, from 1",
    "bytes": "size in bytes",
    "connections": "how many connections",
    "control": "rows of a control group, not sent",
    "delays": "seconds spent in landing, rewrite, queue, connect and transfer",
    "delivery": "id of the delivery: its export's id, a dot, a number",
    "detail": "the figures or circumstances behind the reason",
    "discard_at": "when retention discards it, if nobody decides",
    "discarded": "lists and exports that waited for a person for too long",
    "due_at": "when the next attempt is due",
    "duplicates": "rows left out because their identifier already stands in the segment",
    "empty": "rows without an identifier",
    "expected_at": "when the lists of the date were expected",
    "expires_at": "from when on the key does not count",
    "export": "id of the export",
    "exports": "exports whose history was removed",
    "files": "files removed",
    "gained": "people of the list who were not in the one last sent",
    "held": "deliveries that wait for a person",
    "hint": "what to do",
    "kept": "people of the list who were in the one last sent, too",
    "library": "the library, as its logger is called",
    "list_date": "the date that the list counts for, in the route's time zone",
    "listen": "the addresses that the landing zone listens on",
    "lost": "people of the list last sent who are not in this one",
    "method": "how the client proved who it is",
    "operator": "who decided",
    "other": "id of the export or delivery that this one repeats or yields to",
    "parts": "how many files the export has",
    "path": "path as the client named it; that of a directory ends in a slash",
    "place": "where in the code",
    "previous_rows": "rows of the list last sent for the segment",
    "problems": "how many problems were found",
    "publish": "how the file got its final name: rename or direct; found where an earlier attempt had done it",
    "quarantined": "exports that wait for a person",
    "queued": "deliveries that wait for their turn or their next attempt",
    "reason": "why, as a fixed word",
    "recognised": "what the source was taken for",
    "rejected": "rows rejected",
    "remote_name": "file name at the upstream",
    "route": "the route",
    "routes": "how many routes are configured",
    "rows_in": "rows read",
    "rows_out": "rows to send or sent",
    "segment": "the segment's name",
    "segments": "how many segments",
    "seq": "number of the transition in the history; a line repeated after a crash has the same one",
    "session": "the landing zone's session",
    "sha256": "SHA-256 of the content",
    "since": "since when it has waited",
    "slice": "which of the files that the list goes out as, from 1",
    "slices": "how many files the list goes out as, where several; the numbers in their names follow the first",
    "slices_sent": "how many of those files the upstream has",
    "source": "the network that counts as one source of connections, such as 203.0.113.7/32",
    "state": "the state reached",
    "suspect": "rows whose number does not exist",
    "until": "when it ends",
    "upstream": "the upstream",
    "uptime": "seconds since the start",
    "verified": "whether the file was seen at the upstream under its final name, in full size",
    "version": "the relay's version",
}
"""Every field a line may carry beside `timestamp`, `level` and `event`."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One event of the catalogue: its level, its meaning, the fields it always has and those it may have."""

    level: Level
    meaning: str
    fields: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


def _entry(level: Level, meaning: str, fields: str = "", optional: str = "") -> Entry:
    return Entry(level, meaning, tuple(fields.split()), tuple(optional.split()))


_ROWS = "rows_in rows_out rejected empty control suspect duplicates"
_ARRIVAL = "seq arrival account path state"
_EXPORT = "seq export route state"
_FRESHNESS = "seq route state list_date expected_at"
_DELIVERY = "seq delivery export route upstream segment state"

CATALOGUE: Final[dict[Event, Entry]] = {
    Event.RELAY_STARTED: _entry("info", "the service begins to start", "version"),
    Event.RELAY_INTERRUPTED: _entry(
        "warning",
        "the service before this one was cut off: killed, by the watchdog or for want of memory, or with its host",
        "hint",
    ),
    Event.RELAY_READY: _entry("info", "the landing zone listens and the state is open", "listen routes"),
    Event.RELAY_HEARTBEAT: _entry("info", "the service is alive; every minute", "uptime queued held quarantined"),
    Event.RELAY_DRAINING: _entry("info", "told to stop: no new uploads, what is in hand is finished or deferred"),
    Event.RELAY_STOPPED: _entry("info", "the service has ended in good order", "uptime"),
    Event.RELAY_FAILED: _entry(
        "error",
        "a defect, or something that it cannot do without, ended the service; the state is intact",
        "reason detail hint",
    ),
    Event.RELAY_SUSPENDED: _entry(
        "error",
        "the disk or the database refuses, so nothing is forwarded; nothing is lost, and it goes on by itself",
        "reason detail hint",
    ),
    Event.RELAY_RESUMED: _entry("info", "the disk and the database are well again, and everything goes on"),
    Event.RELAY_STALLED: _entry(
        "error",
        "a part of the service hangs; the service manager is told, and starts it again if it watches over it",
        "detail hint",
    ),
    Event.CONFIG_RELOADED: _entry("info", "accounts and routes were read again", "routes"),
    Event.CONFIG_REFUSED: _entry(
        "error", "a reload found problems; the old settings stay in force", "problems detail hint"
    ),
    Event.LANDING_LISTEN_IGNORED: _entry(
        "warning",
        "the service manager handed over sockets with other ports than `landing.listen` says; its sockets count",
        "listen detail hint",
    ),
    Event.LANDING_LOGIN_SUCCEEDED: _entry("info", "a client logged in", "session account address method"),
    Event.LANDING_LOGIN_REFUSED: _entry(
        "warning", "a client was refused", "session address reason", optional="account"
    ),
    Event.LANDING_CONNECTIONS_DROPPED: _entry(
        "warning",
        "connections were dropped before a login; at most one line for each reason in ten seconds, with the source of "
        "the last",
        "reason connections source",
    ),
    Event.LANDING_ADDRESS_BANNED: _entry(
        "warning", "a source is shut out of the landing zone for a while", "address source reason until"
    ),
    Event.LANDING_ADDRESS_UNBANNED: _entry("info", "a person let a source in again", "seq source state operator"),
    Event.LANDING_UPLOAD_CONFIRMED: _entry(
        "info", "a file is durable and its client was told so", "session account path bytes"
    ),
    Event.LANDING_UPLOAD_UNCONFIRMED: _entry(
        "warning", "an upload ended without being complete and was not kept", "session account path bytes reason"
    ),
    Event.LANDING_UPLOAD_REFUSED: _entry(
        "warning", "there was no room for a file or directory that a client wanted", "session account path reason"
    ),
    Event.LANDING_SESSION_FAILED: _entry(
        "error", "a defect ended one client's session; all others go on", "session account reason detail hint"
    ),
    Event.LANDING_WATCH_REFUSED: _entry(
        "warning", "the kernel gives no hints of changes in the landing zone; the scan finds them, later", "reason hint"
    ),
    Event.LANDING_PATH_BLOCKED: _entry(
        "error",
        "a file or directory in the landing zone cannot be read or removed; all others go on",
        "account path reason hint",
    ),
    Event.ARRIVAL_LANDED: _entry("info", "a complete file was noted", _ARRIVAL + " bytes", optional="session"),
    Event.ARRIVAL_CLAIMED: _entry("info", "a file became part of an export", _ARRIVAL + " export route"),
    Event.ARRIVAL_WITHDRAWN: _entry("info", "the client removed, renamed or replaced a file in time", _ARRIVAL),
    Event.ARRIVAL_UNROUTED: _entry("warning", "no route wants this file; it is kept for retention", _ARRIVAL + " hint"),
    Event.ARRIVAL_IGNORED: _entry(
        "info", "an end marker, or the like, that belongs to no export; it holds no list", _ARRIVAL + " hint"
    ),
    Event.EXPORT_GATHERING: _entry(
        "info", "an export's first file is there; more, or an end marker, are waited for", _EXPORT + " account path"
    ),
    Event.EXPORT_RECEIVED: _entry(
        "info", "custody of an export is taken, all of it", _EXPORT + " account path parts bytes sha256"
    ),
    Event.EXPORT_ACCEPTED: _entry(
        "info", "an export was rewritten and planned", _EXPORT + " segments recognised list_date delays " + _ROWS
    ),
    Event.EXPORT_DUPLICATED: _entry(
        "info", "the same bytes were already accepted for this date; nothing is sent", _EXPORT + " other list_date"
    ),
    Event.EXPORT_QUARANTINED: _entry(
        "error", "an export cannot be used and waits for a person", _EXPORT + " reason detail hint"
    ),
    Event.EXPORT_OVERDUE: _entry(
        "error",
        "an export has been quarantined, or has waited for files in vain, for days and still waits for a person",
        _EXPORT + " reason hint since",
        "discard_at",
    ),
    Event.EXPORT_WITHDRAWN: _entry(
        "info", "the client removed or renamed every file of an export before it was complete", _EXPORT + " path"
    ),
    Event.EXPORT_REQUEUED: _entry("info", "a person wants an export judged again", _EXPORT + " operator", "reason"),
    Event.EXPORT_DISCARDED: _entry("info", "a person discarded an export", _EXPORT + " operator", "reason"),
    Event.DELIVERY_QUEUED: _entry(
        "info",
        "a list has its name and waits its turn",
        _DELIVERY + " remote_name bytes sha256 " + _ROWS,
        optional="slices previous_rows kept lost gained",
    ),
    Event.DELIVERY_HELD: _entry(
        "error",
        "a list waits for a person; the list last sent stays live",
        _DELIVERY + " reason detail hint " + _ROWS,
        optional="previous_rows kept lost gained remote_name operator slices slices_sent",
    ),
    Event.DELIVERY_GROWN: _entry(
        "warning",
        "a list is sent that is much longer than the one last sent",
        _DELIVERY + " remote_name detail rows_out previous_rows",
    ),
    Event.DELIVERY_OVERDUE: _entry(
        "error",
        "a list has been held, or has failed, for days and still waits for a person; the list last sent stays live",
        _DELIVERY + " reason detail hint since",
        optional="discard_at",
    ),
    Event.DELIVERY_RELEASED: _entry(
        "info", "a person released a held list", _DELIVERY + " operator remote_name", "reason slices slices_sent"
    ),
    Event.DELIVERY_SENDING: _entry(
        "info", "the upload of a list begins", _DELIVERY + " remote_name attempt", "slices slices_sent"
    ),
    Event.DELIVERY_SENT: _entry(
        "info",
        "the upstream has the list under its final name",
        _DELIVERY + " remote_name attempt bytes sha256 rows_out verified publish delays",
        optional="slices previous_rows kept lost gained",
    ),
    Event.DELIVERY_DEFERRED: _entry(
        "warning",
        "an attempt failed; there will be another",
        _DELIVERY + " remote_name attempt reason detail hint due_at",
        optional="slices slices_sent",
    ),
    Event.DELIVERY_RECOVERED: _entry(
        "warning",
        "an attempt was cut off by the end of its process; it is made again",
        _DELIVERY + " remote_name attempt due_at",
        optional="slices slices_sent",
    ),
    Event.DELIVERY_FAILED: _entry(
        "error",
        "the upstream refused this list for good",
        _DELIVERY + " remote_name attempt reason detail hint",
        optional="slices slices_sent",
    ),
    Event.DELIVERY_REQUEUED: _entry(
        "info",
        "a person has a failed list tried again",
        _DELIVERY + " operator remote_name",
        "reason slices slices_sent",
    ),
    Event.DELIVERY_RESTORED: _entry(
        "info", "a person has an earlier list sent again", _DELIVERY + " operator remote_name other", "reason"
    ),
    Event.DELIVERY_SUPERSEDED: _entry(
        "info", "a newer list of the segment took its place", _DELIVERY + " other", "slices slices_sent"
    ),
    Event.DELIVERY_DUPLICATED: _entry(
        "info", "the same list is already there for this date; nothing is sent", _DELIVERY + " other list_date"
    ),
    Event.DELIVERY_DISCARDED: _entry(
        "info", "a person discarded a list", _DELIVERY + " operator", "reason slices slices_sent"
    ),
    Event.FRESHNESS_OK: _entry(
        "info",
        "what was expected by now has gone out; once per date, of a route and of each segment expected, and again as "
        "the recovery from late or missing",
        _FRESHNESS,
        optional="segment detail",
    ),
    Event.FRESHNESS_LATE: _entry(
        "warning", "what was expected by now has not gone out", _FRESHNESS + " hint", optional="segment detail"
    ),
    Event.FRESHNESS_MISSING: _entry(
        "error",
        "what was expected has not gone out by the end of the grace either; the lists last sent stay live",
        _FRESHNESS + " hint",
        optional="segment detail",
    ),
    Event.KEY_EXPIRING: _entry(
        "warning",
        "the last key of an account, or for a route's encrypted exports, expires soon; once a day, until it has",
        "expires_at detail hint",
        optional="account route",
    ),
    Event.KEY_EXPIRED: _entry(
        "error",
        "every key of an account, or for a route's encrypted exports, has expired; once a day",
        "expires_at detail hint",
        optional="account route",
    ),
    Event.REPORT_FAILED: _entry("error", "the daily report could not be written", "path reason hint"),
    Event.RETENTION_SWEPT: _entry(
        "info",
        "what was kept for long enough was removed; a sweep that finds nothing is not told",
        "files bytes discarded exports",
    ),
    Event.SEGMENT_DISAPPEARED: _entry(
        "warning",
        "an export came without a segment that came with its others the last time; that segment's list stays as it is",
        _EXPORT + " segment other",
    ),
    Event.SLICE_SENT: _entry(
        "info",
        "the upstream has one of the files that the list goes out as, under its final name; the next follows",
        _DELIVERY + " remote_name attempt bytes verified publish slice slices",
    ),
    Event.UPSTREAM_SUSPENDED: _entry(
        "error", "nothing is sent to an upstream until it is well again", "seq upstream reason detail hint due_at state"
    ),
    Event.UPSTREAM_RESUMED: _entry(
        "info", "an upstream is in use again", "seq upstream state", optional="operator reason"
    ),
    Event.UPSTREAM_HOST_KEY_OFFERED: _entry(
        "warning", "an upstream has a host key beside the pinned ones, perhaps its next", "upstream detail hint"
    ),
    Event.DISK_LOW: _entry(
        "error",
        "less of the disk is free than there should be; uploads are refused, the rest goes on",
        "bytes detail hint",
    ),
    Event.DISK_RECOVERED: _entry("info", "enough of the disk is free again", "bytes"),
    Event.LIBRARY_WARNED: _entry(
        "warning",
        "a library had something to say; only its place is shown, its words may quote a peer",
        "library place",
        optional="reason",
    ),
}


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
            _in_order,
            *([_harmless, structlog.dev.ConsoleRenderer(sort_keys=False)] if readable else [_as_json]),
        ],
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    _listen_to_libraries()


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


def _in_order(_logger: object, _level: str, line: EventDict) -> EventDict:
    """Put what every line has first."""
    return {**{key: line[key] for key in ("timestamp", "level", "event")}, **line}


def _as_json(_logger: object, _level: str, line: EventDict) -> str:
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


def _harmless(_logger: object, _level: str, line: EventDict) -> EventDict:
    """Escape what could steer a terminal or not be written to one: a client chooses the names of its files."""
    return {
        key: value.encode("unicode_escape").decode("ascii")
        if isinstance(value, str) and not value.isprintable()
        else value
        for key, value in line.items()
    }


class _Libraries(logging.Handler):
    """Turns a library's words into `library.warned`: who spoke, where, and of which exception, but not what."""

    def emit(self, record: logging.LogRecord) -> None:
        kind = record.exc_info[0] if record.exc_info else None
        emit(
            Event.LIBRARY_WARNED,
            library=record.name,
            place=f"{record.module}:{record.lineno} {record.funcName}",
            reason=kind.__name__ if kind else None,
        )


def _listen_to_libraries() -> None:
    root = logging.getLogger()
    root.handlers = [handler for handler in root.handlers if not isinstance(handler, _Libraries)] + [_Libraries()]
    root.setLevel(logging.WARNING)
    # Their own fallbacks would print the words themselves.
    logging.lastResort = None
    logging.raiseExceptions = False
    warnings.showwarning = _show_warning
    threading.excepthook = _show_end_of_thread


def _show_end_of_thread(ended: threading.ExceptHookArgs) -> None:
    """Say that a library's thread has died, where Python would print a traceback with the exception's words."""
    trace = traceback.extract_tb(ended.exc_traceback)
    place = f"{Path(trace[-1].filename).name}:{trace[-1].lineno}" if trace else ""
    emit(Event.LIBRARY_WARNED, library="threading", place=place, reason=ended.exc_type.__name__)


def _show_warning(
    message: Warning | str,  # noqa: ARG001  its words are not shown
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,  # noqa: ARG001  as the warnings module wants it
    line: str | None = None,  # noqa: ARG001  as above
) -> None:
    place = f"{Path(filename).name}:{lineno}"
    emit(Event.LIBRARY_WARNED, library="warnings", place=place, reason=category.__name__)
