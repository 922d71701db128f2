"""A machine of its own: Debian with systemd as its first process, booted in a container without a way to the network.

The image is made by debootstrap, from where this machine's apt gets its packages, once per checkout (`build/`). Each
machine writes into a layer above it, which is gone afterwards.
"""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

CHECKOUT: Final = Path(__file__).parents[2]
IMAGE: Final = CHECKOUT / "build" / "machine"
PACKAGES: Final = "systemd,systemd-sysv,dbus,python3,python3-venv,openssh-server"
PATIENCE: Final = 120.0

_PROGRAMS: Final = ("systemd-nspawn", "debootstrap", "nsenter", "apt-get")


def missing() -> str | None:
    """Say why no machine can be made here, or nothing."""
    if os.geteuid() != 0:
        return "takes root, to boot a machine in a container"
    if int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")) > 1:
        return "takes a run of its own: .venv/bin/python -m pytest tests/systemd"
    absent = [program for program in _PROGRAMS if shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin") is None]
    return f"needs {', '.join(absent)}" if absent else None


def image() -> Path:
    """Return the image, made if there is none yet."""
    ready = IMAGE / "ready"
    if not ready.exists():
        shutil.rmtree(IMAGE, ignore_errors=True)
        (IMAGE / "root").mkdir(parents=True)
        suite, mirror = _source()
        command = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", suite, str(IMAGE / "root"), mirror]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise AssertionError(f"debootstrap failed:\n{done.stdout[-2000:]}\n{done.stderr}")
        (IMAGE / "root/etc/machine-id").write_text("")
        shutil.rmtree(IMAGE / "root/var/cache/apt/archives", ignore_errors=True)
        ready.touch()
    return IMAGE / "root"


def _source() -> tuple[str, str]:
    """Return this machine's release of Debian, and where its apt gets that from."""
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(CODENAME) $(REPO_URI)", "Created-By: Packages", "Component: main"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    release = dict(
        line.split("=", 1) for line in Path("/etc/os-release").read_text(encoding="utf-8").splitlines() if "=" in line
    )["VERSION_CODENAME"]
    for line in listed.splitlines():
        codename, uri = line.split()
        if codename == release:
            return codename, uri
    raise AssertionError(f"apt knows no source of {release}")


class Machine:
    """One machine, running while the block lasts. Its files are at `root`, seen from outside."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.root = directory / "root"
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._leader = 0

    def __enter__(self) -> Self:
        layers = [self._directory / name for name in ("upper", "work", "root")]
        for layer in layers:
            layer.mkdir(parents=True)
        upper, work, root = map(str, layers)
        options = f"lowerdir={image()},upperdir={upper},workdir={work}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, root], check=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._nspawn is not None and self._nspawn.poll() is None:
            self.pull_the_plug()
        subprocess.run(["umount", "--lazy", str(self.root)], check=True)
        shutil.rmtree(self._directory)

    def boot(self) -> None:
        """Start it, and wait until all of its units have started or failed."""
        with (self._directory / "console").open("ab") as console:
            self._nspawn = subprocess.Popen(
                [
                    *("systemd-nspawn", "-q", "-D", str(self.root), "--machine", f"relay-{os.getpid()}"),
                    *("--register=no", "--keep-unit", "--private-network", "--console=pipe", "-b"),
                ],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
            )
        until(self._has_booted, "the machine to boot")

    def _has_booted(self) -> bool:
        assert self._nspawn is not None
        assert self._nspawn.poll() is None, (self._directory / "console").read_text(errors="replace")
        children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children").read_text().split()
        if not children:
            return False
        self._leader = int(children[0])
        state = self.run("systemctl", "is-system-running", check=False).stdout.strip()
        return state in {"running", "degraded"}

    def pull_the_plug(self) -> None:
        """End everything in it at once, as a power cut would."""
        os.kill(self._leader, signal.SIGKILL)
        self._wait()

    def power_off(self) -> None:
        """Shut it down in good order."""
        self.run("systemctl", "poweroff", check=False)
        self._wait()

    def _wait(self) -> None:
        assert self._nspawn is not None
        self._nspawn.wait(PATIENCE)

    def run(
        self, *command: str, check: bool = True, stdin: str = "", patience: float = PATIENCE
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in it as root and return what it said.

        Raises:
            AssertionError: `check` is set and it failed.
        """
        done = subprocess.run(
            [*self.entering(), *command], input=stdin, capture_output=True, text=True, check=False, timeout=patience
        )
        if check and done.returncode:
            raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done

    def entering(self) -> Sequence[str]:
        """What is put before a command so that it runs in the machine, without this one's environment."""
        home = ("env", "-i", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root")
        return ["nsenter", "--all", "--target", str(self._leader), "--", *home]

    def write(self, path: str, text: str, mode: int = 0o644) -> None:
        """Write a file, as root."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        file.chmod(mode)

    def journal(self, unit: str = "relay.service") -> list[dict[str, Any]]:
        """The lines of a unit's own log: what its program wrote, as JSON."""
        said = self.run("journalctl", "--unit", unit, "--output", "json", "--no-pager", "_SYSTEMD_UNIT=" + unit).stdout
        entries = [json.loads(line) for line in said.splitlines()]
        return [json.loads(it["MESSAGE"]) for it in entries]

    def wait_for(self, event: str, count: int = 1, **fields: object) -> dict[str, Any]:
        """Wait until the relay has logged an event so often, and return the last of them."""

        def found() -> list[dict[str, Any]]:
            return [
                line
                for line in self.journal()
                if line["event"] == event and all(line.get(name) == value for name, value in fields.items())
            ]

        until(lambda: len(found()) >= count, f"{count} × {event} {fields}")
        return found()[count - 1]

    def show(self, unit: str, name: str) -> str:
        """One property of a unit, as systemd has it."""
        return self.run("systemctl", "show", "--value", "--property", name, unit).stdout.strip()


def until(condition: Callable[[], bool], what: str, patience: float = PATIENCE) -> None:
    """Wait for a condition of the machine."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience:.0f} s in vain for {what}")
        time.sleep(0.2)
