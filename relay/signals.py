"""What the process is told by signals: to stop, for good, and to read its configuration again."""

import asyncio
import signal
from collections.abc import Callable


class Signals:
    """One for the life of the process, whose event loops come and go (rule T1).

    Told to stop once is told for good: a disk that refuses in the middle of a stop begins nothing anew.
    """

    def __init__(self) -> None:
        self._is_told_to_stop = False
        self._is_told_to_reload = False

    def listen(self, reload: Callable[[], None] | None = None) -> asyncio.Event:
        """Hear the signals in the running loop; return what is set once the process is told to stop.

        SIGHUP calls `reload`. Where there is none yet, that is made up for as soon as there is.
        """
        stopping = asyncio.Event()

        def stop() -> None:
            self._is_told_to_stop = True
            stopping.set()

        def hang_up() -> None:
            self._is_told_to_reload = reload is None
            if reload is not None:
                reload()

        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        loop.add_signal_handler(signal.SIGHUP, hang_up)
        if self._is_told_to_stop:
            stopping.set()
        if self._is_told_to_reload:
            hang_up()
        return stopping

    def await_loop(self) -> None:
        """See that nobody's reload ends the process while no loop listens: a process that SIGHUP ends is not restarted.

        A stop may end it: there is nothing in hand then.
        """

        def remember(*_: object) -> None:
            self._is_told_to_reload = True

        signal.signal(signal.SIGHUP, remember)
