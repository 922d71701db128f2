"""What the sections need to know of the reading they are part of: where files lie, which names the host's part has.

It travels as pydantic's validation context; a section that is built without one knows nothing of it and checks nothing.
"""

import difflib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ValidationInfo

from relay.config.problems import trouble


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of a configuration.

    Args:
        directory: where `relay.toml` lies.
        credentials: systemd's credentials directory, if there is one.
        with_files: whether the files that settings name are looked at.
        accounts: the accounts that `relay.toml` has, None where it could not be read.
        upstreams: the upstreams that it has, likewise.
    """

    directory: Path
    credentials: Path | None
    with_files: bool
    accounts: Collection[str] | None
    upstreams: Collection[str] | None

    def find(self, name: Path) -> Path:
        """Return where a file that a setting names lies: among the credentials, else beside `relay.toml`."""
        if self.credentials is not None and is_file(self.credentials / name):
            return self.credentials / name
        return self.directory / name

    def is_credential(self, path: Path) -> bool:
        """Say whether `path` was found among systemd's credentials."""
        return self.credentials is not None and path.is_relative_to(self.credentials)


def is_file(path: Path) -> bool:
    """Say whether `path` is a file; a pasted key, too long for a name or with a NUL, is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def reading_of(info: ValidationInfo) -> Reading | None:
    """Return the reading that a validator is called in, if any."""
    return info.context if isinstance(info.context, Reading) else None


def looks_at_files(info: ValidationInfo) -> bool:
    """Say whether a validator is to look at the file that a setting names."""
    reading = reading_of(info)
    return reading is not None and reading.with_files


def _known_account(name: str, info: ValidationInfo) -> str:
    reading = reading_of(info)
    return _known(name, "account", reading.accounts if reading else None)


def _known_upstream(name: str, info: ValidationInfo) -> str:
    reading = reading_of(info)
    return _known(name, "upstream", reading.upstreams if reading else None)


def _known(name: str, noun: str, names: Collection[str] | None) -> str:
    if names is not None and name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        suggestion = f"Did you mean {near[0]}? " if near else ""
        raise trouble(
            f"relay.toml has no {noun} of this name", hint=f"{suggestion}Each is a table there: [{noun}s.NAME]."
        )
    return name


def _absolute(path: Path) -> Path:
    if not path.is_absolute() or ".." in path.parts:
        raise trouble("this is not an absolute path", hint='Write it from the root, such as "/var/lib/relay".')
    return path


def _remote_directory(path: str) -> str:
    names = path.rstrip("/").split("/")
    if not path or ".." in names or "" in names[1:] or not path.isprintable():
        raise trouble(
            "this is not a directory of the upstream", hint='Write its path there, such as "/uploads", without "..".'
        )
    return path.rstrip("/") or "/"


AccountReference = Annotated[str, AfterValidator(_known_account)]
UpstreamReference = Annotated[str, AfterValidator(_known_upstream)]
AbsoluteDirectory = Annotated[Path, AfterValidator(_absolute)]
AbsoluteFile = Annotated[Path, AfterValidator(_absolute)]
RemoteDirectory = Annotated[str, AfterValidator(_remote_directory)]
