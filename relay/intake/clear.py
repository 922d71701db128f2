"""Out of the clients' view: what was claimed, or holds nothing, has been seen for long enough (rule R3)."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from relay.model import Arrival, ArrivalState
from relay.spool import LandedFile, Spool
from relay.store import Store

KEPT_IN_VIEW: Final = timedelta(days=1)


def clear_view(accounts: Iterable[str], spool: Spool, store: Store, now: datetime, *, unrouted_kept: timedelta) -> None:
    """Remove claimed files, and end markers of nothing, a day after they landed, and forget which ones are gone.

    Files that no route wants go after `unrouted_kept`.

    A file is known by its fingerprint for as long as it lies there under whatever name; were it forgotten before, it
    would be taken for a new one. So only what a look after the removal does not find is forgotten.
    """
    for account in accounts:
        old = _seen_for_long_enough(account, store, now, unrouted_kept)
        for file in _done_with(account, spool, old):
            spool.remove_landed(account, file)
        remaining = {file.fingerprint for file in spool.landed_files(account)}
        if gone := [arrival.id for arrival in old if arrival.fingerprint not in remaining]:
            store.cleared(gone, now)


def leaving_view(
    account: str, spool: Spool, store: Store, now: datetime, *, unrouted_kept: timedelta
) -> list[LandedFile]:
    """Return the files that `clear_view` would remove now."""
    return _done_with(account, spool, _seen_for_long_enough(account, store, now, unrouted_kept))


def _seen_for_long_enough(account: str, store: Store, now: datetime, unrouted_kept: timedelta) -> list[Arrival]:
    kept = {
        ArrivalState.CLAIMED: KEPT_IN_VIEW,
        ArrivalState.IGNORED: KEPT_IN_VIEW,
        ArrivalState.WITHDRAWN: KEPT_IN_VIEW,
        ArrivalState.UNROUTED: unrouted_kept,
    }
    in_view = store.arrivals(account=account, in_view=True)
    return [it for it in in_view if it.state in kept and now - it.landed_at >= kept[it.state]]


def _done_with(account: str, spool: Spool, old: Iterable[Arrival]) -> list[LandedFile]:
    """Return the files that are still there; what its client took away or replaced is no business of ours."""
    done_with = {it.fingerprint for it in old if it.state is not ArrivalState.WITHDRAWN}
    return [file for file in spool.landed_files(account) if file.fingerprint in done_with]
