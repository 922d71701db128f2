"""Verbs that only look: what commands list, what a preview compares with, what the log has yet to say."""

from collections.abc import Collection
from datetime import date, datetime

from sqlalchemy import func, select
from sqlalchemy.dialects.sqlite import insert

from relay.guards import History
from relay.log import Event
from relay.model import Backlog, Delivery, DeliveryState, Export, ExportState, Transition
from relay.store.rows import delivery_of, export_of, transition_of
from relay.store.schema import deliveries, exports, log_position, transitions
from relay.store.segments import NEWEST_FIRST, history_of, next_arrival
from relay.store.verbs import Verbs, find_delivery, find_export


class ReadingVerbs(Verbs):
    """What can be looked up."""

    def export(self, export_id: str) -> Export | None:
        """Return one export, None if there is none of this id."""
        with self._database.reading() as connection:
            return find_export(connection, export_id)

    def exports(
        self,
        route: str | None = None,
        state: ExportState | None = None,
        since: datetime | None = None,
        limit: int | None = None,
    ) -> list[Export]:
        """Return exports, newest first: of a route, in a state, received at or after `since`, at most `limit`."""
        query = select(exports).order_by(exports.c.received_at.desc(), exports.c.id.desc()).limit(limit)
        if route is not None:
            query = query.where(exports.c.route == route)
        if state is not None:
            query = query.where(exports.c.state == state)
        if since is not None:
            query = query.where(exports.c.received_at >= since)
        with self._database.reading() as connection:
            return [export_of(row) for row in connection.execute(query).mappings()]

    def delivery(self, delivery_id: str) -> Delivery | None:
        """Return one delivery, None if there is none of this id."""
        with self._database.reading() as connection:
            return find_delivery(connection, delivery_id)

    def deliveries(
        self,
        route: str | None = None,
        state: DeliveryState | None = None,
        since: datetime | None = None,
        limit: int | None = None,
        *,
        export_id: str | None = None,
    ) -> list[Delivery]:
        """Return deliveries, newest first: of a route, in a state, planned at or after `since`, at most `limit`.

        Those of one export (`export_id`) come in the order of its segments.
        """
        newest_first = deliveries.c.place.desc()
        query = select(deliveries).order_by(newest_first if export_id is None else deliveries.c.ordinal).limit(limit)
        if route is not None:
            query = query.where(deliveries.c.route == route)
        if state is not None:
            query = query.where(deliveries.c.state == state)
        if since is not None:
            query = query.where(deliveries.c.planned_at >= since)
        if export_id is not None:
            query = query.where(deliveries.c.export_id == export_id)
        with self._database.reading() as connection:
            return [delivery_of(row) for row in connection.execute(query).mappings()]

    def last_sent(self, upstream: str, client_domain: str) -> dict[str, Delivery]:
        """Return, by segment, the list last sent: what should be live at the upstream."""
        newest_first = func.row_number().over(partition_by=deliveries.c.segment, order_by=NEWEST_FIRST)
        sent = (
            select(deliveries, newest_first.label("rank"))
            .where(
                deliveries.c.upstream == upstream,
                deliveries.c.client_domain == client_domain,
                deliveries.c.state == DeliveryState.SENT,
            )
            .subquery()
        )
        query = select(sent).where(sent.c.rank == 1).order_by(sent.c.segment)
        with self._database.reading() as connection:
            return {row["segment"]: delivery_of(row) for row in connection.execute(query).mappings()}

    def history(self, upstream: str, client_domain: str, segment: str, *, day: date, last_arrival: int) -> History:
        """Return what a list of this segment is judged against on `day` whose last arrival has that number."""
        with self._database.reading() as connection:
            return history_of(connection, upstream, client_domain, segment, day=day, last_arrival=last_arrival)

    def next_arrival(self) -> int:
        """Return the number that the next arrival will have."""
        with self._database.reading() as connection:
            return next_arrival(connection)

    def counts(self) -> Backlog:
        """Return how much waits for its turn and how much for a person."""
        of_deliveries = select(deliveries.c.state, func.count()).group_by(deliveries.c.state)
        quarantined = select(func.count()).where(exports.c.state == ExportState.QUARANTINED)
        with self._database.reading() as connection:
            waiting = {state: int(count) for state, count in connection.execute(of_deliveries)}
            return Backlog(
                queued=waiting.get(DeliveryState.QUEUED, 0) + waiting.get(DeliveryState.DEFERRED, 0),
                held=waiting.get(DeliveryState.HELD, 0),
                quarantined=connection.execute(quarantined).scalar_one(),
            )

    def transitions(self, subject: str) -> list[Transition]:
        """Return the history of one export or delivery, oldest first."""
        query = select(transitions).where(transitions.c.subject == subject).order_by(transitions.c.seq)
        with self._database.reading() as connection:
            return [transition_of(row) for row in connection.execute(query).mappings()]

    def requeued_at(self, export_id: str) -> datetime | None:
        """Return when a person last had an export judged again, None if nobody did."""
        of_it = (transitions.c.subject == export_id, transitions.c.event == Event.EXPORT_REQUEUED)
        query = select(transitions.c.at).where(*of_it).order_by(transitions.c.seq.desc()).limit(1)
        with self._database.reading() as connection:
            requeued_at: datetime | None = connection.scalar(query)
            return requeued_at

    def happened(self, events: Collection[str], since: datetime, *, limit: int) -> list[Transition]:
        """Return the newest transitions of these events at or after `since`, newest first, at most `limit`."""
        query = select(transitions).where(transitions.c.event.in_(events), transitions.c.at >= since)
        with self._database.reading() as connection:
            rows = connection.execute(query.order_by(transitions.c.seq.desc()).limit(limit)).mappings()
            return [transition_of(row) for row in rows]

    def unlogged(self, limit: int = 500) -> list[Transition]:
        """Return the oldest transitions that are not yet in the log, in order."""
        logged = select(func.coalesce(func.max(log_position.c.logged), 0)).scalar_subquery()
        query = select(transitions).where(transitions.c.seq > logged).order_by(transitions.c.seq).limit(limit)
        with self._database.reading() as connection:
            return [transition_of(row) for row in connection.execute(query).mappings()]

    def logged(self, up_to_seq: int) -> None:
        """Note that every transition up to this number is in the log."""
        position = insert(log_position).values(only=1, logged=up_to_seq)
        with self._database.writing() as connection:
            connection.execute(position.on_conflict_do_update(index_elements=["only"], set_={"logged": up_to_seq}))

    def check_writable(self) -> None:
        """See that something can be committed; nothing is changed by it.

        Raises:
            DiskError: nothing can.
        """
        position = insert(log_position).values(only=1, logged=0)
        as_it_is = position.on_conflict_do_update(index_elements=["only"], set_={"logged": log_position.c.logged})
        with self._database.writing() as connection:
            connection.execute(as_it_is)

    def check_sound(self) -> None:
        """Read the whole database through, which takes about a second for each gigabyte.

        Raises:
            RelayError: it is damaged.
        """
        with self._database.reading() as connection:
            found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
        if found != "ok":
            raise self._database.damaged()
