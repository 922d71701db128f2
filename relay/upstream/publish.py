"""One list's way to its final name: staged, verified, published (rules U1 to U5, U8 and U9)."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal

from relay.upstream.directory import RemoteDirectory
from relay.upstream.draft import Draft
from relay.upstream.failures import Permanence, Reason, UpstreamError

Mode = Literal["auto", "rename", "direct"]

_REFUSALS: Final = frozenset(
    {Reason.OPERATION_FAILED, Reason.RENAME_REFUSED, Reason.DIRECTORY_REFUSED, Reason.NAME_TAKEN}
)
"""What a server may say when what it means is that the name is taken."""


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Upload:
    """One list to send: its local draft, and the names that it was given before any connection.

    Args:
        draft: its bytes.
        remote_name: its final name.
        temporary_name: the name that this attempt writes under.
        earlier_name: the one of the attempt before; None on the first.
        unanswered: the name at the upstream under which an earlier attempt may have left the list when a request of
            its got no answer: the final one where it was written directly, else the temporary one that was being
            renamed.
    """

    draft: Draft
    remote_name: str
    temporary_name: str
    earlier_name: str | None = None
    unanswered: str | None = None


@dataclass(frozen=True, slots=True)
class Published:
    """How a list got its final name, and whether it was seen there in full size."""

    how: Literal["rename", "direct", "found"]
    verified: bool


class Publication:
    """The publication of one list in one session.

    Args:
        directory: where to.
        upload: what.
        mode: how it is to get its final name.
        note_direct: called before anything is written under the final name. Whoever tries again after a crash must
            know of it, since only then may a part of the list under that name be taken for our own.
    """

    def __init__(
        self, directory: RemoteDirectory, upload: Upload, mode: Mode, note_direct: Callable[[], Awaitable[None]]
    ) -> None:
        self._directory = directory
        self._upload = upload
        self._mode = mode
        self._note_direct = note_direct
        self.unanswered = upload.unanswered
        """What the next attempt is to know (`Upload.unanswered`)."""

    @property
    def answers(self) -> int:
        """How many answers the upstream has given to it; one more is progress."""
        return self._directory.answers

    async def look(self) -> int | None:
        """Return the size of what has the final name already; None if it is free. Nothing is begun by that."""
        return await self._directory.size_of(self._upload.remote_name)

    async def run(self, present: int | None) -> Published:
        """Send the list, given what a look found; when this returns, the upstream has it under its final name.

        Raises:
            UpstreamError: it has not, as far as anyone can tell.
        """
        if present is not None and not await self._is_our_beginning(present):
            return await self._recognise(present)
        if present is None and await self._was_picked_up():
            return Published("rename", verified=False)
        await self._clear_earlier()
        # Where it may not be taken away, our own cut-off file can only be written over.
        over_our_own = present is not None and not await self._directory.clear_away(self._upload.remote_name)
        if self._mode == "direct" or over_our_own:
            return await self._write_directly(exclusive=not over_our_own)
        return await self._by_renaming()

    async def _recognise(self, present: int) -> Published:
        """Judge a file that has the final name already: the list itself, sent before, or a stranger's (rule U4)."""
        if present != self._upload.draft.size or not await self._is_the_list():
            self.unanswered = None
            raise UpstreamError(Reason.NAME_TAKEN, self._sizes(present))
        await self._clear_earlier()
        return Published("found", verified=True)

    async def _is_the_list(self) -> bool:
        """Compare the content; where it may not be read back, a file of this size is ours if we have tried before."""
        content = await self._directory.sha256_of(self._upload.remote_name)
        return self._upload.earlier_name is not None if content is None else content == self._upload.draft.sha256

    async def _is_our_beginning(self, present: int) -> bool:
        """Say whether a file under the final name is what an earlier direct attempt left there, cut off (rule U9)."""
        if self._upload.unanswered != self._upload.remote_name or present >= self._upload.draft.size:
            return False
        content = await self._directory.sha256_of(self._upload.remote_name)
        return content is None or content == await self._upload.draft.sha256_of_first(present)

    async def _was_picked_up(self) -> bool:
        """Say whether a rename without an answer took place: then its temporary name is free, too (rule U8)."""
        name = self._upload.unanswered
        if name is None or name == self._upload.remote_name:
            return False
        if await self._directory.size_of(name) is None:
            return True
        # Taken away before anything else, so that the rename can no longer take place behind our back.
        await self._directory.clear_away(name)
        self.unanswered = None
        return False

    async def _clear_earlier(self) -> None:
        """Take away what the attempt before may have left under its temporary name."""
        if self._upload.earlier_name is not None:
            await self._directory.clear_away(self._upload.earlier_name)

    async def _by_renaming(self) -> Published:
        try:
            await self._stage()
            taken = await self._verify()
            return await self._rename() if taken is None else await self._recognise_late(taken)
        except UpstreamError as error:
            if error.permanence is Permanence.PERMANENT:
                await self._directory.clear_away(self._upload.temporary_name)
            if error.reason is Reason.RENAME_REFUSED and self._mode == "auto":
                return await self._write_directly(exclusive=True)
            raise

    async def _stage(self) -> None:
        """Write the list under its temporary name."""
        file = await self._directory.open(self._upload.temporary_name, exclusive=False)
        await file.fill(self._upload.draft)

    async def _verify(self) -> int | None:
        """See that the upstream kept all of the temporary file, and return what has the final name by now.

        Most servers refuse to rename over a file, but not all do, so this is asked as late as can be (rule U4).
        """
        size, taken = await asyncio.gather(self._directory.size_of(self._upload.temporary_name), self.look())
        if size != self._upload.draft.size:
            raise UpstreamError(Reason.SIZE_DIFFERS, self._sizes(size))
        return taken

    async def _rename(self) -> Published:
        self.unanswered = self._upload.temporary_name
        try:
            await self._directory.rename(self._upload.temporary_name, self._upload.remote_name)
        except UpstreamError as error:
            return await self._explain(error)
        self.unanswered = None
        return Published("rename", verified=await self._is_seen(otherwise=Reason.SIZE_CHANGED))

    async def _write_directly(self, *, exclusive: bool) -> Published:
        """Write the list under its final name, which must be free or hold a part of this list (rules U2 and U9)."""
        await self._upload.draft.check()
        await self._note_direct()
        self.unanswered = self._upload.remote_name
        try:
            file = await self._directory.open(self._upload.remote_name, exclusive=exclusive)
        except UpstreamError as error:
            return await self._explain(error)
        try:
            await file.fill(self._upload.draft)
            published = Published("direct", verified=await self._is_seen(otherwise=Reason.SIZE_DIFFERS))
        except UpstreamError:
            # This file is ours, made a moment ago, and not whole: under its name it would be taken for the list.
            if await self._directory.clear_away(self._upload.remote_name):
                self.unanswered = None
            raise
        self.unanswered = None
        return published

    async def _explain(self, refusal: UpstreamError) -> Published:
        """See whether the server refused because the name is taken: SFTP version 3 has no status that says so.

        It may be taken by the list itself, where an earlier attempt's rename took its time.
        """
        if refusal.reason in _REFUSALS:
            self.unanswered = None
            present = await self.look()
            if present is not None:
                return await self._recognise_late(present)
        raise refusal

    async def _recognise_late(self, present: int) -> Published:
        """Judge a file that took the final name while this list was on its way."""
        found = await self._recognise(present)
        await self._directory.clear_away(self._upload.temporary_name)
        return found

    async def _is_seen(self, *, otherwise: Reason) -> bool:
        """Say whether the list is there under its final name; if something else is, that is a failure.

        The server has confirmed every step by then. That the file is gone again (rule U5), or that the look fails,
        takes nothing back.
        """
        try:
            size = await self.look()
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
