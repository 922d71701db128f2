"""What the relay logs, in words for somebody who sees it for the first time."""

from typing import Final

from relay.demo.service import Line
from relay.log import Event

_SENTENCES: Final[dict[Event, str]] = {
    Event.RELAY_READY: "ready: its landing zone listens on {listen[0]}",
    Event.LANDING_LOGIN_SUCCEEDED: "{account} logged in by {method}",
    Event.LANDING_UPLOAD_CONFIRMED: "has {path} safe on disk, {bytes:,} bytes, and told its client so",
    Event.EXPORT_RECEIVED: "took the file as export {export}",
    Event.EXPORT_ACCEPTED: "rewrote {rows_in:,} rows: {rows_out:,} to send in {segments} lists, "
    "{duplicates:,} duplicates, {empty:,} empty, {rejected:,} rejected",
    Event.EXPORT_DUPLICATED: "has the same bytes for today as {other}: nothing is sent, no file number is used",
    Event.EXPORT_QUARANTINED: "quarantined the export: {detail}",
    Event.DELIVERY_QUEUED: "queued “{segment}”, {rows_out:,} rows, as {remote_name}",
    Event.DELIVERY_HELD: "holds “{segment}”: {detail}",
    Event.DELIVERY_SENT: "sent {remote_name}: size verified, renamed",
    Event.DELIVERY_DEFERRED: "will try {remote_name} again: {detail}",
    Event.DELIVERY_FAILED: "cannot send {remote_name}: {detail}",
    Event.UPSTREAM_SUSPENDED: "sends nothing more to {upstream}: {detail}",
    Event.RELAY_DRAINING: "was told to stop and finishes what is in hand",
    Event.RELAY_FAILED: "ended by a defect of its own: {reason}",
    Event.RELAY_STOPPED: "stopped in good order",
}
"""The events worth telling; the others are in the log."""


def narrate(line: Line) -> str | None:
    """Return what `line` says in words, or None where it is not worth telling."""
    sentence = _SENTENCES.get(Event(line["event"]))
    return sentence.format_map(line) if sentence else None
