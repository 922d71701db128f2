"""The README's configuration is one that the relay takes."""

import re
from pathlib import Path

from parts.configuration import write_configuration

from relay.config import load

README = Path(__file__).parents[2] / "README.md"


def configuration() -> dict[str, list[str]]:
    """Return the README's configuration: the lines of each file, under its name below /etc/relay."""
    block = re.search(r"```toml\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert block is not None
    _, *parts = re.split(r"^# /etc/relay/(\S+)\n", block[1], flags=re.MULTILINE)
    return dict(zip(parts[::2], (part.splitlines() for part in parts[1::2]), strict=True))


def test_the_configuration_has_ten_lines() -> None:
    """It is as short as the README says, blank lines aside."""
    assert len([line for lines in configuration().values() for line in lines if line]) == 10


def test_the_configuration_is_taken(tmp_path: Path) -> None:
    """Written as the README has it, with a key of the named host and host keys of its own, it has no problem."""
    path = write_configuration(tmp_path / "relay")
    for name, lines in configuration().items():
        (path.parent / name).write_text("\n".join(lines), encoding="utf-8")
    known = path.parent / "attentive.known_hosts"
    known.write_text(known.read_text().replace("sftp.example.com", "sftp.attentivemobile.com"), encoding="utf-8")
    for name in ("ssh_host_ecdsa_key", "ssh_host_rsa_key"):
        (path.parent / name).write_bytes((path.parent / "ssh_host_ed25519_key").read_bytes())
        (path.parent / name).chmod(0o600)
    config = load(path)
    assert list(config.accounts) == ["amperity"]
    assert [(route.name, route.upstream) for route in config.routes.values()] == [("sirendenim", "attentive")]
