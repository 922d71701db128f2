"""Reading a file of keys, line by line."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import asyncssh

from relay.model import RelayError

_LARGEST_FILE: Final = 1 << 20


def is_public_key(text: str) -> bool:
    """Say whether `text` is a public key in OpenSSH's one-line form."""
    try:
        asyncssh.import_public_key(text)
    except ValueError:
        return False
    return True


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that say something, with their numbers from 1.

    Raises:
        RelayError: the file cannot be read, or is not text.
    """
    try:
        text = content_of(path).decode()
    except UnicodeDecodeError:
        raise RelayError(f"{path} is not text", hint="Write the public key in OpenSSH's one-line form.") from None
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line.strip()


def content_of(path: Path) -> bytes:
    """Return what is in a file, of which no more is read than a file of keys can hold.

    Raises:
        RelayError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST_FILE)
    except OSError as error:
        raise RelayError(
            f"{path} cannot be read: {error.strerror}", hint="Check the name and its permissions."
        ) from None
