"""How the rows of a source lie: its delimiter, and which of its columns is which."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Format(StrEnum):
    """What a source's rows are written in."""

    CSV = "csv"
    NDJSON = "ndjson"
    JSON = "json"
    PARQUET = "parquet"


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its place from 0, its name as it may be shown, and whether name, content or place told it."""

    position: int
    name: str
    found_by: str


@dataclass(frozen=True, slots=True)
class Layout:
    """How a source is to be read. `segment` is None where the route has one segment for every row.

    `columns` are the names as a source that is no CSV text has them.
    """

    delimiter: str
    escape: str | None
    has_header: bool
    names: tuple[str, ...]
    identifier: Column
    segment: Column | None
    control: Column | None
    format: Format = Format.CSV
    columns: tuple[str, ...] = ()

    @property
    def of_concern(self) -> tuple[int, ...]:
        """The positions of the columns that decide about a row."""
        columns = (self.identifier, self.segment, self.control)
        return tuple(sorted({column.position for column in columns if column is not None}))

    @property
    def width(self) -> int:
        """How many cells a whole row has."""
        return len(self.names)

    def recognised(self) -> dict[str, Any]:
        """Return what the source was taken for, in words and numbers that may be shown."""
        columns = {"identifier": self.identifier, "segment": self.segment, "control": self.control}
        return {
            "format": self.format.value,
            **({"delimiter": self.delimiter, "header": self.has_header} if self.format is Format.CSV else {}),
            "columns": self.width,
            **{what: f"{column.name} (by {column.found_by})" for what, column in columns.items() if column is not None},
        }
