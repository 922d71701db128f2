"""Who gets as far as the greeting, who is shut out and let in again, and how much a client may have (L20 to L25)."""

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import paramiko
import pytest
from parts.landing import PASSWORD, PATIENCE, LandingZone, until
from parts.sftp import NEEDS_SFTP, RawSftp, sftp

PAST_THE_BURST = {"source_burst": 1000, "source_rate": 1000}
"""For what is not about the rate."""

WRONG = "a wrong password"

NEVER = dict.fromkeys(("refused_login", "too_slow", "no_login", "broken_protocol"), "0.001s")
"""Penalties that shut nobody out."""


@contextmanager
def a_zone(directory: Path, *, penalties: dict[str, Any] | None = None, **limits: Any) -> Iterator[LandingZone]:
    """A landing zone that spares nobody, by default with penalties that shut nobody out."""
    settings: dict[str, object] = {"limits": {**PAST_THE_BURST, **limits}, "penalties": penalties or NEVER}
    if "login_timeout" in limits:
        settings["login_timeout"] = settings["limits"].pop("login_timeout")  # type: ignore[attr-defined]
    with LandingZone(directory / "zone", limits=settings) as zone:
        yield zone


def knock(zone: LandingZone, source: str = "127.0.0.1") -> socket.socket | None:
    """Connect from an address and return the connection once it was greeted, or None if it was dropped."""
    connection = zone.held.enter_context(
        socket.create_connection(("127.0.0.1", zone.port), timeout=PATIENCE, source_address=(source, 0))
    )
    with suppress(ConnectionError):
        if connection.recv(100).startswith(b"SSH-2.0-relay"):
            return connection
    return None


def greeted(zone: LandingZone, source: str = "127.0.0.1") -> socket.socket:
    """Connect from an address that is not dropped, and return the connection once it was greeted."""
    connection = knock(zone, source)
    assert connection is not None
    return connection


def guess(zone: LandingZone, source: str = "127.0.0.1", password: str = WRONG) -> str:
    """Try a password from an address and return what came of it: in, refused, or dropped."""
    try:
        connection = socket.create_connection(("127.0.0.1", zone.port), timeout=PATIENCE, source_address=(source, 0))
        transport = paramiko.Transport(connection)
        transport.start_client(timeout=PATIENCE)
    except (paramiko.SSHException, EOFError, OSError):
        return "dropped"
    try:
        transport.auth_password("amperity", password, fallback=False)
    except (paramiko.SSHException, EOFError, OSError):
        return "refused"
    finally:
        transport.close()
    return "in"


def hung_up(connection: socket.socket) -> bool:
    """Say whether the server has ended a connection."""
    connection.settimeout(PATIENCE)
    with suppress(ConnectionError):
        while connection.recv(4096):
            pass
    return True


# Before the login


def test_a_source_has_so_many_connections_without_a_login(tmp_path: Path) -> None:
    """One more is dropped before the greeting; another source's is not; one that leaves makes room."""
    with a_zone(tmp_path, startups_per_source=3) as zone:
        connections = [greeted(zone) for _ in range(3)]
        assert knock(zone) is None
        greeted(zone, "127.0.0.2")
        line = zone.wait_for("landing.connections_dropped")
        assert (line["reason"], line["connections"], line["source"]) == ("source_full", 1, "127.0.0.1/32")
        connections[1].close()
        until(lambda: knock(zone) is not None, "room for another")


def test_a_source_opens_so_many_connections_in_quick_succession(tmp_path: Path) -> None:
    """More are dropped, until their time has come."""
    with a_zone(tmp_path, source_burst=5, source_rate=1, startups_per_source=1000) as zone:
        assert [knock(zone) is None for _ in range(5)] == [False] * 5
        until(lambda: knock(zone) is None, "one too many")
        assert zone.wait_for("landing.connections_dropped")["reason"] == "source_too_fast"
        until(lambda: knock(zone) is not None, "one more second's worth")


@NEEDS_SFTP
def test_logins_do_not_count_against_the_rate(tmp_path: Path) -> None:
    """A client may log in as often as it likes."""
    with a_zone(tmp_path, source_burst=2, source_rate=1) as zone:
        for _ in range(6):
            sftp(zone.port, "amperity", zone.key, "pwd")


def test_a_flood_from_few_addresses_keeps_no_client_out(tmp_path: Path) -> None:
    """The house is full of idle connections, and still a newcomer gets in: the greediest source makes room."""
    with a_zone(tmp_path, startups="5:30:10", startups_per_source=6) as zone:
        for number in range(40):
            knock(zone, f"127.0.0.{2 + number % 2}")
        assert zone.server.door.waiting <= 10
        for _ in range(10):
            assert guess(zone, password=PASSWORD) == "in"
        until(lambda: zone.server.door.waiting <= 10, "the displaced to be gone")


def test_whoever_sends_more_than_a_login_takes_is_cut_off(tmp_path: Path) -> None:
    """A few hundred kilobytes, and the client is out, however well it keeps to the protocol."""
    with a_zone(tmp_path, penalties=PENALTIES) as zone:
        connection = socket.create_connection(("127.0.0.1", zone.port), timeout=PATIENCE)
        transport: Any = paramiko.Transport(connection)
        transport.start_client(timeout=PATIENCE)
        message = paramiko.Message()
        message.add_byte(bytes([2]))  # it is to be ignored
        message.add_string(bytes(30_000))
        sent, most = 0, 12 << 20
        with suppress(OSError, EOFError):
            while sent < most and transport.is_active():
                transport._send_message(message)  # noqa: SLF001  paramiko's own has no string in it
                sent += 30_000
        # What the kernel holds on both sides comes on top of what was let in.
        assert sent < most
        transport.close()
        until(lambda: not zone.server.visits, "the visit to be ended")
        assert guess(zone, password=PASSWORD) == "in"


@NEEDS_SFTP
def test_after_the_login_anything_goes_through(tmp_path: Path) -> None:
    """The doorstep is only for those outside: an upload of many times as much arrives."""
    (tmp_path / "list.csv").write_bytes(bytes(5_000_000))
    with a_zone(tmp_path) as zone:
        sftp(zone.port, "amperity", zone.key, f"put {tmp_path / 'list.csv'} /uploads/list.csv")
        assert zone.visible() == {"/uploads/list.csv": bytes(5_000_000)}


def test_whoever_says_nothing_is_cut_off_in_time_and_costs_no_line(tmp_path: Path) -> None:
    """The time to log in is bounded; a mere touch of the port is no login refused."""
    with a_zone(tmp_path, login_timeout="0.2s") as zone:
        assert hung_up(greeted(zone))
        until(lambda: zone.server.door.waiting == 0, "nobody waiting")
        assert zone.events("landing.login_refused") == []


def test_hundreds_may_wait_to_be_accepted(tmp_path: Path) -> None:
    """While the service has its hands full, the kernel keeps who comes; a short queue would make them try again."""
    with a_zone(tmp_path) as zone:
        has_time = threading.Event()
        zone.loop.call_soon_threadsafe(has_time.wait, PATIENCE)
        try:
            for _ in range(500):
                zone.held.enter_context(socket.create_connection(("127.0.0.1", zone.port), timeout=PATIENCE / 4))
        finally:
            has_time.set()


def test_thousands_of_idle_connections_are_held_within_bounds(tmp_path: Path) -> None:
    """Two thousand at one blow from twenty addresses: few stay, the others cost nothing, and none is left behind."""
    with a_zone(tmp_path, startups="50:30:150", startups_per_source=10) as zone:
        with ExitStack() as flood:
            for number in range(2000):
                connection = flood.enter_context(socket.socket())
                connection.bind((f"127.0.0.{2 + number % 20}", 0))
                connection.setblocking(False)  # noqa: FBT003  as the socket module has it
                connection.connect_ex(("127.0.0.1", zone.port))
                assert zone.server.door.waiting <= 150
            until(lambda: zone.server.door.waiting > 50, "the flood to have come in")
            assert guess(zone, password=PASSWORD) == "in"
            assert zone.server.door.waiting <= 150
        until(lambda: zone.server.door.waiting == 0 and not zone.server.visits, "everybody to be gone")


def test_a_blow_of_newcomers_displaces_no_more_than_there_are(tmp_path: Path) -> None:
    """However many come before the displaced are really gone, the house holds as many as it may and no more."""
    with a_zone(tmp_path, startups="4:100:4", startups_per_source=4) as zone:
        held = [greeted(zone, "127.0.0.2") for _ in range(4)]

        async def knock_at_once() -> int:
            guests = [zone.server.door.knock(f"127.0.0.{number}") for number in range(3, 13)]
            waiting = zone.server.door.waiting
            for guest in guests:
                if guest is not None:
                    zone.server.door.gave_up(guest)
            return waiting

        assert zone.do(knock_at_once()) <= 4
        assert len(held) == 4
        until(lambda: zone.server.door.waiting == len(zone.server.visits) <= 4, "those that were displaced to be gone")


# Tries


def test_a_connection_has_three_tries_whatever_they_are(tmp_path: Path) -> None:
    """Keys and passwords alike; the fourth never comes to be checked."""
    with a_zone(tmp_path, login_timeout="30m") as zone:
        transport = paramiko.Transport(socket.create_connection(("127.0.0.1", zone.port)))
        transport.start_client(timeout=PATIENCE)
        with pytest.raises(paramiko.AuthenticationException):
            transport.auth_publickey("amperity", paramiko.ECDSAKey.generate())
        with pytest.raises(paramiko.AuthenticationException):
            transport.auth_password("amperity", "wrong", fallback=False)
        with pytest.raises(paramiko.SSHException):
            transport.auth_interactive("amperity", lambda *_: ["wrong"])
        until(lambda: not transport.is_active(), "the end of the connection")
        transport.close()
        reasons = [line["reason"] for line in zone.events("landing.login_refused")]
        assert reasons == ["wrong_password", "wrong_password"]


def test_tries_count_from_when_they_are_made(tmp_path: Path) -> None:
    """Whoever asks again before there was an answer has no more of them."""
    with a_zone(tmp_path, login_timeout="30m") as zone:
        transport: Any = paramiko.Transport(socket.create_connection(("127.0.0.1", zone.port)))
        transport.start_client(timeout=PATIENCE)
        with pytest.raises(paramiko.AuthenticationException):
            transport.auth_none("amperity")
        for _ in range(20):
            message = paramiko.Message()
            message.add_byte(bytes([50]))
            for text in ("amperity", "ssh-connection", "password"):
                message.add_string(text)
            message.add_boolean(False)  # noqa: FBT003  as paramiko has it
            message.add_string(WRONG)
            with suppress(OSError, EOFError):
                transport._send_message(message)  # noqa: SLF001  paramiko itself waits for each answer
        until(lambda: not zone.server.visits, "the end of the connection")
        transport.close()
        assert 1 <= len(zone.events("landing.login_refused")) <= 3


def test_the_second_and_the_third_try_may_be_right(tmp_path: Path) -> None:
    """Also for a client that begins its login anew each time, as paramiko does."""
    with a_zone(tmp_path) as zone:
        transport = paramiko.Transport(socket.create_connection(("127.0.0.1", zone.port)))
        transport.start_client(timeout=PATIENCE)
        with pytest.raises(paramiko.AuthenticationException):
            transport.auth_publickey("amperity", paramiko.ECDSAKey.generate())
        with pytest.raises(paramiko.AuthenticationException):
            transport.auth_password("amperity", "wrong", fallback=False)
        assert transport.auth_password("amperity", PASSWORD, fallback=False) == []
        transport.close()


def test_requests_that_cost_nothing_are_bounded_too(tmp_path: Path) -> None:
    """Whoever only asks which methods there are is cut off at some point."""
    with a_zone(tmp_path) as zone:
        transport = paramiko.Transport(socket.create_connection(("127.0.0.1", zone.port)))
        transport.start_client(timeout=PATIENCE)
        asked = 0
        while transport.is_active() and asked < 50:
            asked += 1
            with suppress(paramiko.SSHException):
                transport.auth_none("amperity")
        assert 10 < asked < 50
        transport.close()


# Penalties


PENALTIES = {
    "refused_login": "20m",
    "no_login": "10m",
    "broken_protocol": "30m",
    "too_slow": "30m",
    "threshold": "50m",
}
"""Those of the defaults, but so that no machine is too slow for a test: minutes for seconds."""


def test_wrong_passwords_shut_a_source_out_and_nobody_else(tmp_path: Path) -> None:
    """After three the source is dropped before the greeting; the log says who, why and until when, once."""
    with a_zone(tmp_path, penalties=PENALTIES) as zone:
        assert [guess(zone, "127.0.0.2") for _ in range(5)] == ["refused"] * 3 + ["dropped"] * 2
        assert guess(zone, "127.0.0.2", password=PASSWORD) == "dropped"
        assert guess(zone, "127.0.0.3", password=PASSWORD) == "in"
        (line,) = zone.events("landing.address_banned")
        assert (line["address"], line["source"], line["reason"]) == ("127.0.0.2", "127.0.0.2/32", "refused_login")
        assert line["until"] > line["timestamp"][:19]
        assert zone.wait_for("landing.connections_dropped")["reason"] == "banned"


def test_whose_password_is_refused_hears_so_also_when_it_was_the_last_straw(tmp_path: Path) -> None:
    """A client with a wrong password in its settings is told that, and not only cut off."""
    with a_zone(tmp_path, penalties=PENALTIES) as zone:
        for _ in range(3):
            transport = paramiko.Transport(socket.create_connection(("127.0.0.1", zone.port)))
            transport.start_client(timeout=PATIENCE)
            with pytest.raises(paramiko.AuthenticationException) as refused:
                transport.auth_password("amperity", WRONG, fallback=False)
            assert str(refused.value) == "Authentication failed."
            transport.close()
        zone.wait_for("landing.address_banned")


def test_a_ban_ends_tries_on_the_connections_that_are_there(tmp_path: Path) -> None:
    """Opening many first and guessing on each of them afterwards gains nothing."""
    with a_zone(tmp_path, penalties=PENALTIES) as zone:
        transports = []
        for _ in range(5):
            transport = paramiko.Transport(socket.create_connection(("127.0.0.1", zone.port)))
            transport.start_client(timeout=PATIENCE)
            transports.append(transport)
        refused = 0
        for transport in transports:
            with suppress(paramiko.SSHException, EOFError, OSError):
                for _ in range(3):
                    transport.auth_password("amperity", "wrong", fallback=False)
        refused = len(zone.events("landing.login_refused"))
        for transport in transports:
            transport.close()
        assert refused == 3
        until(lambda: zone.server.door.waiting == 0, "all to be gone")


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"GET / HTTP/1.0\r\n\r\n", "broken_protocol"),
        (b"SSH-1.5-old\r\n", "broken_protocol"),
        (b"SSH-2.0-\xff\xfe\r\n", "broken_protocol"),
        (b"SSH-2.0-scanner\r\n" + b"\x00\x00\x00\x0c\x0a\xffgarbage....", "broken_protocol"),
        (b"SSH-2.0-scanner\r\n" + b"\xff" * 100, "broken_protocol"),
        (b"SSH-2.0-scanner\r\n", "no_login"),
    ],
)
def test_scanners_and_broken_clients_shut_themselves_out(tmp_path: Path, said: bytes, reason: str) -> None:
    """Whoever does not keep to the protocol, or leaves without a login, is charged for that."""
    with a_zone(tmp_path, penalties=PENALTIES) as zone:

        def is_dropped() -> bool:
            connection = knock(zone)
            if connection is None:
                return True
            connection.sendall(said)
            connection.shutdown(socket.SHUT_WR)
            hung_up(connection)
            connection.close()
            return False

        until(is_dropped, "the source to be shut out")
        assert zone.wait_for("landing.address_banned")["reason"] == reason


def test_whoever_holds_a_place_until_the_end_is_charged_for_it(tmp_path: Path) -> None:
    """So a flood of idle connections shuts itself out."""
    with a_zone(tmp_path, penalties=PENALTIES, login_timeout="0.1s") as zone:
        connections = [greeted(zone), greeted(zone)]
        assert all(map(hung_up, connections))
        assert zone.wait_for("landing.address_banned")["reason"] == "too_slow"


def test_a_touch_of_the_port_is_no_offence(tmp_path: Path) -> None:
    """A monitor that connects, reads the greeting and leaves is welcome, however often."""
    with a_zone(tmp_path, penalties=dict.fromkeys(PENALTIES, "1h")) as zone:
        for _ in range(50):
            greeted(zone).close()
            socket.create_connection(("127.0.0.1", zone.port)).close()
        assert guess(zone, password=PASSWORD) == "in"
        assert zone.events("landing.address_banned") == []


def test_a_login_that_succeeds_is_not_charged_for_the_keys_before(tmp_path: Path) -> None:
    """A client that tries the keys of its agent in turn has done nothing wrong."""
    with a_zone(tmp_path, penalties=dict.fromkeys(PENALTIES, "1h")) as zone:
        for _ in range(3):
            transport = paramiko.Transport(socket.create_connection(("127.0.0.1", zone.port)))
            transport.start_client(timeout=PATIENCE)
            with pytest.raises(paramiko.AuthenticationException):
                transport.auth_publickey("amperity", paramiko.ECDSAKey.generate())
            transport.auth_publickey("amperity", paramiko.Ed25519Key.from_private_key_file(str(zone.key)))
            transport.close()
        assert zone.events("landing.address_banned") == []


def test_keys_that_may_not_log_in_are_charged_once_a_connection(tmp_path: Path) -> None:
    """When it has ended without a login."""
    with a_zone(tmp_path, penalties=PENALTIES) as zone:
        for _ in range(3):
            transport = paramiko.Transport(socket.create_connection(("127.0.0.1", zone.port)))
            transport.start_client(timeout=PATIENCE)
            for _ in range(2):
                with pytest.raises(paramiko.AuthenticationException):
                    transport.auth_publickey("amperity", paramiko.ECDSAKey.generate())
            transport.close()
        zone.wait_for("landing.address_banned")
        assert [line["reason"] for line in zone.events("landing.login_refused")] == ["key_not_authorized"] * 3


def test_the_exempt_are_never_shut_out_or_held_up(tmp_path: Path) -> None:
    """The customer's own addresses, whatever a wrong password there leads to."""
    limits = {"exempt": ["127.0.0.2", "127.0.1.0/24"], "startups_per_source": 1, "source_burst": 1, "source_rate": 1}
    with a_zone(tmp_path, penalties=PENALTIES, **limits) as zone:
        assert [guess(zone, "127.0.0.2") for _ in range(8)] == ["refused"] * 8
        assert None not in [knock(zone, "127.0.1.9") for _ in range(8)]
        assert guess(zone, "127.0.0.2", password=PASSWORD) == "in"
        assert zone.events("landing.address_banned") == []


def test_a_prefix_can_count_as_one_source(tmp_path: Path) -> None:
    """Guesses from several addresses of a network are those of one attacker."""
    with a_zone(tmp_path, penalties=PENALTIES, ipv4_prefix=24) as zone:
        assert [guess(zone, f"127.0.5.{number}") for number in range(1, 6)] == ["refused"] * 3 + ["dropped"] * 2
        assert zone.wait_for("landing.address_banned")["source"] == "127.0.5.0/24"
        assert guess(zone, "127.0.6.1") == "refused"


@NEEDS_SFTP
def test_an_upload_goes_through_a_flood_of_wrong_logins(tmp_path: Path) -> None:
    """From several addresses at once: they shut themselves out, and the upload arrives whole."""
    content = bytes(range(256)) * 80_000
    (tmp_path / "list.csv").write_bytes(content)
    with a_zone(tmp_path, penalties=PENALTIES) as zone, ThreadPoolExecutor(10) as crowd:
        flood = [crowd.submit(guess, zone, f"127.0.0.{2 + number % 10}") for number in range(200)]
        sftp(zone.port, "amperity", zone.key, f"put {tmp_path / 'list.csv'} /uploads/list.csv")
        assert zone.visible() == {"/uploads/list.csv": content}
        came = Counter(guessed.result() for guessed in flood)
        assert came["in"] == 0
        # Three of each source, and what was on its way when the third came to nothing.
        assert 30 <= len(zone.events("landing.login_refused")) <= 60
        assert len(zone.events("landing.address_banned")) == 10
    assert came["dropped"] > 100


def test_a_newer_address_family_is_held_to_its_prefix(tmp_path: Path) -> None:
    """Who guesses from one address of a /64 is shut out with all of it."""
    with LandingZone(
        tmp_path / "zone",
        limits={"listen": ("[::1]:0",), "limits": PAST_THE_BURST, "penalties": PENALTIES},
    ) as zone:

        def tries() -> bool:
            with socket.create_connection(("::1", zone.port), timeout=PATIENCE) as connection:
                try:
                    transport = paramiko.Transport(connection)
                    transport.start_client(timeout=PATIENCE)
                except (paramiko.SSHException, EOFError, OSError):
                    return False
                with pytest.raises(paramiko.SSHException):
                    transport.auth_password("amperity", WRONG, fallback=False)
                transport.close()
            return True

        assert [tries() for _ in range(4)] == [True, True, True, False]
        assert zone.wait_for("landing.address_banned")["source"] == "::/64"


# Bans, kept and lifted


def shut_out(zone: LandingZone, source: str = "127.0.0.2") -> None:
    """Have a source shut out, and wait until that is kept."""
    while guess(zone, source) != "dropped":
        pass
    until(lambda: [ban.source for ban in zone.store.bans(now())] == [f"{source}/32"], "the ban to be kept")


def now() -> datetime:
    """The time."""
    return datetime.now(UTC)


def test_a_ban_outlives_the_process(tmp_path: Path) -> None:
    """Starting again lets nobody in."""
    with a_zone(tmp_path, penalties=PENALTIES) as zone:
        shut_out(zone)
    with a_zone(tmp_path, penalties=PENALTIES) as zone:
        until(lambda: guess(zone, "127.0.0.2", password=PASSWORD) == "dropped", "the ban to be taken over")
        assert guess(zone, "127.0.0.3", password=PASSWORD) == "in"


def test_a_ban_that_is_lifted_beside_the_service_is_over_within_seconds(tmp_path: Path) -> None:
    """And nothing is owed any more."""
    with a_zone(tmp_path, penalties=PENALTIES) as zone:
        shut_out(zone)
        zone.store.lift_ban("127.0.0.2/32", "jo", now())
        until(lambda: guess(zone, "127.0.0.2", password=PASSWORD) == "in", "the source to be let in")
        assert [guess(zone, "127.0.0.2") for _ in range(2)] == ["refused"] * 2


def test_a_reload_changes_limits_and_penalties_and_forgets_no_ban(tmp_path: Path) -> None:
    """For connections to come."""
    with a_zone(tmp_path, penalties=PENALTIES) as zone:
        shut_out(zone)
        zone.limits["limits"] = {**PAST_THE_BURST, "startups_per_source": 1, "exempt": ["127.0.0.9"]}
        zone.loop.call_soon_threadsafe(zone.server.reload, zone.settings())
        greeted(zone)
        assert knock(zone) is None
        assert guess(zone, "127.0.0.2", password=PASSWORD) == "dropped"
        assert [guess(zone, "127.0.0.9") for _ in range(5)] == ["refused"] * 5


# Afterwards


def logged_in(zone: LandingZone, user: str = "amperity") -> paramiko.Transport:
    """A connection that has logged in."""
    transport = paramiko.Transport(socket.create_connection(("127.0.0.1", zone.port)))
    transport.start_client(timeout=PATIENCE)
    transport.auth_publickey(user, paramiko.Ed25519Key.from_private_key_file(str(zone.key)))
    zone.held.callback(transport.close)
    return transport


def session(transport: paramiko.Transport) -> paramiko.Channel:
    """A session on it; paramiko closes it when nobody holds it any more."""
    channel = transport.open_session()
    channel.invoke_subsystem("sftp")
    return channel


def test_an_account_has_so_many_sessions_over_all_its_connections(tmp_path: Path) -> None:
    """A connection counts as one even without; another account has its own."""
    with a_zone(tmp_path, sessions_per_account=3) as zone:
        first, second = logged_in(zone), logged_in(zone)
        sessions = [session(first), session(first), session(second)]
        with pytest.raises(paramiko.ChannelException):
            first.open_session()
        with pytest.raises(paramiko.ChannelException):
            second.open_session()
        other = logged_in(zone, "other")
        sessions.append(session(other))
        with suppress(paramiko.SSHException):
            third = logged_in(zone)
            until(lambda: not third.is_active(), "the third connection to be ended")
        assert zone.wait_for("landing.login_refused")["reason"] == "too_many_sessions"
        second.close()

        def gets_in() -> bool:
            with suppress(paramiko.SSHException, EOFError):
                session(logged_in(zone))
                return True
            return False

        until(gets_in, "room for another")


def test_whoever_does_nothing_is_put_out(tmp_path: Path) -> None:
    """With a session or without, answered keepalives or not."""
    with a_zone(tmp_path, idle_timeout="0.4s", keepalive="0.1s") as zone:
        without, transport = logged_in(zone), logged_in(zone)
        channel = session(transport)
        until(lambda: not without.is_active() and not transport.is_active(), "both to be put out")
        assert channel.closed


def test_an_upload_that_stands_still_is_put_out_and_not_kept(tmp_path: Path) -> None:
    """It never becomes a file, and the log says why."""
    with a_zone(tmp_path, idle_timeout="0.4s") as zone, RawSftp(zone.port, "amperity", zone.key) as client:
        handle = client.open(b"/uploads/list.csv").handle
        client.write(handle, 0, b"half a list")
        assert zone.wait_for("landing.upload_unconfirmed")["reason"] == "idle"
        assert zone.visible() == {}


def test_whoever_does_something_stays(tmp_path: Path) -> None:
    """For longer than the idle time, as long as there is something to do."""
    with a_zone(tmp_path, idle_timeout="0.5s") as zone, RawSftp(zone.port, "amperity", zone.key) as client:
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            assert client.ask(17, b"\0\0\0\1/").kind == 105


def test_a_client_that_is_gone_without_a_word_is_noticed(tmp_path: Path) -> None:
    """Keepalives that nobody answers end the connection."""
    with a_zone(tmp_path, keepalive="0.1s", keepalives_unanswered=2) as zone:
        transport = logged_in(zone)
        until(lambda: len(zone.server.visits) == 1, "the visit")
        # The client's host is gone: nothing reads from its socket any more, and nothing says so.
        zone.held.callback((gone := threading.Event()).set)
        transport.packetizer.read_message = lambda: (int(gone.wait(PATIENCE)), paramiko.Message())  # type: ignore[method-assign]
        until(lambda: not zone.server.visits, "the visit to be ended")
