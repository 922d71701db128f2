"""How many writes of one file are under way at once."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from parts.lists import an_upload, rows

from relay.upstream.deadline import Deadline
from relay.upstream.directory import RemoteFile
from relay.upstream.failures import Reason, UpstreamError

if TYPE_CHECKING:
    import asyncssh


class _SilentFile:
    """A remote file whose server acknowledges nothing."""

    def __init__(self) -> None:
        self.writes: list[int] = []

    async def write(self, data: bytes, offset: int) -> int:
        self.writes.append(offset)
        await asyncio.Event().wait()
        return len(data)


@pytest.mark.parametrize(("piece", "most"), [(255 << 10, 16), (16 << 10, 128), (8 << 20, 1)])
def test_a_silent_server_is_sent_only_so_much(tmp_path: Path, piece: int, most: int) -> None:
    """About 4 MiB and at most 128 writes are under way, however long the list is."""
    silent = _SilentFile()
    file = RemoteFile(cast("asyncssh.SFTPClientFile", silent), piece, Deadline(0.1))
    with pytest.raises(UpstreamError) as caught:
        asyncio.run(file.fill(an_upload(tmp_path, rows(1_000_000)).draft))
    assert caught.value.reason is Reason.STALLED
    assert len(silent.writes) == most
