"""Verbs on arrivals: files that landed."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, bindparam, insert, select, update

from relay.lifecycle import ArrivalEvent
from relay.log import Event
from relay.model import Arrival, ArrivalState, Fingerprint, Landing, RelayError
from relay.store.journal import Transaction, subject_of_arrival
from relay.store.moves import facts_of_arrival, move_arrival
from relay.store.rows import arrival_of
from relay.store.schema import arrivals
from relay.store.verbs import Verbs


class ArrivalVerbs(Verbs):
    """What is noted of landed files."""

    def land(self, landing: Landing, now: datetime) -> Arrival:
        """Note a complete file. One that is noted already and still `landed` is returned as it was noted."""
        with self._database.transaction(now) as transaction:
            return _landed(transaction.connection, landing) or _note(transaction, landing)

    def withdraw(self, arrival_id: int, now: datetime) -> None:
        """Note that its client removed, renamed or replaced a file before it was claimed (rule L6).

        Raises:
            IllegalTransitionError: it was claimed.
        """
        with self._database.transaction(now) as transaction:
            move_arrival(transaction, the_arrival(transaction, arrival_id), ArrivalEvent.WITHDRAWN)

    def unroute(self, arrival_id: int, hint: str, now: datetime) -> None:
        """Note that no route wants a file; `hint` says what to do about it.

        Raises:
            IllegalTransitionError: it is not `landed`.
        """
        with self._database.transaction(now) as transaction:
            move_arrival(transaction, the_arrival(transaction, arrival_id), ArrivalEvent.UNROUTED, hint=hint)

    def arrivals(
        self,
        state: ArrivalState | None = None,
        account: str | None = None,
        *,
        export_id: str | None = None,
        in_view: bool = False,
        limit: int | None = None,
    ) -> list[Arrival]:
        """Return arrivals, oldest first; those of an export in the order of its parts.

        Args:
            state: only those in this state.
            account: only those of this account.
            export_id: only the parts of this export.
            in_view: only those whose file was not yet cleared out of the landing zone's view.
            limit: at most so many.
        """
        query = select(arrivals).order_by(arrivals.c.id if export_id is None else arrivals.c.part).limit(limit)
        if state is not None:
            query = query.where(arrivals.c.state == state)
        if account is not None:
            query = query.where(arrivals.c.account == account)
        if export_id is not None:
            query = query.where(arrivals.c.export_id == export_id)
        if in_view:
            query = query.where(arrivals.c.cleared_at.is_(None))
        with self._database.reading() as connection:
            return [arrival_of(row) for row in connection.execute(query).mappings()]

    def known(self, account: str) -> dict[Fingerprint, Arrival]:
        """Return the latest arrival of each file that may lie in an account's landing zone."""
        return {arrival.fingerprint: arrival for arrival in self._in_order_of_landing(account)}

    def cleared(self, arrival_ids: Collection[int], now: datetime) -> None:
        """Note that the files of these arrivals have left the landing zone's view (rule R3)."""
        if not arrival_ids:
            return
        gone = update(arrivals).where(arrivals.c.id == bindparam("this_id")).values(cleared_at=now)
        with self._database.writing() as connection:
            connection.execute(gone, [{"this_id": it} for it in arrival_ids])

    def _in_order_of_landing(self, account: str) -> list[Arrival]:
        query = (
            select(arrivals)
            .where(arrivals.c.account == account, arrivals.c.cleared_at.is_(None))
            .order_by(arrivals.c.id)
        )
        with self._database.reading() as connection:
            return [arrival_of(row) for row in connection.execute(query).mappings()]


def the_arrival(transaction: Transaction, arrival_id: int) -> Arrival:
    """Return the arrival of this number.

    Raises:
        RelayError: there is none.
    """
    rows = transaction.run(select(arrivals).where(arrivals.c.id == arrival_id)).mappings()
    if (arrival := next(map(arrival_of, rows), None)) is None:
        raise RelayError(f"no arrival has the number {arrival_id}")
    return arrival


def _landed(connection: Connection, landing: Landing) -> Arrival | None:
    rows = connection.execute(
        select(arrivals).where(
            arrivals.c.account == landing.account,
            arrivals.c.path == landing.path,
            arrivals.c.fingerprint == landing.fingerprint,
            arrivals.c.state == ArrivalState.LANDED,
        )
    )
    return next(map(arrival_of, rows.mappings()), None)


def _note(transaction: Transaction, landing: Landing) -> Arrival:
    rows = transaction.run(
        insert(arrivals)
        .values(
            account=landing.account,
            path=landing.path,
            fingerprint=landing.fingerprint,
            size=landing.size,
            confirmed=landing.confirmed,
            session=landing.session,
            state=ArrivalState.LANDED,
            landed_at=transaction.now,
        )
        .returning(arrivals)
    )
    arrival = arrival_of(rows.mappings().one())
    transaction.record(Event.ARRIVAL_LANDED, subject_of_arrival(arrival.id), None, facts_of_arrival(arrival))
    return arrival
