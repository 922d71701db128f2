"""The history: every transition is written in the transaction that makes it, with the fields of its line in the log.

So the table is both what `relay show` tells and an outbox: the daemon writes one line per row, in order, also for what
an operator's command did in another process.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import Connection, CursorResult, Executable, insert

from relay.log import CATALOGUE, Event
from relay.store.columns import instant_text
from relay.store.schema import transitions

_NOT_STORED: Final = "seq"
"""The one field of a line that is not among a transition's fields: it is the row's own number."""


# Put together once, as it is executed with every transition.
_RECORD: Final = insert(transitions)


class Transaction:
    """One writing transaction: its connection, its instant, and how many transitions it has recorded."""

    def __init__(self, connection: Connection, now: datetime) -> None:
        self.connection = connection
        self.now = now
        self.recorded = 0

    def run(self, statement: Executable, rows: list[dict[str, Any]] | None = None) -> CursorResult[Any]:
        """Execute `statement`, once or for each of `rows`."""
        return self.connection.execute(statement, rows)

    def record(self, event: Event, subject: str, from_state: StrEnum | str | None, facts: Mapping[str, object]) -> None:
        """Write one row of history; the catalogue chooses the event's fields from among `facts`.

        Args:
            event: the line that the log will have.
            subject: the id of what changed (`subject_of_arrival` and its like where ids could be confused).
            from_state: the state before, None at birth.
            facts: everything known of the subject, under the names of the log's fields; `state` is the state reached.

        Raises:
            KeyError: a field that every line of this event has is not among `facts`.
        """
        self.record_all(event, [(subject, from_state, facts)])

    def record_all(
        self, event: Event, happened: Sequence[tuple[str, StrEnum | str | None, Mapping[str, object]]]
    ) -> None:
        """Write a row of history for each subject that the same event happened to; see `record`."""
        rows = [
            {
                "event": event.value,
                "subject": subject,
                "from_state": from_state,
                "to_state": facts["state"],
                "at": self.now,
                "fields": _fields(event, facts),
            }
            for subject, from_state, facts in happened
        ]
        if rows:
            self.run(_RECORD, rows)
        self.recorded += len(rows)


def subject_of_arrival(arrival_id: int) -> str:
    """Return what an arrival is called in the history."""
    return f"arrival/{arrival_id}"


def subject_of_upstream(upstream: str) -> str:
    """Return what an upstream is called in the history."""
    return f"upstream/{upstream}"


def subject_of_source(source: str) -> str:
    """Return what a source of connections is called in the history."""
    return f"source/{source}"


def _fields(event: Event, facts: Mapping[str, object]) -> dict[str, object]:
    entry = CATALOGUE[event]
    fields = {name: _plain(facts[name]) for name in entry.fields if name != _NOT_STORED}
    fields |= {name: _plain(facts[name]) for name in entry.optional if facts.get(name) is not None}
    return fields


def _plain(value: object) -> object:
    """Return `value` as JSON can hold it."""
    if isinstance(value, datetime):
        return instant_text(value)
    return value.isoformat() if isinstance(value, date) else value
