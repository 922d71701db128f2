"""Verbs on an export that waits for its files: begun with the first, taken when it is whole or given up.

Until then its files are `landed`, with its id: their client may still replace, rename or remove them (rule C2).
"""

from collections.abc import Collection, Sequence
from datetime import datetime

from sqlalchemy import bindparam, insert, select, update

from relay.lifecycle import ArrivalEvent, ExportEvent, IllegalTransitionError
from relay.log import Event
from relay.model import Arrival, ArrivalState, Export, ExportState, NewExport
from relay.store.arrivals import the_arrival
from relay.store.journal import Transaction
from relay.store.moves import claim_arrivals, facts_of_export, move_arrival, move_export
from relay.store.rows import arrival_of, export_of
from relay.store.schema import arrivals, exports
from relay.store.verbs import Verbs, the_export

_BIRTH_LINES = {ExportState.GATHERING: Event.EXPORT_GATHERING, ExportState.RECEIVED: Event.EXPORT_RECEIVED}


class GatheringVerbs(Verbs):
    """What becomes of exports of several files, and of end markers."""

    def gather(self, export: NewExport, now: datetime) -> Export:
        """Begin an export that waits for files: from now on it has its id."""
        with self._database.transaction(now) as transaction:
            return bear_export(transaction, export, ExportState.GATHERING)

    def gathering(self, account: str) -> list[Export]:
        """Return the exports of an account that wait for files, oldest first."""
        waiting = select(exports).where(exports.c.state == ExportState.GATHERING, exports.c.account == account)
        with self._database.reading() as connection:
            return [export_of(row) for row in connection.execute(waiting.order_by(exports.c.received_at)).mappings()]

    def taken_as_whole(self) -> list[str]:
        """Return the ids of the exports that wait for files although a person said that they are all there."""
        said = select(exports.c.id).where(exports.c.state == ExportState.GATHERING, exports.c.as_whole)
        with self._database.reading() as connection:
            return list(connection.scalars(said))

    def gathered(
        self, export_id: str, new: Collection[Arrival], *, detail: str, waits_until: datetime, now: datetime
    ) -> None:
        """Note what an export that waits for files has: new ones, and in words what it has and lacks.

        Raises:
            IllegalTransitionError: it does not wait any more.
        """
        noted = update(exports).where(exports.c.id == export_id, exports.c.state == ExportState.GATHERING)
        joined = update(arrivals).where(arrivals.c.id == bindparam("this_id"), arrivals.c.state == ArrivalState.LANDED)
        with self._database.transaction(now) as transaction:
            if transaction.run(noted.values(detail=detail, waits_until=waits_until)).rowcount != 1:
                raise IllegalTransitionError(f"{export_id} does not wait for files")
            if new:
                transaction.run(joined.values(export_id=export_id), [{"this_id": it.id} for it in new])

    def complete(
        self,
        export_id: str,
        parts: Sequence[Arrival],
        markers: Collection[Arrival],
        *,
        source_bytes: int,
        source_sha256: str,
        now: datetime,
        lacks: tuple[str, str] | None = None,
    ) -> Export:
        """Take custody of an export that waited for files: of its parts, in their order, and its end markers.

        Args:
            export_id: the export.
            parts: the files that are its parts.
            markers: its end markers.
            source_bytes: the size of all parts.
            source_sha256: the hash of all parts.
            now: the instant.
            lacks: why it is given up as incomplete: what was found and missed, and a hint.

        Raises:
            IllegalTransitionError: it does not wait any more, or an arrival is no longer `landed`; nothing is noted.
        """
        columns = {"source_bytes": source_bytes, "source_sha256": source_sha256, "received_at": now}
        event, why = ExportEvent.RECEIVED, dict.fromkeys(("reason", "detail", "hint", "waits_until"))
        if lacks is not None:
            event, why = ExportEvent.QUARANTINED, {**why, "reason": INCOMPLETE, "detail": lacks[0], "hint": lacks[1]}
        with self._database.transaction(now) as transaction:
            export = the_export(transaction, export_id)
            taken = move_export(transaction, export, event, facts={"parts": len(parts)}, **columns, **why)
            claim_arrivals(
                transaction,
                [*_numbered(parts), *((it, None) for it in markers)],
                route=export.route,
                export_id=export_id,
            )
            return taken

    def withdraw_export(self, export_id: str, now: datetime) -> None:
        """Note that none of its files is left: the client removed or renamed them before it was complete (rule C2).

        Raises:
            IllegalTransitionError: it does not wait for files.
        """
        with self._database.transaction(now) as transaction:
            export = the_export(transaction, export_id)
            move_export(transaction, export, ExportEvent.WITHDRAWN, reason="withdrawn", detail=None, waits_until=None)

    def attach(self, marker: Arrival, export_id: str, now: datetime) -> None:
        """Note that an end marker belongs to an export that is there already.

        Raises:
            IllegalTransitionError: the marker is not `landed`.
        """
        with self._database.transaction(now) as transaction:
            export = the_export(transaction, export_id)
            claim_arrivals(transaction, [(marker, None)], route=export.route, export_id=export_id)

    def ignore(self, arrival_id: int, hint: str, now: datetime) -> None:
        """Note that an end marker, or the like, belongs to no export.

        Raises:
            IllegalTransitionError: it is not `landed`.
        """
        with self._database.transaction(now) as transaction:
            move_arrival(transaction, the_arrival(transaction, arrival_id), ArrivalEvent.IGNORED, hint=hint)


INCOMPLETE = "incomplete"
"""The reason of an export that was given up because files, or its end marker, did not come."""


def bear_export(transaction: Transaction, new: NewExport, state: ExportState, **facts: object) -> Export:
    """Insert a new export in `state`; `facts` are what the log says beside the export's."""
    rows = transaction.run(
        insert(exports)
        .values(
            id=new.id,
            route=new.route,
            state=state,
            account=new.account,
            path=new.path,
            source_bytes=new.source_bytes,
            source_sha256=new.source_sha256,
            received_at=transaction.now,
        )
        .returning(exports)
    )
    export = export_of(rows.mappings().one())
    transaction.record(_BIRTH_LINES[state], export.id, None, facts_of_export(export) | facts)
    return export


def claim_parts(transaction: Transaction, export: Export, part_ids: Sequence[int]) -> None:
    """Claim the parts of an export, in their order."""
    parts = [the_arrival(transaction, it) for it in part_ids]
    claim_arrivals(transaction, _numbered(parts), route=export.route, export_id=export.id)


def claim_all_gathered(transaction: Transaction, export: Export) -> None:
    """Claim what an export has gathered that is given up: it is part of no other one."""
    gathered = select(arrivals).where(arrivals.c.export_id == export.id, arrivals.c.state == ArrivalState.LANDED)
    parts = [arrival_of(row) for row in transaction.run(gathered.order_by(arrivals.c.id)).mappings()]
    claim_arrivals(transaction, _numbered(parts), route=export.route, export_id=export.id)


def _numbered(parts: Sequence[Arrival]) -> list[tuple[Arrival, int | None]]:
    return [(it, part) for part, it in enumerate(parts, start=1)]
