"""What the log can say: every event, and every field that a line may carry."""

from enum import StrEnum
from typing import Final


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
