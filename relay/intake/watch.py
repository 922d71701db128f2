"""Hints from the file system: something changed in the landing zone, so a scan is worth its while.

Only a hint: events are lost when a queue overflows, are not there at all on some file systems, and the kernel has only
so many to give. The scan decides.
"""

import asyncio
import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from watchdog.events import (
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

from relay.log import Event, emit


class _Hint(FileSystemEventHandler):
    """Passes every event on, as no more than the fact that there was one, into the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, changed: Callable[[], None]) -> None:
        self._loop = loop
        self._changed = changed

    def on_any_event(self, event: FileSystemEvent) -> None:  # noqa: ARG002  what happened does not matter
        self._loop.call_soon_threadsafe(self._changed)


@contextmanager
def watching(directory: Path, changed: Callable[[], None]) -> Iterator[None]:
    """Call `changed` in the running event loop whenever a file below `directory` was written, moved or removed.

    Where the kernel has no more watches to give, that is said, and nothing is called.
    """
    observer = Observer()
    observer.schedule(
        _Hint(asyncio.get_running_loop(), changed),
        str(directory),
        recursive=True,
        event_filter=[FileCreatedEvent, FileClosedEvent, FileMovedEvent, FileDeletedEvent],
    )
    try:
        observer.start()
    except OSError as error:
        if error.errno not in _REFUSALS:
            raise
        emit(Event.LANDING_WATCH_REFUSED, reason=_REFUSALS[error.errno], hint=_HINT)
        yield
        return
    try:
        yield
    finally:
        observer.stop()
        observer.join()


# This ENOSPC is about the kernel's room for watches, and no full disk.
_REFUSALS: Final = {errno.ENOSPC: "no_watches", errno.EMFILE: "no_instances"}

_HINT: Final = (
    "Uploads are seen at once nevertheless; what is put there by other means is seen by the scan every "
    "`landing.scan_every`. Raise fs.inotify.max_user_watches and max_user_instances (sysctl), and restart the service."
)
