"""The way out against a real OpenSSH server."""

import asyncio
import os
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from parts.lists import NAME, TEMPORARY, again, an_upload, rows
from parts.sshd import NEEDS_SSHD, Sshd, until

from relay.config import UpstreamSettings
from relay.model import Receipt
from relay.upstream import Reason, Upload, UpstreamError, connect

pytestmark = NEEDS_SSHD

LIST = rows(1000)


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    """A server that refuses nothing."""
    with Sshd(tmp_path / "upstream") as server:
        yield server


async def _publish(settings: UpstreamSettings, *uploads: Upload) -> list[Receipt]:
    async with connect(settings) as session:
        return [await session.publish(upload) for upload in uploads]


def _send(settings: UpstreamSettings, upload: Upload) -> Receipt:
    return asyncio.run(_publish(settings, upload))[0]


def _fail(settings: UpstreamSettings, upload: Upload) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        _send(settings, upload)
    return caught.value


def test_a_list_arrives_under_its_final_name_byte_for_byte(sshd: Sshd, tmp_path: Path) -> None:
    """The main job: staged, verified, renamed; nothing else is left behind."""
    receipt = _send(sshd.settings(), an_upload(tmp_path, LIST))
    assert sshd.received() == {NAME: LIST}
    assert (receipt.remote_name, receipt.size, receipt.verified, receipt.publish) == (NAME, len(LIST), True, "rename")


@pytest.mark.parametrize("size", [0, 1, 261_120, 261_121, 9_000_001])
def test_every_size_arrives_whole(sshd: Sshd, tmp_path: Path, size: int) -> None:
    """From nothing to many writes under way at once, with and without a remainder."""
    content = (LIST * (size // len(LIST) + 1))[:size]
    _send(sshd.settings(), an_upload(tmp_path, content))
    assert sshd.received() == {NAME: content}


def test_one_session_sends_one_list_after_the_other(sshd: Sshd, tmp_path: Path) -> None:
    """Only the first list of a session pays for connecting."""
    upload = an_upload(tmp_path, LIST)
    second = replace(upload, remote_name=NAME.replace("_1.", "_2."))
    receipts = asyncio.run(_publish(sshd.settings(), upload, second))
    assert [bool(receipt.connect) for receipt in receipts] == [True, False]
    assert list(sshd.received()) == [NAME, second.remote_name]


def test_nothing_of_others_is_touched(sshd: Sshd, tmp_path: Path) -> None:
    """What lay in the directory before lies there afterwards, unchanged to the inode (rule U3)."""
    others = {"someone_subscriber_segment_20261123_1.csv": b"2125550199,B\n", "notes.part": b"x", "READ ME": b""}
    for name, content in others.items():
        (sshd.uploads / name).write_bytes(content)
    before = {path.name: path.stat() for path in sshd.uploads.iterdir()}
    _send(sshd.settings(), an_upload(tmp_path, LIST))
    after = {path.name: path.stat() for path in sshd.uploads.iterdir()}
    assert after.pop(NAME).st_size == len(LIST)
    assert {name: (found.st_ino, found.st_mtime_ns, found.st_mode) for name, found in after.items()} == {
        name: (found.st_ino, found.st_mtime_ns, found.st_mode) for name, found in before.items()
    }


def test_a_leftover_of_an_earlier_attempt_is_written_over(sshd: Sshd, tmp_path: Path) -> None:
    """A longer rest under the temporary name neither stops the list nor shows in it."""
    (sshd.uploads / TEMPORARY).write_bytes(LIST + LIST)
    _send(sshd.settings(), again(an_upload(tmp_path, LIST)))
    assert sshd.received() == {NAME: LIST}


def test_a_final_name_that_is_taken_is_not_overwritten(sshd: Sshd, tmp_path: Path) -> None:
    """On a first attempt any file of that name is a stranger's, even one of the same size (rule U4)."""
    theirs = bytes(len(LIST))
    (sshd.uploads / NAME).write_bytes(theirs)
    error = _fail(sshd.settings(), an_upload(tmp_path, LIST))
    assert error.reason is Reason.NAME_TAKEN
    assert sshd.received() == {NAME: theirs}


def test_a_retry_does_not_overwrite_a_file_of_another_size(sshd: Sshd, tmp_path: Path) -> None:
    """A file of another size cannot be what an earlier attempt has put there (rule U4)."""
    (sshd.uploads / NAME).write_bytes(b"theirs")
    error = _fail(sshd.settings(), again(an_upload(tmp_path, LIST)))
    assert error.reason is Reason.NAME_TAKEN
    assert sshd.received() == {NAME: b"theirs"}


def test_a_retry_recognises_what_an_earlier_attempt_achieved(sshd: Sshd, tmp_path: Path) -> None:
    """Where only the answer was lost, nothing is sent twice, and the leftover goes (rule U7)."""
    _send(sshd.settings(), an_upload(tmp_path, LIST))
    (sshd.uploads / TEMPORARY).write_bytes(b"rest")
    inode = (sshd.uploads / NAME).stat().st_ino
    receipt = _send(sshd.settings(), again(an_upload(tmp_path, LIST)))
    assert (receipt.verified, receipt.publish) == (True, "found")
    assert sshd.received() == {NAME: LIST}
    assert (sshd.uploads / NAME).stat().st_ino == inode


def test_where_renaming_is_refused_the_list_is_written_directly(tmp_path: Path) -> None:
    """`auto` falls back, and takes its own temporary file away (rule U2)."""
    with Sshd(tmp_path / "upstream", refused=("rename",)) as sshd:
        receipt = _send(sshd.settings(), an_upload(tmp_path, LIST))
        assert (receipt.publish, receipt.verified) == ("direct", True)
        assert sshd.received() == {NAME: LIST}


def test_rename_alone_means_rename_alone(tmp_path: Path) -> None:
    """With `publish = "rename"` a server that refuses it gets nothing; the upstream is at fault, not the list."""
    with Sshd(tmp_path / "upstream", refused=("rename",)) as sshd:
        error = _fail(sshd.settings(publish="rename"), an_upload(tmp_path, LIST))
        assert error.reason is Reason.RENAME_REFUSED
        assert sshd.received() == {}


def test_direct_writes_under_the_final_name_and_never_over_another(sshd: Sshd, tmp_path: Path) -> None:
    """With `publish = "direct"` no temporary file is made."""
    settings = sshd.settings(publish="direct")
    assert _send(settings, an_upload(tmp_path, LIST)).publish == "direct"
    assert _fail(settings, an_upload(tmp_path, rows(5))).reason is Reason.NAME_TAKEN
    assert sshd.received() == {NAME: LIST}


@pytest.mark.parametrize("publish", ["rename", "direct"])
@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (LIST[:-1], "it has 14,999 bytes, planned were 15,000"),
        (LIST + b"2", "it is longer than the 15,000 bytes planned"),
        (LIST[:-2] + b"X\n", "its SHA-256 is not the one planned"),
        (b"", "it has 0 bytes, planned were 15,000"),
    ],
    ids=["shorter", "longer", "other", "empty"],
)
def test_a_draft_that_is_not_what_was_planned_is_never_published(
    sshd: Sshd, tmp_path: Path, publish: str, damage: bytes, said: str
) -> None:
    """Shorter, longer, other or empty: the draft's size and hash are watched while it is sent."""
    upload = an_upload(tmp_path, LIST)
    upload.draft.path.write_bytes(damage)
    error = _fail(sshd.settings(publish=publish), upload)
    assert (error.reason, error.detail) == (Reason.DRAFT_DAMAGED, said)
    assert sshd.received() == {}


def test_a_draft_that_is_gone_is_said_to_be_gone(sshd: Sshd, tmp_path: Path) -> None:
    """The relay's own loss is not the upstream's fault."""
    upload = an_upload(tmp_path, LIST)
    upload.draft.path.unlink()
    error = _fail(sshd.settings(), upload)
    assert (error.reason, error.scope) == (Reason.DRAFT_MISSING, "ours")
    assert sshd.received() == {}


def test_a_connection_cut_in_mid_transfer_leaves_no_final_name_and_a_retry_completes_it(
    sshd: Sshd, tmp_path: Path
) -> None:
    """Complete or absent; afterwards the same name and the same bytes (rules U1 and U7)."""
    content = LIST * 1500
    upload = an_upload(tmp_path, content)

    async def cut() -> None:
        async with connect(sshd.settings()) as session:
            sending = asyncio.create_task(session.publish(upload))
            await asyncio.to_thread(until, (sshd.uploads / TEMPORARY).exists, "the upload has begun")
            sshd.drop_connections()
            await sending

    with pytest.raises(UpstreamError) as caught:
        asyncio.run(cut())
    assert caught.value.reason is Reason.CONNECTION_LOST
    assert list(sshd.received()) == [TEMPORARY]
    _send(sshd.settings(), again(upload))
    assert sshd.received() == {NAME: content}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
def test_a_full_disk_at_the_upstream_is_waited_out(sshd: Sshd, tmp_path: Path) -> None:
    """It is the upstream's trouble and passes; what did not fit is cleared away before the next attempt begins."""
    content = LIST * 200
    upload = an_upload(tmp_path, content)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(sshd.uploads)], check=True)
    try:
        error = _fail(sshd.settings(), upload)
        assert (error.reason, error.permanence, error.scope) == (Reason.OPERATION_FAILED, "transient", "upstream")
        assert NAME not in sshd.received()
        subprocess.run(["mount", "-o", "remount,size=4m", str(sshd.uploads)], check=True)
        assert _send(sshd.settings(), again(upload)).verified
        assert sshd.received() == {NAME: content}
    finally:
        subprocess.run(["umount", "--lazy", str(sshd.uploads)], check=True)


def test_a_server_that_goes_silent_is_given_up(sshd: Sshd, tmp_path: Path) -> None:
    """A connection that stays open and answers nothing ends after `stall_timeout`."""
    upload = an_upload(tmp_path, LIST)

    async def freeze() -> None:
        async with connect(sshd.settings(stall_timeout="0.3s")) as session:
            sshd.freeze()
            await session.publish(upload)

    with pytest.raises(UpstreamError) as caught:
        asyncio.run(freeze())
    assert caught.value.reason is Reason.STALLED


@pytest.mark.parametrize(
    ("options", "reason"),
    [((), Reason.LOGIN_REFUSED), (("MaxAuthTries 1",), Reason.LOGIN_BROKEN_OFF)],
    ids=["refused", "broken off"],
)
def test_a_key_that_is_not_authorised_stops_the_upstream(
    tmp_path: Path, options: tuple[str, ...], reason: Reason
) -> None:
    """However the server puts it, knocking on would only lock the account: the upstream is at fault, and for good."""
    with Sshd(tmp_path / "upstream", options=options) as sshd:
        stranger = tmp_path / "stranger"
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(stranger)], check=True)
        error = _fail(sshd.settings(private_key=stranger), an_upload(tmp_path, LIST))
    assert (error.reason, error.permanence, error.scope) == (reason, "permanent", "upstream")


def test_another_host_key_than_the_pinned_one_is_refused(sshd: Sshd, tmp_path: Path) -> None:
    """Nothing is sent to a server that cannot prove who it is, until the pin is corrected (rule U6)."""
    sshd.stop()
    sshd.change_host_key()
    sshd.start()
    assert _fail(sshd.settings(), an_upload(tmp_path, LIST)).reason is Reason.HOST_KEY_REFUSED
    assert sshd.received() == {}
    sshd.pin_host_key()
    assert _send(sshd.settings(), an_upload(tmp_path, LIST)).verified


def test_with_the_next_host_key_pinned_beside_the_current_one_nothing_stops(sshd: Sshd, tmp_path: Path) -> None:
    """A server that changes over as announced is served on, before and after (rule U6)."""
    current = sshd.known_hosts.read_text()
    sshd.change_host_key()
    sshd.pin_host_key()
    sshd.known_hosts.write_text(current + sshd.known_hosts.read_text())
    assert _send(sshd.settings(), an_upload(tmp_path, LIST)).verified
    sshd.stop()
    sshd.start()
    assert _send(sshd.settings(), an_upload(tmp_path, LIST)).publish == "found"


def test_a_key_that_the_server_has_beside_the_pinned_one_is_noticed(tmp_path: Path) -> None:
    """It may be the next one: the operator can pin it before the current one is retired (rule U6)."""
    next_key = tmp_path / "next"
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", str(next_key)], check=True)
    fingerprint = subprocess.run(["ssh-keygen", "-lf", str(next_key)], check=True, capture_output=True, text=True)

    async def look(server: Sshd) -> tuple[str, ...]:
        async with connect(server.settings()) as session:
            await session.publish(an_upload(tmp_path, LIST))
            return session.unpinned_keys

    with Sshd(tmp_path / "upstream", options=(f"HostKey {next_key}",)) as server:
        (noticed,) = asyncio.run(look(server))
    assert noticed.startswith(f"ecdsa-sha2-nistp256 {fingerprint.stdout.split()[1]} (MD5:")


@pytest.mark.parametrize("kind", ["ecdsa", "rsa", "ed25519"])
def test_a_pin_of_another_key_of_any_kind_is_refused_as_such(sshd: Sshd, tmp_path: Path, kind: str) -> None:
    """A server whose only kind of key is not the pinned kind has the wrong key, and is not merely unreachable."""
    pinned = tmp_path / "pinned"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(pinned)], check=True)
    sshd.known_hosts.write_text(f"[127.0.0.1]:{sshd.port} {pinned.with_suffix('.pub').read_text()}")
    assert _fail(sshd.settings(), an_upload(tmp_path, LIST)).reason is Reason.HOST_KEY_REFUSED


def test_an_empty_pin_is_not_made_up_for_from_the_users_own(sshd: Sshd, tmp_path: Path) -> None:
    """The library would take ~/.ssh/known_hosts for an empty file; here it means that nobody is trusted."""
    sshd.known_hosts.write_text("")
    assert _fail(sshd.settings(), an_upload(tmp_path, LIST)).reason is Reason.SETTINGS_UNUSABLE
