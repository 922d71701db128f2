"""What in the log wants a person, and how soon: each event that an alert rests on, with its section of the runbook.

The rules in `deploy/monitoring` and the sections of `docs/runbook.md` are held to this table by tests.
"""

from dataclasses import dataclass
from typing import Final, Literal

from relay.log import Event

Action = Literal["page", "ticket", "look"]
"""What an alert has a person do: get up now, decide on the same working day, or look when there is time."""

RUNBOOK: Final = "docs/runbook.md"


@dataclass(frozen=True, slots=True)
class Attention:
    """What an event has a person do, and when it does."""

    action: Action
    when: str = "it is logged"


ATTENTION: Final[dict[Event, Attention]] = {
    Event.RELAY_STARTED: Attention("ticket", "it is logged three times within an hour"),
    Event.RELAY_INTERRUPTED: Attention("ticket"),
    Event.RELAY_HEARTBEAT: Attention("page", "it is missing for five minutes"),
    Event.RELAY_FAILED: Attention("page"),
    Event.RELAY_SUSPENDED: Attention("page"),
    Event.RELAY_STALLED: Attention("ticket"),
    Event.CONFIG_REFUSED: Attention("ticket"),
    Event.LANDING_LISTEN_IGNORED: Attention("ticket"),
    Event.LANDING_LOGIN_REFUSED: Attention("ticket", "it names one of the accounts three times within an hour"),
    Event.LANDING_CONNECTIONS_DROPPED: Attention("look", "a thousand connections are dropped within an hour"),
    Event.LANDING_ADDRESS_BANNED: Attention("look", "ten sources are shut out within an hour"),
    Event.LANDING_UPLOAD_UNCONFIRMED: Attention("look", "it is logged five times within an hour"),
    Event.LANDING_UPLOAD_REFUSED: Attention("ticket"),
    Event.LANDING_SESSION_FAILED: Attention("ticket"),
    Event.LANDING_WATCH_REFUSED: Attention("look"),
    Event.LANDING_PATH_BLOCKED: Attention("ticket"),
    Event.ARRIVAL_UNROUTED: Attention("ticket"),
    Event.EXPORT_ACCEPTED: Attention("ticket", "more than two in a hundred of a route's rows are rejected in a day"),
    Event.EXPORT_QUARANTINED: Attention("ticket"),
    Event.EXPORT_OVERDUE: Attention("ticket"),
    Event.DELIVERY_HELD: Attention("ticket"),
    Event.DELIVERY_GROWN: Attention("look"),
    Event.DELIVERY_OVERDUE: Attention("ticket"),
    Event.DELIVERY_DEFERRED: Attention("ticket", "it is logged ten times within an hour"),
    Event.DELIVERY_RECOVERED: Attention("look"),
    Event.DELIVERY_FAILED: Attention("ticket"),
    Event.FRESHNESS_LATE: Attention("ticket"),
    Event.FRESHNESS_MISSING: Attention("page"),
    Event.KEY_EXPIRING: Attention("ticket"),
    Event.KEY_EXPIRED: Attention("page"),
    Event.REPORT_FAILED: Attention("ticket"),
    Event.SEGMENT_DISAPPEARED: Attention("ticket"),
    Event.UPSTREAM_SUSPENDED: Attention("page"),
    Event.UPSTREAM_HOST_KEY_OFFERED: Attention("ticket"),
    Event.DISK_LOW: Attention("page"),
    Event.LIBRARY_WARNED: Attention("look", "it is logged twenty times within an hour"),
}
"""Every event of level warning or error, and those of level info that tell something by their number or absence."""


def runbook_section(event: Event) -> str | None:
    """Return where the runbook tells of an event, as `docs/runbook.md#disklow`; None where it does not."""
    # The anchor that forges make of a heading: what is no letter, digit, `_` or `-` falls out.
    return f"{RUNBOOK}#{event.value.replace('.', '')}" if event in ATTENTION else None
