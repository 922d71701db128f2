"""What this process has open, so that a test can see that nothing stays so."""

from contextlib import suppress
from pathlib import Path


def open_descriptors() -> dict[int, str]:
    """Return every open descriptor with what it stands for; the one that the looking takes is not among them."""
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):
            found[int(entry.name)] = str(entry.readlink())
    return {number: target for number, target in found.items() if not target.endswith("/fd")}
