"""What a disk may have against being written to for a while: told apart from defects, since it may pass by itself."""

import errno
from typing import Final

from relay.model import RelayError

_NO_ROOM: Final = "Make room on the file system of `state_dir`: see `relay purge`, or enlarge the disk."

_PASSING: Final = {
    errno.ENOSPC: ("disk_full", "the disk is full", _NO_ROOM),
    errno.EDQUOT: ("disk_full", "the quota of the relay's user is used up", _NO_ROOM),
    errno.EROFS: (
        "disk_read_only",
        "the file system is read-only",
        "See in the kernel's log why the file system of `state_dir` is read-only, and mount it for writing.",
    ),
    errno.EIO: ("disk_failing", "the disk does not do its part", "Check the disk and the kernel's log."),
}
"""By error number: the log's word, what was wrong, and what to do."""


class DiskError(RelayError):
    """The disk or the database refuses for now, and what needs it waits (rule T1).

    Args:
        reason: a fixed word, as the log has it.
        message: what was wrong, and where.
        hint: the sentence an operator acts on.
    """

    def __init__(self, reason: str, message: str, *, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


def disk_trouble(error: BaseException) -> DiskError | None:
    """Return what the disk has against going on, if that is all that is wrong; of several errors, what is common."""
    if isinstance(error, BaseExceptionGroup):
        troubles = [disk_trouble(inner) for inner in error.exceptions]
        return None if None in troubles else troubles[0]
    if isinstance(error, DiskError):
        return error
    if isinstance(error, OSError) and error.errno in _PASSING:
        reason, message, hint = _PASSING[error.errno]
        return DiskError(reason, message, hint=hint)
    return None
