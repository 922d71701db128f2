"""A wire that breaks: a TCP proxy on loopback that drops both sides after so many bytes from the client."""

import socket
import struct
import threading
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

_AT_ONCE: Final = 65536
# An abort instead of an orderly end: neither side gets what was still on its way.
_ABORT: Final = struct.pack("ii", 1, 0)


class Wire:
    """A proxy to `port` on a port of its own, in use as a context manager.

    Args:
        port: where it leads.
        cut_after: when so many bytes came from the client, everything is cut, and nobody is let in any more.
    """

    def __init__(self, port: int, cut_after: int) -> None:
        self.was_cut = threading.Event()
        self._leads_to = port
        self._cut_after = cut_after
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut()
        for thread in self._threads:
            thread.join()
        for end in (self._listener, *self._sockets):
            end.close()

    def cut(self) -> None:
        """Drop every connection at once."""
        for end in (self._listener, *self._sockets):
            with suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _ABORT)
                # Unlike closing, this also wakes the thread that waits there.
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._leads_to))
            self._sockets += [client, server]
            for ends, limit in (((client, server), self._cut_after), ((server, client), None)):
                thread = threading.Thread(target=self._pass_on, args=(*ends, limit))
                self._threads.append(thread)
                thread.start()

    def _pass_on(self, source: socket.socket, sink: socket.socket, limit: int | None) -> None:
        passed = 0
        with suppress(OSError):
            while content := source.recv(_AT_ONCE):
                passed += len(content)
                if limit is not None and passed > limit:
                    self.was_cut.set()
                    self.cut()
                sink.sendall(content)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_WR if end is sink else socket.SHUT_RD)
