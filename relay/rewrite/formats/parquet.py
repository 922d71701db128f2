"""Parquet: rows and columns, of which each value becomes the text that CSV would have for it (rules K9, K10, K12)."""

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from relay.rewrite.packing.room import check_size
from relay.rewrite.rules import Rules
from relay.rewrite.text import SourceRow
from relay.rewrite.unusable import Unusable, UnusableSource

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

_MARK: Final = b"PAR1"
_BATCH: Final = 16384
_BUFFER: Final = 1024 * 1024
_FEWEST_BYTES: Final = 8
"""What a row takes as text, at the least; a file may claim any number of rows in a few bytes."""

_SEND_AGAIN: Final = (
    "Have the export sent again, as a whole. If it is damaged again, see that it is sent in binary mode."
)


class Reader:
    """Reads Parquet files as rows. pyarrow is imported when there is one."""

    def columns(self, path: Path, rules: Rules) -> tuple[str, ...]:
        """Return the names of the columns.

        Raises:
            UnusableSource: the file is cut off or damaged, or claims to hold more than the limits allow.
        """
        with _opened(path) as file:
            groups = range(file.metadata.num_row_groups)
            claimed = sum(file.metadata.row_group(group).total_byte_size for group in groups)
            rows = _FEWEST_BYTES * file.metadata.num_rows
            check_size(max(claimed, rows), path.stat().st_size, rules.unpack)
            return tuple(file.schema_arrow.names)

    def read_batches(
        self, path: Path, columns: Sequence[str], wanted: Collection[int] | None
    ) -> Iterator[list[SourceRow]]:
        """Yield the rows, whose lines are their numbers; see `relay.rewrite.formats.read_batches`."""
        # By its name a column can be asked for only where it alone has it.
        some = wanted if wanted is not None and len(set(columns)) == len(columns) else None
        places = list(range(len(columns))) if some is None else sorted(some)
        number = 1
        with _opened(path) as file:
            names = None if some is None else [columns[place] for place in places]
            for batch in file.iter_batches(_BATCH, columns=names, use_threads=False):
                texts = dict(zip(places, map(_texts, batch.columns), strict=True))
                cells = zip(*(texts.get(place, repeat("", len(batch))) for place in range(len(columns))), strict=True)
                yield [SourceRow(line, list(row), unfinished=False) for line, row in enumerate(cells, start=number)]
                number += len(batch)


@contextmanager
def _opened(path: Path) -> "Iterator[ParquetFile]":
    """Open a file, and say what is wrong with it when that is found, now or while it is read."""
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow.parquet import ParquetFile  # noqa: PLC0415

    _check_mark(path)
    try:
        with ParquetFile(path, buffer_size=_BUFFER, page_checksum_verification=True) as file:
            yield file
    except UnicodeDecodeError:
        raise UnusableSource(
            Unusable.NOT_TEXT, "a text in the Parquet file is not UTF-8", "Have the export written in UTF-8."
        ) from None
    except (pa.ArrowException, OSError) as error:
        # pyarrow has OSError for damage, too, but only the system's have a number.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise UnusableSource(Unusable.DAMAGED, "the Parquet file is damaged", _SEND_AGAIN) from None


def _check_mark(path: Path) -> None:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - len(_MARK)))
        if size < 3 * len(_MARK) or file.read() != _MARK:
            raise UnusableSource(
                Unusable.TRUNCATED,
                f"the Parquet file is cut off: it has {size:,} bytes and does not end as one does",
                _SEND_AGAIN,
            )


def _texts(column: "pa.Array[Any]") -> list[str]:
    """Return a column's values as texts: integers as their digits, other numbers as what they are, null as nothing."""
    import pyarrow.types as kinds  # noqa: PLC0415

    kind = column.type
    if kinds.is_dictionary(kind):
        return _texts(cast("pa.DictionaryArray[Any, Any]", column).dictionary_decode())
    if kinds.is_binary(kind) or kinds.is_large_binary(kind) or kinds.is_fixed_size_binary(kind):
        return ["" if value is None else value.decode() for value in column.to_pylist()]
    if kinds.is_boolean(kind):
        return ["" if value is None else "true" if value else "false" for value in column.to_pylist()]
    if kinds.is_temporal(kind):
        # As texts of this kind: what is not of concern must not be taken for a number, nor fail for want of a zone.
        return ["" if not value.is_valid else f"{kind} {value.value}" for value in column]
    if kinds.is_nested(kind):
        return ["" if value is None else json.dumps(value, default=str) for value in column.to_pylist()]
    return ["" if value is None else str(value) for value in column.to_pylist()]
