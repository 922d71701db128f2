"""What can go wrong at an upstream, and what follows from it: one table, Reason → permanence × scope × hint.

Trouble is told apart by what kind it is (the exception's type, the SFTP status, the SSH disconnect code) and by what
was being done when it was met, never by the words of a message: those belong to the peer, may change, and may quote.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import asyncssh
from asyncssh import constants as ssh

from relay.sftp import BadMessageError
from relay.upstream.requests import StatusError


class Permanence(StrEnum):
    """Whether trying again, unchanged, can help."""

    TRANSIENT = "transient"
    PERMANENT = "permanent"


class Scope(StrEnum):
    """Whose trouble it is: the relay's own, the whole upstream's, or this one delivery's."""

    OURS = "ours"
    UPSTREAM = "upstream"
    DELIVERY = "delivery"


class Step(StrEnum):
    """What was being done at the upstream; with a status code it settles what the trouble is."""

    CONNECT = "connecting"
    LIST = "listing the directory"
    LOOK = "looking at a file"
    OPEN = "opening a file"
    WRITE = "writing"
    READ = "reading a file back"
    RENAME = "renaming"
    REMOVE = "removing a temporary file"


class Reason(StrEnum):
    """Every way in which sending can fail."""

    HOST_NOT_FOUND = "host_not_found"
    UNREACHABLE = "unreachable"
    NO_ANSWER = "no_answer"
    TURNED_AWAY = "turned_away"
    CONNECTION_LOST = "connection_lost"
    STALLED = "stalled"
    PROTOCOL_ERROR = "protocol_error"
    NO_SPACE = "no_space"
    OPERATION_FAILED = "operation_failed"
    SETTINGS_UNUSABLE = "settings_unusable"
    HOST_KEY_REFUSED = "host_key_refused"
    NO_COMMON_ALGORITHM = "no_common_algorithm"
    LOGIN_REFUSED = "login_refused"
    PASSWORD_EXPIRED = "password_expired"  # noqa: S105  a reason
    LOGIN_BROKEN_OFF = "login_broken_off"
    SFTP_REFUSED = "sftp_refused"
    DIRECTORY_MISSING = "directory_missing"
    DIRECTORY_REFUSED = "directory_refused"
    LOOK_REFUSED = "look_refused"
    RENAME_REFUSED = "rename_refused"
    SIZE_DIFFERS = "size_differs"
    NAME_TAKEN = "name_taken"
    SIZE_CHANGED = "size_changed"
    DRAFT_MISSING = "draft_missing"
    DRAFT_DAMAGED = "draft_damaged"


@dataclass(frozen=True, slots=True)
class Failure:
    """What follows from a reason, and the sentence an operator acts on."""

    permanence: Permanence
    scope: Scope
    hint: str


def _transient(scope: Scope, hint: str) -> Failure:
    return Failure(Permanence.TRANSIENT, scope, hint)


def _permanent(scope: Scope, hint: str) -> Failure:
    return Failure(Permanence.PERMANENT, scope, hint)


FAILURES: Final[dict[Reason, Failure]] = {
    Reason.HOST_NOT_FOUND: _transient(
        Scope.UPSTREAM,
        "It is tried again. If it goes on, check `host` and this machine's name service.",
    ),
    Reason.UNREACHABLE: _transient(
        Scope.UPSTREAM, "It is tried again. If it goes on, check `host` and `port`, the network and any firewall."
    ),
    Reason.NO_ANSWER: _transient(
        Scope.UPSTREAM,
        "It is tried again. If it goes on, check the network and any firewall, or allow more `connect_timeout`.",
    ),
    Reason.TURNED_AWAY: _transient(
        Scope.UPSTREAM,
        "It is tried again. If it goes on, lower `connections`, or ask whether the server is open.",
    ),
    Reason.CONNECTION_LOST: _transient(
        Scope.UPSTREAM, "It is tried again, with the same name and the same bytes. If it goes on, check the network."
    ),
    Reason.STALLED: _transient(
        Scope.UPSTREAM, "It is tried again. If it goes on, check the network, or allow more `stall_timeout`."
    ),
    Reason.PROTOCOL_ERROR: _transient(
        Scope.UPSTREAM,
        "It is tried again. If it goes on, tell the upstream's operator: what its server answers makes no sense.",
    ),
    Reason.NO_SPACE: _transient(
        Scope.UPSTREAM, "It is tried again. If it goes on, tell the upstream's operator that it is full."
    ),
    Reason.OPERATION_FAILED: _transient(
        Scope.UPSTREAM,
        "It is tried again. The server says no more than that it failed: if that goes on, ask its operator whether the "
        'disk or a quota is full. Where only renaming fails, publish = "direct" does without.',
    ),
    Reason.SETTINGS_UNUSABLE: _permanent(
        Scope.UPSTREAM, "Correct the file that the upstream's settings name; `relay check` says what is wrong with it."
    ),
    Reason.HOST_KEY_REFUSED: _permanent(
        Scope.UPSTREAM,
        "Ask the upstream's operator for the host key. If it was really changed, put it into `known_hosts`; "
        "if not, somebody else answers in its place.",
    ),
    Reason.NO_COMMON_ALGORITHM: _permanent(
        Scope.UPSTREAM,
        "The server offers nothing that the relay accepts, perhaps not the kind of host key in `known_hosts`: "
        "compare with `ssh-keyscan`.",
    ),
    Reason.LOGIN_REFUSED: _permanent(
        Scope.UPSTREAM, "Check `user` and `password` or `private_key`, and ask whether the login is still open."
    ),
    Reason.PASSWORD_EXPIRED: _permanent(
        Scope.UPSTREAM,
        "The server demands another password before it lets anybody in. The relay changes none: set a new one there, "
        "put it into the file that `password` names, and restart the service.",
    ),
    Reason.LOGIN_BROKEN_OFF: _permanent(
        Scope.UPSTREAM,
        "The server broke the login off, perhaps because it counts too many refused ones: check `user` and `password` "
        "or `private_key`, and that `host` and `port` are those of an SFTP server.",
    ),
    Reason.SFTP_REFUSED: _permanent(
        Scope.UPSTREAM, "The login works but may not use SFTP: ask the upstream's operator to permit it."
    ),
    Reason.DIRECTORY_MISSING: _permanent(Scope.UPSTREAM, "Check `directory`: the upstream has none of that name."),
    Reason.DIRECTORY_REFUSED: _permanent(
        Scope.UPSTREAM, "Ask the upstream's operator for the right to list `directory` and to write files in it."
    ),
    Reason.LOOK_REFUSED: _permanent(
        Scope.UPSTREAM,
        "The relay may not see the size of its own file, so nothing can be verified: ask the upstream's operator for "
        "the right to look at files in `directory`.",
    ),
    Reason.RENAME_REFUSED: _permanent(
        Scope.UPSTREAM, 'Ask the upstream\'s operator for the right to rename, or set publish = "auto" or "direct".'
    ),
    Reason.SIZE_DIFFERS: _transient(
        Scope.DELIVERY,
        "The upstream kept other than it acknowledged. It is tried again; if it goes on, tell its operator.",
    ),
    Reason.NAME_TAKEN: _permanent(
        Scope.DELIVERY,
        "A file of this name that is not this list lies at the upstream, and it is never overwritten. Find out whose "
        "it is. Once it is gone, `relay requeue` this list; if it is to stay, `relay discard` this list and have it "
        "exported again: it then gets the next number.",
    ),
    Reason.SIZE_CHANGED: _permanent(
        Scope.DELIVERY,
        "The file was whole before it got its final name and is not what it was: look at the upstream who changes it.",
    ),
    Reason.DRAFT_MISSING: _permanent(
        Scope.OURS, "The list's own file is gone from the state directory: have the export sent again."
    ),
    Reason.DRAFT_DAMAGED: _permanent(
        Scope.OURS,
        "The list's own file in the state directory is not what was planned: check the disk, and have the export sent "
        "again.",
    ),
}
"""The one table. Transient: tried again. Permanent: the upstream is suspended, or the delivery has failed."""


class UpstreamError(Exception):
    """Sending failed.

    Args:
        reason: what it was.
        detail: the circumstances, free of secrets, cells and the peer's own words.
        hint: what to do, where more is known than the table says.
    """

    def __init__(self, reason: Reason, detail: str, *, hint: str | None = None) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.permanence = FAILURES[reason].permanence
        self.scope = FAILURES[reason].scope
        self.hint = hint or FAILURES[reason].hint


TROUBLE: Final = (OSError, asyncssh.Error, BadMessageError, StatusError)
"""What a peer or the network between can make the library raise; anything else is a defect and is let through."""


@contextmanager
def met_while(step: Step) -> Iterator[None]:
    """Turn trouble in the body, met while doing `step`, into an `UpstreamError`."""
    try:
        yield
    except TROUBLE as trouble:
        raise classify(trouble, step) from trouble


def classify(trouble: Exception, step: Step) -> UpstreamError:
    """Say what `trouble`, met while doing `step`, is."""
    connecting = step is Step.CONNECT
    match trouble:
        case StatusError(code=code):
            reason, what = _of_status(code, step), f"the server answered with SFTP status {code}"
        case asyncssh.DisconnectError(code=code):
            reason, what = _of_disconnect(code, step), f"the connection ended with SSH code {code}"
        case asyncssh.ChannelOpenError(code=code):
            reason, what = _CHANNEL.get(code, Reason.TURNED_AWAY), f"the server opens no SFTP session, code {code}"
        case socket.gaierror(errno=code):
            reason, what = Reason.HOST_NOT_FOUND, f"the name service has no address, code {code}"
        case TimeoutError():
            reason, what = Reason.NO_ANSWER if connecting else Reason.STALLED, "no answer in time"
        case OSError(errno=code):
            reason = Reason.UNREACHABLE if connecting else Reason.CONNECTION_LOST
            what = os.strerror(code) if code else "no address answers"
        case _:
            reason, what = Reason.PROTOCOL_ERROR, "the peer's answer makes no sense"
    return UpstreamError(reason, f"{step}: {what} ({type(trouble).__name__})")


_REFUSED: Final = frozenset({ssh.FX_PERMISSION_DENIED, ssh.FX_WRITE_PROTECT, ssh.FX_OP_UNSUPPORTED})
_REFUSED_AT: Final[dict[Step, Reason]] = {
    Step.LIST: Reason.DIRECTORY_REFUSED,
    Step.OPEN: Reason.DIRECTORY_REFUSED,
    Step.WRITE: Reason.DIRECTORY_REFUSED,
    Step.LOOK: Reason.LOOK_REFUSED,
    Step.RENAME: Reason.RENAME_REFUSED,
}

NO_SUCH: Final = frozenset({ssh.FX_NO_SUCH_FILE, ssh.FX_NO_SUCH_PATH})
"""What a server says of a name that it does not have."""

_ABSENT: Final = NO_SUCH | {ssh.FX_NOT_A_DIRECTORY}
_ABSENT_AT: Final[dict[Step, Reason]] = {
    Step.LIST: Reason.DIRECTORY_MISSING,
    Step.OPEN: Reason.DIRECTORY_MISSING,
}

_STATUS: Final[dict[int, Reason]] = {
    ssh.FX_BAD_MESSAGE: Reason.PROTOCOL_ERROR,
    ssh.FX_NO_CONNECTION: Reason.CONNECTION_LOST,
    ssh.FX_CONNECTION_LOST: Reason.CONNECTION_LOST,
    ssh.FX_FILE_ALREADY_EXISTS: Reason.NAME_TAKEN,
    ssh.FX_NO_SPACE_ON_FILESYSTEM: Reason.NO_SPACE,
    ssh.FX_QUOTA_EXCEEDED: Reason.NO_SPACE,
}

_DISCONNECT: Final[dict[int, Reason]] = {
    ssh.DISC_HOST_NOT_ALLOWED_TO_CONNECT: Reason.TURNED_AWAY,
    ssh.DISC_PROTOCOL_ERROR: Reason.PROTOCOL_ERROR,
    ssh.DISC_KEY_EXCHANGE_FAILED: Reason.NO_COMMON_ALGORITHM,
    ssh.DISC_SERVICE_NOT_AVAILABLE: Reason.TURNED_AWAY,
    ssh.DISC_PROTOCOL_VERSION_NOT_SUPPORTED: Reason.PROTOCOL_ERROR,
    ssh.DISC_HOST_KEY_NOT_VERIFIABLE: Reason.HOST_KEY_REFUSED,
    ssh.DISC_TOO_MANY_CONNECTIONS: Reason.TURNED_AWAY,
    ssh.DISC_AUTH_CANCELLED_BY_USER: Reason.LOGIN_REFUSED,
    ssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE: Reason.LOGIN_REFUSED,
    ssh.DISC_ILLEGAL_USER_NAME: Reason.LOGIN_REFUSED,
}

_CHANNEL: Final[dict[int, Reason]] = {
    ssh.OPEN_ADMINISTRATIVELY_PROHIBITED: Reason.SFTP_REFUSED,
    ssh.OPEN_CONNECT_FAILED: Reason.SFTP_REFUSED,
    ssh.OPEN_UNKNOWN_CHANNEL_TYPE: Reason.SFTP_REFUSED,
    ssh.OPEN_REQUEST_SESSION_FAILED: Reason.SFTP_REFUSED,
}


def _of_status(code: int, step: Step) -> Reason:
    if code in _REFUSED and step in _REFUSED_AT:
        return _REFUSED_AT[step]
    if code in _ABSENT and step in _ABSENT_AT:
        return _ABSENT_AT[step]
    return _STATUS.get(code, Reason.OPERATION_FAILED)


def _of_disconnect(code: int, step: Step) -> Reason:
    if code == ssh.DISC_PROTOCOL_ERROR and step is Step.CONNECT:
        # What OpenSSH ends a connection with after too many refused logins: knocking on would lock the account.
        return Reason.LOGIN_BROKEN_OFF
    return _DISCONNECT.get(code, Reason.CONNECTION_LOST)
