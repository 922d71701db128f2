"""Which members of an archive are parts of the export, in which order and under which name (rules K4 and K5)."""

import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, TypeVar

from relay.naming import natural_order
from relay.parts import flaws, is_end_marker, is_success_mark, stands_beside
from relay.rewrite.mask import mask_name
from relay.rewrite.unusable import Unusable, UnusableSource

Handle = TypeVar("Handle")

_PHONE: Final = re.compile(r"(?<![0-9])[0-9]{10,11}(?![0-9])")
_LONGEST_SHOWN: Final = 80


@dataclass(frozen=True, slots=True)
class Member:
    """One file that was unpacked; `called` is what an archive calls it, None where what it came out of has no names."""

    path: Path
    called: str | None = None

    @property
    def name(self) -> str | None:
        """Its name as it may be shown."""
        return None if self.called is None else shown_name(self.called)


@dataclass(frozen=True, slots=True)
class Entry(Generic[Handle]):
    """One file that an archive lists: its name and size there, and what the archive's reader knows it by."""

    name: str
    size: int
    handle: Handle


def parts_of(entries: Iterable[Entry[Handle]], *, accept_gaps: bool) -> list[Entry[Handle]]:
    """Return the members that are parts of the export, in natural order of their names.

    Left out are what systems add on their own (hidden files, `__MACOSX`, Spark's marks) and end markers (`.DONE`).

    Raises:
        UnusableSource: two have the same name, so that one may be meant to replace the other, or one is missing.
    """
    entries = list(entries)
    parts = [entry for entry in entries if not _is_bystander(entry.name)]
    name, times = next(iter(Counter(entry.name for entry in parts).most_common(1)), ("", 0))
    if times > 1:
        raise UnusableSource(
            Unusable.UNUSABLE_MEMBER,
            f"{times} members of the archive are called {shown_name(name)}; nobody can tell which one counts",
            "Have the archive made anew, with each part once.",
        )
    if not accept_gaps:
        _refuse_gaps(parts, {_directory(entry.name) for entry in entries if is_success_mark(_base(entry.name))})
    return sorted(parts, key=lambda entry: natural_order(entry.name))


def _refuse_gaps(parts: Iterable[Entry[Handle]], by_spark: Collection[str]) -> None:
    """See that the numbers of the members in each directory have no gap, as those of landed files have none (C6)."""
    sizes: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for part in parts:
        sizes[_directory(part.name)][shown_name(_base(part.name))] = part.size
    for directory, there in sizes.items():
        lacks = flaws(there, written_by_spark=directory in by_spark)
        if lacks:
            raise UnusableSource(
                Unusable.INCOMPLETE,
                f"the archive has {len(there):,} members; {'; '.join(lacks)}",
                "Have the archive made anew, with every part. If this is all of it, `relay requeue --as-whole` "
                'the export, or set source.gaps = "accept" if gaps and empty members tell nothing in this route.',
            )


def _base(name: str) -> str:
    return name.rpartition("/")[2]


def _directory(name: str) -> str:
    return name.rpartition("/")[0]


def shown_name(name: str) -> str:
    """Return a member's name as it may be shown: part numbers and dates are, what may be a person is not (rule R1)."""
    if "@" in name or _PHONE.search(name):
        return mask_name(name)
    shown = "".join(c if c.isprintable() else "?" for c in name)
    return shown if len(shown) <= _LONGEST_SHOWN else "…" + shown[-_LONGEST_SHOWN:]


def refuse_member(name: str, kind: str) -> UnusableSource:
    """Return the refusal of an archive that has something else than files and directories."""
    return UnusableSource(
        Unusable.UNUSABLE_MEMBER,
        f"{shown_name(name)} in the archive is {kind}; only files and directories are unpacked",
        "Have the archive made of the files themselves.",
    )


def _is_bystander(name: str) -> bool:
    parts = [part for part in name.split("/") if part not in {"", ".", ".."}]
    last = parts[-1] if parts else ""
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in parts)
    return hidden or is_end_marker(last) or stands_beside(last)
