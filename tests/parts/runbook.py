"""The runbook as the tests read it: its sections, what it has people type, and the words that it writes as code."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

RUNBOOK: Final = Path(__file__).parents[2] / "docs" / "runbook.md"


@dataclass(frozen=True)
class Section:
    """What the runbook says under one heading, by its parts: what it means, what to look at, what to do."""

    title: str
    parts: dict[str, str]

    @property
    def anchor(self) -> str:
        """The anchor that a forge gives the heading."""
        return re.sub(r"[^\w-]", "", self.title.lower().replace(" ", "-"))


def text() -> str:
    """Return the whole of it."""
    return RUNBOOK.read_text(encoding="utf-8")


def sections() -> list[Section]:
    """Return its sections in their order."""
    _, *parts = re.split(r"^## (.+)\n", text(), flags=re.MULTILINE)
    return [Section(title, _parts(body)) for title, body in zip(parts[::2], parts[1::2], strict=True)]


def _parts(body: str) -> dict[str, str]:
    _, *parts = re.split(r"^\*\*(\w+)\.\*\* ", body, flags=re.MULTILINE)
    return dict(zip(parts[::2], parts[1::2], strict=True))


def typed(words: str) -> list[list[str]]:
    """Return the commands of some text's indented blocks, each parted as a shell would."""
    return [shlex.split(line) for line in words.splitlines() if line.startswith("    ")]


def as_code(words: str) -> list[str]:
    """Return what some text writes as code within its sentences."""
    running = "\n".join(line for line in words.splitlines() if not line.startswith("    "))
    return [re.sub(r"\s+", " ", it) for it in re.findall(r"`([^`]+)`", running)]


def commands() -> Iterator[list[str]]:
    """Yield every command of the relay that the runbook names, in blocks and in sentences."""
    for command in [*typed(text()), *map(shlex.split, as_code(text()))]:
        words = command[3:] if command[:3] == ["sudo", "-u", "relay"] else command
        if words[0] == "relay" and len(words) > 1:
            yield words[1:]
