"""Which landed files hold no list: end markers, and what Spark puts beside its parts; and which files they mark. Pure.

The end marker's name is not documented, so that all its likely forms are taken, in any case: `<file>.DONE`,
`<stem>.DONE`, `<dir>/.DONE` and `<dir>.DONE` (rule C3).
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from relay.parts import is_end_marker, is_success_mark, stands_beside

_DONE: Final = ".done"
_COMMITTED: Final = "_committed_"
LONGEST_LIST: Final = 8 * 1024 * 1024
"""Bytes; a list of parts that is longer is not read to its end, and so not at all."""

_PACKING: Final = frozenset({"gz", "zip", "zst", "tar", "tgz", "bz2", "pgp", "gpg", "asc"})


class Role(StrEnum):
    """What a landed file is by its name."""

    PART = "part"
    END = "end marker"
    BESIDE = "beside"


class Mark(StrEnum):
    """How an end marker marks an export: as a whole, or by one of its files or a name that says nothing."""

    WHOLE = "whole"
    VAGUE = "vague"


def role_of(path: str) -> Role:
    """Say what a file is by its name."""
    name = path.rpartition("/")[2]
    if is_end_marker(name):
        return Role.END
    return Role.BESIDE if stands_beside(name) else Role.PART


def is_spark_success(path: str) -> bool:
    """Say whether Spark puts this file there when all parts are written."""
    return is_success_mark(path.rpartition("/")[2]) or lists_parts(path)


def lists_parts(path: str) -> bool:
    """Say whether this is a file in which Spark's committer lists the parts."""
    return path.rpartition("/")[2].casefold().startswith(_COMMITTED)


def listed_parts(lists: Iterable[bytes]) -> set[str]:
    """Return the parts that lists of Spark's committer name (rule C6). A list that cannot be read names none."""
    added: set[str] = set()
    removed: set[str] = set()
    for content in lists:
        with suppress(ValueError, AttributeError, TypeError):
            said = json.loads(content)
            added |= set(said.get("added", ()))
            removed |= set(said.get("removed", ()))
    return added - removed


def key_of_marker(path: str) -> str:
    """Return what a marker marks, to be compared with `Group.marks`; of a directory's own, its path and a slash."""
    path = path.casefold()
    directory, _, name = path.rpartition("/")
    if name.endswith(_DONE) and name != _DONE:
        return path.removesuffix(_DONE)
    return f"{directory}/"


@dataclass(frozen=True, slots=True)
class Group:
    """What makes one export: the files of a directory, whose path ends in a slash here, or a single file."""

    route: str
    path: str

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory's files."""
        return self.path.endswith("/")

    @property
    def directory(self) -> str:
        """The directory that it is, or lies in, without a slash at its end."""
        return self.path.rpartition("/")[0]

    def marks(self) -> Iterator[str]:
        """Yield the key of every marker that marks it as a whole (rule C3)."""
        path, directory = self.path.casefold(), self.directory.casefold()
        yield f"{directory}/"
        yield directory
        if self.is_directory:
            above, _, name = directory.rpartition("/")
            yield from (f"{directory}/{it}" for it in (name, *_stems(name)))
            yield from (f"{above}/{it}" for it in _stems(name))
        else:
            yield path
            yield from (f"{directory}/{stem}" for stem in _stems(path.rpartition("/")[2]))


def _stems(name: str) -> Iterator[str]:
    """Yield a name without its extension, and without those of packings: `X.csv` and `X` of `X.csv.gz`."""
    while "." in name.lstrip("."):
        name, _, extension = name.rpartition(".")
        yield name
        if extension not in _PACKING:
            return
