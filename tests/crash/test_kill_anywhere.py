"""The daemon dies at any step: at every line of its log, and around everything that it does to the disk.

Where it can die is not written down here. Each scene is played once with the tracer beside the daemon, which names
every step; then once for each step, with SIGKILL before it or after it, another start, and the promise checked. A step
that is new is met by itself. `HYPOTHESIS_PROFILE=full` (`.ci/full`) takes every step; otherwise one of each row is
taken, drawn by `KILL_SEED`.
"""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest
from parts.play import Play
from parts.scenes import SCENES, Scene
from parts.sshd import NEEDS_SSHD, Sshd
from parts.tracer import is_supported

pytestmark = [
    NEEDS_SSHD,
    pytest.mark.skipif(not is_supported(), reason="the tracer does not know this machine's calls"),
    pytest.mark.timeout(3600),
]

WHOLE: Final = os.environ.get("HYPOTHESIS_PROFILE") == "full"
SEED: Final = os.environ.get("KILL_SEED", "1")

OF_DECISIONS: Final = re.compile(
    r"daemon log (arrival\.(?!landed|claimed)|export\.(?!received|accepted)"
    r"|delivery\.(?!queued|sending|sent)|slice|upstream|config)"
)
"""The events that the scene of a list that is simply sent does not have."""

KINDS: Final = {
    **dict.fromkeys(("openat", "open", "mkdir", "mkdirat"), "creates"),
    **dict.fromkeys(("write", "pwrite64", "writev", "pwritev", "ftruncate", "fallocate"), "writes"),
    **dict.fromkeys(("fsync", "fdatasync"), "syncs"),
    **dict.fromkeys(("rename", "renameat", "renameat2", "link", "linkat"), "names"),
    **dict.fromkeys(("unlink", "unlinkat", "rmdir"), "removes"),
}
"""What a call does to the disk, for the rows of the matrix."""


@dataclass(frozen=True)
class Death:
    """One place to die: at the `nth` time of a step, before or after it."""

    step: str
    nth: int
    after: bool
    victims: tuple[str, ...]

    def __str__(self) -> str:
        return f"{' and '.join(self.victims)} {'after' if self.after else 'before'} {self.step} #{self.nth}"


def a_plan(directory: Path, death: Death | None) -> dict[str, Any]:
    """What the tracer is told."""
    strike = death and {"step": death.step, "nth": death.nth, "after": death.after, "victims": death.victims}
    return {"root": str(directory / "relay" / "state"), "report": str(directory / "steps"), "strike": strike}


@pytest.mark.parametrize("name", SCENES)
def test_killed_at_any_step(name: str, tmp_path: Path, subtests: pytest.Subtests) -> None:
    """Whenever it dies, the next start keeps the promise: nothing lost, nothing doubled, nothing out of order."""
    scene = SCENES[name]
    steps = steps_of(scene, tmp_path / "without-a-death")
    if not WHOLE and name != "sent":
        # What the other scenes do to the disk is what that one does; theirs are the decisions and their events.
        steps = [(step, nth) for step, nth in steps if OF_DECISIONS.match(step)]
    for number, death in enumerate(deaths_in(steps)):
        with subtests.test(scene=name, death=str(death)):
            die(scene, death, tmp_path / str(number))


def steps_of(scene: Scene, directory: Path) -> list[tuple[str, int]]:
    """Every step of a scene, in order, with how often it was met by then."""
    directory.mkdir()
    with Sshd(directory / "upstream") as upstream:
        play = Play(directory / "relay", upstream)
        play.with_database()
        assert play.live(whole(scene), a_plan(directory, None))
        play.check()
    return [(step, nth) for step, nth in map(json.loads, (directory / "steps").read_text().splitlines())]


def whole(scene: Scene) -> Scene:
    """The scene and a stop in good order."""

    def play_and_stop(play: Play) -> None:
        scene(play)
        play.stop()

    return play_and_stop


def deaths_in(steps: list[tuple[str, int]]) -> list[Death]:
    """The deaths to be died at these steps."""
    every = [
        Death(step, nth, after, victims)
        for step, nth in steps
        for after in (False, True)
        for victims in (
            (("rewrite",), ("daemon",), ("daemon", "rewrite")) if step.startswith("rewrite") else (("daemon",),)
        )
    ]
    if WHOLE:
        return every
    rows: dict[str, list[Death]] = {}
    for death in every:
        rows.setdefault(row_of(death.step), []).append(death)
    return [Random(f"{SEED} {row}").choice(deaths) for row, deaths in rows.items()]


def row_of(step: str) -> str:
    """The row of the matrix that a step belongs to: an event, or a kind of change to a part of the state."""
    who, call, *place = step.split()
    if call in {"log", "send"}:
        return step
    return f"{who} {KINDS.get(call, call)} {place[-1].partition('/')[0]}"


def die(scene: Scene, death: Death, directory: Path) -> None:
    """Play the scene up to a death, and on after another start, and check the promise."""
    directory.mkdir()
    with Sshd(directory / "upstream") as upstream:
        play = Play(directory / "relay", upstream)
        play.with_database()
        play.live(whole(scene), a_plan(directory, death))
        play.check_at_death()
        assert play.live(whole(scene)), "the second daemon did not live"
        play.check()
