"""What a flood costs a legitimate client: run `python tests/bench/flood.py` with the Python that the relay is in.

The real service runs in a directory of its own. OpenSSH's `sftp` uploads a file by password-less login, first alone,
then while 2,000 idle connections are held open, and then while 10,000 logins with wrong passwords come in, each flood
from 20 loopback addresses. The floods stand back for the others (nice 19): in life they run on somebody else's
processors. A table tells the upload's speed, what became of the flood, and the service's memory.
"""

import argparse
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import asyncssh

_ADDRESSES: Final = [f"127.0.0.{number}" for number in range(2, 22)]
_PATIENCE: Final = 60.0
_CONFIGURATION: Final = """
state_dir = "{directory}/state"
[landing]
listen = ["127.0.0.1:0"]
host_keys = ["host_key"]
[accounts.amperity]
authorized_keys = "client_key.pub"
password_hash = "amperity.hash"
[upstreams.attentive]
host = "127.0.0.1"
port = 9
user = "nobody"
password = "attentive.password"
known_hosts = "attentive.known_hosts"
"""
_ROUTE: Final = """
account = "amperity"
path = "/elsewhere/**"
upstream = "attentive"
client_domain = "bench"
identifier = "phone"
"""


@dataclass
class Service:
    """The real service, its port and its process."""

    directory: Path
    process: subprocess.Popen[str]
    port: int

    def memory(self, name: str) -> int:
        """Return a figure of its memory in MiB: VmRSS now, VmHWM at most."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) // 1024

    def descriptors(self) -> int:
        """Return how many descriptors it has open."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))


@dataclass
class Result:
    """One line of the table."""

    flood: str
    seconds: float
    size: int
    memory: int
    came: Counter[str] = field(default_factory=Counter)

    @property
    def speed(self) -> float:
        """MB/s of the upload."""
        return self.size / self.seconds / 1e6


@contextmanager
def service(directory: Path) -> Iterator[Service]:
    """Configure the service in `directory` and run it."""
    _key(directory / "client_key")
    host_key = _key(directory / "host_key")
    relay = [sys.executable, "-m", "relay"]
    hashed = subprocess.run(
        [*relay, "hash-password"], input="right\n", capture_output=True, text=True, check=True
    ).stdout
    for name, text in {
        "amperity.hash": hashed,
        "attentive.password": "none\n",
        "attentive.known_hosts": f"[127.0.0.1]:9 {host_key.export_public_key().decode()}",
        "relay.toml": _CONFIGURATION.format(directory=directory),
    }.items():
        (directory / name).write_text(text, encoding="utf-8")
        (directory / name).chmod(0o600)
    (directory / "routes.d").mkdir()
    (directory / "routes.d" / "bench.toml").write_text(_ROUTE, encoding="utf-8")
    with (directory / "log").open("w+", encoding="utf-8") as log:
        process = subprocess.Popen([*relay, "--config", str(directory / "relay.toml"), "serve"], stderr=log, text=True)
        try:
            yield Service(directory, process, _port(directory / "log", process))
        finally:
            process.terminate()
            process.wait(_PATIENCE)


def _key(path: Path) -> asyncssh.SSHKey:
    key = asyncssh.generate_private_key("ssh-ed25519")
    path.touch(mode=0o600)
    key.write_private_key(str(path))
    key.write_public_key(f"{path}.pub")
    return key


def _port(log: Path, process: subprocess.Popen[str]) -> int:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        for line in log.read_text(encoding="utf-8").splitlines():
            if '"relay.ready"' in line:
                return int(json.loads(line)["listen"][0].rpartition(":")[2])
        time.sleep(0.05)
    raise SystemExit(f"the service did not start:\n{log.read_text(encoding='utf-8')}")


def upload(service: Service, local: Path) -> float:
    """Upload a file with OpenSSH's `sftp` and return the seconds from its first byte to the answered CLOSE."""
    options = ("BatchMode=yes", "StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR")
    command = ["sftp", "-q", "-F", "none", *(word for option in options for word in ("-o", option))]
    command += ["-c", "aes128-gcm@openssh.com", "-i", str(service.directory / "client_key")]
    began = time.monotonic()
    subprocess.run(
        [*command, "-P", str(service.port), "-b", "-", "amperity@127.0.0.1"],
        input=f"put {local} /uploads/upload.csv\n",
        stdout=subprocess.DEVNULL,
        text=True,
        check=True,
    )
    return time.monotonic() - began


# The floods, each in a process of its own


async def hold_idle(port: int, count: int) -> Counter[str]:
    """Hold so many connections open that say nothing, until standard input ends; one that is dropped is made anew."""
    came: Counter[str] = Counter()

    async def hold(number: int) -> None:
        source = _ADDRESSES[number % len(_ADDRESSES)]
        while True:
            came["connected"] += 1
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
                greeting = await reader.readline()
                came["greeted" if greeting else "dropped"] += 1
                if greeting:
                    await reader.read()
                writer.close()
            except OSError:
                came["dropped"] += 1
            await asyncio.sleep(1)

    holders = [asyncio.create_task(hold(number)) for number in range(count)]
    print("running", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    for holder in holders:
        holder.cancel()
    return came


async def guess(port: int, count: int) -> Counter[str]:
    """Try so many wrong passwords, 100 at once; a connection that is dropped at the door is a try, too."""
    came: Counter[str] = Counter()
    left = count

    async def keep_guessing(number: int) -> None:
        nonlocal left
        source = _ADDRESSES[number % len(_ADDRESSES)]
        while left > 0:
            left -= 1
            try:
                async with asyncssh.connect(
                    "127.0.0.1",
                    port,
                    local_addr=(source, 0),
                    username="amperity",
                    password="wrong",
                    client_keys=None,
                    preferred_auth="password",
                    known_hosts=None,
                    config=None,
                    agent_path=None,
                ):
                    came["logged in"] += 1
            except asyncssh.PermissionDenied:
                came["refused"] += 1
            except (OSError, asyncssh.Error):
                came["dropped"] += 1

    print("running", flush=True)
    await asyncio.gather(*(keep_guessing(number) for number in range(100)))
    return came


@contextmanager
def flooded(kind: str, port: int, count: int) -> Iterator[Counter[str]]:
    """Run a flood meanwhile; what came of it is known at the end."""
    came: Counter[str] = Counter()
    arguments = [sys.executable, __file__, "--flood", kind, "--port", str(port), "--count", str(count)]
    nice = shutil.which("nice")
    command = [nice, "-n", "19", *arguments] if nice else arguments
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as flood:
        assert flood.stdout is not None
        flood.stdout.readline()
        if kind == "idle":
            time.sleep(5)
        yield came
        output, _ = flood.communicate()
        came.update(json.loads(output))


def measure(service: Service, local: Path, flood: str, count: int, rounds: int) -> Result:
    """Upload during a flood, the best of several rounds: the machine's own noise is none of the flood's doing."""
    size = local.stat().st_size
    if not count:
        return Result(flood, min(upload(service, local) for _ in range(rounds)), size, service.memory("VmHWM"))
    with flooded(flood, service.port, count) as came:
        seconds = min(upload(service, local) for _ in range(rounds))
    return Result(flood, seconds, size, service.memory("VmHWM"), came)


def show(results: list[Result], service: Service) -> None:
    """Print the table."""
    alone = results[0].speed
    print("| flood | upload MB/s | of alone | most memory MiB | what became of the flood |")
    print("|---|---|---|---|---|")
    for it in results:
        came = ", ".join(f"{count:,} {what}" for what, count in sorted(it.came.items())) or "–"
        share = f"{it.speed / alone:.0%}"
        print(f"| {it.flood} | {it.speed:.0f} | {share} | {it.memory} | {came} |")
    print(f"\nAfterwards: {service.memory('VmRSS')} MiB, {service.descriptors()} descriptors.")


def main() -> None:
    """Run the bench, or one of its floods."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--idle", type=int, default=2_000, help="idle connections")
    parser.add_argument("--logins", type=int, default=10_000, help="wrong logins")
    parser.add_argument("--megabytes", type=int, default=512, help="size of the upload")
    parser.add_argument("--rounds", type=int, default=3, help="uploads of which the best counts")
    parser.add_argument("--flood", choices=["idle", "logins"], help=argparse.SUPPRESS)
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.flood:
        run = hold_idle if chosen.flood == "idle" else guess
        print(json.dumps(asyncio.run(run(chosen.port, chosen.count))))
        return
    with tempfile.TemporaryDirectory() as place:
        local = Path(place) / "upload.csv"
        local.write_bytes(os.urandom(1_000_000) * chosen.megabytes)
        with service(Path(place)) as running:
            results = [
                measure(running, local, "none", 0, chosen.rounds),
                measure(running, local, "idle", chosen.idle, chosen.rounds),
                measure(running, local, "logins", chosen.logins, chosen.rounds),
            ]
            show(results, running)


if __name__ == "__main__":
    main()
