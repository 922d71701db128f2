"""What the commands say, word by word, on prepared hosts: an operator reads them, so a change is to be seen."""

from pathlib import Path

import pytest
from parts.canary import assert_no_person
from parts.transcripts import SESSIONS, TRANSCRIPTS, play

from relay.cli import COMMANDS

UNPLAYED = {"demo", "init", "serve", "report", "hash-password"}
"""Commands whose words are tested where what they do is."""


@pytest.mark.parametrize("name", SESSIONS)
def test_the_commands_say_what_they_said(name: str, tmp_path: Path) -> None:
    """Where this differs on purpose: `PYTHONPATH=tests .venv/bin/python -m parts.transcripts` writes them anew."""
    said = play(name, tmp_path)
    assert said == (TRANSCRIPTS / f"{name}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", SESSIONS)
def test_no_transcript_shows_a_person(name: str) -> None:
    """Whatever is asked, and about whom (rule R1)."""
    assert_no_person((TRANSCRIPTS / f"{name}.txt").read_text(encoding="utf-8"), name)


def test_every_command_is_in_a_transcript() -> None:
    """A new command is played, or is said to be tested elsewhere."""
    text = "".join((TRANSCRIPTS / f"{name}.txt").read_text(encoding="utf-8") for name in SESSIONS)
    played = {name for name in COMMANDS if f"relay {name}" in text}
    assert played | UNPLAYED == set(COMMANDS)
    assert {path.stem for path in TRANSCRIPTS.glob("*.txt")} == set(SESSIONS)
