"""NDJSON and JSON: objects as rows, one a line or in one array (rules K9 to K11)."""

import codecs
import json
import secrets
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final

from relay.rewrite.formats.document import DECODER, SEND_AGAIN, WRITE_PROPERLY, Document, well_formed
from relay.rewrite.mask import mask_name
from relay.rewrite.rules import Rules
from relay.rewrite.text import LONGEST_LINE, SourceRow
from relay.rewrite.unusable import Unusable, UnusableSource

Members = tuple[tuple[str, Any], ...]
"""An object: its members in their order."""

Objects = Callable[[Path], Iterator[tuple[int, Members]]]
"""What yields the objects of a file, each with the line that it begins in."""

MOST_COLUMNS: Final = 1000
"""More names than this are no columns: something else stands where names should."""

_BATCH: Final = 4096
_MOST_KINDS: Final = 4096
"""Of so many kinds of objects it is remembered that their names are known."""
_AT_ONCE: Final = 256 * 1024
"""Bytes of lines that are decoded at once."""
_ESCAPE: Final = b"\\u"
_TOO_DEEP: Final = "[…]"
"""Stands for a value that is nested too deeply to be written."""


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads files of objects as rows.

    Args:
        objects: yields the objects of a file.
    """

    objects: Objects

    def columns(self, path: Path, rules: Rules) -> tuple[str, ...]:
        """Return every name that any object has; all are read, as writers leave out what is null."""
        del rules
        names: dict[str, None] = {}
        seen: set[tuple[str, ...]] = set()
        for _, members in self.objects(path):
            own = tuple([name for name, _ in members])
            if own in seen:
                continue
            names |= dict.fromkeys(own)
            if len(seen) < _MOST_KINDS:
                seen.add(own)
            if len(names) > MOST_COLUMNS:
                raise UnusableSource(
                    Unusable.TOO_MANY_COLUMNS,
                    f"its objects have more than {MOST_COLUMNS:,} different names",
                    "Have the export written as objects with the same names, one for each row.",
                )
        return tuple(names)

    def read_batches(
        self, path: Path, columns: Sequence[str], wanted: Collection[int] | None
    ) -> Iterator[list[SourceRow]]:
        """Yield the rows; see `relay.rewrite.formats.read_batches`."""
        places = range(len(columns)) if wanted is None else sorted(wanted)
        those, blank = [(place, columns[place]) for place in places], [""] * len(columns)
        rows = (_row(line, members, those, blank) for line, members in self.objects(path))
        while batch := list(islice(rows, _BATCH)):
            yield batch


def lines(path: Path) -> Iterator[tuple[int, Members]]:
    """Yield the objects of an NDJSON file, one in each line that is not blank.

    Raises:
        UnusableSource: a line is something else, or the last one is cut off.
    """
    with path.open("rb") as file:
        number = 1
        while raws := _some_lines(file):
            if number == 1:
                raws[0] = raws[0].removeprefix(codecs.BOM_UTF8)
            objects = _all_at_once(raws)
            found = _one_by_one(raws, number) if objects is None else enumerate(objects, start=number)
            escaped = any(_ESCAPE in raw for raw in raws)
            yield from ((line, well_formed(members)) for line, members in found) if escaped else found
            number += len(raws)


def _some_lines(file: BinaryIO) -> list[bytes]:
    raws, size = [], 0
    while size < _AT_ONCE and (raw := file.readline(LONGEST_LINE + 1)):
        raws.append(raw)
        size += len(raw)
    return raws


def _all_at_once(raws: list[bytes]) -> list[Members] | None:
    """Return the objects of some lines; None unless there is exactly one in each."""
    # What separates the lines must not be in one; then a value between two of them is that of one line alone.
    mark = f"{secrets.randbits(62)}"
    try:
        values = DECODER.decode(f"[{f',{mark},'.encode().join(raws).decode()}]")
    except (ValueError, RecursionError):
        return None
    objects: list[Members] = values[::2]
    whole = len(objects) == len(raws) and len(values) == 2 * len(raws) - 1 and values[1::2].count(mark) == len(raws) - 1
    return objects if whole and all(it.__class__ is tuple for it in objects) else None


def _one_by_one(raws: list[bytes], number: int) -> Iterator[tuple[int, Members]]:
    for line, raw in enumerate(raws, start=number):
        try:
            members = DECODER.decode(raw.decode())
        except (ValueError, RecursionError) as error:
            if not raw.strip():
                continue
            raise _broken_line(line, raw, error) from None
        if not isinstance(members, tuple):
            raise UnusableSource(
                Unusable.BROKEN_JSON, f"line {line} is JSON, but no object; a row was expected", WRITE_PROPERLY
            )
        yield line, members


def array(path: Path) -> Iterator[tuple[int, Members]]:
    """Yield the objects of the one array that a JSON document is, or that it holds in an object.

    Raises:
        UnusableSource: it is cut off, is not JSON, or does not hold exactly one array of objects.
    """
    with path.open("rb") as file:
        document = Document(file)
        if document.take("["):
            yield from _items(document)
        elif document.take("{"):
            yield from _held(document)
        else:
            raise document.broken("neither an array nor an object, as which rows were expected")
        if document.peek():
            raise document.broken("something follows the end of the document")


def _items(document: Document) -> Iterator[tuple[int, Members]]:
    """Yield the rest of an array, behind its bracket."""
    if document.take("]"):
        return
    while True:
        if document.peek() not in {"{", ""}:
            raise document.broken("something else than an object stands in the array of rows")
        line = document.line
        yield line, document.value()
        if document.take("]"):
            return
        if not document.take(","):
            raise document.broken("neither a comma nor the array's end follows a row")


def _held(document: Document) -> Iterator[tuple[int, Members]]:
    """Yield the objects of the one array of objects among an object's members, behind its brace."""
    found: list[str] = []
    more = not document.take("}")
    while more:
        name = document.value()
        if not isinstance(name, str) or not document.take(":"):
            raise document.broken("a name and a colon were expected")
        if document.take("["):
            if document.peek() == "{":
                found.append(name)
                if len(found) > 1:
                    break
                yield from _items(document)
            else:
                _skip(document)
        else:
            document.value()
        more = document.take(",")
        if not more and not document.take("}"):
            raise document.broken("neither a comma nor the object's end follows a member")
    if len(found) != 1:
        raise _no_rows(found)


def _skip(document: Document) -> None:
    """Take the rest of an array that holds no rows, behind its bracket."""
    if document.take("]"):
        return
    while True:
        document.value()
        if document.take("]"):
            return
        if not document.take(","):
            raise document.broken("neither a comma nor the array's end follows a value")


def _row(line: int, members: Members, wanted: Sequence[tuple[int, str]], blank: list[str]) -> SourceRow:
    """Return an object as a row with the wanted cells, the others as in `blank`.

    One with a name twice has a cell too many: nobody knows which one is meant (rule S10).
    """
    found, cells = dict(members), blank.copy()
    for place, name in wanted:
        value = found.get(name)
        cells[place] = value if value.__class__ is str else _text(value)
    cells += [""] * (len(members) - len(found))
    return SourceRow(line, cells)


def _text(value: object) -> str:
    """Return what is no text as a cell. No rule takes the text of an array or an object for anything (rule K10)."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    try:
        return str(well_formed(json.dumps(_plain(value), ensure_ascii=False)))
    except RecursionError:
        return _TOO_DEEP


def _plain(value: object) -> object:
    """Return a nested value with its objects as such."""
    if isinstance(value, tuple):
        return {name: _plain(inner) for name, inner in value}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def _broken_line(number: int, raw: bytes, error: Exception) -> UnusableSource:
    if not raw.endswith(b"\n"):
        if len(raw) > LONGEST_LINE:
            return UnusableSource(
                Unusable.BROKEN_JSON, f"line {number} is longer than {LONGEST_LINE:,} bytes", WRITE_PROPERLY
            )
        return UnusableSource(
            Unusable.TRUNCATED, f"line {number}, the last, is only the beginning of an object", SEND_AGAIN
        )
    if isinstance(error, UnicodeDecodeError):
        return UnusableSource(Unusable.NOT_TEXT, f"line {number} is not UTF-8", "Have the export written in UTF-8.")
    where = f" from character {error.colno} on" if isinstance(error, json.JSONDecodeError) else ""
    return UnusableSource(
        Unusable.BROKEN_JSON, f"line {number} is not a JSON object{where}; NDJSON has one in each line", WRITE_PROPERLY
    )


def _no_rows(found: Sequence[str]) -> UnusableSource:
    which = f"several arrays of objects: {', '.join(map(mask_name, found))}, …" if found else "no array of objects"
    return UnusableSource(
        Unusable.NO_ROWS,
        f"the JSON document is an object that holds {which}; one was expected",
        "Have the export written as one array of objects, one for each row.",
    )
