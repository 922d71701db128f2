"""A text in blocks of whole rows, each with the place of every cell, found for all of its rows at once.

This reads what the `csv` module, as `relay.rewrite.text` uses it, reads the same way: quotes only around whole cells,
line ends LF or CRLF. A block with anything else in it (a stray quote, an escape character, a carriage return alone, a
NUL, text that is not UTF-8) goes to that reader, which settles what it means and where the next row begins.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from relay.rewrite.bulk.cells import Bytes, Cells, Positions, padded
from relay.rewrite.dialect import Dialect
from relay.rewrite.layout import Layout
from relay.rewrite.strays import refuse_swallowed_rows
from relay.rewrite.text import BYTE_ORDER_MARK, Place, RowReader, SourceRow, read_line

BLOCK: Final = 1 << 22
"""Bytes read at once."""

_LONGEST_ROW: Final = 1 << 16
"""Bytes. Half of what the `csv` module takes for one cell; a longer row is left to it."""

_LF, _CR, _QUOTE = b'\n\r"'

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Block:
    """Whole rows that lie side by side.

    Args:
        text: their bytes, and some of nought behind them.
        begins: where each row begins.
        ends: where each row ends, before its line end.
        lines: the physical line of each row's first character.
        plain: which rows have exactly the layout's cells, without a doubled quote in any.
        separators: where each cell of a plain row ends, by row and column.
        dialect: how its cells are told apart.
        after: where the next row begins.
    """

    text: Bytes
    begins: Positions
    ends: Positions
    lines: Positions
    plain: Mask
    separators: Positions
    dialect: Dialect
    after: Place

    def __len__(self) -> int:
        return len(self.begins)

    def column(self, position: int) -> Cells:
        """Return the cells of a column; those of rows that are not plain are empty."""
        begins, ends = self.begins.copy(), self.begins.copy()
        plain = slice(None) if len(self.separators) == len(begins) else self.plain
        if position:
            begins[plain] = self.separators[:, position - 1] + 1
        ends[plain] = self.separators[:, position]
        if self.dialect.quotes:
            quoted = self.plain & (self.text[begins] == _QUOTE) & (begins < ends)
            begins += quoted
            ends -= quoted
        return Cells(self.text, begins, ends)

    def row(self, number: int) -> SourceRow | None:
        """Return one row as the reference reader has it; None where it reads none."""
        line = self.text[self.begins[number] : self.ends[number]].tobytes().decode()
        cells = read_line(line, self.dialect)
        return None if cells is None else SourceRow(int(self.lines[number]), cells)


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows as the reference reader has them."""

    rows: list[SourceRow]
    width: int

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def lines(self) -> Positions:
        """The physical line of each row's first character."""
        return np.fromiter((row.line for row in self.rows), np.int64, len(self.rows))

    @property
    def plain(self) -> Mask:
        """Which rows have exactly the layout's cells, with more to come behind them."""
        return np.fromiter(
            (len(row.cells) == self.width and not row.unfinished for row in self.rows), np.bool_, len(self.rows)
        )

    def column(self, position: int) -> Cells:
        """Return the cells of a column; those of rows that are not plain are empty."""
        return Cells.of(
            [row.cells[position] if len(row.cells) == self.width and not row.unfinished else "" for row in self.rows]
        )

    def row(self, number: int) -> SourceRow:
        """Return one row."""
        return self.rows[number]


Batch = Block | Rows


def read_blocks(path: Path, layout: Layout, at_once: int = BLOCK) -> Iterator[Batch]:
    """Yield the rows of a text behind its header, in their order, from `at_once` bytes at a time.

    Raises:
        UnusableSource: what is read there is not text, or its quotes are not as CSV has them or swallow rows.
    """
    with path.open("rb") as file:
        watch = partial(refuse_swallowed_rows, layout=layout)
        reader = RowReader(file, layout.dialect, _behind_mark(file), watch=watch)
        if layout.has_header:
            next(iter(reader))
        place = reader.place
        if place is None:
            rows, place = _read_slowly(reader, at_once)
            yield Rows(rows, layout.width)
        while place is not None and (raw := _read_at(file, place, at_once)):
            block = find_cells(raw, layout.dialect, layout.width, place)
            if block is not None:
                place = block.after
                yield block
            else:
                reader = RowReader(file, layout.dialect, place, watch=watch)
                rows, place = _read_slowly(reader, place.offset + len(raw))
                yield Rows(rows, layout.width)


def _behind_mark(file: BinaryIO) -> Place:
    return Place(len(BYTE_ORDER_MARK) if file.read(len(BYTE_ORDER_MARK)) == BYTE_ORDER_MARK else 0)


def _read_at(file: BinaryIO, place: Place, at_once: int) -> bytes:
    file.seek(place.offset)
    return file.read(at_once)


def _read_slowly(reader: RowReader, until: int) -> tuple[list[SourceRow], Place | None]:
    """Return the rows up to `until` or a little further, and where the next one begins; None at the end."""
    rows = []
    for row in reader:
        rows.append(row)
        if reader.place is not None and reader.place.offset >= until:
            return rows, reader.place
    return rows, None


def find_cells(raw: bytes, dialect: Dialect, width: int, place: Place) -> Block | None:
    """Find the whole rows at the beginning of `raw`, and their cells; None where the reference reader must look."""
    raw = raw[: raw.rfind(b"\n") + 1]
    if not _is_usual(raw, dialect):
        return None
    text = padded(raw)
    has_quotes = dialect.quotes and b'"' in raw
    separators = _between_quoted(text, raw, dialect) if has_quotes else None
    if separators is None:
        special = text == _LF
        special |= text == ord(dialect.delimiter)
        if has_quotes:
            special |= text == _QUOTE
        places = np.flatnonzero(special)
        refused = None if dialect.trusted else width
        separators = _outside_quotes(text, places, refused) if has_quotes else _Separators(places, text[places])
    return None if separators is None else _block(text, separators, dialect, width, place)


def _is_usual(raw: bytes, dialect: Dialect) -> bool:
    """Say whether whole lines have nothing in them that only the reference reader knows how to read."""
    return (
        bool(raw)
        and dialect.delimiter.isascii()
        and b"\0" not in raw
        and (dialect.escape is None or dialect.escape.encode() not in raw)
        and (b"\r" not in raw or raw.count(b"\r") == raw.count(b"\r\n"))
        and _is_utf8(raw)
    )


def _is_utf8(raw: bytes) -> bool:
    if raw.isascii():
        return True
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class _Separators:
    """What ends a cell: where it is and whether delimiter or line end.

    Where there are quotes: also how many line ends there are up to each, and where a quote stands for itself.
    """

    places: Positions
    kinds: Bytes
    lines: Positions | None = None
    doubled: Positions | None = None


def _between_quoted(text: Bytes, raw: bytes, dialect: Dialect) -> _Separators | None:
    """Find what ends each cell where all of them are quoted and none has a quote or a line feed in it; None elsewhere.

    The quotes alone tell it then, which takes a third of the time of looking at all that may be special.
    """
    quotes = np.flatnonzero(text == _QUOTE)
    if len(quotes) % 2 or quotes[0] != 0:
        return None
    places = quotes[1::2] + 1
    if b"\r" in raw:
        places += text[places] == _CR
    if places[-1] != len(raw) - 1 or (quotes[2::2] != places[:-1] + 1).any():
        return None
    kinds = text[places]
    feeds = np.count_nonzero(kinds == _LF)
    delimiters = np.count_nonzero(kinds == ord(dialect.delimiter))
    if feeds != raw.count(b"\n") or feeds + delimiters != len(kinds):
        return None
    return _Separators(places, kinds)


def _outside_quotes(text: Bytes, places: Positions, refused: int | None) -> _Separators | None:
    """Tell apart what lies within quotes; None where quotes are not around whole cells, or may swallow rows.

    Args:
        text: the text.
        places: where it has a quote, a delimiter or a line feed.
        refused: how many cells a line of a row of several lines must not have, for the reference reader to look at it.
    """
    kinds = text[places]
    quote = kinds == _QUOTE
    inside = np.logical_xor.accumulate(quote)
    opens, closes, separates = quote & inside, quote & ~inside, ~(quote | inside)
    touches = np.diff(places) == 1
    # Before what opens a cell there is the beginning, a separator, or a quote that it is the double of.
    begins = np.empty_like(quote)
    begins[0] = places[0] == 0
    begins[1:] = touches & (separates | closes)[:-1]
    # Behind what closes a cell there is a separator, with CR if it is a line end, or the quote that is its double.
    goes_on = np.ones_like(quote)
    goes_on[:-1] = touches & (separates | opens)[1:]
    if (opens & ~begins).any() or not _only_line_ends(text, places, kinds, closes & ~goes_on):
        return None
    doubled = opens[1:] & closes[:-1] & touches
    feeds = kinds == _LF
    # Without line feeds in quotes every line is a row, and nothing has to be counted.
    several = bool((feeds & inside).any())
    if several and refused is not None and _has_whole_lines(feeds, inside, ~(feeds | quote), refused):
        return None
    lines = np.cumsum(feeds)[separates] if several else None
    return _Separators(places[separates], kinds[separates], lines, places[1:][doubled] if doubled.any() else None)


def _has_whole_lines(feeds: Mask, inside: Mask, delimiters: Mask, width: int) -> bool:
    """Say whether a line of a row of several, split plainly at each delimiter, has the cells of a row (rule S13)."""
    cells = np.diff(np.cumsum(delimiters)[feeds], prepend=0) + 1
    goes_on = inside[feeds]
    of_several = goes_on.copy()
    of_several[1:] |= goes_on[:-1]
    return bool((of_several & (cells == width)).any())


def _only_line_ends(text: Bytes, places: Positions, kinds: Bytes, closing: Mask) -> bool:
    """Say whether behind each of these closing quotes there is nothing but CR and LF."""
    rows = np.flatnonzero(closing)
    return bool(
        ((text[places[rows] + 1] == _CR) & (places[rows + 1] == places[rows] + 2) & (kinds[rows + 1] == _LF)).all()
    )


def _block(text: Bytes, separators: _Separators, dialect: Dialect, width: int, place: Place) -> Block | None:
    """Put the rows together; None where there is none, or one is too long."""
    last = np.flatnonzero(separators.kinds == _LF)
    if not len(last):
        return None
    cells = np.diff(last, prepend=-1)
    ends = separators.places[last]
    begins = np.concatenate(([0], ends[:-1] + 1))
    if (ends - begins).max() > _LONGEST_ROW:
        return None
    plain = cells == width
    if separators.doubled is not None:
        plain[_rows_of(separators.doubled, ends)] = False
    counted = np.arange(1, len(ends) + 1) if separators.lines is None else separators.lines[last]
    after = Place(place.offset + int(ends[-1]) + 1, place.line + int(counted[-1]))
    ends = ends - ((text[ends - 1] == _CR) & (begins < ends))
    if plain.all():
        by_column = separators.places[: last[-1] + 1].reshape(-1, width)
    else:
        by_column = separators.places[(last - width + 1)[plain][:, np.newaxis] + np.arange(width)]
    by_column[:, -1] = ends[plain]
    lines = place.line + np.concatenate(([0], counted[:-1]))
    return Block(text, begins, ends, lines, plain, by_column, dialect, after)


def _rows_of(places: Positions, ends: Positions) -> Positions:
    """Return the numbers of the rows that have something at `places`, leaving out what is behind the last row."""
    rows = np.searchsorted(ends, places)
    return rows[rows < len(ends)]
