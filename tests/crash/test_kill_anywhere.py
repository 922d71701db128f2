"""The daemon dies at any step: at every line of its log, and around everything that it does to the disk.

Where it can die is not written down here. Each scene is played once with the tracer beside the daemon, which names
every step; then once for each step, with SIGKILL before it or after it, another start, and the promise checked. A step
that is new is met by itself.

`HYPOTHESIS_PROFILE=full` (`.ci/full`) dies at every step of the first scene, and at every other scene's that the first
has not; with `KILL_PART=2/5`, at the second fifth of them. Otherwise one step of each row is taken, drawn by
`KILL_SEED`: an event is died at in the first scene that is there for it.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest
from parts.play import Play
from parts.scenes import SCENES, Scene, sent
from parts.sshd import NEEDS_SSHD, Sshd
from parts.tracer import can_fail_calls, is_supported

pytestmark = [
    NEEDS_SSHD,
    pytest.mark.skipif(not is_supported(), reason="the tracer does not know this machine's calls"),
    pytest.mark.timeout(3600),
]

WHOLE: Final = os.environ.get("HYPOTHESIS_PROFILE") == "full"
SEED: Final = os.environ.get("KILL_SEED", "1")

PART, PARTS = map(int, os.environ.get("KILL_PART", "1/1").split("/"))

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
    nth: int = 1
    after: bool = True
    victims: tuple[str, ...] = ("daemon",)

    def __str__(self) -> str:
        return f"{' and '.join(self.victims)} {'after' if self.after else 'before'} {self.step} #{self.nth}"


@pytest.mark.parametrize("name", SCENES)
def test_killed_at_any_step(name: str, tmp_path: Path, subtests: pytest.Subtests) -> None:
    """Whenever it dies, the next start keeps the promise: nothing lost, nothing doubled, nothing out of order."""
    scene = SCENES[name]
    if scene.fault and not can_fail_calls():
        pytest.skip("calls can be made to fail on x86-64 only")
    steps = steps_of(scene, tmp_path / "without-a-death")
    assert scene.reaches <= {step.split()[2] for step, _ in steps if " log " in step}
    for number, death in enumerate(deaths_in(scene, steps, tmp_path)[PART - 1 :: PARTS]):
        with subtests.test(scene=name, death=str(death)):
            die(scene, death, tmp_path / str(number))


@contextmanager
def begun(scene: Scene, directory: Path) -> Iterator[Play]:
    """A play of a scene, up to the life that is looked at."""
    directory.mkdir()
    options = (scene.upstream(directory),) if scene.upstream else ()
    with Sshd(directory / "upstream", options=options) as upstream:
        play = Play(directory / "relay", upstream, settle=scene.settle)
        play.with_database()
        if scene.before:
            scene.prepare(play)
            assert not play.live(scene, a_plan(play, directory, Death(scene.before)))
            (directory / "steps").unlink()
        scene.prepare(play)
        yield play


def a_plan(play: Play, directory: Path, death: Death | None, fault: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the tracer is told."""
    return {
        "root": str(play.setup.state),
        "report": str(directory / "steps"),
        "strike": death and asdict(death),
        "fault": fault and {**fault, "while": str(play.broken)},
    }


def steps_of(scene: Scene, directory: Path) -> list[tuple[str, int]]:
    """Every step of a scene, in order, with how often it was met by then."""
    with begun(scene, directory) as play:
        assert play.live(scene, a_plan(play, directory, None, scene.fault)), "it died by itself"
        play.check()
    return [(step, nth) for step, nth in map(json.loads, (directory / "steps").read_text().splitlines())]


def die(scene: Scene, death: Death, directory: Path) -> None:
    """Play the scene up to a death, and on after another start, and check the promise."""
    with begun(scene, directory) as play:
        play.live(scene, a_plan(play, directory, death, scene.fault))
        play.check_at_death()
        scene.prepare(play)
        assert play.live(scene), "the second daemon did not live"
        play.check()


def deaths_in(scene: Scene, steps: list[tuple[str, int]], directory: Path) -> list[Death]:
    """The deaths to be died in a scene of these steps."""
    if scene.play is not sent:
        known = (
            {step for step, _ in steps_of(SCENES["sent"], directory / "sent")}
            if WHOLE
            else {f"daemon log {event}" for it in scenes_before(scene) for event in it.reaches}
        )
        # What other scenes do to the disk is what that one does; theirs are the decisions and their events.
        steps = [(step, nth) for step, nth in steps if step not in known and (WHOLE or " log " in step)]
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


def scenes_before(scene: Scene) -> list[Scene]:
    """The scenes that are played before another."""
    every = list(SCENES.values())
    return every[: every.index(scene)]


def row_of(step: str) -> str:
    """The row of the matrix that a step belongs to: an event, or a kind of change to a part of the state."""
    who, call, *place = step.split()
    if call in {"log", "send"}:
        return step
    return f"{who} {KINDS.get(call, call)} {place[-1].partition('/')[0]}"
