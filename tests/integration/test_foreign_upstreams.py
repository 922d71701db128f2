"""The main job, and the main lines of what can go wrong, at each of the servers that Attentive's might be like."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from parts.fault_proxy import Fault, FaultProxy, Trouble
from parts.foreign import SERVERS, ForeignServer
from parts.lists import NAME, TEMPORARY, again, an_upload, rows
from parts.sshd import PROGRAM, until

from relay.model import Receipt
from relay.upstream import Findings, Reason, Upload, UpstreamError, connect, probe

LIST = rows(1000)
LONG = rows(200_000)

Start = Callable[..., ForeignServer]


@pytest.fixture(params=SERVERS, ids=lambda server: server.name)
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Start:
    """Makes one of the servers; a test starts it."""
    kind: type[ForeignServer] = request.param
    if not kind.is_here() or PROGRAM is None:
        pytest.skip(f"needs {kind.needs or 'openssh-server'}")

    def make(*, renames: bool = True) -> ForeignServer:
        return kind(tmp_path / "upstream", renames=renames)

    return make


def _send(server: ForeignServer, *uploads: Upload, **changes: object) -> list[Receipt] | UpstreamError:
    async def attempt() -> list[Receipt]:
        async with connect(server.settings(**changes)) as session:
            return [await session.publish(upload) for upload in uploads]

    try:
        return asyncio.run(attempt())
    except UpstreamError as error:
        return error


def _reason(outcome: list[Receipt] | UpstreamError) -> Reason:
    assert isinstance(outcome, UpstreamError), outcome
    return outcome.reason


def _how(outcome: list[Receipt] | UpstreamError) -> list[tuple[str, bool]]:
    assert isinstance(outcome, list), outcome
    return [(receipt.publish, receipt.verified) for receipt in outcome]


def test_lists_arrive_under_their_names_byte_for_byte(start: Start, tmp_path: Path) -> None:
    """Staged, verified and renamed, one after the other in one session; nothing else is left behind."""
    first = an_upload(tmp_path, LONG)
    (tmp_path / "other").mkdir()
    other = replace(
        an_upload(tmp_path / "other", LIST), remote_name="other_1.csv", temporary_name="other_1.csv.x.1.1.part"
    )
    with start() as server:
        assert _how(_send(server, first, other)) == [("rename", True), ("rename", True)]
        assert server.received() == {NAME: LONG, "other_1.csv": LIST}


def test_a_look_finds_that_everything_may_be_done(start: Start) -> None:
    """And leaves nothing behind."""

    async def look(server: ForeignServer) -> Findings:
        return await probe(server.settings())

    with start() as server:
        findings = asyncio.run(look(server))
        assert findings.publish == "rename", findings
        assert {findings.found[what] for what in ("list", "write", "look", "read back", "rename", "remove")} == {"yes"}
        assert server.received() == {}


def test_a_final_name_that_is_taken_is_not_overwritten(start: Start, tmp_path: Path) -> None:
    """Before the upload, and by whoever comes first (rule U4)."""
    with start() as server:
        (server.uploads / NAME).write_bytes(b"theirs")
        for publish in ("rename", "direct"):
            assert _reason(_send(server, an_upload(tmp_path, LIST), publish=publish)) is Reason.NAME_TAKEN
        assert server.received() == {NAME: b"theirs"}


def test_a_name_that_is_taken_while_the_list_is_on_its_way_is_left_alone(start: Start, tmp_path: Path) -> None:
    """Whoever comes first keeps it, also at a server whose RENAME overwrites, as rclone's does (rule U4)."""
    upload = an_upload(tmp_path, LONG * 10)

    async def race(server: ForeignServer) -> Reason:
        async with connect(server.settings()) as session:
            sending = asyncio.create_task(session.publish(upload))
            await asyncio.to_thread(until, (server.uploads / TEMPORARY).exists, "the upload has begun")
            (server.uploads / NAME).write_bytes(b"theirs")
            with pytest.raises(UpstreamError) as caught:
                await sending
        return caught.value.reason

    with start() as server:
        assert asyncio.run(race(server)) is Reason.NAME_TAKEN
        assert server.received() == {NAME: b"theirs"}


def test_what_an_earlier_attempt_left_is_replaced(start: Start, tmp_path: Path) -> None:
    """A temporary file, and a cut-off direct upload, also where the server lets nobody overwrite (rules U3 and U9)."""
    with start() as server:
        (server.uploads / TEMPORARY).write_bytes(LIST[:100])
        (server.uploads / NAME).write_bytes(LIST[:100])
        assert _how(_send(server, again(an_upload(tmp_path, LIST), unanswered=NAME))) == [("rename", True)]
        assert server.received() == {NAME: LIST}


def test_a_retry_recognises_the_list(start: Start, tmp_path: Path) -> None:
    """By its content, which this server lets be read back (rule U4)."""
    with start() as server:
        (server.uploads / NAME).write_bytes(LIST)
        assert _how(_send(server, again(an_upload(tmp_path, LIST)))) == [("found", True)]


def test_where_renaming_is_refused_the_list_is_written_directly(start: Start, tmp_path: Path) -> None:
    """However this server puts it (rule U2)."""
    server = start(renames=False)
    if server.name == "rclone":
        pytest.skip("rclone serve sftp cannot be told to refuse a rename alone")
    with server:
        assert _how(_send(server, an_upload(tmp_path, LIST))) == [("direct", True)]
        assert server.received() == {NAME: LIST}


def test_a_missing_directory_is_the_upstreams_trouble(start: Start, tmp_path: Path) -> None:
    """No list fails for it; a person corrects the setting."""
    with start() as server:
        error = _send(server, an_upload(tmp_path, LIST), directory=f"{server.directory}/none")
    assert isinstance(error, UpstreamError)
    assert (error.reason, error.permanence, error.scope) == (Reason.DIRECTORY_MISSING, "permanent", "upstream")


def test_a_wrong_password_is_the_upstreams_trouble(start: Start, tmp_path: Path) -> None:
    """Whether the server only refuses or breaks off, nobody knocks on."""
    wrong = tmp_path / "wrong"
    wrong.write_text("wrong\n", encoding="utf-8")
    with start() as server:
        error = _send(server, an_upload(tmp_path, LIST), private_key=None, password=wrong)
    assert isinstance(error, UpstreamError)
    assert error.reason in {Reason.LOGIN_REFUSED, Reason.LOGIN_BROKEN_OFF}
    assert (error.permanence, error.scope) == ("permanent", "upstream")


@pytest.mark.parametrize("trouble", [Trouble.CUT, Trouble.RESET, Trouble.HALF_CLOSE, Trouble.STALL])
def test_a_transfer_that_breaks_is_made_good_by_the_next_attempt(
    start: Start, tmp_path: Path, trouble: Trouble
) -> None:
    """Complete or absent after the break, and the same name and bytes, once, after the retry (rules U1 and U7)."""
    upload = an_upload(tmp_path, LONG)

    async def attempt(server: ForeignServer) -> Reason:
        async with FaultProxy(server.port, Fault(trouble, after=len(LONG) // 2)) as proxy:
            with pytest.raises(UpstreamError) as caught:
                async with connect(server.settings(port=proxy.port, stall_timeout="1s")) as session:
                    await session.publish(upload)
        return caught.value.reason

    with start() as server:
        reason = asyncio.run(attempt(server))
        assert reason in {Reason.CONNECTION_LOST, Reason.STALLED}
        assert NAME not in server.received()
        assert _how(_send(server, again(upload))) == [("rename", True)]
        assert server.received() == {NAME: LONG}
