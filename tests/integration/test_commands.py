"""The frame of the command line, and the commands that need no state: as a user runs them."""

import json
import os
import pty
import re
import shlex
import stat
import subprocess
import sys
import time
import tomllib
from importlib import resources
from pathlib import Path
from typing import Any

import argon2
import pytest
from click.testing import CliRunner
from parts.configuration import write_configuration

from relay import __version__, keys
from relay.cli import COMMANDS, main
from relay.config import (
    AccountSettings,
    HostSettings,
    LandingSettings,
    LimitSettings,
    LogSettings,
    PenaltySettings,
    RetentionSettings,
    RouteSettings,
    UpstreamSettings,
    load,
)
from relay.config.translation import settable_keys
from relay.log import CATALOGUE
from relay.model import RelayError

RELAY = (sys.executable, "-m", "relay")
DEADLINE_SECONDS = 30


def environment(**more: str) -> dict[str, str]:
    """Return the environment without what would choose a configuration, and with `more`."""
    ours = {"RELAY_CONFIG", "CREDENTIALS_DIRECTORY"}
    return {name: value for name, value in os.environ.items() if name not in ours} | more


def relay(*arguments: str | Path, said: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    """Run `relay`, with `said` on standard input and `more` in the environment."""
    return subprocess.run(
        [*RELAY, *map(str, arguments)],
        input=said,
        capture_output=True,
        text=True,
        check=False,
        env=environment(**more),
        timeout=DEADLINE_SECONDS,
    )


def fill_in(directory: Path) -> Path:
    """Do what `relay init` leaves to do, and return `relay.toml`."""
    configuration, route = directory / "relay.toml", directory / "routes.d" / "example.toml"
    replace(configuration, 'user = ""', 'user = "sirendenim"')
    replace(route, 'client_domain = ""', 'client_domain = "sirendenim"')
    replace(route, 'identifier = ""', 'identifier = "phone"')
    public = (directory / "ssh_host_ed25519_key.pub").read_text(encoding="ascii")
    (directory / "amperity.pub").write_text(public, encoding="ascii")
    (directory / "attentive.known_hosts").write_text(f"sftp.attentivemobile.com {public}", encoding="ascii")
    (directory / "attentive.password").touch(mode=0o600)
    (directory / "attentive.password").write_text("open sesame\n", encoding="ascii")
    return configuration


def replace(path: Path, old: str, new: str) -> None:
    """Replace a text that stands in a file."""
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_help_lists_every_command_in_a_line() -> None:
    """`relay --help` names each command with what it does, without cutting any of it off."""
    shown = relay("--help")
    assert shown.returncode == 0
    for name, entry in COMMANDS.items():
        assert re.search(rf"^  {name} +{re.escape(entry.summary)}$", shown.stdout, re.MULTILINE)


def test_help_waits_for_nothing_heavy() -> None:
    """To list the commands, no command and no library of theirs is imported."""
    program = (
        "import sys; from relay.cli import main; main(['--help'], standalone_mode=False); "
        "print({'pydantic', 'asyncssh', 'rich', 'sqlalchemy', 'structlog', 'relay.config', 'relay.cli.check'} "
        "& {*sys.modules})"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == "set()"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str) -> None:
    """A command says what it does, and shows how it is typed."""
    shown = CliRunner().invoke(main, [name, "--help"])
    assert shown.exit_code == 0
    assert re.search(rf"^  Example:\n    .*relay .*{name}", shown.output, re.MULTILINE)


def test_version() -> None:
    """The version can be asked for."""
    assert relay("--version").stdout == f"relay, version {__version__}\n"


@pytest.mark.parametrize("arguments", [["unheard-of"], ["check", "--unheard-of"], ["events", "more"]])
def test_wrong_usage_is_status_2(arguments: list[str]) -> None:
    """Usage errors and configuration errors have the same status."""
    shown = relay(*arguments)
    assert (shown.returncode, shown.stdout) == (2, "")
    assert "Error: " in shown.stderr


def test_the_configuration_can_be_named_in_three_ways(tmp_path: Path) -> None:
    """`--config` before or after the command counts before `$RELAY_CONFIG`."""
    path = write_configuration(tmp_path / "relay")
    wrong = tmp_path / "wrong.toml"
    assert relay("--config", path, "check", RELAY_CONFIG=str(wrong)).returncode == 0
    assert relay("check", "--config", path, RELAY_CONFIG=str(wrong)).returncode == 0
    assert relay("--config", wrong, "check", "--config", path).returncode == 0
    assert relay("check", RELAY_CONFIG=str(path)).returncode == 0
    assert str(wrong) in relay("check", RELAY_CONFIG=str(wrong)).stderr


def test_a_closed_pipe_is_no_trouble() -> None:
    """`relay events | head` ends quietly."""
    pipe = f"{shlex.join(RELAY)} events | head -1"
    shown = subprocess.run(["sh", "-c", pipe], capture_output=True, text=True, check=True)
    assert shown.stdout.startswith("event")
    assert shown.stderr == ""


def test_init_writes_a_configuration_and_says_what_to_send(tmp_path: Path) -> None:
    """The files are there, the private keys for their owner only, and the public ones on the screen."""
    directory = tmp_path / "relay"
    shown = relay("init", "--directory", directory)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert {str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file()} == {
        "relay.toml",
        "routes.d/example.toml",
        *(f"{name}{suffix}" for name in keys.HOST_KEY_NAMES for suffix in ("", ".pub")),
    }
    for host_key in keys.fingerprints(directory / name for name in keys.HOST_KEY_NAMES):
        assert stat.S_IMODE(host_key.path.stat().st_mode) == 0o600
        assert host_key.public in shown.stdout
        assert host_key.fingerprint in shown.stdout
    assert re.search(r"port +2222\n +user +amperity\n +path +/uploads\n", shown.stdout)
    assert "PRIVATE KEY" not in shown.stdout


def test_check_finds_exactly_what_init_leaves_to_do(tmp_path: Path) -> None:
    """Of a fresh configuration only what the user has yet to fill in is wrong; filled in, it is right."""
    relay("init", "--directory", tmp_path)
    before = relay("--config", tmp_path / "relay.toml", "check", "--json")
    assert before.returncode == 2
    problems = json.loads(before.stdout)["problems"]
    assert [(Path(problem["file"]).name, problem["path"]) for problem in problems] == [
        ("relay.toml", "accounts.amperity.authorized_keys"),
        ("relay.toml", "upstreams.attentive.user"),
        ("relay.toml", "upstreams.attentive.password"),
        ("relay.toml", "upstreams.attentive.known_hosts"),
        ("example.toml", "client_domain"),
        ("example.toml", "identifier"),
    ]
    assert all(problem["hint"] for problem in problems)
    after = relay("--config", fill_in(tmp_path), "check")
    assert (after.returncode, after.stderr) == (0, "")


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    """A second `init` keeps every file as it is, and adds no route to those that are there."""
    relay("init", "--directory", tmp_path)
    fill_in(tmp_path)
    (tmp_path / "routes.d" / "example.toml").rename(tmp_path / "routes.d" / "sirendenim.toml")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    shown = relay("init", "--directory", tmp_path)
    assert shown.returncode == 0
    assert f"Kept {tmp_path / 'relay.toml'}" in shown.stdout
    assert "landing.listen in relay.toml" in shown.stdout
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_init_where_nobody_can_write(tmp_path: Path) -> None:
    """Trouble is one clear message with a hint, not a traceback."""
    (tmp_path / "file").touch()
    shown = relay("init", "--directory", tmp_path / "file" / "relay")
    assert shown.returncode == 1
    assert shown.stderr.startswith(
        f"relay: {tmp_path / 'file' / 'relay' / 'routes.d'} cannot be written: Not a directory\nhint: "
    )
    assert "Traceback" not in shown.stderr


def starting(name: str, *, uncommented: bool = False) -> dict[str, Any]:
    """Return a file that `relay init` writes; `uncommented`: with what it shows in comments set."""
    text = (resources.files("relay.cli") / "starting" / name).read_text(encoding="utf-8")
    return tomllib.loads(re.sub(r"^#(?=[a-z0-9_]+ = )", "", text, flags=re.MULTILINE) if uncommented else text)


def host_settings(tables: dict[str, Any]) -> HostSettings:
    """Fill in what is left to do, give accounts and upstreams their names, and validate."""
    tables["accounts"]["amperity"] |= {"name": "amperity"}
    tables["upstreams"]["attentive"] |= {"name": "attentive", "user": "x"}
    return HostSettings.model_validate(tables)


def route_settings(table: dict[str, Any]) -> RouteSettings:
    """Fill in what is left to do, give the route its name, and validate."""
    return RouteSettings.model_validate(table | {"name": "x", "client_domain": "x", "identifier": "phone"})


def test_the_host_defaults_that_init_shows_are_the_defaults() -> None:
    """A commented line of `relay.toml` says what counts without it, but for what an account or upstream may have."""
    shown = starting("relay.toml", uncommented=True)
    del shown["accounts"]["amperity"]["password_hash"], shown["accounts"]["amperity"]["allow_from"]
    del shown["upstreams"]["attentive"]["private_key"], shown["upstreams"]["attentive"]["passphrase"]
    del shown["report"]
    assert host_settings(shown) == host_settings(starting("relay.toml"))


def test_the_route_defaults_that_init_shows_are_the_defaults() -> None:
    """A commented line of the example says what counts without it, but for some examples."""
    shown = starting("example.toml", uncommented=True)
    del shown["source"]["identifier_column"], shown["segment"]["name"], shown["segment"]["rename"]
    del shown["segment"]["template"], shown["segment"]["pattern"]
    del shown["expect_by"], shown["expect_segments"], shown["pgp"]
    assert route_settings(shown) == route_settings(starting("example.toml"))


def test_init_shows_every_key() -> None:
    """Whoever starts with it sees all that can be set."""
    host, route = starting("relay.toml", uncommented=True), starting("example.toml", uncommented=True)
    assert host.keys() == set(settable_keys(HostSettings))
    assert host["landing"].keys() == set(settable_keys(LandingSettings))
    assert host["landing"]["limits"].keys() == set(settable_keys(LimitSettings))
    assert host["landing"]["penalties"].keys() == set(settable_keys(PenaltySettings))
    assert host["accounts"]["amperity"].keys() == set(settable_keys(AccountSettings))
    assert host["upstreams"]["attentive"].keys() == set(settable_keys(UpstreamSettings))
    assert host["retention"].keys() == set(settable_keys(RetentionSettings))
    assert host["log"].keys() == set(settable_keys(LogSettings))
    assert route.keys() == set(settable_keys(RouteSettings))
    for section in ("source", "segment", "phone", "email", "unpack", "pgp", "guards"):
        settings = RouteSettings.model_fields[section].annotation
        assert isinstance(settings, type)
        assert route[section].keys() == set(settable_keys(settings))


def test_check_says_who_is_kept_out(tmp_path: Path) -> None:
    """By the addresses that an account may log in from, and by keys that have expired; neither is a mistake."""
    path = write_configuration(tmp_path / "relay")
    path.write_text(
        path.read_text().replace("[upstreams", 'allow_from = ["192.0.2.0/24", "2001:db8::7"]\n\n[upstreams', 1)
    )
    authorized = path.parent / "amperity.pub"
    line = authorized.read_text()
    authorized.write_text(f'{line}expiry-time="20200101" {line}')
    shown = relay("--config", path, "check")
    assert shown.returncode == 0
    assert "from 192.0.2.0/24, 2001:db8::7/128 only, 1 of 2 keys expired" in shown.stdout


def test_check_summarizes_what_is_right(tmp_path: Path) -> None:
    """A right configuration is shown in a few lines: where it listens, host keys, accounts, upstreams and routes."""
    path = write_configuration(tmp_path / "relay")
    shown = relay("--config", path, "check")
    (host_key,) = keys.fingerprints(load(path).landing.host_keys)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert shown.stdout.startswith(f"{path} is fine.\n")
    for line in (
        r"landing +127\.0\.0\.1:2222 +state in /var/lib/relay",
        rf"host key +ssh_host_ed25519_key +ssh-ed25519 {re.escape(host_key.fingerprint)}",
        r"account +amperity +logs in with public key or password",
        r"upstream +attentive +sirendenim@sftp\.example\.com:22 /uploads, with password, publish auto",
        r"route +sirendenim +amperity:/uploads/sirendenim/\*\* to attentive as sirendenim, phone lists, dates in UTC",
    ):
        assert re.search(rf"^{line}$", shown.stdout, re.MULTILINE)


def test_check_as_json(tmp_path: Path) -> None:
    """Programs get the settings in one document, without any secret's content."""
    path = write_configuration(tmp_path / "relay")
    shown = relay("--config", path, "check", "--json")
    document = json.loads(shown.stdout)
    assert shown.returncode == 0
    assert document["problems"] == []
    assert document["settings"]["landing"]["settle"] == "2s"
    assert document["settings"]["routes"]["sirendenim"]["timezone"] == "UTC"
    assert "open sesame" not in shown.stdout


def test_serve_refuses_a_wrong_configuration(tmp_path: Path) -> None:
    """Nothing is begun with a configuration that has problems."""
    shown = relay("--config", tmp_path / "relay.toml", "serve")
    assert shown.returncode == 2
    assert f"{tmp_path / 'relay.toml'}: there is no such file" in shown.stderr
    assert "Traceback" not in shown.stderr


def test_trouble_that_is_not_the_configurations_is_status_1(tmp_path: Path) -> None:
    """A finding and a wrong configuration can be told apart by the status."""
    (tmp_path / "ssh_host_rsa_key.pub").touch()
    shown = relay("init", "--directory", tmp_path)
    assert shown.returncode == 1
    assert "its private key" in shown.stderr
    assert "hint: Put the private key back" in shown.stderr


@pytest.mark.parametrize("line", ["open sesame\n", "open sesame", "open sesame\r\n", "open sesame\nmore\n"])
def test_a_password_is_hashed_from_standard_input(line: str) -> None:
    """The first line is the password; the hash is what an account's file holds."""
    shown = relay("hash-password", said=line)
    assert shown.returncode == 0
    assert shown.stdout.startswith("$argon2id$")
    assert argon2.PasswordHasher().verify(shown.stdout.strip(), "open sesame")


def test_no_password_is_no_hash() -> None:
    """An empty password would let everybody in."""
    shown = relay("hash-password", said="\n")
    assert (shown.returncode, shown.stdout) == (2, "")
    assert "There is no password" in shown.stderr


@pytest.mark.skipif(not Path("/dev/pts/ptmx").exists(), reason="no pseudo-terminals here: /dev/pts is not mounted")
def test_a_password_is_asked_for_twice_on_a_terminal() -> None:
    """On a terminal the password is typed blind, and typed again."""
    terminal, inside = pty.openpty()
    with subprocess.Popen(
        [*RELAY, "hash-password"], stdin=inside, stdout=subprocess.PIPE, stderr=inside, start_new_session=True
    ) as program:
        os.close(inside)
        shown = ""
        for prompt in ("Password: ", "Repeat for confirmation: "):
            shown = read_until(terminal, prompt)
            os.write(terminal, b"open sesame\n")
        printed, _ = program.communicate(timeout=DEADLINE_SECONDS)
    os.close(terminal)
    assert program.returncode == 0
    assert "open sesame" not in shown
    assert argon2.PasswordHasher().verify(printed.decode().strip(), "open sesame")


def read_until(terminal: int, text: str) -> str:
    """Read what a program shows on its terminal until `text` appears."""
    shown, until = "", time.monotonic() + DEADLINE_SECONDS
    while text not in shown:
        assert time.monotonic() < until
        shown += os.read(terminal, 1024).decode()
    return shown


def test_events_lists_the_catalogue() -> None:
    """Every event has its line: name, level, what it wants, meaning, fields."""
    lines = relay("events").stdout.splitlines()[1:]
    assert [line.split()[0] for line in lines] == [event.value for event in CATALOGUE]
    held = next(line for line in lines if line.startswith("delivery.held"))
    assert held.split()[1:3] == ["error", "ticket"]
    assert "reason detail hint" in held
    assert "[previous_rows]" in held


def test_events_as_json() -> None:
    """Programs get the catalogue with stable keys."""
    document = json.loads(relay("events", "--json").stdout)
    assert [entry["event"] for entry in document] == [event.value for event in CATALOGUE]
    shape = {"event", "level", "meaning", "fields", "optional_fields", "action", "when", "runbook"}
    assert all(entry.keys() == shape for entry in document)
    wants = {entry["event"]: (entry["action"], entry["when"], entry["runbook"]) for entry in document}
    assert wants["disk.low"] == ("page", "it is logged", "docs/runbook.md#disklow")
    assert wants["delivery.sent"] == (None, None, None)


def test_an_error_without_a_hint_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """What went wrong is said, and a hint where there is one."""
    from relay.cli.context import show_error  # noqa: PLC0415  only this test

    assert show_error(RelayError("the disk is full")) == 1
    assert capsys.readouterr().err == "relay: the disk is full\n"
