"""What may happen next: the three transition tables, and the arithmetic of trying again.

The tables are the whole truth: an event that a state does not list is illegal, changes nothing and raises.
`store` is the only caller that persists what is computed here.
"""

from datetime import timedelta
from enum import StrEnum
from typing import Final, TypeVar

from relay.model import ArrivalState as A
from relay.model import DeliveryState as D
from relay.model import ExportState as E


class ArrivalEvent(StrEnum):
    """What can happen to a landed file."""

    CLAIMED = "claimed"
    WITHDRAWN = "withdrawn"
    UNROUTED = "unrouted"
    IGNORED = "ignored"


class ExportEvent(StrEnum):
    """What can happen to an export."""

    GATHERING = "gathering"
    RECEIVED = "received"
    ACCEPTED = "accepted"
    DUPLICATED = "duplicated"
    QUARANTINED = "quarantined"
    WITHDRAWN = "withdrawn"
    REQUEUED = "requeued"
    DISCARDED = "discarded"


class DeliveryEvent(StrEnum):
    """What can happen to a delivery."""

    QUEUED = "queued"
    HELD = "held"
    RELEASED = "released"
    CLAIMED = "claimed"
    SENT = "sent"
    DEFERRED = "deferred"
    FAILED = "failed"
    RECOVERED = "recovered"
    REQUEUED = "requeued"
    SUPERSEDED = "superseded"
    DUPLICATED = "duplicated"
    DISCARDED = "discarded"


ARRIVAL: Final[dict[A, dict[ArrivalEvent, A]]] = {
    A.LANDED: {
        ArrivalEvent.CLAIMED: A.CLAIMED,
        ArrivalEvent.WITHDRAWN: A.WITHDRAWN,
        ArrivalEvent.UNROUTED: A.UNROUTED,
        ArrivalEvent.IGNORED: A.IGNORED,
    },
    A.CLAIMED: {},
    A.WITHDRAWN: {},
    A.UNROUTED: {},
    A.IGNORED: {},
}

EXPORT: Final[dict[E, dict[ExportEvent, E]]] = {
    E.GATHERING: {
        ExportEvent.RECEIVED: E.RECEIVED,
        ExportEvent.QUARANTINED: E.QUARANTINED,
        ExportEvent.WITHDRAWN: E.DISCARDED,
        ExportEvent.REQUEUED: E.GATHERING,
        ExportEvent.DISCARDED: E.DISCARDED,
    },
    E.RECEIVED: {
        ExportEvent.ACCEPTED: E.ACCEPTED,
        ExportEvent.QUARANTINED: E.QUARANTINED,
        ExportEvent.DUPLICATED: E.DUPLICATED,
    },
    E.ACCEPTED: {},
    E.DUPLICATED: {},
    E.QUARANTINED: {
        ExportEvent.REQUEUED: E.RECEIVED,
        ExportEvent.DISCARDED: E.DISCARDED,
    },
    E.DISCARDED: {},
}

DELIVERY: Final[dict[D, dict[DeliveryEvent, D]]] = {
    D.QUEUED: {
        DeliveryEvent.CLAIMED: D.SENDING,
        DeliveryEvent.HELD: D.HELD,
        DeliveryEvent.SUPERSEDED: D.SUPERSEDED,
        DeliveryEvent.DISCARDED: D.DISCARDED,
    },
    D.HELD: {
        DeliveryEvent.RELEASED: D.QUEUED,
        DeliveryEvent.DISCARDED: D.DISCARDED,
        DeliveryEvent.SUPERSEDED: D.SUPERSEDED,
        DeliveryEvent.DUPLICATED: D.DUPLICATED,
    },
    D.SENDING: {
        DeliveryEvent.SENT: D.SENT,
        DeliveryEvent.DEFERRED: D.DEFERRED,
        DeliveryEvent.FAILED: D.FAILED,
        DeliveryEvent.RECOVERED: D.DEFERRED,
    },
    D.DEFERRED: {
        DeliveryEvent.CLAIMED: D.SENDING,
        DeliveryEvent.HELD: D.HELD,
        DeliveryEvent.SUPERSEDED: D.SUPERSEDED,
        DeliveryEvent.DISCARDED: D.DISCARDED,
    },
    D.FAILED: {
        DeliveryEvent.REQUEUED: D.QUEUED,
        DeliveryEvent.SUPERSEDED: D.SUPERSEDED,
        DeliveryEvent.DISCARDED: D.DISCARDED,
    },
    D.SENT: {},
    D.SUPERSEDED: {},
    D.DUPLICATED: {},
    D.DISCARDED: {},
}

BIRTHS: Final[dict[type[StrEnum], frozenset[StrEnum]]] = {
    A: frozenset({A.LANDED}),
    E: frozenset({E.GATHERING, E.RECEIVED}),
    D: frozenset({D.QUEUED, D.HELD, D.DUPLICATED, D.SUPERSEDED}),
}
"""The states in which each of the three may begin."""

WAITING: Final = frozenset({D.QUEUED, D.HELD, D.DEFERRED, D.FAILED})
"""A delivery in one of these has not reached the upstream and may still be overtaken by a newer list."""

IN_EFFECT: Final = frozenset({D.QUEUED, D.HELD, D.SENDING, D.DEFERRED, D.SENT})
"""A list in one of these counts when a second one of the same segment and date is judged (rule D4)."""


class IllegalTransitionError(Exception):
    """An event met a state that does not list it. Nothing was changed."""


_State = TypeVar("_State", A, E, D)
_Event = TypeVar("_Event", ArrivalEvent, ExportEvent, DeliveryEvent)


def next_state(table: dict[_State, dict[_Event, _State]], state: _State, event: _Event) -> _State:
    """Return the state that `event` leads to from `state`.

    Raises:
        IllegalTransitionError: the table does not list `event` for `state`.
    """
    try:
        return table[state][event]
    except KeyError:
        allowed = ", ".join(sorted(table[state])) or "nothing, it is final"
        raise IllegalTransitionError(f"{state} cannot be {event}; from {state} it allows: {allowed}") from None


FIRST_RETRY: Final = timedelta(seconds=30)
LONGEST_RETRY: Final = timedelta(minutes=15)


def retry_delay(attempts: int, jitter: float) -> timedelta:
    """Return how long to wait after the `attempts`-th failed attempt (from 1): doubling, capped, spread.

    Args:
        attempts: how many attempts have failed, at least 1.
        jitter: a number in [0, 1); it spreads the delay over its upper half, so that a host full of lists
            does not knock again all at once.
    """
    ceiling: timedelta = min(FIRST_RETRY * (1 << min(attempts - 1, 16)), LONGEST_RETRY)
    return ceiling * (0.5 + jitter / 2)
