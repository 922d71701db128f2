"""Verbs on exports: from custody to acceptance, or to an end without deliveries."""

from collections.abc import Callable, Sequence
from datetime import date, datetime

from sqlalchemy import ColumnElement, exists, func, select, update

from relay.guards import History
from relay.lifecycle import ExportEvent, IllegalTransitionError
from relay.model import Acceptance, Delivery, DeliveryState, Draft, Export, ExportState, NewExport, Report, Verdict
from relay.store.gathering import bear_export, claim_parts
from relay.store.moves import move_export
from relay.store.planning import accept_export
from relay.store.rows import export_of
from relay.store.schema import arrivals, deliveries, exports
from relay.store.segments import IN_LINE, older, same_segment
from relay.store.verbs import Verbs, the_export

_UNDONE = (DeliveryState.DISCARDED, DeliveryState.SUPERSEDED, DeliveryState.FAILED)
"""A delivery in one of these did not take effect, so its export may be wanted again (rule D9)."""


class ExportVerbs(Verbs):
    """What becomes of exports."""

    def receive(self, export: NewExport, arrival_ids: Sequence[int], now: datetime) -> Export:
        """Take custody: note the export and claim its arrivals, in the order of its parts.

        Raises:
            IllegalTransitionError: an arrival is no longer `landed`; nothing is noted then.
        """
        with self._database.transaction(now) as transaction:
            received = bear_export(transaction, export, ExportState.RECEIVED, parts=len(arrival_ids))
            claim_parts(transaction, received, arrival_ids)
            return received

    def received_exports(self) -> list[Export]:
        """Return the exports that wait to be rewritten, oldest first."""
        # In the order of their lists (rule D8), which no clock has a say in.
        last_arrival = select(func.max(arrivals.c.id)).where(arrivals.c.export_id == exports.c.id).scalar_subquery()
        query = select(exports).where(exports.c.state == ExportState.RECEIVED).order_by(last_arrival)
        with self._database.reading() as connection:
            return [export_of(row) for row in connection.execute(query).mappings()]

    def rewrite_crashed(self, export_id: str, now: datetime) -> int:
        """Count a crash of the rewrite and return how many there have been since the export was received.

        Raises:
            IllegalTransitionError: the export is not `received`.
        """
        counted = update(exports).values(attempts=exports.c.attempts + 1).returning(exports.c.attempts)
        with self._database.transaction(now) as transaction:
            crashes: int | None = transaction.run(
                counted.where(exports.c.id == export_id, exports.c.state == ExportState.RECEIVED)
            ).scalar_one_or_none()
            if crashes is None:
                raise IllegalTransitionError(f"{export_id} is not {ExportState.RECEIVED}")
            return crashes

    def accepted_twin(self, export: Export, settings_digest: str, list_date: date) -> str | None:
        """Return the accepted export that makes rewriting `export` unnecessary, or None (rule D9)."""
        newest = (
            select(exports)
            .where(exports.c.route == export.route, exports.c.state == ExportState.ACCEPTED)
            .order_by(exports.c.accepted_at.desc(), exports.c.received_at.desc())
            .limit(1)
            .subquery()
        )
        twin = select(newest.c.id).where(
            newest.c.source_sha256 == export.source_sha256,
            newest.c.settings_digest == settings_digest,
            newest.c.list_date == list_date,
            ~_has_undone_delivery(newest.c.id),
            ~_has_been_followed(newest.c.id),
        )
        with self._database.reading() as connection:
            return connection.scalar(twin)

    def duplicate(self, export_id: str, original_id: str, list_date: date, now: datetime) -> None:
        """Record an export as the same bytes as `original_id`, accepted for the same date (rule D9).

        Raises:
            IllegalTransitionError: the export is not `received`.
        """
        with self._database.transaction(now) as transaction:
            export = the_export(transaction, export_id)
            move_export(transaction, export, ExportEvent.DUPLICATED, original_id=original_id, list_date=list_date)

    def quarantine(self, export_id: str, reason: str, detail: str, hint: str, now: datetime) -> None:
        """Set an export aside for a person.

        Raises:
            IllegalTransitionError: the export is not `received`.
        """
        with self._database.transaction(now) as transaction:
            export = the_export(transaction, export_id)
            move_export(transaction, export, ExportEvent.QUARANTINED, reason=reason, detail=detail, hint=hint)

    def accept(
        self,
        export_id: str,
        report: Report,
        acceptance: Acceptance,
        plan: Callable[[Draft, History], Verdict],
        now: datetime,
    ) -> list[Delivery]:
        """Accept a rewritten export and make its deliveries, all in one transaction.

        `plan` judges each draft against its segment's history. What it queues gets its name here (rule D1) and takes
        the place of older unsent lists (rule D7).

        Args:
            export_id: the export.
            report: what the rewrite found.
            acceptance: what holds for all of its lists.
            plan: the judgement; pure, and called with the write lock held.
            now: the instant of planning.

        Returns:
            The deliveries, in the order of the drafts.

        Raises:
            IllegalTransitionError: the export is not `received`.
            ComparisonOutdatedError: a list was sent since the drafts were compared with those last sent.
        """
        with self._database.transaction(now) as transaction:
            return accept_export(transaction, the_export(transaction, export_id), report, acceptance, plan)


def _has_undone_delivery(export_id: ColumnElement[str]) -> ColumnElement[bool]:
    return exists().where(deliveries.c.export_id == export_id, deliveries.c.state.in_(_UNDONE))


def _has_been_followed(export_id: ColumnElement[str]) -> ColumnElement[bool]:
    """The condition that another list came after one of the export's, so that this one would be a change (rule D4)."""
    followed = deliveries.alias("followed")
    return exists().where(
        followed.c.export_id == export_id,
        same_segment(followed, deliveries),
        older(followed, deliveries),
        deliveries.c.state.in_(IN_LINE),
        deliveries.c.sha256 != followed.c.sha256,
    )
