"""What the landing zone relies on in asyncssh, and the traps that it was built around.

A test of a trap that fails is good news: asyncssh has changed, and the way around the trap can be looked at again.
"""

import asyncio
import inspect
import socket
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import asyncssh
import paramiko
import pytest

WINDOW = 256 * 1024
PASSWORD = "a password of the tests"
HOST_KEY = asyncssh.generate_private_key("ssh-ed25519")
CLIENT_KEY = asyncssh.generate_private_key("ssh-ed25519")


class Session(asyncssh.SSHServerSession[bytes]):
    """Keeps what asyncssh tells a session; a test overrides what it is about."""

    def __init__(self) -> None:
        self.chan: asyncssh.SSHServerChannel[bytes]
        self.received = 0
        self.told: list[str] = []
        self.ready = asyncio.Event()
        self.eof = asyncio.Event()
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def connection_made(self, chan: "asyncssh.SSHServerChannel[bytes]") -> None:
        """Keep the channel."""
        self.chan = chan

    def subsystem_requested(self, subsystem: str) -> bool:
        """Accept anything."""
        self.told.append(subsystem)
        return True

    def session_started(self) -> None:
        """Say that the channel is open."""
        self.ready.set()

    def data_received(self, data: bytes, datatype: int | None) -> None:  # noqa: ARG002
        """Count."""
        assert type(data) is bytes
        self.received += len(data)

    def eof_received(self) -> bool:
        """Keep the channel open."""
        self.told.append("eof")
        self.eof.set()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """Keep the reason."""
        self.lost.set_result(exc)


class Server(asyncssh.SSHServer):
    """Lets `CLIENT_KEY` and `PASSWORD` in, and opens the session that a test gives it."""

    def __init__(self, session: asyncssh.SSHServerSession[bytes]) -> None:
        self.session = session
        self.conn: asyncssh.SSHServerConnection
        self.asked_about: list[str] = []
        self.lost = asyncio.Event()

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        """Keep the connection."""
        self.conn = conn

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Say that it is over."""
        self.lost.set()

    async def begin_auth(self, username: str) -> bool:  # noqa: ARG002
        """Name the keys at each login."""
        public = CLIENT_KEY.export_public_key().decode()
        self.conn.set_authorized_keys(asyncssh.import_authorized_keys(public))
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:  # noqa: ARG002
        """Note what is asked."""
        self.asked_about.append(key.get_fingerprint())
        return False

    def password_auth_supported(self) -> bool:
        """Take passwords."""
        return True

    def validate_password(self, username: str, password: str) -> bool:  # noqa: ARG002
        """Refuse a wrong one by ending the connection."""
        if password != PASSWORD:
            raise asyncssh.PermissionDenied("enough")
        return True

    def session_requested(self) -> asyncssh.SSHServerSession[bytes]:
        """Open the test's session."""
        return self.session


@asynccontextmanager
async def listening(server: Server, **options: Any) -> AsyncIterator[int]:
    """Serve one connection, with the options that the landing zone uses for it."""
    acceptor = await asyncssh.create_server(
        lambda: server,
        "127.0.0.1",
        0,
        server_host_keys=[HOST_KEY],
        gss_host=None,
        encoding=None,
        line_editor=False,
        window=WINDOW,
        **options,
    )
    try:
        yield acceptor.get_port()
    finally:
        acceptor.close()
        await acceptor.wait_closed()


@asynccontextmanager
async def connected(port: int, **options: Any) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """Connect as a client."""
    login = {"client_keys": [CLIENT_KEY], **options}
    async with asyncssh.connect(
        "127.0.0.1", port, username="client", known_hosts=None, config=None, agent_path=None, **login
    ) as client:
        yield client


def with_session(
    make: Callable[[], Session],
    test: Callable[[Session, asyncssh.SSHClientChannel[bytes], Server], Coroutine[Any, Any, None]],
) -> None:
    """Open a session through a real connection and run `test` with its server's and its client's side."""

    async def run() -> None:
        async with asyncio.timeout(30):
            server = Server(session := make())
            async with listening(server) as port, connected(port) as client:
                chan, _ = await client.create_session(asyncssh.SSHClientSession[bytes], subsystem="sftp", encoding=None)
                await session.ready.wait()
                await test(session, chan, server)

    asyncio.run(run())


def test_it_is_the_version_that_this_was_measured_with() -> None:
    """Another version is a decision: run the measurements of the landing zone again, then change the pin."""
    assert asyncssh.__version__ == "2.24.1"


def test_a_session_is_asked_for_its_subsystem_and_gets_bytes() -> None:
    """With `encoding=None` and without the line editor, bytes come as they were sent."""

    async def test(session: Session, chan: asyncssh.SSHClientChannel[bytes], _: Server) -> None:
        chan.write(b"\xff\0\r\n" * 1000)
        chan.write_eof()
        await session.eof.wait()
        assert session.told == ["sftp", "eof"]
        assert session.received == 4000

    with_session(Session, test)


def test_the_end_of_a_session_says_whether_it_was_a_clean_one() -> None:
    """None for a channel that its client closed, the reason for a connection that broke."""

    async def closes(session: Session, chan: asyncssh.SSHClientChannel[bytes], _: Server) -> None:
        chan.close()
        assert await session.lost is None

    async def breaks(session: Session, chan: asyncssh.SSHClientChannel[bytes], _: Server) -> None:
        chan.get_connection().abort()
        assert isinstance(await session.lost, asyncssh.ConnectionLost)

    with_session(Session, closes)
    with_session(Session, breaks)


def test_closing_the_connection_ends_its_sessions_cleanly() -> None:
    """That is how everybody is put out when the service stops."""

    async def test(session: Session, _: asyncssh.SSHClientChannel[bytes], server: Server) -> None:
        server.conn.close()
        assert await session.lost is None
        await server.lost.wait()

    with_session(Session, test)


def test_an_exit_status_reaches_the_client() -> None:
    """And the channel is closed after what was written before."""

    async def test(session: Session, chan: asyncssh.SSHClientChannel[bytes], _: Server) -> None:
        session.chan.write(b"the last answer")
        session.chan.exit(0)
        assert session.chan.is_closing()
        await chan.wait_closed()
        assert chan.get_exit_status() == 0

    with_session(Session, test)


def test_a_defect_in_a_session_ends_the_connection_and_is_told_as_its_reason() -> None:
    """Nothing else says so: the landing zone reports it from there."""

    class Defective(Session):
        def data_received(self, data: bytes, datatype: int | None) -> None:  # noqa: ARG002
            raise ZeroDivisionError

    async def test(session: Session, chan: asyncssh.SSHClientChannel[bytes], _: Server) -> None:
        chan.write(b"x")
        assert isinstance(await session.lost, ZeroDivisionError)

    with_session(Defective, test)


def test_trap_what_a_session_raises_at_its_end_is_dropped() -> None:
    """So nothing may be left to an exception there: cleaning up must not depend on it."""

    class Defective(Session):
        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            raise ZeroDivisionError

    async def test(session: Session, chan: asyncssh.SSHClientChannel[bytes], _: Server) -> None:
        told: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        chan.close()
        await session.lost
        await chan.wait_closed()
        assert told == []

    with_session(Defective, test)


async def _push_until_it_stalls(chan: asyncssh.SSHClientChannel[bytes], most: int) -> int:
    """Write until the other side has taken all of it, or takes nothing more; return how much it took."""
    chan.write(bytes(most))
    taken, rounds = -1, 0
    while rounds < 200:
        taken, before = most - chan.get_write_buffer_size(), taken
        rounds = rounds + 1 if taken == before else 0
        await asyncio.sleep(0.001)
    return taken


def test_a_pause_holds_a_client_to_one_window() -> None:
    """Paused when asyncssh holds nothing back, no more than the window comes in."""

    async def test(session: Session, chan: asyncssh.SSHClientChannel[bytes], _: Server) -> None:
        session.chan.pause_reading()
        assert await _push_until_it_stalls(chan, 8 * WINDOW) <= WINDOW
        assert session.received == 0

    with_session(Session, test)


def test_resuming_delivers_all_that_was_held_back_before_it_returns() -> None:
    """So whoever keeps it himself then knows that asyncssh holds nothing, and may pause again."""

    async def test(session: Session, chan: asyncssh.SSHClientChannel[bytes], _: Server) -> None:
        session.chan.pause_reading()
        taken = await _push_until_it_stalls(chan, 8 * WINDOW)
        session.chan.resume_reading()
        assert session.received == taken

    with_session(Session, test)


def test_trap_pausing_while_something_is_held_back_opens_the_window_again() -> None:
    """The reason for `SftpSession._regulate`: each pause for a single packet lets a further window in."""

    class PausesForEachPacket(Session):
        def data_received(self, data: bytes, datatype: int | None) -> None:
            super().data_received(data, datatype)
            self.chan.pause_reading()

    async def test(session: Session, chan: asyncssh.SSHClientChannel[bytes], _: Server) -> None:
        session.chan.pause_reading()
        await _push_until_it_stalls(chan, 16 * WINDOW)
        for _turn in range(4):
            session.chan.resume_reading()
            await _push_until_it_stalls(chan, 0)
        held_back = 16 * WINDOW - chan.get_write_buffer_size() - session.received
        assert held_back > 2 * WINDOW

    with_session(PausesForEachPacket, test)


def test_keys_are_named_at_each_login_and_others_are_asked_about() -> None:
    """`begin_auth` names them; `validate_public_key` hears only of those it did not name."""

    async def run() -> None:
        stranger = asyncssh.generate_private_key("ssh-ed25519")
        server = Server(Session())
        async with listening(server) as port, connected(port, client_keys=[stranger, CLIENT_KEY]):
            assert server.asked_about == [stranger.get_fingerprint()]

    asyncio.run(run())


def test_keyboard_interactive_asks_for_the_password() -> None:
    """Nothing has to be written for it."""

    async def run() -> None:
        server = Server(Session())
        async with (
            listening(server) as port,
            connected(port, client_keys=None, password=PASSWORD, preferred_auth="keyboard-interactive"),
        ):
            assert server.conn.get_extra_info("username") == "client"

    asyncio.run(run())


def test_a_disconnect_raised_while_a_password_is_checked_ends_the_connection() -> None:
    """That is how tries are bounded: asyncssh itself does not count them."""

    async def run() -> None:
        server = Server(Session())
        async with listening(server) as port:
            with pytest.raises(asyncssh.PermissionDenied, match="enough"):
                async with connected(port, client_keys=None, password="wrong"):
                    pytest.fail("logged in")
            await server.lost.wait()

    asyncio.run(run())


def test_trap_an_expiry_date_of_a_key_is_not_kept() -> None:
    """So `relay.keys` keeps the date itself, and gives asyncssh only the keys that count."""
    line = f'expiry-time="20200101" {CLIENT_KEY.export_public_key().decode()}'
    options = asyncssh.import_authorized_keys(line).validate(CLIENT_KEY.convert_to_public(), "", "127.0.0.1")
    assert options is not None


def test_the_address_that_a_key_may_come_from_is_kept() -> None:
    """The one option that `relay.keys` leaves to asyncssh."""
    line = f'from="192.0.2.0/24" {CLIENT_KEY.export_public_key().decode()}'
    keys = asyncssh.import_authorized_keys(line)
    assert keys.validate(CLIENT_KEY.convert_to_public(), "", "192.0.2.7") is not None
    assert keys.validate(CLIENT_KEY.convert_to_public(), "", "198.51.100.7") is None


def test_trap_an_rsa_host_key_offers_sha1_unless_its_own_list_says_otherwise() -> None:
    """No option of the server reaches it; `sig_algorithms` of the key does."""

    def offered(key: asyncssh.SSHKey) -> list[bytes]:
        options = asyncssh.SSHServerConnectionOptions(server_host_keys=[key], signature_algs=["rsa-sha2-256"])
        return list(options.server_host_keys)

    key = asyncssh.generate_private_key("ssh-rsa", key_size=2048)
    assert b"ssh-rsa" in offered(key)
    key.sig_algorithms = (b"rsa-sha2-256",)
    assert offered(key) == [b"rsa-sha2-256"]


def test_trap_a_channel_keeps_every_environment_variable() -> None:
    """asyncssh grants each request itself; the one way to refuse is to take the place of what grants it."""

    async def run() -> None:
        session = Session()
        async with listening(Server(session)) as port, connected(port) as client:
            await client.create_session(
                asyncssh.SSHClientSession[bytes], subsystem="sftp", encoding=None, env={"LD_PRELOAD": "x"}
            )
            assert dict(session.chan.get_environment()) == {"LD_PRELOAD": "x"}

    class Refuses(Server):
        def session_requested(self) -> Any:  # noqa: ANN401  a channel and its session
            channel = self.conn.create_server_channel(encoding=None, window=WINDOW)
            channel._process_env_request = lambda packet: False  # type: ignore[method-assign]  # noqa: ARG005, SLF001
            return channel, self.session

    async def run_refusing() -> None:
        session = Session()
        async with listening(Refuses(session)) as port, connected(port) as client:
            await client.create_session(
                asyncssh.SSHClientSession[bytes], subsystem="sftp", encoding=None, env={"LD_PRELOAD": "x"}
            )
            assert dict(session.chan.get_environment()) == {}

    asyncio.run(run())
    asyncio.run(run_refusing())


@pytest.mark.parametrize("rearmed", [False, True])
def test_trap_a_connection_takes_one_service_request(rearmed: bool) -> None:  # noqa: FBT001
    """paramiko sends one for each try; the one way to take more is to expect another after each refusal."""

    class Rearms(Server):
        def password_auth_supported(self) -> bool:
            if rearmed:
                self.conn._next_service = b"ssh-userauth"  # noqa: SLF001
            return True

        def validate_password(self, username: str, password: str) -> bool:  # noqa: ARG002
            return password == PASSWORD

    async def run() -> None:
        server = Rearms(Session())
        async with listening(server) as port:
            assert await asyncio.to_thread(_second_try, port) is rearmed
            await server.lost.wait()

    asyncio.run(run())


def _second_try(port: int) -> bool:
    """Say whether paramiko's second password on a connection logs in."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        transport = paramiko.Transport(connection)
        transport.start_client(timeout=30)
        try:
            with pytest.raises(paramiko.AuthenticationException):
                transport.auth_password("client", "wrong", fallback=False)
            transport.auth_password("client", PASSWORD, fallback=False)
        except paramiko.SSHException:
            return False
        finally:
            transport.close()
        return True


def test_trap_tries_connections_and_channels_are_not_counted() -> None:
    """The stock server takes as many as anybody likes: all limits are the landing zone's own."""

    class Refuses(Server):
        asked = 0

        def validate_password(self, username: str, password: str) -> bool:  # noqa: ARG002
            self.asked += 1
            return password == PASSWORD

        def session_requested(self) -> Session:
            return Session()

    class Guesses(asyncssh.SSHClient):
        left = 20

        def password_auth_requested(self) -> str:
            self.left -= 1
            return "wrong" if self.left else PASSWORD

    async def run() -> None:
        server = Refuses(Session())
        async with (
            listening(server) as port,
            connected(port, client_factory=Guesses, client_keys=None, preferred_auth="password") as client,
        ):
            assert server.asked == 20
            for _ in range(50):
                await client.create_session(asyncssh.SSHClientSession[bytes], subsystem="sftp", encoding=None)
            idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(150)]
            for reader, writer in idle:
                assert (await reader.readline()).startswith(b"SSH-2.0-")
                writer.close()

    asyncio.run(run())


def test_trap_few_connections_may_wait_to_be_accepted() -> None:
    """A hundred by default: a flood keeps everybody waiting, so the landing zone asks for more."""
    assert inspect.signature(asyncssh.listen).parameters["backlog"].default == 100


def test_which_methods_there_are_is_asked_after_each_refusal() -> None:
    """Once, by `kbdint_auth_supported`: it is how requests before a login are counted, whatever they ask."""

    class Counts(Server):
        asked = 0

        def kbdint_auth_supported(self) -> bool:
            self.asked += 1
            return NotImplemented  # type: ignore[no-any-return]

        def validate_password(self, username: str, password: str) -> bool:  # noqa: ARG002
            return False

    async def run() -> None:
        server = Counts(Session())
        stranger = asyncssh.generate_private_key("ssh-ed25519")
        async with listening(server) as port:
            with pytest.raises(asyncssh.PermissionDenied):
                async with connected(
                    port, client_keys=[stranger], password="wrong", preferred_auth="publickey,password"
                ):
                    pytest.fail("logged in")
            await server.lost.wait()
            # none, the key, the password
            assert server.asked == 3

    asyncio.run(run())


def test_an_abort_at_the_beginning_comes_before_the_greeting() -> None:
    """That is how a source that is shut out is dropped; the visit hears of its end all the same."""

    class Aborts(Server):
        def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
            conn.abort()

    async def run() -> None:
        server = Aborts(Session())
        async with listening(server) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            with suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()
            await server.lost.wait()

    asyncio.run(run())


def test_a_protocol_can_stand_before_a_connection_and_step_aside() -> None:
    """What comes before a login can be bounded: asyncssh's transport is there when the connection is made."""

    class Watches(asyncio.Protocol):
        def __init__(self, conn: asyncssh.SSHServerConnection) -> None:
            self.conn = conn
            self.passed = 0

        def data_received(self, data: bytes) -> None:
            self.passed += len(data)
            self.conn.data_received(data)

    class Guarded(Server):
        def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
            super().connection_made(conn)
            self.watch = Watches(conn)
            self.transport: Any = conn._transport  # noqa: SLF001
            transport: Any = self.transport
            transport.set_protocol(self.watch)

        def auth_completed(self) -> None:
            self.transport.set_protocol(self.conn)

    async def run() -> None:
        server = Guarded(session := Session())
        async with listening(server) as port, connected(port) as client:
            before = server.watch.passed
            chan, _ = await client.create_session(asyncssh.SSHClientSession[bytes], subsystem="sftp", encoding=None)
            chan.write(bytes(100_000))
            chan.write_eof()
            await session.eof.wait()
            assert session.received == 100_000
            assert 0 < before == server.watch.passed < 10_000

    asyncio.run(run())


def test_a_password_that_is_being_checked_may_be_overtaken_by_another() -> None:
    """A client need not wait for an answer: so tries are counted before the work, not after it."""

    class Slow(Server):
        def __init__(self) -> None:
            super().__init__(Session())
            self.begun = 0
            self.cancelled = 0
            self.third = threading.Event()

        async def validate_password(self, username: str, password: str) -> bool:  # type: ignore[override]  # noqa: ARG002
            self.begun += 1
            if self.begun == 3:
                self.third.set()
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
            return False

    def ask_three_times(port: int, third: threading.Event) -> None:
        transport: Any
        with socket.create_connection(("127.0.0.1", port)) as connection:
            transport = paramiko.Transport(connection)
            transport.start_client(timeout=30)
            with pytest.raises(paramiko.AuthenticationException):
                transport.auth_none("client")
            for _ in range(3):
                message = paramiko.Message()
                message.add_byte(bytes([50]))
                for text in ("client", "ssh-connection", "password"):
                    message.add_string(text)
                message.add_boolean(False)  # noqa: FBT003  as paramiko has it
                message.add_string("wrong")
                transport._send_message(message)  # noqa: SLF001  paramiko itself waits for each answer
            assert third.wait(30)
            transport.close()

    async def run() -> None:
        server = Slow()
        async with listening(server) as port:
            await asyncio.to_thread(ask_three_times, port, server.third)
            await server.lost.wait()
        assert server.begun == 3
        assert server.cancelled >= 2

    asyncio.run(run())


def test_a_session_that_asks_for_a_terminal_or_more_gets_none() -> None:
    """By the options alone: no terminal, no agent, no X11, and no forwarding that is not accepted explicitly."""

    async def run() -> None:
        options = {"allow_pty": False, "agent_forwarding": False, "x11_forwarding": False}
        async with listening(Server(Session()), **options) as port, connected(port) as client:
            with pytest.raises(asyncssh.ChannelOpenError):
                await client.create_session(asyncssh.SSHClientSession[bytes], subsystem="sftp", request_pty="force")
            with pytest.raises(asyncssh.ChannelOpenError):
                await client.open_connection("127.0.0.1", port)
            with pytest.raises(asyncssh.ChannelListenError):
                await client.forward_remote_port("127.0.0.1", 0, "127.0.0.1", port)

    asyncio.run(run())
