"""The table of failures: complete, actionable, and blind to the words of a message."""

import errno
import re
import socket

import asyncssh
import pytest
from asyncssh import constants as ssh

from relay.sftp import BadMessageError
from relay.upstream.failures import FAILURES, Permanence, Reason, Scope, Step, UpstreamError, classify, met_while
from relay.upstream.requests import StatusError

CONNECT, LIST, LOOK, OPEN, WRITE, RENAME = (
    Step.CONNECT,
    Step.LIST,
    Step.LOOK,
    Step.OPEN,
    Step.WRITE,
    Step.RENAME,
)


def test_every_reason_has_its_consequences_and_a_hint() -> None:
    """No reason can be met that the table says nothing about, and every hint is a sentence."""
    assert set(FAILURES) == set(Reason)
    for failure in FAILURES.values():
        assert re.fullmatch(r"[A-Z].*[.]", failure.hint)


def test_trouble_of_our_own_or_of_one_list_never_suspends_an_upstream() -> None:
    """Only what is the upstream's as a whole and lasts may stop everybody's lists."""
    last = (Permanence.PERMANENT, Scope.UPSTREAM)
    assert {reason for reason, failure in FAILURES.items() if (failure.permanence, failure.scope) == last} == {
        Reason.SETTINGS_UNUSABLE,
        Reason.HOST_KEY_REFUSED,
        Reason.NO_COMMON_ALGORITHM,
        Reason.LOGIN_REFUSED,
        Reason.PASSWORD_EXPIRED,
        Reason.LOGIN_BROKEN_OFF,
        Reason.SFTP_REFUSED,
        Reason.DIRECTORY_MISSING,
        Reason.DIRECTORY_REFUSED,
        Reason.LOOK_REFUSED,
        Reason.RENAME_REFUSED,
    }


@pytest.mark.parametrize(
    ("trouble", "step", "reason"),
    [
        (socket.gaierror(socket.EAI_NONAME, "x"), CONNECT, Reason.HOST_NOT_FOUND),
        (ConnectionRefusedError(errno.ECONNREFUSED, "x"), CONNECT, Reason.UNREACHABLE),
        (OSError("several addresses, none answers"), CONNECT, Reason.UNREACHABLE),
        (TimeoutError(), CONNECT, Reason.NO_ANSWER),
        (TimeoutError(errno.ETIMEDOUT, "x"), CONNECT, Reason.NO_ANSWER),
        (asyncssh.ConnectionLost("x"), CONNECT, Reason.CONNECTION_LOST),
        (asyncssh.HostKeyNotVerifiable("x"), CONNECT, Reason.HOST_KEY_REFUSED),
        (asyncssh.KeyExchangeFailed("x"), CONNECT, Reason.NO_COMMON_ALGORITHM),
        (asyncssh.PermissionDenied("x"), CONNECT, Reason.LOGIN_REFUSED),
        (asyncssh.IllegalUserName("x"), CONNECT, Reason.LOGIN_REFUSED),
        (asyncssh.ProtocolError("x"), CONNECT, Reason.LOGIN_BROKEN_OFF),
        (asyncssh.ProtocolError("x"), WRITE, Reason.PROTOCOL_ERROR),
        (asyncssh.ServiceNotAvailable("x"), CONNECT, Reason.TURNED_AWAY),
        (asyncssh.DisconnectError(12, "x"), CONNECT, Reason.TURNED_AWAY),
        (asyncssh.DisconnectError(4711, "x"), WRITE, Reason.CONNECTION_LOST),
        (asyncssh.ChannelOpenError(1, "x"), CONNECT, Reason.SFTP_REFUSED),
        (asyncssh.ChannelOpenError(0xFFFFFFFF, "x"), CONNECT, Reason.SFTP_REFUSED),
        (asyncssh.ChannelOpenError(4, "x"), CONNECT, Reason.TURNED_AWAY),
        (StatusError(ssh.FX_NO_SUCH_FILE), LIST, Reason.DIRECTORY_MISSING),
        (StatusError(ssh.FX_NO_SUCH_FILE), OPEN, Reason.DIRECTORY_MISSING),
        (StatusError(ssh.FX_NO_SUCH_FILE), RENAME, Reason.OPERATION_FAILED),
        (StatusError(ssh.FX_PERMISSION_DENIED), LIST, Reason.DIRECTORY_REFUSED),
        (StatusError(ssh.FX_PERMISSION_DENIED), OPEN, Reason.DIRECTORY_REFUSED),
        (StatusError(ssh.FX_PERMISSION_DENIED), LOOK, Reason.LOOK_REFUSED),
        (StatusError(ssh.FX_PERMISSION_DENIED), RENAME, Reason.RENAME_REFUSED),
        (StatusError(ssh.FX_OP_UNSUPPORTED), RENAME, Reason.RENAME_REFUSED),
        (StatusError(ssh.FX_FAILURE), RENAME, Reason.OPERATION_FAILED),
        (StatusError(ssh.FX_FAILURE), WRITE, Reason.OPERATION_FAILED),
        (StatusError(ssh.FX_NO_SPACE_ON_FILESYSTEM), WRITE, Reason.NO_SPACE),
        (StatusError(ssh.FX_QUOTA_EXCEEDED), WRITE, Reason.NO_SPACE),
        (StatusError(ssh.FX_FILE_ALREADY_EXISTS), OPEN, Reason.NAME_TAKEN),
        (StatusError(ssh.FX_CONNECTION_LOST), WRITE, Reason.CONNECTION_LOST),
        (StatusError(ssh.FX_NO_CONNECTION), RENAME, Reason.CONNECTION_LOST),
        (StatusError(ssh.FX_BAD_MESSAGE), WRITE, Reason.PROTOCOL_ERROR),
        (StatusError(4711), WRITE, Reason.OPERATION_FAILED),
        (BadMessageError("x"), LOOK, Reason.PROTOCOL_ERROR),
        (TimeoutError(), WRITE, Reason.STALLED),
        (ConnectionResetError(errno.ECONNRESET, "x"), WRITE, Reason.CONNECTION_LOST),
    ],
)
def test_trouble_is_told_apart_by_its_kind(trouble: Exception, step: Step, reason: Reason) -> None:
    """The exception's type and code, with the step at which it was met, say what it is."""
    assert classify(trouble, step).reason is reason


@pytest.mark.parametrize(
    "message", ["Permission denied", "Connection refused", "No space left on device", "2125550123,VIP", ""]
)
def test_the_words_of_a_message_say_nothing_and_go_nowhere(message: str) -> None:
    """Whatever a peer writes into its message changes no reason and is never repeated."""
    error = classify(asyncssh.DisconnectError(4711, message), WRITE)
    assert error.reason is Reason.CONNECTION_LOST
    assert error.detail == "writing: the connection ended with SSH code 4711 (DisconnectError)"
    assert str(error) == f"connection_lost: {error.detail}"


def test_an_error_brings_the_consequences_of_its_reason() -> None:
    """Who catches it needs to look nothing up."""
    error = UpstreamError(Reason.NAME_TAKEN, "there are 7 bytes")
    assert (error.permanence, error.scope) == (Permanence.PERMANENT, Scope.DELIVERY)
    assert error.hint == FAILURES[Reason.NAME_TAKEN].hint


def test_a_better_hint_takes_the_place_of_the_tables() -> None:
    """Where more is known than the table can say, the operator is told that."""
    assert UpstreamError(Reason.SETTINGS_UNUSABLE, "x", hint="Run `chmod`.").hint == "Run `chmod`."


def test_a_defect_is_not_mistaken_for_trouble() -> None:
    """What no peer can cause passes through as it is."""
    with pytest.raises(ZeroDivisionError), met_while(WRITE):
        raise ZeroDivisionError
