"""Custody: on whose behalf a session's uploads are taken, what they may use, and who is told of them."""

from collections.abc import Callable
from dataclasses import dataclass

from relay.landing.codec import RefusedError
from relay.landing.filesystem import RemotePath, shown
from relay.landing.handles import Handles
from relay.landing.room import NoRoomError, Room
from relay.landing.upload import Upload
from relay.log import Event, emit
from relay.model import Fingerprint, Landing


@dataclass(frozen=True, slots=True)
class Custody:
    """Whose uploads these are, how much room and how many handles there are for them, and who is told of them.

    `note` makes a landing durable; `landed` is called when its client has been told so; `stopping` says whether it is
    too late to begin an upload.
    """

    account: str
    session: str
    room: Room
    handles: Handles
    note: Callable[[Landing], object]
    landed: Callable[[], None]
    stopping: Callable[[], bool]

    def admit(self, path: RemotePath) -> None:
        """See that there is room for a file or directory; that there is none, the operator should know (rule L8).

        Raises:
            NoRoomError: there is none.
        """
        try:
            self.room.admit()
        except NoRoomError as refusal:
            emit(
                Event.LANDING_UPLOAD_REFUSED,
                session=self.session,
                account=self.account,
                path=shown(path),
                reason=refusal.reason,
            )
            raise

    def take(self, upload: Upload) -> Callable[[], None]:
        """Take an upload that its client has closed (rule L1), and return what tells of it when the client knows.

        Raises:
            RefusedError: the file is not complete.
            OSError: the disk did not do its part.
            RelayError: it could not be noted.
        """

        def note(fingerprint: Fingerprint, size: int) -> None:
            path = shown(upload.path)
            self.note(Landing(self.account, path, fingerprint, size, confirmed=True, session=self.session))

        size, reason = upload.size, "not_durable"
        try:
            upload.commit(note)
        except BaseException as trouble:
            if isinstance(trouble, RefusedError):
                reason = upload.failure or "incomplete"
            self._say_unconfirmed(upload, size, reason)
            raise
        return lambda: self._say_confirmed(upload, size)

    def give_up(self, upload: Upload, reason: str) -> None:
        """Give up an upload that its client did not close (rule L2)."""
        size = upload.size
        upload.discard()
        self._say_unconfirmed(upload, size, reason)

    def _say_confirmed(self, upload: Upload, size: int) -> None:
        emit(
            Event.LANDING_UPLOAD_CONFIRMED,
            session=self.session,
            account=self.account,
            path=shown(upload.path),
            bytes=size,
        )
        self.landed()

    def _say_unconfirmed(self, upload: Upload, size: int, reason: str) -> None:
        emit(
            Event.LANDING_UPLOAD_UNCONFIRMED,
            session=self.session,
            account=self.account,
            path=shown(upload.path),
            bytes=size,
            reason=reason,
        )
