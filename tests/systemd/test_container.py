"""The container recipe, carried out and run as its head says, by systemd-nspawn in the place of an engine."""

import os
import re
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from parts.container import Build, entering, instructions
from parts.lists import phones
from parts.machine import missing
from parts.service import Process, Service, Setup
from parts.sftp import sftp
from parts.sshd import NEEDS_SSHD, Sshd

_MISSING = missing()
pytestmark = [
    pytest.mark.skipif(_MISSING is not None, reason=_MISSING or ""),
    pytest.mark.timeout(600),
    pytest.mark.skipif(os.environ.get("HYPOTHESIS_PROFILE") != "full", reason="takes long: `.ci/full` does it"),
    NEEDS_SSHD,
]


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory, release: Path) -> Iterator[Build]:
    """What comes of the recipe and a release of this checkout."""
    with Build(tmp_path_factory.mktemp("container") / "build", release) as build:
        yield build


def launch(build: Build, setup: Setup) -> Process:
    """Run the container with a setup's directory as its configuration, and its state as the volume."""
    setup.state.mkdir(exist_ok=True)
    for path in (setup.directory, *setup.directory.rglob("*")):
        os.chown(path, *build.user)
    command = build.command(volumes={"/var/lib/relay": setup.state}, read_only={"/etc/relay": setup.directory})
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def test_the_main_job_is_done_in_a_container(build: Build, tmp_path: Path) -> None:
    """Not root, with nothing to write to but the volume: a list is received and sent, and known after a restart."""
    health = re.fullmatch(r'.* CMD \["(.*)"\]', dict(instructions())["HEALTHCHECK"])
    assert health is not None
    with Sshd(tmp_path / "upstream") as upstream:
        setup = Setup(tmp_path / "relay", upstream)
        setup.change("", state_dir="/var/lib/relay")
        setup.route()
        (tmp_path / "list.csv").write_bytes(phones(99, "VIP"))
        for event in ("delivery.sent", "export.duplicated"):
            with Service(setup, launch=partial(launch, build)) as service:
                sftp(service.port, "amperity", setup.client_key, f"put {tmp_path / 'list.csv'} /uploads/{event}.csv")
                service.wait_for(event)
                asked = [*entering(service.pid, build.user), "env", *_settings(build), *health[1].split('", "')]
                assert subprocess.run(asked, check=False, stdout=subprocess.DEVNULL).returncode == 0
                _check_confinement(build, service.pid)
                assert service.stop() == 0
                assert service.named("relay.stopped")
        assert [file.read_bytes() for file in upstream.uploads.iterdir()] == [phones(99, "VIP")]


def _settings(build: Build) -> list[str]:
    return [f"{name}={value}" for name, value in build.final.environment.items()]


def _check_confinement(build: Build, nspawn: int) -> None:
    """The relay is the container's first process, its user's, with no capability; nobody writes to its root."""
    status = subprocess.run([*entering(nspawn), "cat", "/proc/1/status"], check=True, capture_output=True, text=True)
    user = build.user[0]
    for line in (r"Name:\trelay", rf"Uid:\t{user}\t{user}\t{user}\t{user}", r"CapEff:\t0+", r"NoNewPrivs:\t1"):
        assert re.search(rf"^{line}$", status.stdout, re.MULTILINE), line
    for place in ("/opt/relay", "/etc/relay", "/var/lib", "/usr"):
        touched = subprocess.run([*entering(nspawn), "touch", f"{place}/it"], check=False, capture_output=True)
        assert b"Read-only file system" in touched.stderr, place
