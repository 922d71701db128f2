"""The text of a source: its rows as the `csv` module reads them, each with its line, and whether it is whole (rule S8).

Reading is strict. A reader that guesses what a stray quote meant can swallow rows up to the next one.
"""

import codecs
import csv
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from relay.rewrite.dialect import Dialect
from relay.rewrite.unusable import Unusable, UnusableSource

LONGEST_LINE: Final = 4 * 1024 * 1024
"""Bytes. What goes on for longer without a line end is no text of rows, and must not fill the memory."""

BYTE_ORDER_MARK: Final = codecs.BOM_UTF8

_END_OF_FILE: Final = "\x1a"
"""Ctrl-Z, with which systems of old end a text."""

_SEND_TEXT: Final = "Have the export written as CSV text in UTF-8."
_SEND_AGAIN: Final = "The file is cut off: have the export sent again, as a whole."
_STRAY_QUOTE: Final = 'If it is whole and does not quote its cells, set source.quotes = "none".'
_STRAY_ESCAPE: Final = 'If it is whole and this character has no such meaning in it, set source.escape = "none".'
_QUOTE_PROPERLY: Final = (
    'Have the export written with quotes around its cells and "" for a quote inside; if it uses an escape character, '
    'name it in source.escape ("\\\\" for a backslash); if quotes mean nothing in it, set source.quotes = "none".'
)


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One row of a source: the physical line of its first character, counted from 1, and its cells.

    `unfinished` says that the source ends in this row without a line end.
    """

    line: int
    cells: list[str]
    unfinished: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a file at which a line begins: how many bytes lie before it, and the line's number."""

    offset: int = 0
    line: int = 1


Watch = Callable[[int, list[str]], None]
"""What is shown each row of several lines, its first line and its cells, and may refuse it."""


def read_rows(path: Path, dialect: Dialect, watch: Watch | None = None) -> Iterator[SourceRow]:
    """Yield the rows of a file; a blank line, or one that holds one empty cell, is not a row (rule S6).

    Args:
        path: the file.
        dialect: how its cells are told apart.
        watch: what looks at the rows of several lines (rule S13).

    Raises:
        UnusableSource: what is read there is not text, or its quotes are not as CSV has them.
    """
    with path.open("rb") as file:
        yield from RowReader(file, dialect, watch=watch)


class RowReader:
    """The rows of an open file from a place on.

    Args:
        file: the file; nobody else reads in it meanwhile.
        dialect: how its cells are told apart.
        place: where to begin, a line at which a row begins.
        watch: what looks at the rows of several lines (rule S13).
    """

    def __init__(self, file: BinaryIO, dialect: Dialect, place: Place = Place(), *, watch: Watch | None = None) -> None:
        file.seek(place.offset)
        self._dialect = dialect
        self._watch = watch
        self._lines = _Lines(file, place)
        self._rows = _csv_reader(self._lines, dialect)

    @property
    def place(self) -> Place | None:
        """Where the next row begins; None where that is within a line, behind a carriage return alone."""
        return self._lines.place

    def __iter__(self) -> Iterator[SourceRow]:
        while True:
            first, before = self._lines.upcoming, self._lines.count
            try:
                cells = next(self._rows, None)
            except csv.Error:
                raise _cut_off(first, self._lines, self._dialect) if self._lines.ended else _broken(first) from None
            if cells is None:
                return
            if self._watch is not None and self._lines.count > before + 1:
                self._watch(first, cells)
            if _is_row(cells):
                yield SourceRow(first, cells, self._lines.unfinished)


def read_line(line: str, dialect: Dialect) -> list[str] | None:
    """Return the cells of one row without its line end, None where it is none; its quotes must be as CSV has them."""
    cells = next(_csv_reader([line], dialect), [])
    return cells if _is_row(cells) else None


def _csv_reader(lines: Iterable[str], dialect: Dialect) -> Iterator[list[str]]:
    return csv.reader(
        lines,
        delimiter=dialect.delimiter,
        escapechar=dialect.escape,
        quoting=csv.QUOTE_MINIMAL if dialect.quotes else csv.QUOTE_NONE,
        strict=True,
    )


def _is_row(cells: list[str]) -> bool:
    return len(cells) > 1 or bool("".join(cells).replace(_END_OF_FILE, "").strip())


class _Lines:
    """The lines of a file, decoded one at a time so that trouble has a line number.

    `upcoming` is the number of the line that comes next, `last` the one handed out last, `unfinished` whether that has
    no end, `count` how many were, and `ended` whether there are no more. `place` is where the next one begins, None
    within a line.
    """

    def __init__(self, file: BinaryIO, place: Place) -> None:
        self._file = file
        self.upcoming = place.line
        self.last = ""
        self.count = 0
        self.unfinished = False
        self.ended = False
        self.place: Place | None = place

    def __iter__(self) -> Iterator[str]:
        offset = self._file.tell()
        while raw := self._file.readline(LONGEST_LINE + 1):
            number = self.upcoming
            text = _decode(raw.removeprefix(BYTE_ORDER_MARK) if offset == 0 else raw, number)
            *pieces, self.last = _split_at_carriage_returns(text)
            self.place = None
            for piece in pieces:
                self.count += 1
                yield piece
            offset += len(raw)
            self.upcoming = number + 1
            self.place = Place(offset, number + 1)
            self.unfinished = not self.last.endswith(("\n", "\r"))
            self.count += 1
            yield self.last
        self.ended = True


def _decode(raw: bytes, number: int) -> str:
    if len(raw) > LONGEST_LINE:
        raise UnusableSource(Unusable.NOT_TEXT, f"line {number} is longer than {LONGEST_LINE:,} bytes", _SEND_TEXT)
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise _undecodable(raw, number) from None
    if "\0" in text:
        raise UnusableSource(Unusable.NOT_TEXT, f"line {number} has a NUL, as no text has", _SEND_TEXT)
    return text


def _undecodable(raw: bytes, number: int) -> UnusableSource:
    try:
        # What only lacks the rest of its last character was cut off there; only a last line can end so.
        codecs.getincrementaldecoder("utf-8")().decode(raw)
    except UnicodeDecodeError:
        return UnusableSource(
            Unusable.NOT_TEXT, f"line {number} is not UTF-8; it may be Latin-1 or Windows-1252", _SEND_TEXT
        )
    return UnusableSource(Unusable.TRUNCATED, f"line {number}, the last, ends within a character", _SEND_AGAIN)


def _split_at_carriage_returns(line: str) -> list[str]:
    """Return a line in the pieces that end in LF, CRLF or a CR alone, each of which ends a row."""
    if line.count("\r") > line.endswith("\r\n"):
        return list(io.StringIO(line, newline=""))
    return [line]


def _cut_off(line: int, lines: _Lines, dialect: Dialect) -> UnusableSource:
    """Return why a row has no end: an escape character, or else a quote, is the last that is known of it."""
    text = lines.last.rstrip("\r\n")
    if dialect.escape is not None and (len(text) - len(text.rstrip(dialect.escape))) % 2:
        where = f"line {lines.upcoming - 1}, the last, ends in an escape character with nothing behind it"
        return UnusableSource(Unusable.TRUNCATED, where, f"{_SEND_AGAIN} {_STRAY_ESCAPE}")
    return UnusableSource(
        Unusable.TRUNCATED,
        f"a quote in the row that begins in line {line} does not close",
        f"{_SEND_AGAIN} {_STRAY_QUOTE}",
    )


def _broken(line: int) -> UnusableSource:
    return UnusableSource(
        Unusable.BROKEN_QUOTES,
        f"in the row that begins in line {line} a quote stands where CSV has none, or does not close within "
        f"{csv.field_size_limit():,} characters",
        _QUOTE_PROPERLY,
    )
