"""Known vulnerabilities against what the lock file installs: `python tests/parts/advisories.py` is the audit of CI.

pip-audit asks the advisory service for every locked version. Where that service cannot be reached, as behind a mirror
of the package index that has no advisories, what is left is our own list, `deploy/advisories.toml`, which a test holds
against the lock file and the minimum versions at every run.
"""

import json
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT: Final = Path(__file__).parents[2]
LOCK: Final = ROOT / "requirements.lock"
LIST: Final = ROOT / "deploy" / "advisories.toml"


@dataclass(frozen=True)
class Advisory:
    """A vulnerability of some versions of a package: what it is called, which they are, what it means."""

    package: str
    id: str
    affected: SpecifierSet
    summary: str

    def is_about(self, package: str, version: Version) -> bool:
        """Say whether a version of a package has it."""
        return canonicalize_name(package) == self.package and self.affected.contains(version, prereleases=True)


def advisories() -> list[Advisory]:
    """Read the list."""
    return [
        Advisory(canonicalize_name(package), it["id"], SpecifierSet(it["affected"]), it["summary"])
        for package, them in tomllib.loads(LIST.read_text(encoding="utf-8")).items()
        for it in them
    ]


def locked() -> list[tuple[str, Version]]:
    """Return what the lock file installs: a package may be there twice, for different versions of Python."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", LOCK.read_text(encoding="utf-8"), re.MULTILINE)
    return [(canonicalize_name(name), Version(version)) for name, version in found]


def minimums() -> dict[str, Version]:
    """Return the lowest version of each dependency that `pyproject.toml` admits."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lowest: dict[str, Version] = {}
    for requirement in map(Requirement, project["dependencies"]):
        floors = [it.version for it in requirement.specifier if it.operator in {">=", "=="}]
        if floors:
            lowest[canonicalize_name(requirement.name)] = max(map(Version, floors))
    return lowest


def audited(report: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Return what a report of pip-audit found, and which packages it could not look up."""
    found = [
        f"{it['name']} {it['version']}: {vulnerability['id']}, fixed in {', '.join(vulnerability['fix_versions'])}"
        for it in report["dependencies"]
        for vulnerability in it.get("vulns", ())
    ]
    return found, [it["name"] for it in report["dependencies"] if "skip_reason" in it]


def say(line: str) -> None:
    """Print a line."""
    sys.stdout.write(f"{line}\n")


def main() -> int:
    """Audit the lock file, and return 1 if something is found."""
    command = [sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip", "--format", "json"]
    ran = subprocess.run([*command, "--requirement", str(LOCK)], capture_output=True, text=True, check=False)
    listed = [
        f"{name} {version}: {it.id}, {it.summary}"
        for name, version in locked()
        for it in advisories()
        if it.is_about(name, version)
    ]
    if not ran.stdout.strip():
        say(ran.stderr)
        say(f"pip-audit could not ask; of the {len(advisories())} advisories of the list, {len(listed)} hold.")
        found: list[str] = []
    else:
        found, skipped = audited(json.loads(ran.stdout))
        say(f"pip-audit could look up all packages but {len(skipped)}, which the service it reached does not know.")
        say(f"Of the {len(advisories())} advisories of the list, {len(listed)} are about what is locked.")
    for it in [*found, *listed]:
        say(it)
    return 1 if found or listed else 0


if __name__ == "__main__":
    sys.exit(main())
