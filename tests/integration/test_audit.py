"""What ssh-audit says of the landing zone: the policies in `deploy/ssh-audit`, and no rate that a flood could use."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from parts.landing import LandingZone

from relay.landing.algorithms import OFFERED, Profile

POLICIES = Path(__file__).parents[2] / "deploy" / "ssh-audit"
PATIENCE = 60.0
PROFILES: tuple[Profile, ...] = ("compatible", "strict")

EXCUSED = {
    "strict": set[str](),
    # docs/landing.md has the reason: Amperity's wish for clients that know no other curve.
    "compatible": {"ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521", "ecdsa-sha2-nistp256"},
}


def ssh_audit(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ssh-audit."""
    command = [sys.executable, "-m", "ssh_audit.ssh_audit", *arguments, "127.0.0.1"]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)


@pytest.mark.parametrize("profile", PROFILES)
def test_each_profile_keeps_its_policy(tmp_path: Path, profile: Profile) -> None:
    """What is offered is what the policy in the repository says, strict key exchange among it."""
    policy = POLICIES / f"{profile}.txt"
    with LandingZone(tmp_path / "zone", limits={"algorithms": profile}) as zone:
        done = ssh_audit("-n", "-p", str(zone.port), "-P", str(policy))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Passed" in done.stdout
    assert "kex-strict-s-v00@openssh.com" in policy.read_text(encoding="utf-8")


def test_a_policy_notices_another_profile(tmp_path: Path) -> None:
    """So it says something."""
    with LandingZone(tmp_path / "zone") as zone:
        assert ssh_audit("-n", "-p", str(zone.port), "-P", str(POLICIES / "strict.txt")).returncode == 3


@pytest.mark.parametrize("profile", PROFILES)
def test_what_fails_is_what_the_documentation_excuses(tmp_path: Path, profile: Profile) -> None:
    """`strict` has no [fail] line; `compatible` has those that `docs/landing.md` lists with their reason."""
    with LandingZone(tmp_path / "zone", limits={"algorithms": profile}) as zone:
        document = json.loads(ssh_audit("-j", "--skip-rate-test", "-p", str(zone.port)).stdout)
    failed = {
        algorithm["algorithm"]
        for kind in ("kex", "key", "enc", "mac")
        for algorithm in document[kind]
        if algorithm["notes"].get("fail")
    }
    assert failed == EXCUSED[profile]
    excuses = (POLICIES.parents[1] / "docs" / "landing.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in excuses for name in failed)


def test_every_offered_name_is_explained() -> None:
    """`docs/landing.md` has the reason for each algorithm of either profile."""
    text = (POLICIES.parents[1] / "docs" / "landing.md").read_text(encoding="utf-8")
    names = {name for offered in OFFERED.values() for kind in offered.values() for name in kind}
    assert {name for name in names if f"`{name}`" not in text} == set()


def test_the_rate_of_connections_is_bounded(tmp_path: Path) -> None:
    """ssh-audit calls fewer than 20 a second from one source safe; whoever floods gets no more than that."""
    with LandingZone(tmp_path / "zone", limits={"limits": {}}) as zone:
        command = [sys.executable, "-m", "ssh_audit.ssh_audit", "-n", "-p", str(zone.port), "--conn-rate-test", "16"]
        with subprocess.Popen(
            [*command, "127.0.0.1"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1", "SHELL": ""},
        ) as test:
            watchdog = threading.Timer(PATIENCE, test.kill)
            watchdog.start()
            assert test.stdout is not None
            said = ""
            while len(seconds := _run_times(said)) < 3 and (more := test.stdout.read(200)):
                said += more
            test.send_signal(signal.SIGINT)
            test.stdout.read()
            watchdog.cancel()
    assert len(seconds) >= 3, said
    rates = [float(rate) for rate in re.findall(r"Compl. conns/sec: ([0-9.,]+)", _plain(said))]
    attempted = [float(rate.replace(",", "")) for rate in re.findall(r"TCP SYNs/sec: ([0-9.,]+)", _plain(said))]
    assert rates[-1] < 20
    assert attempted[-1] > rates[-1]


def _run_times(said: str) -> list[str]:
    return re.findall(r"Run time: ([0-9.]+)", _plain(said))


def _plain(said: str) -> str:
    """Without the marks that colour a terminal."""
    return re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", said)
