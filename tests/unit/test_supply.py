"""What the relay is made of: no known vulnerability, no licence that nobody decided on, one version, its changelog."""

import re
import subprocess
import sys
import tomllib
from email.message import EmailMessage
from importlib import metadata
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet
from packaging.version import Version
from parts import licences
from parts.advisories import Advisory, advisories, audited, locked, minimums

from relay import __version__

ROOT = Path(__file__).parents[2]
CHANGELOG = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


# Vulnerabilities


def test_nothing_locked_is_known_to_be_vulnerable() -> None:
    """What is deployed has none of the vulnerabilities of the list."""
    assert [
        (name, str(version), it.id) for name, version in locked() for it in advisories() if it.is_about(name, version)
    ] == []


@pytest.mark.parametrize("advisory", advisories(), ids=lambda advisory: f"{advisory.package} {advisory.id}")
def test_the_minimum_excludes_it(advisory: Advisory) -> None:
    """Whoever installs without the lock file gets no version that has it either."""
    assert not advisory.is_about(advisory.package, minimums()[advisory.package])


def test_the_list_is_about_what_is_locked() -> None:
    """No advisory is kept of a package that is gone, or is misspelt; each stands there once."""
    listed = [(it.package, it.id) for it in advisories()]
    assert {package for package, _ in listed} <= {name for name, _ in locked()}
    assert len(listed) == len(set(listed))


def test_what_is_affected_is_told_by_version() -> None:
    """The ranges are read as pip reads them, pre-releases included."""
    advisory = Advisory("asyncssh", "CVE-0", SpecifierSet(">=2,<2.23.1"), "it is bad")
    told = {
        version: advisory.is_about("AsyncSSH", Version(version)) for version in ("1.9", "2.0", "2.22.0rc1", "2.23.1")
    }
    assert told == {"1.9": False, "2.0": True, "2.22.0rc1": True, "2.23.1": False}
    assert not advisory.is_about("cryptography", Version("2.0"))


def test_a_report_of_pip_audit_is_understood() -> None:
    """What it found is told with the version that mends it; what it could not look up is no clean bill."""
    report = {
        "dependencies": [
            {"name": "good", "version": "1", "vulns": []},
            {"name": "bad", "version": "2", "vulns": [{"id": "CVE-0", "fix_versions": ["3"]}]},
            {"name": "unknown", "skip_reason": "not found"},
        ]
    }
    assert audited(report) == (["bad 2: CVE-0, fixed in 3"], ["unknown"])


def test_every_locked_package_has_its_hashes() -> None:
    """Nothing else than what was locked can be installed from the lock file."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    entries = re.findall(r"^[A-Za-z0-9._-]+==.*\n((?:    .*\n)+)", lock, re.MULTILINE)
    assert len(entries) == len(locked())
    assert all("--hash=sha256:" in entry for entry in entries)


# Licences


def installed() -> bool:
    """Say whether everything that is locked is installed: for another Python, some of it is not."""
    return all(any(metadata.distributions(name=name)) for name in licences.packages())


@pytest.mark.skipif(not installed(), reason="this Python installs less than the lock file lists")
def test_every_licence_was_decided_on() -> None:
    """Each package that is installed states a licence that the policy allows."""
    assert [name for name in licences.packages() if not licences.is_allowed(licences.licence(name))] == []


@pytest.mark.skipif(not installed(), reason="this Python installs less than the lock file lists")
def test_the_committed_list_of_licences_is_the_generated_one() -> None:
    """Whoever changes the lock file also has the list written again."""
    assert licences.LIST.read_text(encoding="utf-8") == licences.written()


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("MIT", True),
        ("EPL-2.0 OR GPL-2.0-or-later", True),
        ("BSD-3-Clause AND MIT", True),
        ("BSD-3-Clause AND GPL-3.0-only", False),
        ("GPL-3.0-only", False),
        ("", False),
    ],
)
def test_the_policy_is_applied(expression: str, expected: bool) -> None:  # noqa: FBT001  what the policy says
    """Of a choice, one is enough; of several at once, all are needed; of none stated, nothing is known."""
    assert licences.is_allowed(expression) is expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([("License-Expression", "ISC"), ("License", "another")], "ISC"),
        ([("License", "MIT License")], "MIT"),
        ([("License", "EPL-2.0 OR GPL-2.0-or-later")], "EPL-2.0 OR GPL-2.0-or-later"),
        (
            [
                ("License", "Copyright (c) somebody, all rights"),
                ("Classifier", "License :: OSI Approved :: MIT License"),
            ],
            "MIT",
        ),
        ([("Classifier", "License :: Other/Proprietary License")], ""),
    ],
)
def test_a_stated_licence_is_read(fields: list[tuple[str, str]], expected: str) -> None:
    """Packages of every age state it in their own way."""
    about = EmailMessage()
    for name, value in fields:
        about[name] = value
    assert licences.stated(about) == expected


# The version, and what changed


def test_the_version_comes_from_one_place() -> None:
    """What the command says, what is installed, and what the log says when it starts are one and the same."""
    said = subprocess.run(
        [sys.executable, "-m", "relay", "--version"], capture_output=True, text=True, check=True
    ).stdout
    assert said == f"relay, version {__version__}\n"
    assert metadata.version("attentive-relay") == __version__
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["hatch"]["version"]["path"] == "relay/__init__.py"


def test_the_changelog_keeps_its_form() -> None:
    """Unreleased first, then each version with its date, newest first; under each only the six kinds of changes."""
    titles = re.findall(r"^## (.+)$", CHANGELOG, re.MULTILINE)
    assert titles[0] == "[Unreleased]"
    released = [re.fullmatch(r"\[(\d+\.\d+\.\d+)\] - (\d{4}-\d{2}-\d{2})", title) for title in titles[1:]]
    assert all(released)
    versions = [Version(it[1]) for it in released if it]
    assert versions == sorted(versions, reverse=True)
    kinds = set(re.findall(r"^### (.+)$", CHANGELOG, re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}


def test_the_changelog_tells_of_the_version() -> None:
    """The newest release that it tells of is this version; before the first release there is none."""
    released = re.findall(r"^## \[(\d[^\]]*)\]", CHANGELOG, re.MULTILINE)
    assert released[:1] == ([] if Version(__version__) < Version("1") and not released else [__version__])
