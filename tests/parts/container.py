"""The container recipe carried out without an engine: by systemd-nspawn, upon the Debian of the machines of tests.

Of the recipe's words it knows those that are used, and refuses any other. What is installed with apt-get must be in
that Debian, and is not fetched.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from parts.machine import CHECKOUT, image, until

RECIPE: Final = CHECKOUT / "deploy" / "Containerfile"

_SAID_ONLY: Final = frozenset({"VOLUME", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD", "USER"})
_NAMESPACED: Final = ("--register=no", "--keep-unit", "--resolv-conf=off", "--timezone=off")


def instructions() -> list[tuple[str, str]]:
    """The instructions of the recipe, in order."""
    text = re.sub(r"^#.*\n", "", RECIPE.read_text(encoding="utf-8"), flags=re.MULTILINE).replace("\\\n", " ")
    words = [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]
    return [(word, rest) for word, rest in words]


@dataclass
class Stage:
    """A root directory that the instructions since a FROM have made, and what they say of how it is run."""

    root: Path
    said: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)


class Build:
    """What comes of the recipe; the last stage is the container's.

    Args:
        directory: a directory of its own.
        release: the release that is put into it.
    """

    def __init__(self, directory: Path, release: Path) -> None:
        self._directory = directory
        self._release = release
        self._stages: dict[str, Stage] = {}

    def __enter__(self) -> Self:
        for word, rest in instructions():
            self._follow(word, rest)
        return self

    def __exit__(self, *_: object) -> None:
        for stage in self._stages.values():
            subprocess.run(["umount", "--lazy", str(stage.root)], check=True)
        shutil.rmtree(self._directory)

    @property
    def final(self) -> Stage:
        """The stage that is run."""
        return list(self._stages.values())[-1]

    @property
    def user(self) -> tuple[int, int]:
        """The numbers of its user and that user's group."""
        passwd = (self.final.root / "etc/passwd").read_text(encoding="utf-8").splitlines()
        entries = [line.split(":") for line in passwd]
        return next((int(it[2]), int(it[3])) for it in entries if it[2] == self.final.said["USER"])

    def command(self, *, volumes: dict[str, Path], read_only: dict[str, Path]) -> list[str]:
        """What runs it as the recipe's head says: read-only, without capabilities, with a /tmp of its own."""
        words = json.loads(self.final.said["ENTRYPOINT"]) + json.loads(self.final.said["CMD"])
        mounts = [f"--bind={source}:{target}" for target, source in volumes.items()]
        mounts += [f"--bind-ro={source}:{target}" for target, source in read_only.items()]
        return [
            *("systemd-nspawn", "-q", "--pipe", "-D", str(self.final.root), "--machine", f"container-{os.getpid()}"),
            *_NAMESPACED,
            *("--read-only", "--drop-capability=all", "--no-new-privileges=yes", "--tmpfs=/tmp"),
            *(f"--user={self.final.said['USER']}", f"--kill-signal={self.final.said['STOPSIGNAL']}", *mounts),
            *(f"--setenv={name}={value}" for name, value in self.final.environment.items()),
            *words,
        ]

    def _follow(self, word: str, rest: str) -> None:
        if word == "FROM":
            stage = rest.partition(" AS ")[2] or "final"
            self._stages[stage] = Stage(self._layer(stage))
        elif word == "RUN":
            self._run(rest)
        elif word == "COPY":
            self._copy(rest)
        elif word == "ENV":
            name, _, value = rest.partition("=")
            self.final.environment[name] = value
        elif word in _SAID_ONLY:
            self.final.said[word] = rest
        else:
            assert (word, rest) == ("ARG", "RELEASE"), f"{word} {rest} is not understood"

    def _layer(self, name: str) -> Path:
        upper, work, root = (self._directory / name / it for it in ("upper", "work", "root"))
        for layer in (upper, work, root):
            layer.mkdir(parents=True)
        options = f"lowerdir={image()},upperdir={upper},workdir={work}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, str(root)], check=True)
        return root

    def _run(self, command: str) -> None:
        if command.startswith("apt-get update"):
            packages = re.search(r"install -q -y --no-install-recommends ([^&]+)", command)
            assert packages, command
            command = f"dpkg-query --show {packages[1]}"
        inside = ["systemd-nspawn", "-q", "--pipe", "-D", str(self.final.root), "--machine", f"build-{os.getpid()}"]
        done = subprocess.run(
            [*inside, *_NAMESPACED, "--private-network", "sh", "-ec", command],
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, f"RUN {command}\n{done.stdout}\n{done.stderr}"

    def _copy(self, rest: str) -> None:
        source, target = rest.split()[-2:]
        if stage := re.match(r"--from=(\w+) ", rest):
            origin = self._stages[stage[1]].root / source.lstrip("/")
        else:
            assert source == "${RELEASE}", f"COPY {rest} is not understood"
            origin = self._release
        shutil.copytree(origin, self.final.root / target.lstrip("/"), symlinks=True)


def entering(nspawn: int, user: tuple[int, int] | None = None) -> Sequence[str]:
    """What is put before a command so that it runs in a container: as root, or as a user and its group."""
    children = Path(f"/proc/{nspawn}/task/{nspawn}/children")
    until(lambda: bool(children.read_text().split()), "the container's first process")
    ids = [] if user is None else [f"--setuid={user[0]}", f"--setgid={user[1]}"]
    return ["nsenter", "--all", "--target", children.read_text().split()[0], *ids, "--"]
