"""A command on a terminal, as a person sees it."""

import os
import pty
import subprocess
from pathlib import Path
from typing import Final

import pytest

from parts.service import DEADLINE_SECONDS, RELAY

needs_terminals: Final = pytest.mark.skipif(
    not Path("/dev/pts/ptmx").exists(), reason="no pseudo-terminals here: /dev/pts is not mounted"
)


def on_a_terminal(config: Path, *arguments: str, stdout: Path | None = None) -> str:
    """Run a command on a terminal, its results perhaps into a file, and return everything that it wrote there."""
    ours, theirs = pty.openpty()
    results = theirs if stdout is None else os.open(stdout, os.O_WRONLY | os.O_CREAT, 0o600)
    with subprocess.Popen(
        [*RELAY, "--config", str(config), *arguments], stdout=results, stderr=theirs, stdin=theirs
    ) as command:
        for inside in {theirs, results}:
            os.close(inside)
        said = b""
        while True:
            try:
                block = os.read(ours, 65536)
            except OSError:  # It has ended.
                break
            if not block:
                break
            said += block
        command.wait(DEADLINE_SECONDS)
    os.close(ours)
    assert said
    return said.decode()
