"""Out of the clients' view: what was claimed, or holds nothing, has been seen for long enough (rule R3)."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from relay.model import ArrivalState
from relay.spool import Spool
from relay.store import Store

KEPT_IN_VIEW: Final = timedelta(days=1)


def clear_view(accounts: Iterable[str], spool: Spool, store: Store, now: datetime, *, unrouted_kept: timedelta) -> None:
    """Remove claimed files, and end markers of nothing, a day after they landed, and forget which ones are gone.

    Files that no route wants go after `unrouted_kept`.

    A file is known by its fingerprint for as long as it lies there under whatever name; were it forgotten before, it
    would be taken for a new one. So only what a look after the removal does not find is forgotten.
    """
    kept = {
        ArrivalState.CLAIMED: KEPT_IN_VIEW,
        ArrivalState.IGNORED: KEPT_IN_VIEW,
        ArrivalState.WITHDRAWN: KEPT_IN_VIEW,
        ArrivalState.UNROUTED: unrouted_kept,
    }
    for account in accounts:
        old = [
            arrival
            for arrival in store.arrivals(account=account, in_view=True)
            if arrival.state in kept and now - arrival.landed_at >= kept[arrival.state]
        ]
        done_with = {arrival.fingerprint for arrival in old if arrival.state is not ArrivalState.WITHDRAWN}
        for file in spool.landed_files(account):
            if file.fingerprint in done_with:
                spool.remove_landed(account, file)
        remaining = {file.fingerprint for file in spool.landed_files(account)}
        if gone := [arrival.id for arrival in old if arrival.fingerprint not in remaining]:
            store.cleared(gone, now)
