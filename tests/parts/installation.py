"""The relay installed on a machine as its operator would: a release, a configuration, an upstream, a client."""

import shlex
import shutil
import subprocess
from pathlib import Path, PurePosixPath
from typing import Final

from parts.machine import CHECKOUT, Machine, until

UPSTREAM_PORT: Final = 2022
FLAPPING_PORT: Final = 2023
PASSWORD: Final = "synthetic"
UPLOADS: Final = "srv/attentive/uploads"

_SSHD: Final = f"""
Port {UPSTREAM_PORT}
ListenAddress 127.0.0.1
PasswordAuthentication yes
MaxStartups 100
Match User attentive
  ChrootDirectory /srv/attentive
  ForceCommand internal-sftp
"""

_RELAY: Final = f"""
[landing]
listen = ["0.0.0.0:22"]
settle = "0.2s"
drain = "50s"
min_free = "0B"

[landing.limits]
exempt = ["127.0.0.0/8"]

[accounts.amperity]
authorized_keys = "amperity.pub"

[upstreams.attentive]
host = "127.0.0.1"
port = {UPSTREAM_PORT}
user = "attentive"
password = "attentive.password"
known_hosts = "attentive.known_hosts"
directory = "/uploads"
"""

_FLAPPING: Final = (
    _RELAY[_RELAY.index("[upstreams.attentive]") :]
    .replace("attentive]", "flapping]")
    .replace(str(UPSTREAM_PORT), str(FLAPPING_PORT))
)

_OPTIONS: Final = (
    "-o BatchMode=yes -o IdentitiesOnly=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "
    "-o LogLevel=ERROR -i /root/client_key"
)


def make_release(directory: Path) -> Path:
    """Make a release of this checkout by its command, with its dependencies: the machine has no way to an index."""
    said = subprocess.run(
        ["sh", str(CHECKOUT / "deploy/release"), str(directory), "--with-wheels"],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout
    return Path(said.strip())


def write_hashes(release: Path) -> None:
    """Write the hashes of a release that was not made by its command, as that one does."""
    command = "find . -type f ! -name SHA256SUMS -exec sha256sum {} +"
    hashes = subprocess.run(["sh", "-c", command], cwd=release, capture_output=True, text=True, check=True).stdout
    (release / "SHA256SUMS").write_text(hashes, encoding="utf-8")


def furnish(machine: Machine, routes: tuple[str, ...] = ("sirendenim",), port: int = 22) -> None:
    """Give a machine that runs an upstream on loopback, a client's key and the configuration.

    Of several routes, every second one has an upstream of its own, which does not run yet.
    """
    machine.write("/etc/ssh/sshd_config.d/upstream.conf", _SSHD)
    machine.run(
        "sh",
        "-ec",
        f"""
        useradd --home-dir / --shell /usr/sbin/nologin attentive
        echo attentive:{PASSWORD} | chpasswd
        install -d -o attentive -m 700 /{UPLOADS}
        systemctl restart ssh
        mkdir -p /etc/relay/routes.d
        cd /etc/relay
        for kind in ed25519 ecdsa rsa; do ssh-keygen -q -t $kind -N '' -f ssh_host_${{kind}}_key; done
        ssh-keygen -q -t ed25519 -N '' -f /root/client_key
        cp /root/client_key.pub amperity.pub
        install -m 600 /dev/null attentive.password
        echo {PASSWORD} >attentive.password
        for port in {UPSTREAM_PORT} {FLAPPING_PORT}; do
            cut -d ' ' -f 1,2 /etc/ssh/ssh_host_ed25519_key.pub | sed "s/^/[127.0.0.1]:$port /"
        done >attentive.known_hosts
        """,
    )
    relay_toml = _RELAY + (_FLAPPING if len(routes) > 1 else "")
    machine.write("/etc/relay/relay.toml", relay_toml.replace("0.0.0.0:22", f"0.0.0.0:{port}"))
    for number, route in enumerate(routes):
        upstream = "flapping" if number % 2 else "attentive"
        path = "" if len(routes) == 1 else f'path = "/uploads/{route}/**"\n'
        text = f'account = "amperity"\nupstream = "{upstream}"\nclient_domain = "{route}"\nidentifier = "phone"\n{path}'
        machine.write(f"/etc/relay/routes.d/{route}.toml", text)
    machine.write(
        "/etc/systemd/system/relay.socket.d/port.conf", f"[Socket]\nListenStream=\nListenStream=0.0.0.0:{port}\n"
    )


def install(machine: Machine, release: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Put a release on the machine and run its installer."""
    place = f"root/{release.parent.name}"
    if not (machine.root / place).exists():
        shutil.copytree(release, machine.root / place)
    return machine.run("sh", f"/{place}/install", *arguments, check=check, patience=300)


def upload(machine: Machine, name: str, content: bytes, *, port: int = 22, check: bool = True) -> int:
    """Upload a file with OpenSSH's client, in the machine."""
    (machine.root / "root/to-upload").write_bytes(content)
    made = "".join(f"-mkdir {shlex.quote(str(it))}\n" for it in reversed(PurePosixPath(name).parents[:-2]))
    batch = f"{made}put /root/to-upload {shlex.quote(name)}\n"
    command = f"sftp {_OPTIONS} -P {port} -b - amperity@127.0.0.1"
    return machine.run("sh", "-c", command, stdin=batch, check=check).returncode


def remove(machine: Machine, name: str) -> None:
    """Remove a file from the landing zone again, as its client."""
    command = f"sftp {_OPTIONS} -P 22 -b - amperity@127.0.0.1"
    machine.run("sh", "-c", command, stdin=f"rm {shlex.quote(name)}\n")


def slow_upload(machine: Machine, name: str, content: bytes) -> subprocess.Popen[bytes]:
    """Begin an upload that takes its time, and return the client."""
    (machine.root / "root/to-upload-slowly").write_bytes(content)
    script = f"echo put /root/to-upload-slowly {name} | sftp -l 800 {_OPTIONS} -P 22 -b - amperity@127.0.0.1"
    return subprocess.Popen([*machine.entering(), "sh", "-c", script], stdout=subprocess.DEVNULL)


def flap(machine: Machine, *, up: bool) -> None:
    """Have the second upstream come, or go with every connection to it."""
    if not up:
        machine.run("systemctl", "kill", "--signal", "KILL", "--kill-whom", "main", "flapping.service", check=False)
        return
    server = (
        "systemd-run",
        "--quiet",
        "--collect",
        "--unit",
        "flapping",
        "/usr/sbin/sshd",
        "-D",
        "-p",
        f"{FLAPPING_PORT}",
    )
    # What was killed a moment ago may still be in its name's place.
    until(lambda: machine.run(*server, check=False).returncode == 0 or _flapping(machine), "the upstream to come")


def _flapping(machine: Machine) -> bool:
    return machine.show("flapping.service", "ActiveState") == "active"


def received(machine: Machine) -> dict[str, bytes]:
    """What lies at the upstream."""
    return {file.name: file.read_bytes() for file in sorted((machine.root / UPLOADS).iterdir())}


def relay(machine: Machine, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    """Run an operator's command as the service's user."""
    return machine.run("runuser", "-u", "relay", "--", "relay", *arguments, check=check)
