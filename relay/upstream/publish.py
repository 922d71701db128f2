"""One list's way to its final name: staged, verified, published (rules U1 to U5)."""

from dataclasses import dataclass
from typing import Final, Literal

from relay.upstream.directory import RemoteDirectory
from relay.upstream.draft import Draft
from relay.upstream.failures import Permanence, Reason, UpstreamError

Mode = Literal["auto", "rename", "direct"]

_REFUSALS: Final = frozenset({Reason.OPERATION_FAILED, Reason.RENAME_REFUSED, Reason.DIRECTORY_REFUSED})
"""What a server may say when what it means is that the name is taken."""


@dataclass(frozen=True, slots=True)
class Upload:
    """One list to send: its local draft, and the names that it was given before any connection."""

    draft: Draft
    remote_name: str
    temporary_name: str
    first_attempt: bool


@dataclass(frozen=True, slots=True)
class Published:
    """How a list got its final name, and whether it was seen there in full size."""

    how: Literal["rename", "direct", "found"]
    verified: bool


class Publication:
    """The publication of one list in one session."""

    def __init__(self, directory: RemoteDirectory, upload: Upload, mode: Mode) -> None:
        self._directory = directory
        self._upload = upload
        self._mode = mode

    async def run(self) -> Published:
        """Send the list; when this returns, the upstream has it under its final name.

        Raises:
            UpstreamError: it has not, as far as anyone can tell.
        """
        present = await self._directory.size_of(self._upload.remote_name)
        if present is not None:
            return await self._recognise(present)
        if self._mode == "direct":
            return await self._write_directly()
        try:
            await self._stage()
            return await self._rename()
        except UpstreamError as error:
            if error.permanence is Permanence.PERMANENT:
                await self._directory.clear_away(self._upload.temporary_name)
            if error.reason is Reason.RENAME_REFUSED and self._mode == "auto":
                return await self._write_directly()
            raise

    async def _recognise(self, present: int) -> Published:
        """Judge a file that has the final name already: an earlier attempt's whose answer was lost, or a stranger's."""
        if self._upload.first_attempt or present != self._upload.draft.size:
            raise UpstreamError(Reason.NAME_TAKEN, self._sizes(present))
        await self._directory.clear_away(self._upload.temporary_name)
        return Published("found", verified=True)

    async def _stage(self) -> None:
        """Write the list under its temporary name, over what an earlier attempt may have left there, and verify it."""
        file = await self._directory.open(self._upload.temporary_name, exclusive=False)
        await file.fill(self._upload.draft)
        await self._verify()

    async def _verify(self) -> None:
        """See that the upstream kept all of the temporary file."""
        size = await self._directory.size_of(self._upload.temporary_name)
        if size != self._upload.draft.size:
            raise UpstreamError(Reason.SIZE_DIFFERS, self._sizes(size))

    async def _rename(self) -> Published:
        try:
            await self._directory.rename(self._upload.temporary_name, self._upload.remote_name)
        except UpstreamError as error:
            await self._find_name_taken(error)
            raise
        return Published("rename", verified=await self._is_seen(otherwise=Reason.SIZE_CHANGED))

    async def _write_directly(self) -> Published:
        """Write the list under its final name, which must be free (rule U2)."""
        await self._upload.draft.check()
        try:
            file = await self._directory.open(self._upload.remote_name, exclusive=True)
        except UpstreamError as error:
            await self._find_name_taken(error)
            raise
        try:
            await file.fill(self._upload.draft)
            return Published("direct", verified=await self._is_seen(otherwise=Reason.SIZE_DIFFERS))
        except UpstreamError:
            # This file is ours, made a moment ago, and not whole: under its name it would be taken for the list.
            await self._directory.clear_away(self._upload.remote_name)
            raise

    async def _find_name_taken(self, refusal: UpstreamError) -> None:
        """Raise `name_taken` if that is why the server refused: SFTP version 3 has no status that says so."""
        if refusal.reason not in _REFUSALS:
            return
        present = await self._directory.size_of(self._upload.remote_name)
        if present is not None:
            raise UpstreamError(Reason.NAME_TAKEN, self._sizes(present)) from refusal

    async def _is_seen(self, *, otherwise: Reason) -> bool:
        """Say whether the list is there under its final name; if something else is, that is a failure.

        The server has confirmed every step by then. That the file is gone again (rule U5), or that the look fails,
        takes nothing back.
        """
        try:
            size = await self._directory.size_of(self._upload.remote_name)
        except UpstreamError:
            return False
        if size is None:
            return False
        if size != self._upload.draft.size:
            raise UpstreamError(otherwise, self._sizes(size))
        return True

    def _sizes(self, present: int | None) -> str:
        found = "nothing" if present is None else f"{present:,} bytes"
        return f"there is {found}, to send are {self._upload.draft.size:,} bytes"
