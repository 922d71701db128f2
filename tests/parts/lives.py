"""Daemons that start at once: forked from a process that has imported the relay already, and otherwise as any other.

A test that lets hundreds of daemons die would spend its time on their imports. Each is a process of its own with its
own id, which runs `relay.daemon.serve` as `relay serve` does and is killed by real signals. With a plan, it is followed
by the tracer (`parts.tracer`).
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import IO, Any, Final

from parts.service import Setup
from parts.tracer import be_traced

_NURSERY: Final = multiprocessing.get_context("forkserver")
_NURSERY.set_forkserver_preload(["relay.cli.serve", "relay.daemon", "parts.lives"])


class ForkedDaemon:
    """One daemon, to be handled as a `subprocess.Popen`."""

    def __init__(self, setup: Setup, plan: dict[str, Any] | None) -> None:
        heard, said = _NURSERY.Pipe(duplex=False)
        with heard, said:
            self._process = _NURSERY.Process(target=_serve, args=(setup.config, said, plan))
            self._process.start()
            self.stderr: IO[str] | None = os.fdopen(os.dup(heard.fileno()), encoding="utf-8")

    @property
    def pid(self) -> int:
        """Its id."""
        assert self._process.pid is not None
        return self._process.pid

    def poll(self) -> int | None:
        """Return its exit status, None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end and return its exit status."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise TimeoutError(f"{self.pid} has not ended within {timeout} s")
        return self._process.exitcode

    def kill(self) -> None:
        """Kill it."""
        self._process.kill()

    def terminate(self) -> None:
        """Ask it to end."""
        self._process.terminate()

    def send_signal(self, sig: int) -> None:
        """Send it a signal."""
        os.kill(self.pid, sig)


def forked(plan: dict[str, Any] | None = None) -> Callable[[Setup], ForkedDaemon]:
    """Return what starts a daemon for a `Service`."""
    return partial(ForkedDaemon, plan=plan)


def _serve(config: Path, said: Connection, plan: dict[str, Any] | None) -> None:
    from relay.daemon import serve  # noqa: PLC0415  only the daemon needs it

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream, instead in ((0, nowhere), (1, nowhere), (2, said.fileno())):
        os.dup2(instead, stream)
    said.close()
    if plan is not None:
        be_traced(plan)
    sys.exit(serve(config))
