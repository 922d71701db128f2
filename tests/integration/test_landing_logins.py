"""Who gets into the landing zone, and what else is refused there: everything but SFTP."""

import logging
import os
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncssh
import paramiko
import pytest
from paramiko.transport import ServiceRequestingTransport
from parts.landing import PASSWORD, LandingZone, until, write_key
from parts.sftp import NEEDS_SFTP, OPTIONS, PATIENCE, RawSftp, sftp

from relay.config import LandingSettings
from relay.floor import Floor
from relay.landing import LandingServer
from relay.model import RelayError

pytestmark = NEEDS_SFTP


@pytest.fixture
def zone(tmp_path: Path) -> Iterator[LandingZone]:
    """A landing zone."""
    with LandingZone(tmp_path / "zone") as zone:
        yield zone


def ssh(zone: LandingZone, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run OpenSSH's `ssh` against the landing zone, with options and a command of the test's own."""
    options = [word for word in arguments if word.startswith("-")]
    command = [word for word in arguments if not word.startswith("-")]
    login = ["-p", str(zone.port), "-i", str(zone.key), "amperity@127.0.0.1"]
    return subprocess.run(
        ["ssh", *options, *OPTIONS, *login, *command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
    )


def password_login(zone: LandingZone, user: str, password: str, method: str = "password") -> paramiko.Transport:
    """Log in with a password by one of the two methods.

    Raises:
        paramiko.AuthenticationException: it was refused.
    """
    transport = paramiko.Transport(socket.create_connection(("127.0.0.1", zone.port)))
    transport.start_client(timeout=PATIENCE)
    try:
        if method == "password":
            transport.auth_password(user, password, fallback=False)
        else:
            transport.auth_interactive(user, lambda _, __, prompts: [password] * len(prompts))
    except BaseException:
        transport.close()
        raise
    return transport


# Everything but SFTP


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("-tt",),
        ("id",),
        ("internal-sftp",),
        ("/usr/lib/openssh/sftp-server",),
        ("scp -t /uploads",),
        ("-s", "shell"),
        ("-s", "netconf"),
        ("-s", "sftp2"),
    ],
    ids=" ".join,
)
def test_nothing_but_sftp_is_served(zone: LandingZone, arguments: tuple[str, ...]) -> None:
    """Shell, terminal, commands and other subsystems fail, and say nothing."""
    done = ssh(zone, *arguments)
    assert done.returncode != 0
    assert done.stdout == ""
    assert "failed" in done.stderr


@pytest.mark.skipif(shutil.which("scp") is None, reason="needs openssh-client")
def test_scp_is_refused_in_its_old_form_and_works_in_its_new(zone: LandingZone, tmp_path: Path) -> None:
    """`scp -O` is a command on the server; `scp` as it is today speaks SFTP."""
    local = tmp_path / "list.csv"
    local.write_bytes(b"content\n")
    target = "amperity@127.0.0.1:/uploads/list.csv"
    command = ["scp", *OPTIONS, "-P", str(zone.port), "-i", str(zone.key)]
    old = subprocess.run([*command, "-O", local, target], capture_output=True, check=False, timeout=PATIENCE)
    assert old.returncode != 0
    assert zone.visible() == {}
    subprocess.run([*command, "-s", local, target], capture_output=True, check=True, timeout=PATIENCE)
    assert zone.visible() == {"/uploads/list.csv": b"content\n"}


@pytest.mark.parametrize(
    "forwarding",
    [
        "-Wlocalhost:22",
        "-R0",
        "-R0:localhost:22",
        "-R/tmp/relay-test-socket:localhost:22",
        "-w0:0",
    ],
)
def test_forwarding_is_refused(zone: LandingZone, forwarding: str) -> None:
    """Neither out of the host, nor into it, nor a tunnel."""
    arguments = [forwarding] if forwarding.startswith("-W") else [forwarding, "-N"]
    done = ssh(zone, "-oExitOnForwardFailure=yes", *arguments)
    assert done.returncode != 0
    assert done.stdout == ""


@pytest.mark.parametrize("kind", ["port", "socket", "socks"])
def test_nothing_comes_through_what_the_client_forwards(zone: LandingZone, tmp_path: Path, kind: str) -> None:
    """The client listens on its side; what connects there is refused on ours: `-L` to a port or socket, and `-D`."""
    path = tmp_path / "target"
    with ExitStack() as stack:
        if kind == "socket":
            target = stack.enter_context(socket.socket(socket.AF_UNIX))
            target.bind(str(path))
            target.listen()
        else:
            target = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        with socket.create_server(("127.0.0.1", 0)) as free:
            local = free.getsockname()[1]
        port = 0 if kind == "socket" else target.getsockname()[1]
        asked = {
            "port": f"-L127.0.0.1:{local}:127.0.0.1:{port}",
            "socket": f"-L127.0.0.1:{local}:{path}",
            "socks": f"-D127.0.0.1:{local}",
        }[kind]
        login = ("-p", str(zone.port), "-i", str(zone.key), "amperity@127.0.0.1")
        client = stack.enter_context(
            subprocess.Popen(
                ["ssh", asked, "-N", *OPTIONS, *login], stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL
            )
        )
        stack.callback(client.terminate)
        until(lambda: _answers(local), "the client to listen")
        through = stack.enter_context(socket.create_connection(("127.0.0.1", local), timeout=PATIENCE))
        if kind == "socks":
            through.sendall(b"\x05\x01\x00")
            assert through.recv(2) == b"\x05\x00"
            through.sendall(b"\x05\x01\x00\x01\x7f\x00\x00\x01" + port.to_bytes(2, "big"))
        assert _said(through) in (b"", b"\x05")
        target.settimeout(0)
        with pytest.raises(BlockingIOError):
            target.accept()


def _said(connection: socket.socket) -> bytes:
    """The first byte that comes through, none if the connection ends."""
    try:
        return connection.recv(1)
    except ConnectionError:
        return b""


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_agent_and_x11_are_refused_and_environment_is_not_taken(zone: LandingZone) -> None:
    """OpenSSH's own client is told no, for each, and has its SFTP session all the same."""
    agent = subprocess.run(["ssh-agent", "-s"], capture_output=True, text=True, check=True).stdout
    variables = ("-oSendEnv=RELAY_TEST", "-oSetEnv=LD_PRELOAD=/x.so")
    login = ("-p", str(zone.port), "-i", str(zone.key))
    names = dict(re.findall(r"(SSH_\w+)=([^;]+);", agent))
    try:
        done = subprocess.run(
            ["ssh", "-A", "-X", *OPTIONS, "-vvv", *variables, *login, "-s", "amperity@127.0.0.1", "sftp"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
            env={**os.environ, **names, "RELAY_TEST": "1", "DISPLAY": "127.0.0.1:0"},
        )
    finally:
        os.kill(int(names["SSH_AGENT_PID"]), signal.SIGTERM)
    assert done.returncode == 0
    assert "auth-agent-req@openssh.com" in done.stderr
    assert "Sending env" in done.stderr
    assert "Requesting X11 forwarding" not in done.stderr or "X11 forwarding request failed" in done.stderr


def test_every_environment_variable_is_refused(zone: LandingZone) -> None:
    """The client is told so, and nothing of it is kept."""
    with RawSftp(zone.port, "amperity", zone.key) as client:
        session = client.transport.open_session()
        with pytest.raises(paramiko.SSHException):
            _set_environment(session)


def _set_environment(session: Any) -> None:  # noqa: ANN401  there is no public way to wait for this answer
    """Ask for a variable and wait for the answer, which paramiko's own method does not."""
    message = paramiko.Message()
    message.add_byte(bytes([98]))
    message.add_int(session.remote_chanid)
    message.add_string("env")
    message.add_boolean(True)  # noqa: FBT003  as paramiko has it
    message.add_string("LD_PRELOAD")
    message.add_string("/x.so")
    session._event_pending()  # noqa: SLF001
    session.transport._send_user_message(message)  # noqa: SLF001
    session._wait_for_event()  # noqa: SLF001


def test_channels_of_other_kinds_are_refused(zone: LandingZone) -> None:
    """Opened directly, as an attacker who has logged in would."""
    with RawSftp(zone.port, "amperity", zone.key) as client:
        for kind in ("direct-tcpip", "forwarded-tcpip", "x11", "direct-streamlocal@openssh.com"):
            address = ("127.0.0.1", zone.port)
            with pytest.raises(paramiko.SSHException):
                client.transport.open_channel(kind, address, address, timeout=PATIENCE)
        with pytest.raises(paramiko.SSHException):
            client.transport.request_port_forward("", 0)


def test_terminal_x11_and_shell_are_refused_on_a_session(zone: LandingZone) -> None:
    """Requests on a session channel that are not for the SFTP subsystem."""
    with RawSftp(zone.port, "amperity", zone.key) as client:
        session = client.transport.open_session()
        for request in (session.get_pty, session.request_x11, session.invoke_shell):
            with pytest.raises(paramiko.SSHException):
                request()
            session = client.transport.open_session()
        zone.wait_for("landing.login_succeeded")


def test_a_second_subsystem_on_one_channel_is_refused(zone: LandingZone) -> None:
    """A channel has one session and keeps it."""
    with RawSftp(zone.port, "amperity", zone.key) as client:
        with pytest.raises(paramiko.SSHException):
            client.channel.invoke_subsystem("sftp")
        client.transport.close()


def test_sessions_of_a_connection_are_bounded(zone: LandingZone) -> None:
    """Ten, as OpenSSH has it; a closed one makes room."""
    with RawSftp(zone.port, "amperity", zone.key) as client:
        more = [client.transport.open_session() for _ in range(9)]
        for channel in more:
            channel.invoke_subsystem("sftp")
        with pytest.raises(paramiko.ChannelException):
            client.transport.open_session()
        more[0].close()

        def opens() -> bool:
            try:
                client.transport.open_session()
            except paramiko.ChannelException:
                return False
            return True

        until(opens, "room for another session")


# Logging in


@pytest.mark.parametrize("method", ["password", "keyboard-interactive"])
def test_a_password_logs_in(zone: LandingZone, method: str) -> None:
    """By either method, and the log says who and how."""
    transport = password_login(zone, "amperity", PASSWORD, method)
    client = paramiko.SFTPClient.from_transport(transport)
    assert client is not None
    assert client.listdir("/") == ["uploads"]
    client.close()
    transport.close()
    line = zone.wait_for("landing.login_succeeded")
    assert (line["account"], line["method"], line["address"]) == ("amperity", "password", "127.0.0.1")


@pytest.mark.parametrize("method", ["password", "keyboard-interactive"])
def test_openssh_logs_in_by_password(zone: LandingZone, tmp_path: Path, method: str) -> None:
    """With its own client, by each method alone."""
    program = tmp_path / "ask"
    program.write_text(f"#!/bin/sh\necho '{PASSWORD}'\n", encoding="ascii")
    program.chmod(0o700)
    options = ("StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", f"PreferredAuthentications={method}")
    done = subprocess.run(
        [
            "sftp",
            "-F",
            "none",
            *(word for it in options for word in ("-o", it)),
            "-P",
            str(zone.port),
            "amperity@127.0.0.1",
        ],
        input="ls\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
        env={**os.environ, "SSH_ASKPASS": str(program), "SSH_ASKPASS_REQUIRE": "force", "DISPLAY": "none"},
    )
    assert done.returncode == 0, done.stderr
    assert "uploads" in done.stdout


@pytest.mark.parametrize("method", ["password", "keyboard-interactive"])
@pytest.mark.parametrize(
    ("user", "password", "reason"),
    [
        ("amperity", "wrong", "wrong_password"),
        ("amperity", "", "wrong_password"),
        ("other", PASSWORD, "wrong_password"),
        ("nobody", PASSWORD, "unknown_account"),
    ],
)
def test_a_wrong_password_does_not(zone: LandingZone, user: str, password: str, reason: str, method: str) -> None:
    """Wrong, empty, of an account that has none, of nobody: the client hears the same, the log knows the difference."""
    with pytest.raises(paramiko.AuthenticationException) as refused:
        password_login(zone, user, password, method)
    assert str(refused.value) == "Authentication failed."
    line = zone.wait_for("landing.login_refused")
    assert (line["reason"], line["address"]) == (reason, "127.0.0.1")
    assert line.get("account") == (None if user == "nobody" else user)


def test_what_was_typed_for_a_user_name_is_not_logged(zone: LandingZone) -> None:
    """It may be a password in the wrong field, or a person's address."""
    for user in ("hunter2", "jane@example.com"):
        with pytest.raises(paramiko.AuthenticationException):
            password_login(zone, user, "secret-in-a-test")
        sftp(zone.port, user, zone.key, "pwd", check=False)
    zone.wait_for("landing.login_refused", 4)
    text = str(zone.events("landing.login_refused"))
    for secret in ("hunter2", "jane", "secret-in-a-test", PASSWORD):
        assert secret not in text


def test_the_library_below_says_nothing(zone: LandingZone, caplog: pytest.LogCaptureFixture) -> None:
    """asyncssh would log user names and requests; nothing of that reaches any log."""
    with caplog.at_level(logging.DEBUG):
        sftp(zone.port, "hunter2", zone.key, "pwd", check=False)
        sftp(zone.port, "amperity", zone.key, "pwd")
    assert [record for record in caplog.records if record.name.startswith("asyncssh")] == []


def test_every_account_is_offered_the_same_methods(zone: LandingZone) -> None:
    """With keys only, with both, unknown: what is offered does not tell them apart."""
    offered = set()
    for user in ("amperity", "other", "nobody"):
        transport = paramiko.Transport(socket.create_connection(("127.0.0.1", zone.port)))
        transport.start_client(timeout=PATIENCE)
        with pytest.raises(paramiko.BadAuthenticationType) as refused:
            transport.auth_none(user)
        offered.add(tuple(sorted(refused.value.allowed_types)))
        transport.close()
    assert offered == {("keyboard-interactive", "password", "publickey")}


def test_three_wrong_passwords_end_the_connection(tmp_path: Path) -> None:
    """Nobody tries passwords without end on one connection."""
    with LandingZone(tmp_path / "zone", login_timeout=timedelta(minutes=30)) as zone:
        transport = ServiceRequestingTransport(socket.create_connection(("127.0.0.1", zone.port)))
        transport.start_client(timeout=PATIENCE)
        for _ in range(3):
            with pytest.raises(paramiko.SSHException):
                transport.auth_password("amperity", "wrong", fallback=False)
        until(lambda: not transport.is_active(), "the end of the connection")
        transport.close()
        zone.wait_for("landing.login_refused", 3)


def test_a_key_that_is_not_the_accounts_is_refused(zone: LandingZone, tmp_path: Path) -> None:
    """And said so once, when the client has given up."""
    write_key(tmp_path / "stranger")
    assert sftp(zone.port, "amperity", tmp_path / "stranger", "pwd", check=False).returncode == 255
    line = zone.wait_for("landing.login_refused")
    assert (line["account"], line["reason"]) == ("amperity", "key_not_authorized")


def test_keys_are_read_again_at_each_login(zone: LandingZone, tmp_path: Path) -> None:
    """A key that is added or taken out takes effect at once."""
    authorized = zone.key.with_suffix(".pub")
    write_key(tmp_path / "new")
    both = authorized.read_text(encoding="utf-8") + (tmp_path / "new.pub").read_text(encoding="utf-8")
    authorized.write_text(both, encoding="utf-8")
    sftp(zone.port, "amperity", tmp_path / "new", "pwd")
    authorized.write_text((tmp_path / "new.pub").read_text(encoding="utf-8"), encoding="utf-8")
    assert sftp(zone.port, "amperity", zone.key, "pwd", check=False).returncode == 255


@pytest.mark.parametrize(
    ("option", "reason"), [("20200101", "key_expired"), ("203001010000Z", None), ("203001010000", None)]
)
def test_an_expired_key_does_not_log_in(zone: LandingZone, option: str, reason: str | None) -> None:
    """asyncssh would ignore the date silently; until then the key logs in."""
    authorized = zone.key.with_suffix(".pub")
    authorized.write_text(f'expiry-time="{option}" {authorized.read_text(encoding="utf-8")}', encoding="utf-8")
    assert sftp(zone.port, "amperity", zone.key, "pwd", check=False).returncode == (255 if reason else 0)
    if reason:
        assert zone.wait_for("landing.login_refused")["reason"] == reason


@pytest.mark.parametrize("option", ['from="*.example.com"', 'command="internal-sftp"', 'environment="A=b"', "from"])
def test_a_key_with_an_option_that_would_not_be_kept_does_not_log_in(zone: LandingZone, option: str) -> None:
    """What asyncssh would ignore, or stumble over, keeps the key out instead."""
    authorized = zone.key.with_suffix(".pub")
    authorized.write_text(f"{option} {authorized.read_text(encoding='utf-8')}", encoding="utf-8")
    assert sftp(zone.port, "amperity", zone.key, "pwd", check=False).returncode == 255
    assert zone.wait_for("landing.login_refused")["reason"] == "unusable_authorized_keys"


@pytest.mark.parametrize(("pattern", "status"), [("127.0.0.0/8", 0), ("192.0.2.0/24", 255), ("!127.0.0.1,*", 255)])
def test_a_key_logs_in_from_where_it_may(zone: LandingZone, pattern: str, status: int) -> None:
    """The option `from` is kept."""
    authorized = zone.key.with_suffix(".pub")
    authorized.write_text(f'from="{pattern}",restrict {authorized.read_text(encoding="utf-8")}', encoding="utf-8")
    assert sftp(zone.port, "amperity", zone.key, "pwd", check=False).returncode == status


@pytest.mark.parametrize(
    ("algorithm", "parameters"),
    [("ssh-rsa", {"key_size": 4096}), ("ecdsa-sha2-nistp256", {}), ("ecdsa-sha2-nistp384", {}), ("ssh-ed25519", {})],
)
def test_the_kinds_of_keys_that_amperity_has_log_in(
    zone: LandingZone, tmp_path: Path, algorithm: str, parameters: dict[str, int]
) -> None:
    """RSA of 4096 bits, which it prefers, ECDSA and Ed25519."""
    write_key(tmp_path / "key", asyncssh.generate_private_key(algorithm, **parameters))  # type: ignore[arg-type]
    zone.key.with_suffix(".pub").write_text((tmp_path / "key.pub").read_text(encoding="utf-8"), encoding="utf-8")
    sftp(zone.port, "amperity", tmp_path / "key", "pwd")


@pytest.mark.parametrize(
    "wanted",
    [
        "HostKeyAlgorithms=ecdsa-sha2-nistp256",
        "HostKeyAlgorithms=rsa-sha2-256",
        "HostKeyAlgorithms=rsa-sha2-512",
        "HostKeyAlgorithms=ssh-ed25519",
        "KexAlgorithms=curve25519-sha256",
        "KexAlgorithms=curve25519-sha256@libssh.org",
        "KexAlgorithms=ecdh-sha2-nistp256",
        "Ciphers=aes128-gcm@openssh.com",
        "Ciphers=aes256-gcm@openssh.com",
        "Ciphers=aes128-ctr",
        "Ciphers=aes256-ctr",
        "MACs=hmac-sha2-256",
    ],
)
def test_what_a_jvm_client_may_insist_on_is_spoken(zone: LandingZone, wanted: str) -> None:
    """Amperity's library is not documented; each of these alone is enough."""
    cipher = ("-oCiphers=aes128-ctr",) if wanted.startswith("MACs") else ()
    assert ssh(zone, f"-o{wanted}", *cipher, "-s", "sftp").returncode == 0


def test_several_sessions_at_once_are_normal(zone: LandingZone) -> None:
    """As Amperity opens them: each with its own connection, all uploading at the same time."""
    clients = [RawSftp(zone.port, "amperity", zone.key) for _ in range(8)]
    handles = []
    for number, client in enumerate(clients):
        zone.held.enter_context(client)
        handles.append(client.open(f"/uploads/{number}.csv".encode()).handle)
    for client, handle in zip(clients, handles, strict=True):
        assert client.write(handle, 0, b"one list\n").status == 0
    for client, handle in zip(clients, handles, strict=True):
        assert client.close(handle).status == 0
    assert len(zone.visible()) == 8


# Where from


@pytest.mark.parametrize(("networks", "may"), [(["127.0.0.0/8"], True), (["192.0.2.0/24", "2001:db8::/32"], False)])
def test_an_account_logs_in_from_where_it_may(tmp_path: Path, networks: list[str], may: bool) -> None:  # noqa: FBT001
    """By key and by password; from elsewhere the client hears what everybody hears, and the log says why."""
    with LandingZone(tmp_path / "zone", account={"allow_from": networks}) as zone:
        assert sftp(zone.port, "amperity", zone.key, "pwd", check=False).returncode == (0 if may else 255)
        if may:
            password_login(zone, "amperity", PASSWORD).close()
            return
        for password in (PASSWORD, "wrong"):
            with pytest.raises(paramiko.AuthenticationException) as refused:
                password_login(zone, "amperity", password)
            assert str(refused.value) == "Authentication failed."
        zone.wait_for("landing.login_refused", 3)
        assert {line["reason"] for line in zone.events("landing.login_refused")} == {"address_not_allowed"}
        sftp(zone.port, "other", zone.key, "pwd")


def test_whoever_may_not_come_from_there_any_more_is_put_out(zone: LandingZone) -> None:
    """A reload takes effect on those that are inside."""
    with RawSftp(zone.port, "amperity", zone.key) as inside, RawSftp(zone.port, "other", zone.key) as other:
        zone.account["allow_from"] = ["192.0.2.0/24"]
        zone.loop.call_soon_threadsafe(zone.server.reload, zone.settings())
        until(lambda: not inside.transport.is_active(), "the connection to be ended")
        assert other.ask(17, b"\0\0\0\1/").kind == 105


def test_an_unusable_password_file_lets_nobody_in_and_says_so(zone: LandingZone) -> None:
    """The operator finds the reason in the log; the client hears what everybody hears."""
    hash_file = zone.settings().accounts["amperity"].password_hash
    assert hash_file is not None
    hash_file.write_text("not a hash", encoding="ascii")
    with pytest.raises(paramiko.AuthenticationException):
        password_login(zone, "amperity", PASSWORD)
    assert zone.wait_for("landing.login_refused")["reason"] == "unusable_password_hash"
    sftp(zone.port, "amperity", zone.key, "pwd")


def test_a_touch_of_the_port_is_not_worth_a_line(zone: LandingZone) -> None:
    """Monitors and scanners connect and leave; only who tries to log in is named."""
    socket.create_connection(("127.0.0.1", zone.port)).close()
    with socket.create_connection(("127.0.0.1", zone.port)) as probe:
        assert probe.recv(100).startswith(b"SSH-2.0-relay")
        probe.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert probe.recv(100) == b""
    sftp(zone.port, "amperity", zone.key, "pwd")
    assert zone.events("landing.login_refused") == []


def test_sha1_is_not_spoken(zone: LandingZone) -> None:
    """The RSA host key signs with SHA-2 only, and neither key exchange nor MAC uses SHA-1."""
    base = ("-oLogLevel=INFO", "-s")
    for refused in (
        "-oHostKeyAlgorithms=ssh-rsa",
        "-oKexAlgorithms=diffie-hellman-group14-sha1",
        "-oCiphers=chacha20-poly1305@openssh.com",
    ):
        assert "no matching" in ssh(zone, *base, refused, "sftp").stderr
    assert "no matching" in ssh(zone, *base, "-oCiphers=aes128-ctr", "-oMACs=hmac-sha1", "sftp").stderr
    for kept in ("-oHostKeyAlgorithms=rsa-sha2-256", "-oHostKeyAlgorithms=rsa-sha2-512"):
        assert ssh(zone, *base, kept, "sftp").returncode == 0


@pytest.mark.parametrize("cipher", ["aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes256-ctr"])
def test_the_ciphers_that_clients_have_are_spoken(zone: LandingZone, cipher: str) -> None:
    """Among them the one that old JVM clients need."""
    assert ssh(zone, f"-oCiphers={cipher}", "-s", "sftp").returncode == 0


def test_an_address_in_use_is_said_in_words(zone: LandingZone) -> None:
    """An operator is told which address, and what to look at."""
    listen = (f"127.0.0.1:{zone.port}",)
    taken = replace(zone.config, landing=LandingSettings(listen=listen, host_keys=zone.config.landing.host_keys))

    async def start() -> None:
        server = LandingServer(taken, zone.spool, zone.store, landed=lambda: None, floor=Floor(lambda: 1 << 50, 0))
        with pytest.raises(RelayError, match=f"cannot listen on {listen[0]}") as refused:
            await server.start()
        assert "port" in refused.value.hint

    zone.do(start())


def test_a_login_that_takes_too_long_is_cut_off(tmp_path: Path) -> None:
    """Whoever does not log in in time makes room."""
    with LandingZone(tmp_path / "zone", login_timeout=timedelta(milliseconds=200)) as zone:
        with socket.create_connection(("127.0.0.1", zone.port), timeout=PATIENCE) as idle:
            while idle.recv(4096):
                pass
        sftp(zone.port, "amperity", zone.key, "pwd")
