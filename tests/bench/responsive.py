"""How long another session waits for the landing zone while a rewrite is under way: the real daemon, a real client."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import asyncssh
from parts.service import Service, Setup
from parts.sshd import Sshd

PAUSE: Final = 0.005
IDLE_SECONDS: Final = 5.0
DEADLINE_SECONDS: Final = 3600.0


async def stat_while_rewriting(export: Path, directory: Path) -> tuple[list[float], list[float]]:
    """Return the seconds that a STAT takes, again and again, before an export lands and while it is rewritten."""
    with Sshd(directory / "sshd") as sshd:
        setup = Setup(directory / "relay", sshd)
        setup.route()
        with Service(setup) as service:
            options = {"known_hosts": None, "username": "amperity", "client_keys": [str(setup.client_key)]}
            async with (
                asyncssh.connect("127.0.0.1", service.port, config=None, agent_path=None, **options) as connection,
                connection.start_sftp_client() as sftp,
            ):
                idle = await _stats(sftp, lambda: asyncio.sleep(IDLE_SECONDS))
                await sftp.put(str(export), "/uploads/export.csv", sparse=False)

                async def accepted() -> None:
                    await asyncio.to_thread(service.wait_for, "export.received", deadline=DEADLINE_SECONDS)
                    await asyncio.to_thread(service.wait_for, "export.accepted", deadline=DEADLINE_SECONDS)

                busy = await _stats(sftp, accepted)
            service.stop()
    return idle, busy


async def _stats(sftp: asyncssh.SFTPClient, meanwhile: Callable[[], Awaitable[None]]) -> list[float]:
    times = []
    until = asyncio.ensure_future(meanwhile())
    while not until.done():
        began = time.perf_counter()
        await sftp.stat("/uploads")
        times.append(time.perf_counter() - began)
        await asyncio.sleep(PAUSE)
    await until
    return times
