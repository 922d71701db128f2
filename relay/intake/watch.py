"""Hints from the file system: something changed in the landing zone, so a scan is worth its while.

Only a hint: events are lost when a queue overflows and are not there at all on some file systems. The scan decides.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from watchdog.events import (
    FileClosedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer


class _Hint(FileSystemEventHandler):
    """Passes every event on, as no more than the fact that there was one, into the event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, changed: Callable[[], None]) -> None:
        self._loop = loop
        self._changed = changed

    def on_any_event(self, event: FileSystemEvent) -> None:  # noqa: ARG002  what happened does not matter
        self._loop.call_soon_threadsafe(self._changed)


@contextmanager
def watching(directory: Path, changed: Callable[[], None]) -> Iterator[None]:
    """Call `changed` in the running event loop whenever a file below `directory` was written, moved or removed."""
    observer = Observer()
    observer.schedule(
        _Hint(asyncio.get_running_loop(), changed),
        str(directory),
        recursive=True,
        event_filter=[FileCreatedEvent, FileClosedEvent, FileMovedEvent, FileDeletedEvent],
    )
    observer.start()
    try:
        yield
    finally:
        observer.stop()
        observer.join()
