"""Other projects' own tests of SFTP servers, run against the landing zone. It passes them but for what it refuses.

What fails is compared exactly: a new deviation is a defect of the landing zone, and one that is gone is to be taken out
of `docs/landing.md` too.
"""

import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest
from parts.landing import LandingZone
from parts.sftp import NEEDS_SFTP, OPTIONS

REGRESS: Final = Path("/usr/lib/openssh/regress")
PATIENCE: Final = 110.0

LINKS: Final = "links are not supported (rule L4)"
WHOLE: Final = "a published file is never written again, and an upload begins empty (rule L3)"

OPENSSH: Final[dict[str, dict[str, str]]] = {
    "sftp": {},
    "sftp-cmds": {"ln": LINKS, "ln -s": LINKS, "cp": "copying on the server is not offered"},
    "sftp-badcmds": {},
    "sftp-batch": {},
    "sftp-glob": {},
}
"""Each script of OpenSSH's regression tests, and the commands of it that fail here, with the reason."""

PARAMIKO: Final = {
    "test_append": WHOLE,
    "test_seek_append": WHOLE,
    "test_readline_seek": WHOLE,
    "test_fsetstat": WHOLE,
    "test_setstat": "mode, owner and times are accepted and ignored (rule R2)",
    "test_symlink": LINKS,
    "test_check": "the extension check-file is not offered",
}
"""The tests of paramiko's that fail here, with the reason."""


@pytest.fixture
def directory() -> Iterator[Path]:
    """A directory with a short name: names in the landing zone repeat it, and may not be nested too deep."""
    with TemporaryDirectory(prefix="relay-", dir="/tmp") as name:
        yield Path(name)


@NEEDS_SFTP
@pytest.mark.skipif(not REGRESS.is_dir(), reason="needs openssh-tests")
@pytest.mark.parametrize("script", OPENSSH)
def test_openssh_regression_tests(directory: Path, script: str) -> None:
    """They compare what lies on the server with what is here, so both are one directory under one name."""
    with LandingZone(directory / "zone") as zone:
        shared = zone.spool.landing("amperity") / str(directory).lstrip("/") / "obj"
        shared.mkdir(parents=True)
        (directory / "obj").symlink_to(shared)
        wrapper = directory / "sftp-server"
        login = " ".join([*OPTIONS, "-p", str(zone.port), "-i", str(zone.key)])
        wrapper.write_text(f"#!/bin/sh\nexec ssh {login} -s amperity@127.0.0.1 sftp\n")
        wrapper.chmod(0o755)
        # The scripts upload this program, in pieces of five bytes: the real one is far too large for that.
        (directory / "ssh-agent").write_bytes(os.urandom(10_000))
        done = subprocess.run(
            ["sh", REGRESS / "test-exec.sh", directory / "obj", REGRESS / f"{script}.sh"],
            env={
                **os.environ,
                "TEST_SHELL": "sh",
                "TEST_SSH_UNSAFE_PERMISSIONS": "1",
                "TEST_SSH_SFTPSERVER": str(wrapper),
                "TEST_SSH_SSHAGENT": str(directory / "ssh-agent"),
                "TEST_SSH_SSHD": "/usr/sbin/sshd",
                **{f"TEST_SSH_{name.replace('-', '').upper()}": f"/usr/bin/{name}" for name in PROGRAMS},
            },
            cwd=REGRESS,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
    assert failed_commands(done.stdout + done.stderr) == set(OPENSSH[script]), done.stdout + done.stderr
    assert (done.returncode == 0) is (not OPENSSH[script])


PROGRAMS: Final = ("ssh", "ssh-keygen", "ssh-keyscan", "ssh-add", "sftp", "scp")


def failed_commands(output: str) -> set[str]:
    """Return the commands after whose headline the script complained."""
    failed, command = set(), ""
    for line in output.splitlines():
        if headline := re.fullmatch(r"(?:test )?[a-z /]+: (.+)", line):
            command = headline[1]
        elif re.match(r"missing|corrupted|.*(?:not equal|failed with|should have|succeeded|still exists)", line):
            failed.add(command)
    return failed


@pytest.mark.skipif(os.environ.get("HYPOTHESIS_PROFILE") != "full", reason="takes long: `.ci/full` does it")
def test_paramiko_tests_of_sftp(directory: Path) -> None:
    """Those of the installed version, from its source distribution, with our server in place of theirs."""
    fetched = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", ":all:"),
            f"paramiko=={version('paramiko')}",
        ],
        cwd=directory,
        check=False,
        capture_output=True,
    )
    if fetched.returncode:
        pytest.skip("needs paramiko's source distribution from the package index")
    with tarfile.open(next(directory.glob("paramiko-*.tar.gz"))) as archive:
        archive.extractall(directory, filter="data")
    (sources,) = (path for path in directory.iterdir() if path.is_dir())
    shutil.copy(Path(__file__).parent / "foreign" / "paramiko_conftest.py", sources / "tests" / "conftest.py")
    with LandingZone(directory / "zone") as zone:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "pytest", "-q", "-rf", "--tb=line", "-p", "no:cacheprovider"),
                *("-c", "/dev/null", "--rootdir", ".", "tests/test_sftp.py", "tests/test_sftp_big.py"),
            ],
            cwd=sources,
            env={
                **os.environ,
                "RELAY_PORT": str(zone.port),
                "RELAY_KEY": str(zone.key),
                "RELAY_ROOT": str(zone.spool.landing("amperity")),
            },
            capture_output=True,
            text=True,
            check=False,
        )
    assert set(re.findall(r"^FAILED \S+::(\w+)", done.stdout, re.MULTILINE)) == set(PARAMIKO), done.stdout
    assert re.search(rf"{len(PARAMIKO)} failed, 3\d passed", done.stdout), done.stdout
