"""Unpacking layer by layer, each onto the disk, until nothing but plain files is left (rules K1 to K7).

What a layer came out of is removed as soon as it is used up, unless it is what landed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from relay.rewrite.files import SourceFile
from relay.rewrite.packing.compression import gunzip, unzstd
from relay.rewrite.packing.content import Packing, head_of, packing_of, refuse_other_kinds
from relay.rewrite.packing.members import Member
from relay.rewrite.packing.pgp import Decryption
from relay.rewrite.packing.room import Room
from relay.rewrite.packing.tararchive import untar
from relay.rewrite.packing.utf16 import is_utf16, to_utf8
from relay.rewrite.packing.ziparchive import unzip
from relay.rewrite.rules import Rules
from relay.rewrite.unusable import Unusable, UnusableSource

_UNPACKERS: Final[dict[Packing, Callable[[Path, Room, int], Iterator[Member]]]] = {
    Packing.GZIP: gunzip,
    Packing.ZSTD: unzstd,
    Packing.ZIP: unzip,
    Packing.TAR: untar,
}
_ARCHIVES: Final = frozenset({Packing.ZIP, Packing.TAR})


@dataclass(frozen=True, slots=True)
class Unpacked:
    """Plain files, and what they came out of: what was recognised, in words and numbers that may be shown."""

    sources: tuple[SourceFile, ...]
    recognised: dict[str, Any]


def unpack(
    sources: Sequence[SourceFile], into: Path, rules: Rules, *, progress: Callable[[], None] = lambda: None
) -> Unpacked:
    """Unpack what is packed; what is not stays where it is.

    Args:
        sources: the files of an export as they landed, in their order.
        into: a directory for what comes out of them. It is made if there is something.
        rules: the route's rules.
        progress: is called now and then.

    Raises:
        UnusableSource: something cannot be unpacked, or is nothing that rows could be in.
    """
    unpacking = _Unpacking(into, rules, progress)
    plain: list[SourceFile] = []
    for source in sources:
        try:
            plain += unpacking.plain_files(source)
        except UnusableSource as unusable:
            raise (unusable.within(source.name) if len(sources) > 1 else unusable) from None
    return Unpacked(tuple(plain), unpacking.recognised())


class _Unpacking:
    """The unpacking of one export under way."""

    def __init__(self, into: Path, rules: Rules, progress: Callable[[], None]) -> None:
        self._into = into
        self._rules = rules
        self._progress = progress
        self._unpackers = _UNPACKERS | {Packing.PGP: Decryption(rules.pgp).decrypt}
        self._files = 0
        self._members = 0
        self._chains: dict[str, None] = {}
        self._encodings: dict[str, None] = {}

    def plain_files(self, source: SourceFile) -> list[SourceFile]:
        """Return the plain files that one landed file is or holds."""
        size = source.path.stat().st_size
        room = Room(self._into, self._files, self._rules, size, self._progress)
        plain = list(self._peel(source, room, ()))
        self._files = room.files
        return plain

    def recognised(self) -> dict[str, Any]:
        """Return what was found, for the report; nothing where nothing was packed."""
        found: dict[str, Any] = {}
        if self._chains:
            found["packing"] = "; ".join(self._chains)
        if self._members:
            found["members"] = self._members
        if self._encodings:
            found["encoding"] = "; ".join(self._encodings)
        return found

    def _peel(self, packed: SourceFile, room: Room, layers: tuple[Packing, ...]) -> Iterator[SourceFile]:
        """Take off the outermost layer, and the next ones of everything within."""
        head = head_of(packed.path)
        packing = packing_of(head)
        if packing is None:
            refuse_other_kinds(head)
            self._chains |= {", ".join(layers): None} if layers else {}
            yield self._in_utf8(packed, head, room, len(layers))
            return
        if len(layers) == self._rules.unpack.depth:
            raise _too_deep((*layers, packing))
        found = 0
        for member in self._members_of(packed, packing, room, len(layers) + 1):
            found += 1
            within = packed.within if member.called is None else (*packed.within, member.called)
            shown = _joined(packed.member, member.name)
            inner = replace(packed, path=member.path, member=shown, within=within)
            try:
                yield from self._peel(inner, room, (*layers, packing))
            except UnusableSource as unusable:
                raise (unusable if member.name is None else unusable.within(member.name)) from None
        if not found:
            raise _nothing_in(packing)
        self._used_up(packed.path)

    def _members_of(self, packed: SourceFile, packing: Packing, room: Room, depth: int) -> Iterator[Member]:
        self._into.mkdir(mode=0o700, exist_ok=True)
        for member in self._unpackers[packing](packed.path, room, depth):
            self._members += packing in _ARCHIVES
            yield member

    def _in_utf8(self, plain: SourceFile, head: bytes, room: Room, depth: int) -> SourceFile:
        if not is_utf16(head):
            return plain
        self._into.mkdir(mode=0o700, exist_ok=True)
        self._encodings["UTF-16"] = None
        transcoded = replace(plain, path=to_utf8(plain.path, room, depth + 1))
        self._used_up(plain.path)
        return transcoded

    def _used_up(self, path: Path) -> None:
        if path.parent == self._into:
            path.unlink()


def _joined(outer: str | None, inner: str | None) -> str | None:
    return inner if outer is None else outer if inner is None else f"{outer}: {inner}"


def _too_deep(layers: Sequence[Packing]) -> UnusableSource:
    return UnusableSource(
        Unusable.TOO_DEEP,
        f"it is packed in more than {len(layers) - 1} layers ({', '.join(layers)}), the limit that unpack.depth sets",
        "Have the export packed in fewer layers, or raise unpack.depth.",
    )


def _nothing_in(packing: Packing) -> UnusableSource:
    return UnusableSource(
        Unusable.EMPTY,
        f"there is no file with rows in the {packing} archive",
        "A file cannot empty a segment. If the segment has members, have the export sent again.",
    )
