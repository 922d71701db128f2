"""The real relay as a program of its own, followed by what it logs."""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Self

from relay.log import CATALOGUE, Event
from relay.model import RelayError

Line = dict[str, Any]
"""One line of the log: `timestamp`, `level`, `event` and the event's fields."""

_LONGEST_LINE: Final = 1 << 20
_LONGEST_STOP_SECONDS: Final = 30


class ServiceTrouble(RelayError):  # noqa: N818  it is what the service had, not an error of the demo
    """The relay reported something that a person must act on, or ended too early."""


class Service:
    """Runs `relay serve` with the given configuration, writes its log to a file and passes every line on.

    Args:
        configuration: the `relay.toml` to serve.
        log: the file that the log goes to.
        heard: called with each line as it comes.
    """

    def __init__(self, configuration: Path, log: Path, heard: Callable[[Line], None]) -> None:
        self._configuration = configuration
        self._log = log
        self._heard = heard
        self._lines: asyncio.Queue[Line | None] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        self._program = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "relay", "--config", str(self._configuration), "serve"),
            stdin=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            limit=_LONGEST_LINE,
            env=_own_environment(),
        )
        self._following = asyncio.create_task(self._follow())
        return self

    async def __aexit__(self, *_: object) -> None:
        with suppress(ProcessLookupError):
            self._program.terminate()
        try:
            await asyncio.wait_for(self._program.wait(), _LONGEST_STOP_SECONDS)
        except TimeoutError:
            self._program.kill()
            await self._program.wait()
        await self._following

    async def until(self, event: Event) -> Line:
        """Wait for the next line of `event` and return it.

        Raises:
            ServiceTrouble: an event came first that a person must act on, or the relay ended.
        """
        while (line := await self._lines.get()) is not None:
            if line["event"] == event:
                return line
            if CATALOGUE[Event(line["event"])].level == "error":
                raise ServiceTrouble(
                    f"{line['event']}: {line.get('detail', line.get('reason'))}", hint=line.get("hint", "")
                )
        raise ServiceTrouble(f"the relay ended before {event}", hint=f"See its log: {self._log}")

    async def stop(self) -> int:
        """Ask the relay to stop, as a service manager does, and return its exit status."""
        self._program.terminate()
        return await self._program.wait()

    async def _follow(self) -> None:
        stream = self._program.stderr
        assert stream is not None  # noqa: S101  it was asked for
        with self._log.open("wb", buffering=0) as log:
            async for text in stream:
                log.write(text)
                # What is not JSON is a start that failed, told in plain words; the file has it.
                with suppress(json.JSONDecodeError):
                    line = json.loads(text)
                    self._heard(line)
                    self._lines.put_nowait(line)
        self._lines.put_nowait(None)


def _own_environment() -> dict[str, str]:
    """The environment without what a service manager gives to a service of its own."""
    return {name: value for name, value in os.environ.items() if name not in {"NOTIFY_SOCKET", "CREDENTIALS_DIRECTORY"}}
