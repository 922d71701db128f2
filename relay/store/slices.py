"""Lists that go out as several files: their names, given together, and how far each has come (rules D13 and D14)."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from relay.log import Event
from relay.model import Cut, Delivery, Receipt, Slice
from relay.store.journal import Transaction
from relay.store.moves import facts_of_delivery
from relay.store.rows import delivery_of, slice_of
from relay.store.schema import deliveries, slices
from relay.store.segments import NEWEST_FIRST, of_segment
from relay.store.verbs import Verbs, the_delivery, was_taken_over


class SliceVerbs(Verbs):
    """What is known and reported of the files of a list that goes out as several."""

    def slices(self, delivery_id: str) -> list[Slice]:
        """Return the files of a list in their order; none where it goes out as one, or has no name yet."""
        with self._database.reading() as connection:
            return slices_of(connection, delivery_id)

    def slice_sent(self, delivery_id: str, receipt: Receipt, attempt: int, now: datetime) -> Delivery | None:
        """Record that the upstream has the next file of a list, which is not its last.

        Returns:
            The delivery as it is now; None where `attempt` was taken over, so that nobody has it in hand.
        """
        with self._database.transaction(now) as transaction:
            delivery = the_delivery(transaction, delivery_id)
            if was_taken_over(delivery, attempt):
                return None
            number = delivery.files_sent + 1
            note_sent(transaction, delivery, number, receipt)
            begin_slice(transaction, delivery, number + 1)
            columns = {"files_sent": number, "unanswered": None}
            transaction.run(update(deliveries).where(deliveries.c.id == delivery_id).values(**columns))
            moved = replace(delivery, files_sent=number, unanswered=None)
            facts = facts_of_delivery(moved) | {"slice": number, "bytes": receipt.size, "publish": receipt.publish}
            facts |= {"remote_name": receipt.remote_name, "verified": receipt.verified}
            transaction.record(Event.SLICE_SENT, delivery.id, delivery.state, facts)
            return moved

    def partly_sent(self, upstream: str, client_domain: str, segment: str) -> Delivery | None:
        """Return the newest list of a segment if only some of its files were sent, so that what is live is unclear."""
        newest = (
            select(deliveries)
            .where(
                of_segment(upstream, client_domain, segment),
                deliveries.c.files_sent > 0,
            )
            .order_by(*NEWEST_FIRST)
            .limit(1)
        )
        with self._database.reading() as connection:
            found = next(map(delivery_of, connection.execute(newest).mappings()), None)
        return found if found is not None and found.is_partly_sent else None


def bear_slices(transaction: Transaction, delivery: Delivery, cuts: Sequence[Cut], names: Sequence[str]) -> None:
    """Note the files of a list; one alone needs no note, as the delivery itself has its name."""
    if len(cuts) > 1:
        rows = [
            {"delivery_id": delivery.id, "upstream": delivery.upstream, "number": number, "remote_name": name}
            | asdict(cut)
            for number, (cut, name) in enumerate(zip(cuts, names, strict=True), start=1)
        ]
        transaction.run(insert(slices), rows)


def begin_slice(transaction: Transaction, delivery: Delivery, number: int) -> None:
    """Note in which attempt a file was begun: only an attempt at the same file can have left something of it."""
    of_it = (slices.c.delivery_id == delivery.id, slices.c.number == number, slices.c.first_attempt.is_(None))
    transaction.run(update(slices).where(*of_it).values(first_attempt=delivery.attempts))


def note_sent(transaction: Transaction, delivery: Delivery, number: int, receipt: Receipt) -> None:
    """Note of one file that the upstream has it."""
    of_it = (slices.c.delivery_id == delivery.id, slices.c.number == number)
    columns = {"sent_at": transaction.now, "verified": receipt.verified}
    transaction.run(update(slices).where(*of_it).values(**columns))


def are_verified(connection: Connection, delivery_id: str) -> bool:
    """Say whether every file of a list was seen at the upstream."""
    unseen = select(slices.c.number).where(slices.c.delivery_id == delivery_id, slices.c.verified.is_not(True))
    return connection.scalar(unseen.limit(1)) is None


def slices_of(connection: Connection, delivery_id: str) -> list[Slice]:
    """Return the files of a list that goes out as several, in their order."""
    query = select(slices).where(slices.c.delivery_id == delivery_id).order_by(slices.c.number)
    return [slice_of(row) for row in connection.execute(query).mappings()]


def cuts_of(connection: Connection, delivery_id: str) -> list[Cut]:
    """Return how a list was cut, to cut it so again."""
    return [Cut(it.rows, it.offset, it.size, it.sha256) for it in slices_of(connection, delivery_id)]
