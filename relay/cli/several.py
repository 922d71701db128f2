"""What a preview reads: files and directories as the parts of one export, and what the service would say to them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from relay.intake.markers import LONGEST_LIST, Role, is_spark_success, listed_parts, lists_parts, role_of
from relay.model import RelayError
from relay.naming import natural_order
from relay.parts import flaws
from relay.rewrite.files import SourceFile
from relay.rewrite.unusable import UnusableSource

if TYPE_CHECKING:
    from relay.config import RouteSettings


@dataclass(frozen=True, slots=True)
class Several:
    """The parts of one export in their order, what shows that some are missing, and what else is worth knowing."""

    sources: Sequence[SourceFile]
    lacks: Sequence[str]
    remarks: Sequence[str]

    def refuse_incomplete(self) -> None:
        """See that the parts show no gap.

        Raises:
            UnusableSource: they do; the service would wait, and then quarantine the export (rules C5 and C6).
        """
        if self.lacks:
            raise UnusableSource(
                "incomplete",
                f"{len(self.sources):,} files; {'; '.join(self.lacks)}",
                "The service waits for what is missing first (source.wait). If files of this route are numbered with "
                'gaps or empty as a rule, set source.gaps = "accept".',
            )


def look_at(paths: Sequence[Path], settings: "RouteSettings", directory: str | None = None) -> Several:
    """Return what of the given files and directories the service would read, in its order (rules C3 and C4).

    `directory` is the one of the landing zone that they would lie in.

    Raises:
        RelayError: there is no file that could hold a list.
    """
    files = [file for path in paths for file in _files_of(path)]
    parts = sorted(
        (it for it in files if role_of(it.name) is Role.PART or it in paths), key=lambda it: natural_order(str(it))
    )
    if not parts:
        raise RelayError(
            f"no file in {', '.join(map(str, paths))} could be a list",
            hint="End markers, and what Spark puts beside its parts, hold none. Name the directory that has the files.",
        )
    is_several = len(parts) > 1 or parts[0] not in paths
    lacks = _lacks(files, parts) if is_several and settings.source.gaps == "quarantine" else []
    above = "" if directory is None else f"{directory.rstrip('/')}/"
    sources = [
        SourceFile(it, f"{above}{it.parent.name}/{it.name}" if is_several else f"{above}{it.name}") for it in parts
    ]
    return Several(sources, lacks, list(_remarks(files, paths, settings)) if is_several else [])


def _files_of(path: Path) -> list[Path]:
    return [it for it in path.iterdir() if it.is_file()] if path.is_dir() else [path]


def _lacks(files: Sequence[Path], parts: Sequence[Path]) -> list[str]:
    """Say what the parts of each directory lack."""
    found = []
    for directory in dict.fromkeys(it.parent for it in parts):
        beside = [it for it in files if it.parent == directory]
        found += flaws(
            {it.name: it.stat().st_size for it in parts if it.parent == directory},
            listed=listed_parts(_start_of(it) for it in beside if lists_parts(it.name)),
            written_by_spark=any(is_spark_success(it.name) for it in beside),
        )
    return found


def _start_of(file: Path) -> bytes:
    with file.open("rb") as content:
        return content.read(LONGEST_LIST)


def _remarks(files: Sequence[Path], paths: Sequence[Path], settings: "RouteSettings") -> Iterator[str]:
    source = settings.source
    if source.group == "file":
        yield (
            "Shown as one export; but this route makes each file an export of its own, until it has "
            'source.group = "directory" and source.complete = "done" or "quiet".'
        )
    elif source.complete == "done" and not any(role_of(it.name) is Role.END for it in files):
        yield "There is no end marker among these files: the service would wait for one (source.complete)."
    if nested := [it for path in paths if path.is_dir() for it in path.iterdir() if it.is_dir()]:
        yield f"Left out: {len(nested):,} directories within, each of which would be an export of its own."
