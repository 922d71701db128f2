"""The formats of a source that are no CSV text: each read as rows of cells, like CSV (rules K8 to K12)."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Final, Protocol

from relay.rewrite.formats import jsontext, parquet
from relay.rewrite.formats.content import format_of
from relay.rewrite.layout import Format
from relay.rewrite.rules import Rules
from relay.rewrite.text import SourceRow

__all__ = ["columns_of", "format_of", "read_batches"]


class _Reader(Protocol):
    """What reads the files of one format."""

    def columns(self, path: Path, rules: Rules) -> tuple[str, ...]: ...

    def read_batches(
        self, path: Path, columns: Sequence[str], wanted: Collection[int] | None
    ) -> Iterator[list[SourceRow]]: ...


_READERS: Final[dict[Format, _Reader]] = {
    Format.NDJSON: jsontext.Reader(jsontext.lines),
    Format.JSON: jsontext.Reader(jsontext.array),
    Format.PARQUET: parquet.Reader(),
}


def columns_of(path: Path, kind: Format, rules: Rules) -> tuple[str, ...]:
    """Return the names of a file's columns, all that any of its rows has, in order of first appearance (rule K9).

    Raises:
        UnusableSource: it is not whole, or not what its format says.
    """
    return _READERS[kind].columns(path, rules)


def read_batches(
    path: Path, kind: Format, columns: Sequence[str], wanted: Collection[int] | None = None
) -> Iterator[list[SourceRow]]:
    """Yield the rows of a file, a few thousand at once, each with the line or number by which it is found.

    Args:
        path: the file.
        kind: its format, not CSV.
        columns: what `columns_of` said of it; cells come in this order.
        wanted: the positions of the columns that are of concern, None for all. Other cells may be left empty.

    Raises:
        UnusableSource: it is not whole, or not what its format says.
    """
    return _READERS[kind].read_batches(path, columns, wanted)
