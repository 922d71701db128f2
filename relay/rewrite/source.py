"""What a source is: its delimiter, its header, and which of its columns is which (rules S1 to S3).

Nothing here may show a cell of a row. Column names may be shown; where there is no header, the first row is a person.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from enum import StrEnum
from itertools import islice
from pathlib import Path
from statistics import mode
from typing import Final

from relay.model import IdentifierKind
from relay.rewrite.agreement import check_alike, continued
from relay.rewrite.dialect import Dialect
from relay.rewrite.email import judge_email
from relay.rewrite.formats import columns_of, format_of, read_batches
from relay.rewrite.layout import Column, Format, Layout
from relay.rewrite.mask import looks_like_identifier, mask_name
from relay.rewrite.phone import is_phone, judge_phone
from relay.rewrite.rules import IDENTIFIER_COLUMNS, PhoneRules, Rules
from relay.rewrite.text import read_rows
from relay.rewrite.unusable import Unusable, UnusableSource
from relay.rewrite.verdict import Identifier

__all__ = ["Bare", "Unusable", "UnusableSource", "recognise"]

DELIMITERS: Final = (",", "\t", "|", ";")
"""What `delimiter = "auto"` tells apart; of equally good ones the first."""

SAMPLE_ROWS: Final = 1000
"""How many rows are looked at to tell the columns."""

_DELIMITER_SAMPLE_ROWS: Final = 100

_MOST_NAMES_SHOWN: Final = 20

_READY_MADE: Final = 2
"""Columns of a list as Attentive takes it, which has no header: identifier and segment."""

_AMPERITY_COLUMNS: Final = (
    *("amperity_id", "given_name", "surname", "full_name", "birthdate", "gender", "row_number", "phone", "email"),
    *("address", "address2", "city", "state", "postal", "country"),
    *("campaign_name", "sub_audience_name", "treatment_name", "is_control", "segment_name"),
)
"""Names that Amperity gives columns: a first row that has one of them may be a header (rule S1)."""

_KIND_NAMES: Final = {IdentifierKind.PHONE: "phone numbers", IdentifierKind.EMAIL: "e-mail addresses"}


class Bare(StrEnum):
    """A source without a row of a person; one part of several may be that."""

    EMPTY = "empty"
    HEADER_ONLY = "header_only"


def recognise(path: Path, rules: Rules, earlier: Layout | None = None) -> Layout | Bare:
    """Say how a source is to be read.

    Args:
        path: the source.
        rules: the route's rules.
        earlier: the layout of the export's first part; CSV text without header continues it if it is CSV text.

    Raises:
        UnusableSource: it is not text, its columns cannot be told for sure, or they are not those of the first part.
    """
    kind = format_of(path, rules.source.format)
    layout = _recognise_text(path, rules, earlier) if kind is Format.CSV else _recognise_table(path, kind, rules)
    if isinstance(layout, Layout) and earlier is not None and layout.has_header:
        check_alike(earlier, layout)
    return layout


def _recognise_text(path: Path, rules: Rules, earlier: Layout | None) -> Layout | Bare:
    """Say how a CSV text lies."""
    dialect = rules.source.dialect(
        _find_delimiter(path, rules) if rules.source.delimiter == "auto" else rules.source.delimiter
    )
    sample = _read_sample(path, dialect, SAMPLE_ROWS)
    if not sample:
        return Bare.EMPTY
    has_header = _is_header(sample[0], rules)
    rows = sample[1:] if has_header else sample
    if not rows:
        return Bare.HEADER_ONLY
    if not has_header and earlier is not None and earlier.format is Format.CSV:
        return continued(earlier, dialect, rows, _is_identifier(rules))
    if rules.source.header == "auto" and not has_header:
        _refuse_unknown_header(sample, rules)
    return _Recogniser(sample[0] if has_header else None, rows, rules).layout(dialect)


def _recognise_table(path: Path, kind: Format, rules: Rules) -> Layout | Bare:
    """Say which column is which in a source whose format names the columns itself."""
    columns = columns_of(path, kind, rules)
    sample = next(iter(read_batches(path, kind, columns)), [])
    if not sample:
        return Bare.HEADER_ONLY if columns else Bare.EMPTY
    if not columns:
        raise UnusableSource(
            Unusable.NO_IDENTIFIER_COLUMN,
            "its rows have no columns at all, such as {} in JSON",
            "Have the export written with the columns of the list. If the segment has members, have it sent again.",
        )
    layout = _Recogniser(columns, [row.cells for row in sample[:SAMPLE_ROWS]], rules).layout(rules.source.dialect(","))
    return replace(layout, format=kind, columns=columns)


def _read_sample(path: Path, dialect: Dialect, most: int) -> list[list[str]]:
    return [row.cells for row in islice(read_rows(path, dialect), most)]


def _is_header(first: Sequence[str], rules: Rules) -> bool:
    """Say whether the first row names the columns (rule S1)."""
    if rules.source.header == "none":
        return False
    is_a_person = any(map(looks_like_identifier, first))
    if rules.source.header == "required":
        if is_a_person:
            raise UnusableSource(
                Unusable.NO_HEADER,
                "the first row holds an identifier; a header was expected",
                'Have the export written with a header, or set source.header to "auto" or "none".',
            )
        return True
    return not is_a_person and not _known_names(rules).isdisjoint(map(_plain, first))


def _refuse_unknown_header(sample: Sequence[Sequence[str]], rules: Rules) -> None:
    """See that the first row is no header with names that nobody knows: it would be a row of a segment of its own.

    It seems to be one if a column holds identifiers but for its first cell, which is a word, and if none of its other
    cells stands in its column again, as the name of a segment does.
    """
    first, *others = sample
    others = [row for row in others if len(row) == len(first)]
    is_one = _is_identifier(rules)
    if not others or any(looks_like_identifier(cell) or not any(map(str.isalpha, cell)) for cell in first):
        return
    held = [sum(map(is_one, cells)) * 2 > len(cells) for cells in zip(*others, strict=True)]
    again = [name in cells for name, cells in zip(first, zip(*others, strict=True), strict=True)]
    if any(held) and not any(again):
        raise UnusableSource(
            Unusable.UNKNOWN_HEADER,
            f"the first row seems to be a header, since none of its {len(first):,} cells is an identifier or stands in "
            "its column again; but no name in it is known",
            "Name its columns in source.identifier_column and in segment.column, as the header spells them. If it is "
            'a row like the others, set source.header = "none".',
        )


def _known_names(rules: Rules) -> set[str]:
    segment, source = rules.segment, rules.source
    own = (
        *(*rules.identifier_columns, *segment.column, *segment.template_columns),
        *(*source.control_column, *source.row_number_column),
    )
    usual = (name for names in IDENTIFIER_COLUMNS.values() for name in names)
    return {_plain(name) for name in (*own, *usual, *_AMPERITY_COLUMNS)}


def _plain(name: str) -> str:
    return name.strip().casefold()


def _is_identifier(rules: Rules) -> Callable[[str], bool]:
    """Return what tells the cells of an identifier column by their content."""
    if rules.identifier is IdentifierKind.PHONE:
        return is_phone
    return lambda cell: isinstance(judge_email(cell, rules.email), Identifier)


def _find_delimiter(path: Path, rules: Rules) -> str:
    """Return the delimiter under which the source looks most like a list of people."""

    def fit(delimiter: str) -> tuple[bool, float, float]:
        try:
            rows = _read_sample(path, rules.source.dialect(delimiter), _DELIMITER_SAMPLE_ROWS)
        except UnusableSource as trouble:
            if trouble.reason in {Unusable.BROKEN_QUOTES, Unusable.TRUNCATED}:
                return False, 0.0, 0.0
            raise
        if not rows:
            return False, 0.0, 0.0
        width = mode(map(len, rows))
        of_people = sum(any(map(_is_identifier(rules), row)) for row in rows) / len(rows)
        regular = sum(len(row) == width for row in rows) / len(rows) if width > 1 else 0.0
        return not _known_names(rules).isdisjoint(map(_plain, rows[0])), of_people, regular

    return max(DELIMITERS, key=fit)


class _Recogniser:
    """Tells which column is which, from the header if there is one and a sample of the rows."""

    def __init__(self, header: Sequence[str] | None, rows: Sequence[Sequence[str]], rules: Rules) -> None:
        self._rules = rules
        self._header = header
        self._width = mode(map(len, rows)) if header is None else len(header)
        self._rows = [row for row in rows if len(row) == self._width]

    def layout(self, dialect: Dialect) -> Layout:
        """Return the layout.

        Raises:
            UnusableSource: a column cannot be told.
        """
        identifier = self._identifier()
        return Layout(
            dialect=dialect,
            has_header=self._header is not None,
            names=tuple(map(self._shown, range(self._width))),
            identifier=identifier,
            segment=self._segment(identifier),
            control=self._named(self._rules.source.control_column, Unusable.AMBIGUOUS_CONTROL_COLUMN),
            row_number=self._named(self._rules.source.row_number_column, Unusable.AMBIGUOUS_ROW_NUMBER_COLUMN),
        )

    def _identifier(self) -> Column:
        """Return the identifier column, by its name or else by its content (rule S2)."""
        named = self._named(self._rules.identifier_columns, Unusable.AMBIGUOUS_IDENTIFIER_COLUMN)
        if named is not None:
            return named
        if self._header is not None and self._rules.source.identifier_column is not None:
            raise self._no_such_column()
        found = [place for place in range(self._width) if self._holds(place, _is_identifier(self._rules))]
        if len(found) == 1:
            self._refuse_numbers_of_nobody(found[0])
            return Column(found[0], self._shown(found[0]), "content")
        expected = _KIND_NAMES[self._rules.identifier]
        if found:
            raise UnusableSource(
                Unusable.AMBIGUOUS_IDENTIFIER_COLUMN,
                f"{expected} were found in several columns: {', '.join(map(self._shown, found))}; one was expected",
                self._name_it("source.identifier_column"),
            )
        raise UnusableSource(
            Unusable.NO_IDENTIFIER_COLUMN,
            f"{self._described()}: none is called {' or '.join(self._rules.identifier_columns)}, "
            f"and none holds {expected}{self._other_kind()}",
            f"{self._name_it('source.identifier_column')} See that the route's identifier is right, too.",
        )

    def _no_such_column(self) -> UnusableSource:
        """Return the refusal of a header that has none of the columns that the route names: no other will do."""
        return UnusableSource(
            Unusable.NO_IDENTIFIER_COLUMN,
            f"{self._described()}: none is called {' or '.join(self._rules.identifier_columns)}, "
            "as source.identifier_column has it",
            "Name the column in source.identifier_column, as the header spells it. Without that setting, the usual "
            "names are looked for, and then what the columns hold.",
        )

    def _refuse_numbers_of_nobody(self, place: int) -> None:
        """See that what a column holds are phone numbers, and no times or customers' numbers of ten digits.

        Two columns without a header are a list as Attentive takes it: there, no other column could be meant.
        """
        if self._rules.identifier is not IdentifierKind.PHONE or (self._header is None and self._width <= _READY_MADE):
            return
        judged = [judge_phone(row[place], PhoneRules()) for row in self._rows]
        numbers = [number for number in judged if isinstance(number, Identifier)]
        doubtful = sum(number.suspect for number in numbers)
        if doubtful * 2 > len(numbers):
            raise UnusableSource(
                Unusable.NO_IDENTIFIER_COLUMN,
                f"{self._described()}: none is called {' or '.join(self._rules.identifier_columns)}, and of the "
                f"{len(numbers):,} numbers of ten digits in {self._shown(place)}, {doubtful:,} are no phone numbers "
                "that exist",
                self._name_it("source.identifier_column"),
            )

    def _segment(self, identifier: Column) -> tuple[Column, ...]:
        """Return the columns that tell a row's segment (rule S3); none where the route or the file's name does."""
        rules = self._rules.segment
        if rules.name is not None or rules.pattern is not None:
            return ()
        if self._header is None and self._width == 2:
            place = 1 - identifier.position
            return (Column(place, self._shown(place), "place"),)
        if rules.template is not None:
            return tuple(map(self._of_template, rules.template_columns))
        named = self._named(rules.column, Unusable.AMBIGUOUS_SEGMENT_COLUMN)
        if named is not None and named.position != identifier.position:
            return (named,)
        raise UnusableSource(
            Unusable.NO_SEGMENT_COLUMN,
            f"{self._described()}: none beside the identifier's is called {' or '.join(rules.column)}",
            f"{self._name_it('segment.column')} Or set segment.name if every row belongs to one segment.",
        )

    def _of_template(self, name: str) -> Column:
        column = self._named((name,), Unusable.AMBIGUOUS_SEGMENT_COLUMN)
        if column is None:
            raise UnusableSource(
                Unusable.NO_SEGMENT_COLUMN,
                f"{self._described()}: none is called {name}, which segment.template names",
                "Name columns in segment.template as the header spells them.",
            )
        return column

    def _named(self, wanted: Sequence[str], ambiguous: Unusable) -> Column | None:
        """Return the column with the first of the wanted names that the header has."""
        names = [_plain(name) for name in self._header or ()]
        name = next((name for name in map(_plain, wanted) if name in names), None)
        if name is None:
            return None
        if names.count(name) > 1:
            raise UnusableSource(
                ambiguous,
                f"{names.count(name)} columns are called {mask_name(name)}; one was expected",
                "Have the export written with one column of that name, or name another one in the route.",
            )
        return Column(names.index(name), self._shown(names.index(name)), "name")

    def _holds(self, place: int, is_one: Callable[[str], bool]) -> bool:
        cells = [row[place] for row in self._rows if row[place].strip()]
        return bool(cells) and sum(map(is_one, cells)) * 2 >= len(cells)

    def _shown(self, place: int) -> str:
        """Return a column's name, or its number where it has none."""
        return (mask_name(self._header[place].strip()) if self._header else "") or f"column {place + 1}"

    def _described(self) -> str:
        if self._header is None:
            return f"{_columns(self._width)} without a header"
        shown = ", ".join(map(self._shown, range(min(self._width, _MOST_NAMES_SHOWN))))
        return f"{_columns(self._width)} ({shown}{', …' if self._width > _MOST_NAMES_SHOWN else ''})"

    def _other_kind(self) -> str:
        """Say whether it rather looks like a list of the other kind."""
        other = next(kind for kind in IdentifierKind if kind is not self._rules.identifier)
        rules = Rules(identifier=other)
        found = [place for place in range(self._width) if self._holds(place, _is_identifier(rules))]
        return f", but {_KIND_NAMES[other]} are in {', '.join(map(self._shown, found))}" if found else ""

    def _name_it(self, setting: str) -> str:
        """Return the hint on how to say which column is meant."""
        if self._header is not None:
            return f"Name the column in {setting}, as the header spells it."
        return (
            f'Have the export written with a header, or set source.header = "required" if it has one, and name the '
            f"column in {setting}."
        )


def _columns(count: int) -> str:
    return f"{count} column{'s' if count > 1 else ''}"
