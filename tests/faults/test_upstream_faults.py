"""The way out when the upstream misbehaves: every answer it can give at the wrong moment, from a real SFTP server."""

import asyncio
import os
import socket
from pathlib import Path

import pytest
from asyncssh.constants import FX_FAILURE, FX_NO_SUCH_FILE, FX_OP_UNSUPPORTED, FX_PERMISSION_DENIED
from parts.lists import NAME, TEMPORARY, again, an_upload, rows
from parts.upstream import Fault, Login, Operation, ScriptedUpstream, drop, meanwhile, refuse, stall

from relay.model import Receipt
from relay.upstream import Reason, Upload, UpstreamError, connect

LIST = rows(1000)
HALF = len(LIST) // 2


def _send(upstream: ScriptedUpstream, upload: Upload, **changes: object) -> Receipt | Reason:
    """Send one list once, and return the receipt or the reason why there is none."""

    async def attempt() -> Receipt | Reason:
        async with upstream:
            try:
                async with connect(upstream.settings(**changes)) as session:
                    return await session.publish(upload)
            except UpstreamError as error:
                return error.reason

    return asyncio.run(attempt())


def _receipt(upstream: ScriptedUpstream, upload: Upload, **changes: object) -> Receipt:
    outcome = _send(upstream, upload, **changes)
    assert isinstance(outcome, Receipt), outcome
    return outcome


def _truncate(size: int, name: str) -> Fault:
    """A server that keeps less than it acknowledged, or somebody who cuts files off."""
    return meanwhile("close", lambda uploads: os.truncate(uploads / name, size), after=True)


@pytest.mark.parametrize("publish", ["auto", "rename"])
def test_the_requests_made_are_the_few_that_are_needed(tmp_path: Path, publish: str) -> None:
    """Look, write, verify, rename, look again: no SETSTAT, no overwriting rename, no name but our two (rule U3)."""
    upstream = ScriptedUpstream(tmp_path / "upstream")
    _receipt(upstream, an_upload(tmp_path, LIST), publish=publish)
    assert [entry for entry in upstream.operations if entry[0] != "write"] == [
        ("stat", NAME),
        ("open", TEMPORARY),
        ("close", TEMPORARY),
        ("stat", TEMPORARY),
        ("stat", NAME),
        ("rename", NAME),
        ("stat", NAME),
    ]


@pytest.mark.parametrize("status", [FX_PERMISSION_DENIED, FX_OP_UNSUPPORTED])
def test_a_refused_rename_leads_to_a_direct_upload(tmp_path: Path, status: int) -> None:
    """`auto` writes directly when the server says that it never renames, and clears up after itself (rule U2)."""
    upstream = ScriptedUpstream(tmp_path / "upstream", (refuse("rename", status),))
    receipt = _receipt(upstream, an_upload(tmp_path, LIST))
    assert (receipt.publish, receipt.verified) == ("direct", True)
    assert upstream.received() == {NAME: LIST}
    assert upstream.asked_for("remove") == [TEMPORARY]


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (refuse("rename", FX_FAILURE), Reason.OPERATION_FAILED),
        (drop("rename"), Reason.CONNECTION_LOST),
    ],
    ids=["failure", "drop"],
)
def test_a_rename_that_merely_fails_does_not(tmp_path: Path, fault: Fault, reason: Reason) -> None:
    """Only a server that refuses for good is written to directly; other trouble is for the next attempt."""
    upstream = ScriptedUpstream(tmp_path / "upstream", (fault,))
    assert _send(upstream, an_upload(tmp_path, LIST)) is reason
    assert upstream.received() == {TEMPORARY: LIST}


def test_a_name_that_is_taken_at_the_last_moment_is_left_alone(tmp_path: Path) -> None:
    """Whoever came first keeps the name; our temporary file goes (rule U4)."""
    other = meanwhile("rename", lambda uploads: (uploads / NAME).write_bytes(b"theirs"))
    upstream = ScriptedUpstream(tmp_path / "upstream", (other,))
    assert _send(upstream, an_upload(tmp_path, LIST)) is Reason.NAME_TAKEN
    assert upstream.received() == {NAME: b"theirs"}


def test_a_direct_upload_yields_to_a_name_that_is_taken_at_the_last_moment(tmp_path: Path) -> None:
    """Opening the final name demands that it is free (rule U4)."""
    other = meanwhile("open", lambda uploads: (uploads / NAME).write_bytes(b"theirs"))
    upstream = ScriptedUpstream(tmp_path / "upstream", (other,))
    assert _send(upstream, an_upload(tmp_path, LIST), publish="direct") is Reason.NAME_TAKEN
    assert upstream.received() == {NAME: b"theirs"}


def test_a_file_that_is_gone_after_the_rename_was_picked_up(tmp_path: Path) -> None:
    """It counts as sent, and is not said to be verified (rule U5)."""
    pick_up = meanwhile("rename", lambda uploads: (uploads / NAME).unlink(), after=True)
    upstream = ScriptedUpstream(tmp_path / "upstream", (pick_up,))
    receipt = _receipt(upstream, an_upload(tmp_path, LIST))
    assert (receipt.publish, receipt.verified) == ("rename", False)


def test_a_file_that_changes_with_the_rename_is_a_failure(tmp_path: Path) -> None:
    """Another size under the final name than the temporary file had is for a person to look at."""
    change = meanwhile("rename", lambda uploads: os.truncate(uploads / NAME, HALF), after=True)
    upstream = ScriptedUpstream(tmp_path / "upstream", (change,))
    assert _send(upstream, an_upload(tmp_path, LIST)) is Reason.SIZE_CHANGED


def test_a_server_that_keeps_less_than_it_acknowledged_gets_no_final_name(tmp_path: Path) -> None:
    """The size is verified before anything is published (rule U1), and the next attempt writes anew."""
    upstream = ScriptedUpstream(tmp_path / "upstream", (_truncate(HALF, TEMPORARY),))
    upload = an_upload(tmp_path, LIST)
    assert _send(upstream, upload) is Reason.SIZE_DIFFERS
    assert upstream.received() == {TEMPORARY: LIST[:HALF]}
    assert _receipt(upstream, again(upload)).verified
    assert upstream.received() == {NAME: LIST}


def test_a_temporary_file_that_vanishes_is_not_renamed(tmp_path: Path) -> None:
    """Somebody who takes any file, finished or not, is not taken for success."""
    vanish = meanwhile("close", lambda uploads: (uploads / TEMPORARY).unlink(), after=True)
    upstream = ScriptedUpstream(tmp_path / "upstream", (vanish,))
    assert _send(upstream, an_upload(tmp_path, LIST)) is Reason.SIZE_DIFFERS
    assert upstream.asked_for("rename") == []


def test_a_direct_upload_that_was_cut_short_is_taken_away_again(tmp_path: Path) -> None:
    """Under its final name it would be read as the whole list (rule U2)."""
    upstream = ScriptedUpstream(tmp_path / "upstream", (_truncate(HALF, NAME),))
    upload = an_upload(tmp_path, LIST)
    assert _send(upstream, upload, publish="direct") is Reason.SIZE_DIFFERS
    assert upstream.received() == {}
    assert _receipt(upstream, again(upload), publish="direct").verified


def test_a_direct_upload_begins_only_with_a_draft_that_is_whole(tmp_path: Path) -> None:
    """There is no temporary file in which a damaged draft could be noticed before it has its final name."""
    upstream = ScriptedUpstream(tmp_path / "upstream")
    upload = an_upload(tmp_path, LIST)
    upload.draft.path.write_bytes(LIST[:-1])
    assert _send(upstream, upload, publish="direct") is Reason.DRAFT_DAMAGED
    assert upstream.asked_for("open") == []


def test_a_direct_upload_that_fails_in_between_is_taken_away_again(tmp_path: Path) -> None:
    """A full disk leaves no half list under a final name while the connection still stands."""
    upstream = ScriptedUpstream(tmp_path / "upstream", (refuse("write", FX_FAILURE, skip=1),))
    assert _send(upstream, an_upload(tmp_path, rows(100_000)), publish="direct") is Reason.OPERATION_FAILED
    assert upstream.received() == {}


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (refuse("open", FX_PERMISSION_DENIED), Reason.DIRECTORY_REFUSED),
        (refuse("open", FX_NO_SUCH_FILE), Reason.DIRECTORY_MISSING),
        (refuse("stat", FX_PERMISSION_DENIED), Reason.LOOK_REFUSED),
        (refuse("stat", FX_PERMISSION_DENIED, skip=1), Reason.LOOK_REFUSED),
        (refuse("write", FX_FAILURE, skip=2), Reason.OPERATION_FAILED),
        (refuse("close", FX_FAILURE), Reason.OPERATION_FAILED),
    ],
    ids=["open", "no directory", "first look", "verifying", "write", "close"],
)
def test_a_refusal_before_the_rename_leaves_no_final_name(tmp_path: Path, fault: Fault, reason: Reason) -> None:
    """Whatever the server refuses until then, the list is absent and not half there (rule U1)."""
    upstream = ScriptedUpstream(tmp_path / "upstream", (fault,))
    assert _send(upstream, an_upload(tmp_path, rows(100_000))) is reason
    assert NAME not in upstream.received()


def test_that_the_last_look_is_refused_takes_nothing_back(tmp_path: Path) -> None:
    """The server confirmed the rename: the list is sent, only not verified."""
    upstream = ScriptedUpstream(tmp_path / "upstream", (refuse("stat", FX_PERMISSION_DENIED, skip=3),))
    assert not _receipt(upstream, an_upload(tmp_path, LIST)).verified
    assert upstream.received() == {NAME: LIST}


@pytest.mark.parametrize(
    "fault",
    [
        drop("stat"),
        drop("open"),
        drop("open", after=True),
        drop("write", skip=3),
        drop("write", after=True, skip=3),
        drop("close"),
        drop("close", after=True),
        drop("stat", skip=1),
        drop("stat", after=True),
        drop("rename"),
        drop("rename", after=True),
    ],
    ids=lambda fault: f"{fault.operation}{'-after' if fault.after else ''}-{fault.skip}",
)
def test_a_connection_that_breaks_anywhere_is_made_good_by_the_next_attempt(tmp_path: Path, fault: Fault) -> None:
    """Complete or absent after the break, and the same name and bytes, once, after the retry (rules U1 and U7)."""
    content = rows(100_000)
    upstream = ScriptedUpstream(tmp_path / "upstream", (fault,))
    upload = an_upload(tmp_path, content)
    assert _send(upstream, upload) is Reason.CONNECTION_LOST
    assert upstream.received().get(NAME, content) == content
    assert _receipt(upstream, again(upload)).verified
    assert upstream.received() == {NAME: content}


@pytest.mark.parametrize("operation", ["stat", "open", "write", "close", "rename"])
def test_a_server_that_falls_silent_anywhere_is_given_up(tmp_path: Path, operation: Operation) -> None:
    """No request waits for ever: after `stall_timeout` without progress the attempt is over."""
    upstream = ScriptedUpstream(tmp_path / "upstream", (stall(operation),))
    assert _send(upstream, an_upload(tmp_path, LIST), stall_timeout="0.3s") is Reason.STALLED


def test_a_slow_upload_that_makes_progress_is_not_given_up(tmp_path: Path) -> None:
    """The deadline counts from the last acknowledgement, not from the beginning."""
    one_by_one = asyncio.Lock()

    async def dawdle(_: ScriptedUpstream) -> None:
        async with one_by_one:
            await asyncio.sleep(0.05)

    upstream = ScriptedUpstream(tmp_path / "upstream", (Fault("write", dawdle, times=None),))
    receipt = _receipt(upstream, an_upload(tmp_path, rows(500_000)), stall_timeout="0.5s")
    assert receipt.transfer.total_seconds() > 1


@pytest.mark.parametrize("login", ["password", "keyboard-interactive"])
def test_a_password_logs_in_however_the_server_asks_for_it(tmp_path: Path, login: Login) -> None:
    """Some servers ask for the same password by keyboard-interactive only."""
    upstream = ScriptedUpstream(tmp_path / "upstream", login=login)
    assert _receipt(upstream, an_upload(tmp_path, LIST)).verified


@pytest.mark.parametrize("login", ["password", "keyboard-interactive"])
def test_a_wrong_password_is_refused_after_one_try(tmp_path: Path, login: Login) -> None:
    """Nobody is asked for another, and the account is not knocked at until it is locked."""
    upstream = ScriptedUpstream(tmp_path / "upstream", login=login)
    upstream.password.write_text("wrong\n", encoding="utf-8")
    assert _send(upstream, an_upload(tmp_path, LIST)) is Reason.LOGIN_REFUSED
    assert upstream.tries == 1


def test_a_demanded_change_of_the_password_is_told_apart_and_not_made(tmp_path: Path) -> None:
    """One try; whoever sets passwords there is to set one (rule U11)."""
    upstream = ScriptedUpstream(tmp_path / "upstream", login="password", password_expired=True)
    assert _send(upstream, an_upload(tmp_path, LIST)) is Reason.PASSWORD_EXPIRED
    assert upstream.tries == 1


def test_a_host_that_no_name_service_knows_is_tried_again(tmp_path: Path) -> None:
    """The name service may be the one in trouble."""
    upstream = ScriptedUpstream(tmp_path / "upstream")
    pin = tmp_path / "pin"

    async def attempt() -> None:
        async with upstream:
            pin.write_text(upstream.known_hosts.read_text().replace("127.0.0.1", "upstream.invalid"))
            async with connect(upstream.settings(host="upstream.invalid", known_hosts=pin)):
                pass

    with pytest.raises(UpstreamError) as caught:
        asyncio.run(attempt())
    assert (caught.value.reason, caught.value.permanence) == (Reason.HOST_NOT_FOUND, "transient")


def test_no_key_of_the_users_own_is_offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a password configured, a key in ~/.ssh that would open the door stays there; so does its known_hosts."""
    upstream = ScriptedUpstream(tmp_path / "upstream")
    home = tmp_path / "home" / ".ssh"
    home.mkdir(parents=True)
    (home / "id_ed25519").write_bytes(upstream.client_key.read_bytes())
    monkeypatch.setenv("HOME", str(home.parent))
    assert _send(upstream, an_upload(tmp_path, LIST), private_key=None, password=upstream.password) is (
        Reason.LOGIN_REFUSED
    )


def test_a_login_without_sftp_is_told_apart_from_a_refused_one(tmp_path: Path) -> None:
    """The operator then asks for the right thing."""
    upstream = ScriptedUpstream(tmp_path / "upstream", sftp=False)
    assert _send(upstream, an_upload(tmp_path, LIST)) is Reason.SFTP_REFUSED


def test_a_port_that_nobody_listens_on_is_unreachable(tmp_path: Path) -> None:
    """A refused connection is transient: the server may be starting."""

    async def attempt() -> None:
        async with ScriptedUpstream(tmp_path / "upstream") as upstream:
            settings = upstream.settings()
        async with connect(settings):
            pass

    with pytest.raises(UpstreamError) as caught:
        asyncio.run(attempt())
    assert caught.value.reason is Reason.UNREACHABLE


def test_a_port_that_accepts_and_says_nothing_gives_no_answer(tmp_path: Path) -> None:
    """Connecting and logging in together have one deadline."""
    upstream = ScriptedUpstream(tmp_path / "upstream")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        upstream.port = silent.getsockname()[1]
        upstream.pin_host_key()

        async def attempt() -> None:
            async with connect(upstream.settings(connect_timeout="0.3s")):
                pass

        with pytest.raises(UpstreamError) as caught:
            asyncio.run(attempt())
    assert caught.value.reason is Reason.NO_ANSWER


def test_a_session_says_whether_its_connection_has_ended(tmp_path: Path) -> None:
    """So that no list is begun on one that is lost already."""

    async def watch() -> list[bool]:
        async with ScriptedUpstream(tmp_path / "upstream") as upstream, connect(upstream.settings()) as session:
            seen = [session.lost]
            upstream.drop_connections()
            with pytest.raises(UpstreamError):
                await session.directory.sizes()
            return [*seen, session.lost]

    assert asyncio.run(watch()) == [False, True]
