"""Out of the clients' view: what was claimed, or holds nothing, has been seen for long enough (rule R3)."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from relay.intake.obstacles import Obstacles
from relay.model import Arrival, ArrivalState
from relay.spool import LandedFile, Look, Spool, UnreadableError
from relay.store import Store

KEPT_IN_VIEW: Final = timedelta(days=1)


def clear_view(
    spool: Spool,
    store: Store,
    now: datetime,
    *,
    unrouted_kept: timedelta,
    obstacles: Obstacles,
) -> list[tuple[str, LandedFile]]:
    """Remove claimed files, and end markers of nothing, a day after they landed, and forget which ones are gone.

    So it is in every landing zone, also that of an account which the configuration has lost. Files that no route wants
    go after `unrouted_kept`; what cannot be removed is left to `obstacles`.

    A file is known by its fingerprint for as long as it lies there under whatever name; were it forgotten before, it
    would be taken for a new one. So only what was removed here, or what two complete looks do not find, is forgotten.

    Returns:
        Each file that was removed, with its account.
    """
    removed: list[tuple[str, LandedFile]] = []
    for account in spool.accounts():
        old = _seen_for_long_enough(account, store, now, unrouted_kept)
        of_account, gone = _removed_and_gone(account, old, spool, obstacles)
        removed += ((account, file) for file in of_account)
        if gone:
            store.cleared(gone, now)
    return removed


def leaving_view(
    account: str, spool: Spool, store: Store, now: datetime, *, unrouted_kept: timedelta
) -> list[LandedFile]:
    """Return the files that `clear_view` would remove now."""
    return _done_with(spool.look(account), _seen_for_long_enough(account, store, now, unrouted_kept))


def _seen_for_long_enough(account: str, store: Store, now: datetime, unrouted_kept: timedelta) -> list[Arrival]:
    kept = {
        ArrivalState.CLAIMED: KEPT_IN_VIEW,
        ArrivalState.IGNORED: KEPT_IN_VIEW,
        ArrivalState.WITHDRAWN: KEPT_IN_VIEW,
        ArrivalState.UNROUTED: unrouted_kept,
    }
    in_view = store.arrivals(account=account, in_view=True)
    return [it for it in in_view if it.state in kept and now - it.landed_at >= kept[it.state]]


def _done_with(look: Look, old: Iterable[Arrival]) -> list[LandedFile]:
    """Return the files that are still there; what its client took away or replaced is no business of ours."""
    done_with = {it.fingerprint for it in old if it.state is not ArrivalState.WITHDRAWN}
    return [file for file in look.files if file.fingerprint in done_with]


def _removed_and_gone(
    account: str, old: Sequence[Arrival], spool: Spool, obstacles: Obstacles
) -> tuple[list[LandedFile], list[int]]:
    """Remove what these arrivals left in view; return the files, and the arrivals of which nothing is left."""
    before = spool.look(account)
    resting = obstacles.resting(account, before.files)
    to_go = [file for file in _done_with(before, old) if file.path not in resting]
    removed = [file for file in to_go if _is_removed(account, file, spool, obstacles)]
    away = {file.fingerprint for file in removed}
    after = spool.look(account)
    left = {file.fingerprint for file in after.files}
    if before.unseen or after.unseen:
        return removed, [it.id for it in old if it.fingerprint in away - left]
    # A file that its client renames while a look goes on can escape that one.
    left |= {file.fingerprint for file in before.files} - away
    return removed, [it.id for it in old if it.fingerprint not in left]


def _is_removed(account: str, file: LandedFile, spool: Spool, obstacles: Obstacles) -> bool:
    try:
        return spool.remove_landed(account, file)
    except UnreadableError as trouble:
        obstacles.leave_alone(account, file, trouble.error)
        return False
