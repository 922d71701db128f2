"""What every group of verbs stands on."""

from collections.abc import Collection
from typing import Final

from sqlalchemy import Connection, bindparam, select

from relay.model import Delivery, DeliveryState, Export, RelayError
from relay.store.database import Database
from relay.store.journal import Transaction
from relay.store.rows import delivery_of, export_of
from relay.store.schema import deliveries, exports


class Verbs:
    """A group of verbs on one database."""

    def __init__(self, database: Database) -> None:
        self._database = database


# Put together once, as it is asked for by every verb about a delivery.
_DELIVERY: Final = select(deliveries).where(deliveries.c.id == bindparam("its_id"))


def find_export(connection: Connection, export_id: str) -> Export | None:
    """Return the export of this id."""
    rows = connection.execute(select(exports).where(exports.c.id == export_id)).mappings()
    return next(map(export_of, rows), None)


def find_delivery(connection: Connection, delivery_id: str) -> Delivery | None:
    """Return the delivery of this id."""
    rows = connection.execute(_DELIVERY, {"its_id": delivery_id}).mappings()
    return next(map(delivery_of, rows), None)


_DELIVERIES: Final = select(deliveries).where(deliveries.c.id.in_(bindparam("its_ids", expanding=True)))


def deliveries_by_id(connection: Connection, delivery_ids: Collection[str]) -> dict[str, Delivery]:
    """Return the deliveries of these ids.

    Raises:
        RelayError: there is none of one of them.
    """
    rows = connection.execute(_DELIVERIES, {"its_ids": list(delivery_ids)}).mappings()
    found = {it.id: it for it in map(delivery_of, rows)}
    for missing in set(delivery_ids) - found.keys():
        raise unknown("delivery", missing)
    return found


def the_export(transaction: Transaction, export_id: str) -> Export:
    """Return the export of this id.

    Raises:
        RelayError: there is none.
    """
    if (export := find_export(transaction.connection, export_id)) is None:
        raise unknown("export", export_id)
    return export


def the_delivery(transaction: Transaction, delivery_id: str) -> Delivery:
    """Return the delivery of this id.

    Raises:
        RelayError: there is none.
    """
    if (delivery := find_delivery(transaction.connection, delivery_id)) is None:
        raise unknown("delivery", delivery_id)
    return delivery


def was_taken_over(delivery: Delivery, attempt: int | None) -> bool:
    """Say whether `attempt` is one whose claim ran out, so that the list is in other hands, or in nobody's."""
    if attempt is None:
        return False
    return delivery.attempts != attempt or delivery.state is not DeliveryState.SENDING


def unknown(noun: str, it: str) -> RelayError:
    """Return the error for an id that nothing has."""
    return RelayError(f"no {noun} is called {it}", hint="`relay exports` and `relay deliveries` list the ids.")
