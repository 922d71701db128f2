"""The licences of what the relay installs: `python tests/parts/licences.py docs/licences.md` writes the list.

The policy is `ALLOWED`: what may be used, linked and passed on with a program under Apache-2.0 without asking anybody.
A test fails when a package of the lock file has no licence of these, and when the list is out of date.
"""

import re
import sys
from email.message import EmailMessage
from importlib import metadata
from pathlib import Path
from typing import Final

from packaging.utils import canonicalize_name

ROOT: Final = Path(__file__).parents[2]
LIST: Final = ROOT / "docs" / "licences.md"

ALLOWED: Final[dict[str, str]] = {
    "0BSD": "permissive, without conditions",
    "Apache-2.0": "permissive, with a grant of patents",
    "BSD-2-Clause": "permissive",
    "BSD-3-Clause": "permissive",
    "CC0-1.0": "public domain",
    "EPL-2.0": "weak copyleft: changes of the library itself stay under it, and we make none",
    "ISC": "permissive",
    "MIT": "permissive",
    "MIT-0": "permissive, without conditions",
    "MPL-2.0": "weak copyleft: changed files of the library itself stay under it, and we change none",
    "PSF-2.0": "permissive, that of Python",
    "Unlicense": "public domain",
    "Zlib": "permissive",
}
"""Each licence that a dependency may have, by its SPDX identifier, and why."""

_CLASSIFIERS: Final = {
    "Apache Software License": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "The Unlicense (Unlicense)": "Unlicense",
}

_HEAD: Final = """\
# Licences

<!-- Written by `python tests/parts/licences.py docs/licences.md`; a test fails when it is out of date. -->

The relay is under [Apache-2.0](../LICENSE). What `requirements.lock` installs beside it, with the licence that each
package states of itself:

| package | licence |
| --- | --- |
"""

_POLICY: Final = """
## Which licences are allowed

A new dependency has one of these, or is offered under a choice with one of these; a package under several at once has
all of them. Another licence is a decision, not an accident: it is added to the list in `tests/parts/licences.py` with
its reason.

| licence | what it asks |
| --- | --- |
"""

_NOTES: Final = """
pysequoia states Apache-2.0 of itself; its wheel holds Sequoia, the library that it is a door to, which is under
LGPL-2.0-or-later. The relay uses both as they are published.
"""


def packages() -> list[str]:
    """Return the packages that the lock file installs, each once."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    return sorted({canonicalize_name(name) for name in re.findall(r"^([A-Za-z0-9._-]+)==", lock, re.MULTILINE)})


def licence(package: str) -> str:
    """Return the licence that an installed package states, as an SPDX expression; empty if it states none."""
    return stated(metadata.metadata(package))


def stated(about: metadata.PackageMetadata | EmailMessage) -> str:
    """Return the licence that a package's metadata state: by expression, by a short text, or by classifier."""
    if expression := about.get_all("License-Expression"):
        return str(expression[0])
    text = str((about.get_all("License") or [""])[0]).removesuffix(" License").strip()
    if text and all(it in ALLOWED or it in {"OR", "GPL-2.0-or-later"} for it in text.split()):
        return text
    found = [str(it).rpartition(" :: ")[2] for it in about.get_all("Classifier") or () if str(it).startswith("License")]
    return " OR ".join(sorted(_CLASSIFIERS[it] for it in found if it in _CLASSIFIERS))


def is_allowed(expression: str) -> bool:
    """Say whether a licence is one of those allowed: one of a choice, each of several at once."""
    return bool(expression) and all(
        any(it.strip(" ()") in ALLOWED for it in choice.split(" OR ")) for choice in expression.split(" AND ")
    )


def written() -> str:
    """Write the list."""
    rows = "".join(f"| {package} | {licence(package)} |\n" for package in packages())
    policy = "".join(f"| {name} | {why} |\n" for name, why in ALLOWED.items())
    return f"{_HEAD}{rows}{_NOTES}{_POLICY}{policy}"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(written(), encoding="utf-8")
