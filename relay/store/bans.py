"""Verbs on bans: who is shut out of the landing zone."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.dialects.sqlite import insert

from relay.log import Event
from relay.model import Ban, RelayError
from relay.store.journal import subject_of_source
from relay.store.schema import bans
from relay.store.verbs import Verbs

_BANNED: Final = "banned"
_LET_IN: Final = "let_in"


class BanVerbs(Verbs):
    """What the landing zone remembers over a restart, and what an operator may change beside it (rule L22)."""

    def keep_bans(self, pronounced: Sequence[Ban], now: datetime) -> None:
        """Keep bans, and forget those that are over.

        The log has a line for each, the history has not: whoever floods the landing zone must not fill that.
        """
        rows = [
            {"source": it.source, "reason": it.reason, "banned_at": it.banned_at, "until": it.until}
            for it in pronounced
        ]
        with self._database.writing() as connection:
            connection.execute(delete(bans).where(bans.c.until <= now))
            if rows:
                statement = insert(bans)
                said = {name: statement.excluded[name] for name in ("reason", "banned_at", "until")}
                connection.execute(statement.on_conflict_do_update(index_elements=["source"], set_=said), rows)

    def lift_ban(self, source: str, operator: str, now: datetime) -> None:
        """Let a source in again. The running service sees it within seconds.

        Raises:
            RelayError: it is not shut out.
        """
        with self._database.transaction(now) as transaction:
            lifted = transaction.run(delete(bans).where(bans.c.source == source, bans.c.until > now)).rowcount
            if not lifted:
                raise RelayError(f"{source} is not shut out", hint="`relay bans` shows who is.")
            facts = {"source": source, "operator": operator, "state": _LET_IN}
            transaction.record(Event.LANDING_ADDRESS_UNBANNED, subject_of_source(source), _BANNED, facts)

    def bans(self, now: datetime) -> tuple[Ban, ...]:
        """Return the bans in force, those that end first at the front."""
        with self._database.reading() as connection:
            statement = select(bans).where(bans.c.until > now).order_by(bans.c.until, bans.c.source)
            return tuple(Ban(**row) for row in connection.execute(statement).mappings())
