"""The catalogue: each event's level, its meaning and its fields. `docs/events.md` is generated from it."""

from dataclasses import dataclass
from typing import Final, Literal

from relay.log.events import Event

Level = Literal["info", "warning", "error"]


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
        "less of the disk is free than there should be, so that uploads are refused, or than a rewrite needs, so that "
        "its export waits; the rest goes on",
        "bytes detail hint",
    ),
    Event.DISK_RECOVERED: _entry("info", "enough of the disk is free again, and no rewrite waits for room", "bytes"),
    Event.LIBRARY_WARNED: _entry(
        "warning",
        "a library had something to say; only its place is shown, its words may quote a peer",
        "library place",
        optional="reason",
    ),
}
