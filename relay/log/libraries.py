"""What libraries say becomes `library.warned`, without their words, which may quote a peer or a row (rule R1)."""

import logging
import threading
import traceback
import warnings
from pathlib import Path
from typing import TextIO

from relay.log.events import Event
from relay.log.lines import emit


class _Libraries(logging.Handler):
    """Turns a library's words into `library.warned`: who spoke, where, and of which exception, but not what."""

    def emit(self, record: logging.LogRecord) -> None:
        kind = record.exc_info[0] if record.exc_info else None
        emit(
            Event.LIBRARY_WARNED,
            library=record.name,
            place=f"{record.module}:{record.lineno} {record.funcName}",
            reason=kind.__name__ if kind else None,
        )


def listen_to_libraries() -> None:
    """Hear what they say by way of `logging`, `warnings` and the end of a thread."""
    root = logging.getLogger()
    root.handlers = [handler for handler in root.handlers if not isinstance(handler, _Libraries)] + [_Libraries()]
    root.setLevel(logging.WARNING)
    # Their own fallbacks would print the words themselves.
    logging.lastResort = None
    logging.raiseExceptions = False
    warnings.showwarning = _show_warning
    threading.excepthook = _show_end_of_thread


def _show_end_of_thread(ended: threading.ExceptHookArgs) -> None:
    """Say that a library's thread has died, where Python would print a traceback with the exception's words."""
    trace = traceback.extract_tb(ended.exc_traceback)
    place = f"{Path(trace[-1].filename).name}:{trace[-1].lineno}" if trace else ""
    emit(Event.LIBRARY_WARNED, library="threading", place=place, reason=ended.exc_type.__name__)


def _show_warning(
    message: Warning | str,  # noqa: ARG001  its words are not shown
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,  # noqa: ARG001  as the warnings module wants it
    line: str | None = None,  # noqa: ARG001  as above
) -> None:
    place = f"{Path(filename).name}:{lineno}"
    emit(Event.LIBRARY_WARNED, library="warnings", place=place, reason=category.__name__)
