"""Several files, one export, under any sequence of uploads, second thoughts, scans, kills, decisions and settings."""

import itertools
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from parts.zone import ACCOUNT, PERSON, SETTLE, KilledError, Zone

from relay.intake.markers import Role, role_of
from relay.model import Arrival, ArrivalState, Export, ExportState

QUIET, WAIT = 60.0, 7200.0
DIRECTORY: Final = "/uploads/X"
PARTS: Final = tuple(f"{DIRECTORY}/{number:07}.csv" for number in range(1, 5))
MARKERS: Final = (f"{DIRECTORY}/.DONE", f"{DIRECTORY}.done", PARTS[1] + ".DONE", "/uploads/other.DONE")
MODES: Final[tuple[dict[str, Any], ...]] = (
    {"group": "directory", "complete": "done"},
    {"group": "directory", "complete": "quiet"},
    {"group": "file", "complete": "done"},
    {"group": "file", "complete": "close"},
)
WAITS: Final = (1.0, 3.0, QUIET - 5, QUIET + 1, WAIT)
IN_MEMORY: Final = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  each has a directory of its own


class IntakeMachine(RuleBasedStateMachine):
    """A client uploads and changes its mind, time goes by, a person decides, and the relay is killed and set anew."""

    def __init__(self) -> None:
        super().__init__()
        self.directory = TemporaryDirectory(dir=IN_MEMORY)
        self.versions = itertools.count(1)
        self.mode = MODES[0]
        self.vouched: set[str] = set()
        self.taken: dict[str, list[str]] = {}
        """What each export had when it was first seen taken, by its id."""

    @initialize(mode=st.sampled_from(MODES))
    def a_route_is_set(self, mode: dict[str, Any]) -> None:
        """What makes one export, and what completes it."""
        self.mode = mode
        self.zone = Zone(Path(self.directory.name), **mode)

    def teardown(self) -> None:
        """In the end nothing waits any more, and everything that landed is explained."""
        if hasattr(self, "zone"):
            self.everything_comes_to_an_end()
            self.zone.store.close()
        self.directory.cleanup()

    # What happens

    @rule(path=st.sampled_from(PARTS), full=st.sampled_from([True, True, True, False]))
    def part_is_uploaded(self, path: str, full: bool) -> None:  # noqa: FBT001  a drawn value
        """A part comes, again or for the first time; it may be empty."""
        self.zone.put(path, f"{path} {next(self.versions)}\n".encode() if full else b"")

    @rule(path=st.sampled_from(MARKERS))
    def marker_is_uploaded(self, path: str) -> None:
        """A marker comes, in whatever order."""
        self.zone.put(path, b"")

    @rule(count=st.integers(1, 4), scanned=st.booleans())
    def run_is_uploaded(self, count: int, scanned: bool) -> None:  # noqa: FBT001  a drawn value
        """A whole run comes in good order, looked at on the way or not."""
        for path in (*PARTS[:count], MARKERS[0]):
            self.part_is_uploaded(path, full=True) if role_of(path) is Role.PART else self.marker_is_uploaded(path)
            self.zone.wait(1)
            if scanned:
                self.zone.scan()

    @rule(which=st.integers(0, 9))
    def file_is_removed(self, which: int) -> None:
        """The client takes something back."""
        if paths := self.visible():
            self.zone.remove(paths[which % len(paths)])

    @rule(which=st.integers(0, 9), to=st.sampled_from(PARTS))
    def file_is_renamed(self, which: int, to: str) -> None:
        """The client gives something another name, over what has it."""
        if paths := self.visible():
            self.zone.rename(paths[which % len(paths)], to)

    @rule(by=st.sampled_from(WAITS))
    def time_goes_by(self, by: float) -> None:
        """Whatever waits comes nearer to its time."""
        self.zone.wait(by)

    @rule(after=st.sampled_from([0.0, 0.0, 3.0]))
    def scan(self, after: float) -> None:
        """The zone is looked through."""
        self.zone.scan(after)

    @rule(looks=st.integers(0, 12))
    def killed_in_a_scan(self, looks: int) -> None:
        """A scan ends anywhere, and everything starts again."""
        self.zone.looks_until_kill = looks
        with suppress(KilledError):
            self.zone.scan()
        self.zone.restart()

    @rule(mode=st.sampled_from(MODES))
    def settings_change(self, mode: dict[str, Any]) -> None:
        """The route is set otherwise while files wait."""
        self.mode = mode
        self.zone.restart(**mode)

    @precondition(lambda self: self.zone.exports(ExportState.GATHERING))
    @rule(as_whole=st.booleans())
    def person_decides(self, as_whole: bool) -> None:  # noqa: FBT001  a drawn value
        """The export that waits is whole, a person says, or is given up."""
        export = self.zone.exports(ExportState.GATHERING)[0]
        if as_whole:
            self.zone.store.requeue(export.id, PERSON, self.zone.now, as_whole=True)
            self.vouched.add(export.id)
        else:
            self.zone.store.discard(export.id, PERSON, self.zone.now)

    # What always holds

    def is_whole(self, export: Export) -> None:
        """Nothing is taken as whole that shows a gap, lacks its marker, or may still grow."""
        arrivals = self.zone.store.arrivals(export_id=export.id)
        parts = [it for it in arrivals if it.part is not None]
        ends = [it for it in arrivals if it.state is ArrivalState.CLAIMED and it.part is None]
        last = max(it.landed_at for it in parts)
        assert export.received_at >= last + SETTLE
        if self.mode["group"] == "directory":
            assert [it.path for it in parts] == list(PARTS[: len(parts)])
            assert all(it.size for it in parts) or not any(it.size for it in parts)
            in_order = any(it.landed_at >= last and it.path in MARKERS[:2] for it in ends)
            if self.mode["complete"] == "quiet" or not in_order:
                assert (export.received_at - last).total_seconds() >= QUIET
        else:
            assert len(parts) == 1

    @invariant()
    def what_was_taken_stays(self) -> None:
        """Whatever comes later, an export that was taken has the same bytes, and no other one has any of them."""
        if not hasattr(self, "zone"):
            return
        for export in self.zone.exports():
            if export.state in {ExportState.RECEIVED, ExportState.QUARANTINED}:
                if export.id not in self.taken and export.id not in self.vouched and not export.reason:
                    self.is_whole(export)
                assert self.taken.setdefault(export.id, self.zone.sources(export)) == self.zone.sources(export)
        contents = [it for sources in self.taken.values() for it in sources if it]
        assert len(contents) == len(set(contents))

    @invariant()
    def parts_are_numbered_as_they_lie(self) -> None:
        """Each part of a taken export is the file of its number, in natural order."""
        if not hasattr(self, "zone"):
            return
        for export_id, sources in self.taken.items():
            parts = [it for it in self.zone.store.arrivals(export_id=export_id) if it.part is not None]
            assert [it.part for it in parts] == list(range(1, len(sources) + 1))
            assert [it.path for it in parts] == sorted(it.path for it in parts)

    def everything_comes_to_an_end(self) -> None:
        """After the longest wait each arrival has its end state and its explanation, and no export waits."""
        self.zone.restart()
        for _ in range(4):
            self.zone.scan(after=WAIT + QUIET)
            self.what_was_taken_stays()
        assert self.zone.exports(ExportState.GATHERING) == []
        for arrival in self.zone.arrivals():
            self.is_explained(arrival)

    def is_explained(self, arrival: Arrival) -> None:
        """It belongs to an export that exists, was taken back by its client, or says why it is ignored."""
        if arrival.state is ArrivalState.CLAIMED:
            assert arrival.export_id is not None
            export = self.zone.store.export(arrival.export_id)
            assert export is not None
            assert export.state is not ExportState.GATHERING
            assert (arrival.part is not None) == (role_of(arrival.path) is Role.PART)
        elif arrival.state is ArrivalState.IGNORED:
            assert role_of(arrival.path) is not Role.PART
        else:
            assert arrival.state is ArrivalState.WITHDRAWN

    def visible(self) -> list[str]:
        """What the client sees."""
        root = self.zone.spool.landing(ACCOUNT)
        return sorted(f"/{it.relative_to(root)}" for it in root.rglob("*") if it.is_file())


TestIntakeMachine = IntakeMachine.TestCase
TestIntakeMachine.settings = settings(max_examples=settings().max_examples // 4, stateful_step_count=25)
