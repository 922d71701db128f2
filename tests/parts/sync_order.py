"""The order of syncs in a run, read from what `strace` saw: what a power cut at any moment would leave.

A process that is killed leaves what it has written, a power cut only what was synced. So a kill cannot show that a sync
is missing, or comes too late; the order of the calls can.

SQLite's own files are left out but for one thing, the moment of a commit. Their order is SQLite's: a write-ahead log
with `synchronous = FULL`, which `tests/contract/test_store.py` holds every connection to.
"""

import re
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_WRITES: Final = (
    *("write", "pwrite64", "writev", "pwritev", "pwritev2"),
    *("ftruncate", "fallocate", "sendfile", "copy_file_range"),
)
_SYNCS: Final = ["fsync", "fdatasync"]
_NAMES: Final = ["rename", "renameat", "renameat2", "link", "linkat", "mkdir", "mkdirat"]
_PACKETS: Final = ["write", "writev", "sendto", "sendmsg"]

CALLS: Final = ",".join(dict.fromkeys([*_WRITES, *_SYNCS, *_NAMES, *_PACKETS]))

_LINE: Final = re.compile(r"(\d+) +(?:<\.\.\. )?(\w+)(?: resumed>|\()(.*)")
_UNFINISHED: Final = "<unfinished ...>"
_RESULT: Final = re.compile(r"\) += +(-?\d+)")
_DESCRIPTOR: Final = re.compile(r"\d+<((?:->|[^>])*)>")
_PATH: Final = re.compile(r'(?:(?:\d+|AT_FDCWD)<([^>]*)>, )?"((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Call:
    """One system call: by which thread, with what, and between which lines of the trace it was under way."""

    thread: int
    name: str
    arguments: str
    began: int
    ended: int

    @property
    def on(self) -> str:
        """The file, or the connection, behind the descriptor that it has as its first argument."""
        found = _DESCRIPTOR.match(self.arguments)
        return found[1] if found else ""

    @property
    def paths(self) -> list[str]:
        """The paths that it names."""
        return [str(Path(directory or "/") / name) for directory, name in _PATH.findall(self.arguments)]


def strace(trace: Path, command: Sequence[str]) -> list[str]:
    """Return the command that does what `command` does, as the same process, with its calls written to `trace`.

    Pages of the database are written whole, so that it can be seen what a commit tells of.
    """
    how = ["-D", "-f", "--seccomp-bpf", "-yy", "-s", "5000", "-e", f"trace={CALLS}", "-o", str(trace)]
    return ["strace", *how, *command]


def is_whole(trace: Path, process: int) -> bool:
    """Say whether the end of the process is in its trace: the tracer writes on for a moment after it."""
    return re.search(rf"^{process} +\+\+\+ ", trace.read_text(errors="replace"), re.MULTILINE) is not None


def calls_of(trace: Path) -> list[Call]:
    """Return the calls of a trace that succeeded, in the order in which they began."""
    return sorted(_calls(trace.read_text(errors="replace").splitlines()), key=lambda call: call.began)


def _calls(lines: Iterable[str]) -> Iterator[Call]:
    under_way: dict[int, tuple[int, str]] = {}
    for number, line in enumerate(lines):
        if (found := _LINE.match(line)) is None:
            continue
        thread, name, rest = int(found[1]), found[2], found[3]
        began, before = under_way.pop(thread, (number, ""))
        if rest.endswith(_UNFINISHED):
            under_way[thread] = number, rest.removesuffix(_UNFINISHED)
            continue
        arguments = before + rest
        results = _RESULT.findall(arguments)
        if results and int(results[-1]) >= 0:
            yield Call(thread, name, arguments, began, number)


def untraceable() -> str | None:
    """Return why nothing can be traced here, None where it can."""
    try:
        subprocess.run(["strace", "-f", "--seccomp-bpf", "-o", "/dev/null", "true"], check=True, capture_output=True)
    except FileNotFoundError:
        return "needs strace"
    except subprocess.CalledProcessError as error:
        return f"strace may not trace here: {error.stderr.decode().strip()}"
    return None


@dataclass
class Checker:
    """Follows the calls of a run, and notes where what was not synced is counted on.

    Args:
        state: the state directory.
        landing: what the client's connections are called in the trace, with the landing zone's port.
    """

    state: Path
    landing: str = "TCP:[127.0.0.1:0->"
    troubles: list[str] = field(default_factory=list)
    published: list[str] = field(default_factory=list)
    """The names that files were given, below the state directory."""

    _unsynced: dict[str, int] = field(default_factory=dict)
    """Files that have been written to, with the line at which the last write had ended."""
    _unlisted: dict[str, int] = field(default_factory=dict)
    """Names that the directory may yet lose, with the line at which they had been given."""
    _unnoted: set[str] = field(default_factory=set)
    """Uploads that have their name, and of which no commit tells yet."""
    _told: defaultdict[int, str] = field(default_factory=lambda: defaultdict(str))
    """What each thread has written to the database since its last commit."""

    def follow(self, calls: Sequence[Call]) -> None:
        """Follow a run to its end."""
        moments = [(call.began, 0, call) for call in calls] + [(call.ended, 1, call) for call in calls]
        for _, has_ended, call in sorted(moments, key=lambda it: it[:2]):
            if has_ended:
                self._ended(call)
            else:
                self._begins(call)
        self.troubles += [f"{name} is never synced in its directory" for name in self._unlisted]

    def _begins(self, call: Call) -> None:
        if call.name in _NAMES:
            self._names(call)
        elif self._is_database(call.on):
            if call.name in _SYNCS and call.on.endswith("-wal"):
                self._commits(call)
            elif call.name in _WRITES and call.on.endswith("-wal"):
                self._told[call.thread] += call.arguments
        elif call.on.startswith(self.landing):
            self._answers()
        elif call.name in _WRITES and (path := self._below(call.on)):
            self._unsynced[path] = call.ended

    def _ended(self, call: Call) -> None:
        if call.name in _NAMES:
            target = self._below(call.paths[-1])
            if target and _counts(target):
                self._unlisted[target] = call.ended
        elif call.name in _SYNCS and self._is_database(call.on):
            text = self._told.pop(call.thread, "")
            self._unnoted = {it for it in self._unnoted if _subject(it) not in text}
        elif call.name in _SYNCS and (path := self._below(call.on)) is not None:
            # It is sure of what had happened when it began, and of nothing that came meanwhile.
            if self._unsynced.get(path, call.began) < call.began:
                del self._unsynced[path]
            listed = [it for it, at in self._unlisted.items() if str(Path(it).parent) == path and at < call.began]
            for name in listed:
                del self._unlisted[name]

    def _names(self, call: Call) -> None:
        """A file, or a directory with all that is in it, gets a name."""
        target = self._below(call.paths[-1])
        if target is None or call.name.startswith("mkdir"):
            return
        source = self._below(call.paths[0]) or ""
        moved = {it: at for it, at in self._unsynced.items() if it == source or it.startswith(f"{source}/")}
        if _counts(target):
            self.published.append(target)
            self.troubles += [f"{it} becomes {target} before it is synced" for it in moved]
            if source.startswith("incoming/"):
                self._unnoted.add(target)
        if call.name.startswith("rename"):
            for it, at in moved.items():
                del self._unsynced[it]
                self._unsynced[target + it.removeprefix(source)] = at

    def _commits(self, call: Call) -> None:
        """The database tells of files: their bytes and their names, up to the state directory, must be there."""
        text = self._told[call.thread]
        for name in dict.fromkeys(it for it in self.published if _subject(it) in text):
            lost = [it for it in (name, *map(str, Path(name).parents)) if it in self._unlisted]
            self.troubles += [f"a commit tells of {name} before the directory of {it} is synced" for it in lost]
            if name in self._unsynced:
                self.troubles.append(f"a commit tells of {name} before it is synced")

    def _answers(self) -> None:
        """The client is told something: it may be that its file has landed, or has another name."""
        self.troubles += [f"the client is answered before {it} is noted" for it in self._unnoted]
        lost = [it for it in self._unlisted if it.startswith("landing/")]
        self.troubles += [f"the client is answered before the directory of {it} is synced" for it in lost]

    def _below(self, path: str) -> str | None:
        """What a path is called below the state directory, `.` itself, None elsewhere."""
        found = Path(path)
        return str(found.relative_to(self.state)) if found.is_relative_to(self.state) else None

    def _is_database(self, path: str) -> bool:
        return path.startswith(str(self.state / "relay.db"))


def _counts(name: str) -> bool:
    """Say whether anybody counts on a name: not on those of uploads under way, nor of what is about to be removed."""
    return not name.startswith("incoming/") and not name.endswith(".left")


def _subject(name: str) -> str:
    """What the database calls a file: by its export, or by its own name in the landing zone."""
    parts = Path(name).parts
    return parts[2] if parts[0] == "exports" else parts[-1]
