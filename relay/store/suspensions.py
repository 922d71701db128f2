"""Verbs on upstreams that are out of use."""

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, delete, select
from sqlalchemy.dialects.sqlite import insert

from relay.log import Event
from relay.model import Decision, RelayError, Suspension
from relay.store.journal import subject_of_upstream
from relay.store.rows import suspension_of
from relay.store.schema import suspensions
from relay.store.verbs import Verbs

_SUSPENDED: Final = "suspended"
_IN_USE: Final = "in_use"


class SuspensionVerbs(Verbs):
    """Which upstreams nothing is sent to."""

    def suspend(self, upstream: str, reason: str, detail: str, hint: str, probe_at: datetime, now: datetime) -> None:
        """Send nothing to an upstream until it is well again; `probe_at` is when to see whether it is.

        Suspending one again for the same reason moves the probe and is no transition.
        """
        said = {"reason": reason, "detail": detail, "hint": hint, "probe_at": probe_at}
        with self._database.transaction(now) as transaction:
            before = _suspension(transaction.connection, upstream)
            transaction.run(
                insert(suspensions)
                .values(upstream=upstream, suspended_at=now, **said)
                .on_conflict_do_update(index_elements=["upstream"], set_=said)
            )
            if before is None or before.reason != reason:
                facts = {**said, "upstream": upstream, "state": _SUSPENDED, "due_at": probe_at}
                transaction.record(
                    Event.UPSTREAM_SUSPENDED, subject_of_upstream(upstream), _SUSPENDED if before else _IN_USE, facts
                )

    def resume(self, upstream: str, decision: Decision | None, now: datetime) -> None:
        """Use an upstream again: because it is well, or because an operator decided so.

        Raises:
            RelayError: an operator resumes what is not suspended. Without an operator that changes nothing.
        """
        with self._database.transaction(now) as transaction:
            resumed = transaction.run(delete(suspensions).where(suspensions.c.upstream == upstream)).rowcount
            if resumed:
                said = {"operator": decision.operator, "reason": decision.reason} if decision else {}
                facts = {"upstream": upstream, "state": _IN_USE, **said}
                transaction.record(Event.UPSTREAM_RESUMED, subject_of_upstream(upstream), _SUSPENDED, facts)
            elif decision is not None:
                raise RelayError(f"{upstream} is not suspended", hint="`relay status` shows what is.")

    def suspensions(self) -> dict[str, Suspension]:
        """Return the upstreams that are suspended, by name."""
        with self._database.reading() as connection:
            rows = connection.execute(select(suspensions).order_by(suspensions.c.upstream)).mappings()
            return {row["upstream"]: suspension_of(row) for row in rows}


def _suspension(connection: Connection, upstream: str) -> Suspension | None:
    rows = connection.execute(select(suspensions).where(suspensions.c.upstream == upstream)).mappings()
    return next(map(suspension_of, rows), None)
