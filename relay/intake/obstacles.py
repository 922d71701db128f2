"""What lies in a landing zone and cannot be read or removed: said once, left alone, in nobody's way (rule L10)."""

import errno
import os
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from relay.lifecycle import retry_delay
from relay.log import Event, emit
from relay.spool import LandedFile, Look, Spool

_REFUSED: Final = {errno.EACCES, errno.EPERM}
_HALF_SPREAD: Final = 0.5


@dataclass(frozen=True, slots=True)
class Obstacle:
    """A path of an account's landing zone that cannot be used: why, and what to do about it."""

    account: str
    path: str
    reason: str
    hint: str


@dataclass(frozen=True, slots=True)
class _Rest:
    """A file that is left alone: as it was when it was tried, how often it was, and when last."""

    file: LandedFile
    tries: int
    tried_at: datetime


def _emit(it: Obstacle) -> None:
    emit(Event.LANDING_PATH_BLOCKED, account=it.account, path=it.path, reason=it.reason, hint=it.hint)


class Obstacles:
    """What one user of the landing zones has met; after a restart it is said again.

    Args:
        spool: where the landing zones are.
        now: the clock.
        say: says of one what is wrong.
    """

    def __init__(self, spool: Spool, *, now: Callable[[], datetime], say: Callable[[Obstacle], None] = _emit) -> None:
        self._spool = spool
        self._now = now
        self._say = say
        self._unseen: dict[str, frozenset[str]] = {}
        self._resting: dict[tuple[str, str], _Rest] = {}

    def found(self, account: str, look: Look) -> None:
        """Say what a look could not look at, unless the last one could not either."""
        said = self._unseen.get(account, frozenset())
        for it in look.unseen:
            if it.path not in said:
                self._say(self._obstacle(account, it.path, it.error))
        self._unseen[account] = frozenset(it.path for it in look.unseen)

    def leave_alone(self, account: str, file: LandedFile, error: OSError) -> None:
        """Note that a file could not be taken or removed, and say so once; it rests longer each time."""
        before = self._resting.get((account, file.path))
        tries = before.tries + 1 if before is not None and before.file == file else 1
        self._resting[account, file.path] = _Rest(file, tries, self._now())
        if tries == 1:
            self._say(self._obstacle(account, file.path, error))

    def resting(self, account: str, files: Iterable[LandedFile]) -> dict[str, datetime]:
        """Return which of all files of an account rest, and until when; whatever is not among them is forgotten.

        A file with another owner or other permissions, or sent anew, is another one: it is tried at once.
        """
        mine = {path: rest for (whose, path), rest in self._resting.items() if whose == account}
        if not mine:
            return {}
        still = {file.path: mine[file.path] for file in files if file.path in mine and mine[file.path].file == file}
        for path in mine.keys() - still.keys():
            del self._resting[account, path]
        ends = {path: rest.tried_at + retry_delay(rest.tries, _HALF_SPREAD) for path, rest in still.items()}
        # A rest is also over where the clock was set back meanwhile.
        return {path: end for path, end in ends.items() if still[path].tried_at <= self._now() < end}

    def _obstacle(self, account: str, path: str, error: OSError) -> Obstacle:
        root, number = self._spool.landing(account), error.errno or errno.EIO
        hint = "see the kernel's log, and have the file sent again if the disk has lost it; the relay goes on trying"
        if number in _REFUSED:
            give = shlex.join(("chown", "-R", f"--reference={root}", f"{root}{path}"))
            hint = f"give it to the relay's user, as with `{give}`; the relay takes it then by itself"
        return Obstacle(account, path, os.strerror(number), hint)
