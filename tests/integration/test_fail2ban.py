"""The rule by which fail2ban reads the log, on lines that the landing zone really writes."""

import re
import shutil
import socket
import subprocess
from pathlib import Path

import paramiko
import pytest
from parts.landing import PATIENCE, LandingZone

FILTER = Path(__file__).parents[2] / "deploy" / "fail2ban" / "filter.conf"
PROGRAM = shutil.which("fail2ban-regex")


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The log of a landing zone: logins refused for several reasons, a source shut out, and a login that succeeded."""
    directory = tmp_path_factory.mktemp("fail2ban")
    with LandingZone(directory / "zone", limits={"limits": {}}) as zone:
        for source, user in (("127.0.0.2", "amperity"), ("127.0.0.3", "nobody"), ("127.0.0.4", "amperity")):
            for _ in range(3):
                connection = socket.create_connection(("127.0.0.1", zone.port), source_address=(source, 0))
                transport = paramiko.Transport(connection)
                transport.start_client(timeout=PATIENCE)
                with pytest.raises(paramiko.SSHException):
                    transport.auth_password(user, "wrong", fallback=False)
                transport.close()
                if source == "127.0.0.4":
                    break
        transport = paramiko.Transport(socket.create_connection(("127.0.0.1", zone.port)))
        transport.start_client(timeout=PATIENCE)
        transport.auth_publickey("amperity", paramiko.Ed25519Key.from_private_key_file(str(zone.key)))
        transport.close()
        zone.wait_for("landing.address_banned", 2)
        return zone.log_lines()


def matched(lines: list[str], mode: str) -> list[str]:
    """The addresses that the filter finds, by the expression alone."""
    text = FILTER.read_text(encoding="utf-8")
    named = dict(re.findall(r"^(\w+) = (.*)$", text, flags=re.MULTILINE))
    pattern = named["failregex"].replace("<_<mode>>", named[f"_{mode}"]).replace("<ADDR>", r"(?P<addr>[0-9a-f.:]+)")
    return [found["addr"] for line in lines if (found := re.search(pattern, line))]


def test_the_filter_finds_who_was_shut_out(lines: list[str]) -> None:
    """Once each, and nobody else."""
    assert matched(lines, "banned") == ["127.0.0.2", "127.0.0.3"]


def test_the_filter_can_find_every_refused_login(lines: list[str]) -> None:
    """But no login that succeeded."""
    assert matched(lines, "refused") == ["127.0.0.2"] * 3 + ["127.0.0.3"] * 3 + ["127.0.0.4"]


@pytest.mark.skipif(PROGRAM is None, reason="needs fail2ban")
@pytest.mark.parametrize(("mode", "count"), [("banned", 2), ("refused", 7)])
@pytest.mark.parametrize("prefix", ["", "relay-host relay[4711]: "])
def test_fail2ban_itself_finds_them(lines: list[str], tmp_path: Path, mode: str, count: int, prefix: str) -> None:
    """With its own program, in a file of lines and as the journal hands them over, with the time that each tells."""
    assert PROGRAM is not None
    log, rule = tmp_path / "relay.log", tmp_path / "relay.conf"
    log.write_text("\n".join(prefix + line for line in lines) + "\n", encoding="utf-8")
    rule.write_text(FILTER.read_text(encoding="utf-8"), encoding="utf-8")
    done = subprocess.run(
        [PROGRAM, str(log), f"{rule}[mode={mode}]"], capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert f"{count} matched" in done.stdout, done.stdout + done.stderr
    hits = re.search(r"Date template hits:\n.*\n.*\[(\d+)\]", done.stdout)
    assert hits is not None, done.stdout
    assert int(hits[1]) == len(lines)
