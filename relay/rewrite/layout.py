"""How the rows of a source lie: its dialect, and which of its columns is which."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from relay.rewrite.dialect import Dialect


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
    """How a source is to be read.

    `segment` are the columns that a row's segment is told from: one, or those of the route's template; none where the
    route or the file's name tells it. `columns` are the names as a source that is no CSV text has them.
    """

    dialect: Dialect
    has_header: bool
    names: tuple[str, ...]
    identifier: Column
    segment: tuple[Column, ...]
    control: Column | None
    row_number: Column | None = None
    format: Format = Format.CSV
    columns: tuple[str, ...] = ()

    @property
    def of_concern(self) -> tuple[int, ...]:
        """The positions of the columns that decide about a row."""
        columns = (self.identifier, *self.segment, self.control, self.row_number)
        return tuple(sorted({column.position for column in columns if column is not None}))

    @property
    def width(self) -> int:
        """How many cells a whole row has."""
        return len(self.names)

    def recognised(self) -> dict[str, Any]:
        """Return what the source was taken for, in words and numbers that may be shown."""
        columns = {
            "identifier": (self.identifier,),
            "segment": self.segment,
            "control": (self.control,),
            "row_number": (self.row_number,),
        }
        told = {what: [column for column in those if column is not None] for what, those in columns.items()}
        return {
            "format": self.format.value,
            **({"delimiter": self.dialect.delimiter, "header": self.has_header} if self.format is Format.CSV else {}),
            "columns": self.width,
            **{
                what: ", ".join(f"{it.name} (by {it.found_by})" for it in those)
                for what, those in told.items()
                if those
            },
        }
