"""Patterns of paths: which landed files a route wants, and whether two patterns can want the same file.

A pattern is a path whose names may have `*` (any characters) and `?` (one character), and which may have `**` in place
of a name (any number of names, also none). Nothing else is special; case counts.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

from relay.config.problems import trouble

_ANY_NAMES = "**"


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A pattern such as `/uploads/**/*.csv`."""

    text: str

    @classmethod
    def checked(cls, text: str) -> str:
        """Return `text` if it is a pattern.

        Raises:
            PydanticCustomError: it is none, with a hint on how to write one.
        """
        root, *names = text.split("/")
        if root or not names or {"", ".", ".."} & set(names):
            raise trouble(
                "this is not a path pattern",
                hint='A pattern begins with / and has no empty, "." or ".." part, such as "/uploads/**".',
            )
        if any(_ANY_NAMES in name and name != _ANY_NAMES for name in names):
            raise trouble("** stands alone between slashes", hint='Write "/uploads/**/*.csv", not "/uploads/**.csv".')
        if set(text) & set("[]{}\\"):
            raise trouble(
                "only *, ? and ** are special in a path pattern",
                hint="Brackets, braces and backslashes cannot be used.",
            )
        return text

    @property
    def names(self) -> tuple[str, ...]:
        """The names between the slashes."""
        return tuple(self.text.split("/")[1:])

    def matches(self, path: str) -> bool:
        """Say whether the pattern wants the file that a client named `path`, an absolute path."""
        return _meet(self.names, tuple(path.split("/")[1:]), _names_meet_literally, left_run=_ANY_NAMES)

    def overlaps(self, other: Self) -> bool:
        """Say whether there is a path that both patterns want."""
        return _meet(self.names, other.names, _names_meet, left_run=_ANY_NAMES, right_run=_ANY_NAMES)


def _names_meet_literally(pattern: str, name: str) -> bool:
    return _meet(pattern, name, lambda mark, character: mark in ("?", character), left_run="*")


def _names_meet(left: str, right: str) -> bool:
    return _meet(left, right, lambda one, other: one == other or "?" in (one, other), left_run="*", right_run="*")


def _meet(
    left: Sequence[str],
    right: Sequence[str],
    alike: Callable[[str, str], bool],
    *,
    left_run: str,
    right_run: str | None = None,
) -> bool:
    """Say whether some sequence is wanted by both sides, of names or of a name's characters.

    `left_run` and `right_run` are the elements that stand for any number of elements, `alike` compares two others. The
    walk goes through pairs of positions, and needs no recursion: a client may name a path with thousands of parts.
    """
    todo, seen = [(0, 0)], set[tuple[int, int]]()
    while todo:
        at = i, j = todo.pop()
        if at == (len(left), len(right)):
            return True
        if at in seen:
            continue
        seen.add(at)
        if i < len(left) and left[i] == left_run:
            todo += [(i + 1, j), (i, j + 1)] if j < len(right) else [(i + 1, j)]
        elif j < len(right) and right[j] == right_run:
            todo += [(i, j + 1), (i + 1, j)] if i < len(left) else [(i, j + 1)]
        elif i < len(left) and j < len(right) and alike(left[i], right[j]):
            todo.append((i + 1, j + 1))
    return False
