"""How values that SQLite has no type for are stored, so that they sort, compare and read well in the file itself."""

import os
from datetime import UTC, datetime

from sqlalchemy import Dialect, String
from sqlalchemy.types import TypeDecorator

from relay.model import Fingerprint


def instant_text(instant: datetime) -> str:
    """Return `instant` in UTC with microseconds, `2026-11-23T06:21:55.000000Z`: texts sort as the instants do.

    Raises:
        ValueError: `instant` is naive.
    """
    if instant.tzinfo is None:
        raise ValueError("a naive datetime is no instant")
    return instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


class Instant(TypeDecorator[datetime]):
    """An aware instant as sortable UTC text."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Return the text that is stored; a naive datetime is refused."""
        return None if value is None else instant_text(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        """Return the aware instant of a stored text."""
        return None if value is None else datetime.fromisoformat(value)


class ClientPath(TypeDecorator[str]):
    """A path as the client named it. POSIX names are bytes: one that is not UTF-8 is stored as the bytes it is."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | bytes | None:  # noqa: ARG002
        """Return the text, or the bytes where it stands for bytes that are no text."""
        if value is None:
            return None
        encoded = os.fsencode(value)
        return value if value == encoded.decode(errors="replace") else encoded

    def process_result_value(self, value: str | bytes | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Return the path as Python spells it."""
        return os.fsdecode(value) if isinstance(value, bytes) else value


class FingerprintText(TypeDecorator[Fingerprint]):
    """A fingerprint as text: some file systems have inode numbers above SQLite's largest integer."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: Fingerprint | None, dialect: Dialect) -> str | None:  # noqa: ARG002
        """Return inode and modification time in one text."""
        return None if value is None else f"{value.inode} {value.modified_ns}"

    def process_result_value(self, value: str | None, dialect: Dialect) -> Fingerprint | None:  # noqa: ARG002
        """Return the fingerprint of a stored text."""
        return None if value is None else Fingerprint(*map(int, value.split()))
