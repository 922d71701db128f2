"""A change of state: computed by the table, swapped against the old state, written into the history.

Every verb that moves an arrival, an export or a delivery does it through here.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from sqlalchemy import Table, bindparam, insert, update

from relay.lifecycle import (
    ARRIVAL,
    BIRTHS,
    DELIVERY,
    EXPORT,
    ArrivalEvent,
    DeliveryEvent,
    ExportEvent,
    IllegalTransitionError,
    next_state,
)
from relay.log import Event
from relay.model import Arrival, ArrivalState, Delivery, DeliveryState, Export
from relay.store.journal import Transaction, subject_of_arrival
from relay.store.rows import columns_of_delivery
from relay.store.schema import arrivals, deliveries, exports

_ARRIVAL_LINES: Final = {event: Event(f"arrival.{event}") for event in ArrivalEvent}
_EXPORT_LINES: Final = {event: Event(f"export.{event}") for event in ExportEvent}
_DELIVERY_LINES: Final = {
    event: Event.DELIVERY_SENDING if event is DeliveryEvent.CLAIMED else Event(f"delivery.{event}")
    for event in DeliveryEvent
}
_BIRTH_LINES: Final = {
    DeliveryState.QUEUED: Event.DELIVERY_QUEUED,
    DeliveryState.HELD: Event.DELIVERY_HELD,
    DeliveryState.DUPLICATED: Event.DELIVERY_DUPLICATED,
    DeliveryState.SUPERSEDED: Event.DELIVERY_SUPERSEDED,
}


# Put together once: which columns are set is told by the values that each is executed with.
_SWAPS: Final = {
    table: update(table).where(table.c.id == bindparam("its_id"), table.c.state == bindparam("its_state"))
    for table in (arrivals, exports, deliveries)
}


def move_arrival(
    transaction: Transaction, arrival: Arrival, event: ArrivalEvent, *, route: str | None = None, **columns: Any
) -> Arrival:
    """Let `event` happen to `arrival`, setting `columns` with it.

    Raises:
        IllegalTransitionError: the arrival's state does not list `event`.
    """
    moved = replace(arrival, state=next_state(ARRIVAL, arrival.state, event), **_known(arrival, columns))
    _swap(transaction, arrivals, arrival, moved.state, columns)
    facts = facts_of_arrival(moved) | {"route": route, "hint": columns.get("hint")}
    transaction.record(_ARRIVAL_LINES[event], subject_of_arrival(arrival.id), arrival.state, facts)
    return moved


def claim_arrivals(
    transaction: Transaction, claimed: Sequence[tuple[Arrival, int | None]], *, route: str, export_id: str
) -> None:
    """Make landed files the parts, or with None in place of a number the end markers, of an export.

    There may be thousands, and nobody else can write meanwhile: so all at once.

    Raises:
        IllegalTransitionError: one is not `landed`, or no longer.
    """
    if not claimed:
        return
    moved = [
        replace(it, state=next_state(ARRIVAL, it.state, ArrivalEvent.CLAIMED), export_id=export_id, part=part)
        for it, part in claimed
    ]
    swapped = transaction.run(
        update(arrivals)
        .where(arrivals.c.id == bindparam("this_id"), arrivals.c.state == ArrivalState.LANDED)
        .values(state=ArrivalState.CLAIMED, export_id=export_id, part=bindparam("this_part")),
        [{"this_id": it.id, "this_part": it.part} for it in moved],
    )
    if swapped.rowcount != len(moved):
        raise IllegalTransitionError(f"a file of {export_id} is no longer {ArrivalState.LANDED}")
    transaction.record_all(
        Event.ARRIVAL_CLAIMED,
        [
            (subject_of_arrival(it.id), ArrivalState.LANDED, facts_of_arrival(it) | {"route": route, "hint": None})
            for it in moved
        ],
    )


def move_export(
    transaction: Transaction,
    export: Export,
    event: ExportEvent,
    *,
    facts: dict[str, object] | None = None,
    **columns: Any,
) -> Export:
    """Let `event` happen to `export`, setting `columns` with it; `facts` are what the log says beside the export's.

    Raises:
        IllegalTransitionError: the export's state does not list `event`.
    """
    moved = replace(export, state=next_state(EXPORT, export.state, event), **_known(export, columns))
    _swap(transaction, exports, export, moved.state, columns)
    transaction.record(_EXPORT_LINES[event], export.id, export.state, facts_of_export(moved) | (facts or {}))
    return moved


def move_delivery(
    transaction: Transaction,
    delivery: Delivery,
    event: DeliveryEvent,
    *,
    facts: dict[str, object] | None = None,
    **columns: Any,
) -> Delivery:
    """Let `event` happen to `delivery`, setting `columns` with it; `facts` are what the log says beside the delivery's.

    The reason, detail and hint of the state that is left are forgotten: the history has them.

    Raises:
        IllegalTransitionError: the delivery's state does not list `event`.
    """
    return move_deliveries(transaction, event, [DeliveryMove(delivery, columns, facts or {})])[0]


_FORGOTTEN: Final = dict.fromkeys(("reason", "detail", "hint", "due_at", "lease_until"))
"""What a delivery had of its last state and has no more, unless the move says so."""


@dataclass(frozen=True, slots=True)
class DeliveryMove:
    """What `move_delivery` takes of one delivery."""

    delivery: Delivery
    columns: dict[str, Any]
    facts: dict[str, object] = field(default_factory=dict)


def move_deliveries(transaction: Transaction, event: DeliveryEvent, moves: Sequence[DeliveryMove]) -> list[Delivery]:
    """Let the same `event` happen to several, as `move_delivery`; each sets the same columns.

    Raises:
        IllegalTransitionError: the state of one of them does not list `event`.
    """
    rows: list[dict[str, Any]] = []
    all_moved: list[Delivery] = []
    for it in moves:
        columns = _FORGOTTEN | it.columns
        state = next_state(DELIVERY, it.delivery.state, event)
        all_moved.append(replace(it.delivery, state=state, **_known(it.delivery, columns)))
        rows.append({"its_id": it.delivery.id, "its_state": it.delivery.state, "state": state, **columns})
    if not rows:
        return []
    if transaction.run(_SWAPS[deliveries], rows).rowcount != len(rows):
        raise IllegalTransitionError(" or ".join(f"{it.delivery.id} is no longer {it.delivery.state}" for it in moves))
    happened = [
        (moved.id, it.delivery.state, facts_of_delivery(moved) | it.facts)
        for it, moved in zip(moves, all_moved, strict=True)
    ]
    transaction.record_all(_DELIVERY_LINES[event], happened)
    return all_moved


def bear_delivery(
    transaction: Transaction, delivery: Delivery, *, facts: dict[str, object] | None = None, **columns: Any
) -> Delivery:
    """Insert a new delivery in the state that it has.

    Raises:
        IllegalTransitionError: no delivery begins in that state.
    """
    if delivery.state not in BIRTHS[DeliveryState]:
        raise IllegalTransitionError(f"no delivery begins as {delivery.state}")
    transaction.run(insert(deliveries).values(**columns_of_delivery(delivery), **columns))
    transaction.record(_BIRTH_LINES[delivery.state], delivery.id, None, facts_of_delivery(delivery) | (facts or {}))
    return delivery


def facts_of_arrival(arrival: Arrival) -> dict[str, object]:
    """Return what the log may say of an arrival."""
    return {
        "arrival": arrival.id,
        "account": arrival.account,
        "path": arrival.path,
        "state": arrival.state,
        "bytes": arrival.size,
        "session": arrival.session,
        "export": arrival.export_id,
    }


def facts_of_export(export: Export) -> dict[str, object]:
    """Return what the log may say of an export."""
    return {
        "export": export.id,
        "route": export.route,
        "state": export.state,
        "account": export.account,
        "path": export.path,
        "bytes": export.source_bytes,
        "sha256": export.source_sha256,
        "list_date": export.list_date,
        "other": export.original_id,
        "reason": export.reason,
        "detail": export.detail,
        "hint": export.hint,
    }


def facts_of_delivery(delivery: Delivery) -> dict[str, object]:
    """Return what the log may say of a delivery."""
    return {
        "delivery": delivery.id,
        "export": delivery.export_id,
        "route": delivery.route,
        "upstream": delivery.upstream,
        "segment": delivery.segment,
        "state": delivery.state,
        "remote_name": delivery.remote_name,
        "attempt": delivery.attempts,
        "bytes": delivery.size,
        "sha256": delivery.sha256,
        "list_date": delivery.list_date,
        "slices": delivery.files if delivery.files > 1 else None,
        "slices_sent": delivery.files_sent if delivery.files > 1 else None,
        "previous_rows": delivery.previous_rows,
        "kept": delivery.kept,
        "lost": delivery.lost,
        "gained": delivery.gained,
        "verified": delivery.verified,
        "due_at": delivery.due_at,
        "reason": delivery.reason,
        "detail": delivery.detail,
        "hint": delivery.hint,
    } | asdict(delivery.counts)


def _known(value: Arrival | Export | Delivery, columns: dict[str, Any]) -> dict[str, Any]:
    """Return those of `columns` that are fields of `value`, too."""
    return {name: columns[name] for name in columns if hasattr(value, name)}


def _swap(transaction: Transaction, table: Table, old: Arrival | Export, state: str, columns: dict[str, Any]) -> None:
    """Write the new state where the old one still stands."""
    values = {"its_id": old.id, "its_state": old.state, "state": state, **columns}
    swapped = transaction.connection.execute(_SWAPS[table], values)
    if swapped.rowcount != 1:
        raise IllegalTransitionError(f"{old.id} is no longer {old.state}")
