"""One SFTP session: packets in, operations done one after the other, answers out, all within bounded memory."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from functools import partial
from typing import Final

import asyncssh

from relay.landing import codec, table
from relay.landing.codec import Answer
from relay.landing.operations import Operations
from relay.landing.pace import Pace
from relay.sftp import BadMessageError, Fields, Inbox, Kind

WINDOW: Final = 4 * 1024 * 1024
"""Bytes that a client may send ahead. More makes asyncssh slower, less makes far-away clients slower."""

_BACKLOG: Final = 512 * 1024
"""When more bytes than this wait behind an operation, no more are read."""

_PACKETS_AT_ONCE: Final = 500
"""After so many packets everybody else on the event loop has a turn."""


class SftpSession(asyncssh.SSHServerSession[bytes]):
    """SFTP over one of asyncssh's channels.

    Args:
        begin: opens the client's files; called once, when the client has asked for SFTP.
        pool: where operations wait for the disk.
        pace: whether writes have to wait for it, too.
        changed: called when an upload may have ended, and when the session has.
        failed: called with a defect that ended the session, or with what kept it from beginning.
    """

    def __init__(
        self,
        begin: Callable[[], Operations],
        pool: Executor,
        pace: Pace,
        *,
        changed: Callable[[], None],
        failed: Callable[[BaseException], None],
    ) -> None:
        self.ended = False
        self.active_at = asyncio.get_running_loop().time()
        self._begin = begin
        self._pool = pool
        self._pace = pace
        self._changed = changed
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._channel: asyncssh.SSHServerChannel[bytes]
        self._operations: Operations
        self._inbox = Inbox()
        self._answers: list[bytes] = []
        self._begun = False
        self._greeted = False
        self._in_thread = False
        self._turn_due = False
        self._choked = False
        self._paused = False
        self._resuming = False
        self._no_more = False
        self._cause: str | None = None
        self._over: str | None = None

    @property
    def is_uploading(self) -> bool:
        """Whether an upload is open, or being committed."""
        return self._begun and not self.ended and bool(self._operations.uploads)

    @property
    def is_busy(self) -> bool:
        """Whether the client waits for something, not the other way round."""
        return self._in_thread

    def blame(self, reason: str) -> None:
        """Say why the session is about to be ended from outside."""
        self._cause = reason

    # What asyncssh calls. Shells and commands (and so scp) are refused; all else that a channel can ask for
    # is refused by the listener's options.

    def connection_made(self, chan: "asyncssh.SSHServerChannel[bytes]") -> None:
        """Keep the channel."""
        self._channel = chan

    def subsystem_requested(self, subsystem: str) -> bool:
        """Accept SFTP and nothing else."""
        if subsystem != "sftp" or self._over:
            return False
        try:
            self._operations = self._begin()
        except OSError as trouble:
            self._failed(trouble)
            return False
        self._begun = True
        return True

    def data_received(self, data: bytes, datatype: int | None) -> None:  # noqa: ARG002  a server gets only data
        """Take bytes in, and do what can be done."""
        if self._over:
            return
        self.active_at = self._loop.time()
        self._inbox.feed(data)
        self._work()
        self._regulate()

    def eof_received(self) -> bool:
        """Finish what was asked for, and only then the session."""
        self._no_more = True
        self._work()
        return True

    def pause_writing(self) -> None:
        """Do nothing more for a client that does not take its answers."""
        self._choked = True

    def resume_writing(self) -> None:
        """Go on once it does."""
        self._choked = False
        self._loop.call_soon(self._go_on)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up what is open: only a CLOSE makes an upload complete (rule L2)."""
        # asyncssh drops what is raised here, and a defect anywhere below it arrives as the reason of the loss.
        if exc is not None and not isinstance(exc, asyncssh.Error | OSError):
            self._failed(exc)
        self._end("not_closed" if exc is None else "connection_lost")

    # Packets

    def _go_on(self) -> None:
        self._turn_due = False
        self._work()
        self._regulate()

    def _work(self) -> None:
        """Do what has been asked for, up to the first operation that waits for the disk."""
        try:
            for _ in range(_PACKETS_AT_ONCE):
                if self._over or self._in_thread or self._choked or self._turn_due:
                    return
                packet = self._inbox.take()
                if packet is None:
                    if self._no_more:
                        self._end("not_closed", status=0)
                    return
                self._handle(packet)
        except BadMessageError:
            self._end("bad_message", status=1)
        except Exception as defect:  # noqa: BLE001  it ends the session, and nobody else's
            self._end("defect", status=1)
            self._failed(defect)
        else:
            self._turn_due = True
            self._loop.call_soon(self._go_on)

    def _handle(self, packet: memoryview) -> None:
        kind = packet[0]
        if kind == Kind.WRITE and self._greeted:
            self._write(packet)
            return
        fields = Fields(bytes(packet[1:]))
        number = fields.u32()
        if not self._greeted:
            self._greet(kind)
            return
        operation = table.find(kind, fields)
        perform = partial(self._operations.perform, operation.run, fields)
        if operation.waits:
            self._wait_for(number, perform)
        else:
            self._answer(number, perform())

    def _write(self, packet: memoryview) -> None:
        """Do WRITE where it stops nobody else."""
        write = codec.write_request(packet)
        perform = partial(self._pace.timed, self._operations.write, write)
        if self._pace.is_slow:
            self._wait_for(write.request, perform)
        else:
            self._answer(write.request, perform())

    def _wait_for(self, request: int, perform: Callable[[], Answer]) -> None:
        """Have an operation done in a thread."""
        self._in_thread = True
        self._loop.run_in_executor(self._pool, perform).add_done_callback(partial(self._done, request))

    def _greet(self, kind: int) -> None:
        """Answer INIT, the first packet of all; the version in it does not matter, ours is the lowest in use."""
        if kind != Kind.INIT:
            raise BadMessageError("a request before INIT")
        self._greeted = True
        self._send(codec.version(table.ANNOUNCED))

    def _done(self, request: int, done: asyncio.Future[Answer]) -> None:
        """Go on after an operation that ran in a thread."""
        self._in_thread = False
        was_over, trouble = bool(self._over), done.exception()
        if trouble is None:
            self._answer(request, done.result())
        else:
            self._end("bad_message" if isinstance(trouble, BadMessageError) else "defect", status=1)
            if not isinstance(trouble, BadMessageError):
                self._failed(trouble)
        self._changed()
        if was_over:
            self._wind_up()  # What ended it meanwhile has left that to us.
        else:
            self._go_on()
            # The client has waited for long enough; gathering its answers would cost a turn of everybody else's.
            self._flush()

    # Answers: gathered while there is something to do, for every write on a channel costs two packets

    def _answer(self, request: int, answer: Answer) -> None:
        self._send(answer.packet(request))
        if answer.then is not None:
            self._flush()
            answer.then()

    def _send(self, packet: bytes) -> None:
        if not self._answers:
            self._loop.call_soon(self._flush)
        self._answers.append(packet)

    def _flush(self) -> None:
        if self._answers and not self._channel.is_closing():
            packets = b"".join(self._answers)
            self._answers.clear()
            self._channel.write(packets)

    # Bounded memory

    def _regulate(self) -> None:
        """Read no more while too much waits, and go on reading afterwards.

        asyncssh opens the whole window again with the first bytes that it delivers after a pause. So it is paused only
        when it holds nothing back itself: then at most one window comes in per pause, and two in all.
        """
        if self._over or self._resuming:
            return
        if self._paused and len(self._inbox) <= _BACKLOG:
            self._paused = False
            self._resuming = True
            self._channel.resume_reading()  # delivers all that it holds, before it returns
            self._resuming = False
        if not self._paused and len(self._inbox) > _BACKLOG:
            self._paused = True
            self._channel.pause_reading()

    # The end

    def _end(self, reason: str, *, status: int | None = None) -> None:
        """End the session once: tell the client the exit status, if it still listens, and give up what is open."""
        if self._over:
            return
        self._over = self._cause or reason
        self._flush()
        if status is not None:
            self._channel.exit(status)
        if not self._in_thread:
            self._wind_up()

    def _wind_up(self) -> None:
        """Close what is open, when no operation uses it any more."""
        if not self._begun:
            self._wound_up(None)
            return
        done = self._loop.run_in_executor(self._pool, self._operations.end, self._over or "")
        done.add_done_callback(self._wound_up)

    def _wound_up(self, done: "asyncio.Future[None] | None") -> None:
        self.ended = True
        if done is not None and (trouble := done.exception()) is not None:
            self._failed(trouble)
        self._changed()
