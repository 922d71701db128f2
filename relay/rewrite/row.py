"""The reference rules for one row: sent, rejected or left out, and which segment it counts for.

This is what every faster way of deciding rows must agree with, and what it hands the strange ones to.
"""

import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from relay.model import IdentifierKind
from relay.rewrite.email import judge_email
from relay.rewrite.layout import Column, Layout
from relay.rewrite.mask import mask_identifier, mask_name
from relay.rewrite.phone import judge_phone
from relay.rewrite.rules import Rules
from relay.rewrite.segment import composer, judge_segment
from relay.rewrite.verdict import REFUSED_NAMES, Identifier, Reason, Rejected

_IN_CONTROL: Final = frozenset({"true", "t", "yes", "y", "1"})
_NOT_IN_CONTROL: Final = frozenset({"false", "f", "no", "n", "0", ""})

_MOST_NAMES_TOLD_APART: Final = 1000
"""A column that is not the segment's may have any number of names that are refused."""

_MOST_DIGITS: Final = len("0111") + 10
"""What the longest accepted form of a number has (rule P1)."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row that can be sent, unless its segment has that identifier already."""

    segment: str
    identifier: Identifier


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """A row that cannot be sent.

    `segment` is the one that it counts for, None where that cannot be told. `column` is the one that the reason is
    about, None where it is about the whole row.
    """

    segment: str | None
    reason: Reason
    column: Column | None


class Omission(StrEnum):
    """Why a row is left out although nothing is wrong with it."""

    EMPTY = "empty"
    CONTROL = "control"


@dataclass(frozen=True, slots=True)
class OmittedRow:
    """A row that is not to be sent: its identifier is empty, or it is of a control group."""

    segment: str | None
    why: Omission


def is_in_control(cell: str) -> bool | None:
    """Say whether the cell of a control column marks its row as one of a control group; None if that is unclear."""
    flag = cell.strip().lower()
    return True if flag in _IN_CONTROL else False if flag in _NOT_IN_CONTROL else None


class RowJudge:
    """Judges the rows of one source. It remembers segment names, and nothing of any person.

    `refused_names` has those that were refused, as far as they are told apart.

    Args:
        rules: the route's rules.
        layout: how the source lies.
        named: the one name of every row, where no column tells it.
        last_cells: yields what stands last in each line of the source that has an end.
    """

    def __init__(
        self,
        rules: Rules,
        layout: Layout,
        named: str | None = None,
        last_cells: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._rules = rules
        self._layout = layout
        self._last_cells = last_cells
        self._compose = _composer(rules, layout, named)
        self._told: dict[tuple[str, ...], str | Rejected] = {}
        self._texts: set[str] = set()
        self.refused_names: set[str] = set()
        self.segment_column = _as_one(layout.segment)

    def judge(self, cells: Sequence[str]) -> Row | RejectedRow | OmittedRow:
        """Say what becomes of a row.

        A row of the wrong width is rejected whole: nobody knows which of its cells moved. What is left out anyway (an
        empty identifier, a control group) is not also rejected for its segment's name.
        """
        layout = self._layout
        if len(cells) != layout.width:
            return RejectedRow(None, Reason.WRONG_COLUMN_COUNT, None)
        segment = self.segment_of([cells[column.position] for column in layout.segment])
        name = segment if isinstance(segment, str) else None
        omission = self._omission(cells)
        if omission is not None:
            return OmittedRow(name, omission)
        if self._in_control(cells) is None:
            return RejectedRow(name, Reason.UNCLEAR_CONTROL, layout.control)
        if isinstance(segment, Rejected):
            return RejectedRow(None, segment.reason, self.segment_column)
        identifier = self._judge_identifier(cells[layout.identifier.position])
        if isinstance(identifier, Rejected):
            return RejectedRow(segment, identifier.reason, layout.identifier)
        return Row(segment, identifier)

    def looks_cut_off(self, cells: Sequence[str]) -> bool:
        """Say of a last row without line end whether it is only the beginning of a row (rule S8).

        It is if cells are missing, or if its last one may be but the beginning of what should stand there: of a segment
        named before, where it would name another; of an identifier, where it would be another person's; of a control
        group's flag, where it would be none; or of any other text that stood there before.
        """
        layout = self._layout
        if len(cells) != layout.width:
            return len(cells) < layout.width
        last, text = layout.width - 1, cells[-1].strip()
        if any(column.position == last for column in layout.segment):
            name = self._compose([cells[column.position] for column in layout.segment])
            return any(other.startswith(name) and other != name for other in self._texts | self.refused_names)
        if layout.identifier.position == last:
            return is_blank(text) or self._is_beginning(text)
        if layout.control is not None and layout.control.position == last and not text:
            return True
        # Of one number, others are the beginning by nature.
        return not any(map(str.isdecimal, text)) and self._is_beginning_of_another(text)

    def mask(self, cells: Sequence[str], column: Column | None) -> str:
        """Return what may be shown of the cell that a rejection is about (rule S9)."""
        if column is None:
            return ""
        if column == self.segment_column:
            return self.mask_segment([cells[column.position] for column in self._layout.segment])
        # Whatever stands in a control group's column strayed into it.
        return mask_identifier(cells[column.position])

    def mask_segment(self, texts: Sequence[str]) -> str:
        """Return what may be shown of the cells that name a segment."""
        return mask_name(texts[0] if len(texts) == 1 else self._compose(texts))

    def _omission(self, cells: Sequence[str]) -> Omission | None:
        if self._in_control(cells):
            return Omission.CONTROL
        return Omission.EMPTY if is_blank(cells[self._layout.identifier.position]) else None

    def _in_control(self, cells: Sequence[str]) -> bool | None:
        control = self._layout.control
        return False if control is None else is_in_control(cells[control.position])

    def segment_of(self, texts: Sequence[str]) -> str | Rejected:
        """Return the segment that the cells of the segment's columns name, or why they name none."""
        key = tuple(texts)
        known = self._told.get(key)
        if known is not None:
            return known
        text = self._compose(texts)
        segment = judge_segment(text, self._rules.segment)
        if isinstance(segment, str):
            self._told[key] = segment
            self._texts.add(text)
        elif segment.reason in REFUSED_NAMES and len(self.refused_names) < _MOST_NAMES_TOLD_APART:
            self.refused_names.add(text)
        return segment

    def _judge_identifier(self, cell: str) -> Identifier | Rejected:
        if self._rules.identifier is IdentifierKind.PHONE:
            return judge_phone(cell, self._rules.phone)
        return judge_email(cell, self._rules.email)

    def _is_beginning(self, text: str) -> bool:
        """Say whether an identifier may lack its end. No number of ten digits begins with the 1 of a country code."""
        judged = self._judge_identifier(text)
        if self._rules.identifier is IdentifierKind.EMAIL:
            return judged == Rejected(Reason.INVALID_ADDRESS) or self._is_beginning_of_another(_domain(text))
        if isinstance(judged, Identifier):
            return judged.value[0] in "01"
        return judged == Rejected(Reason.WRONG_LENGTH) and sum(map(str.isdecimal, text)) < _MOST_DIGITS

    def _is_beginning_of_another(self, text: str) -> bool:
        """Say whether a text has not stood last in a line before, but others that begin with it have."""
        is_address = self._layout.identifier.position == self._layout.width - 1
        begins = False
        for cell in self._last_cells():
            other = _domain(cell) if is_address else cell
            if other == text:
                return False
            begins = begins or other.startswith(text)
        return begins


def _domain(address: str) -> str:
    """Return what stands behind the `@`, with it, as addresses are compared."""
    _, at, domain = address.strip().rpartition("@")
    return at + domain.lower() if at else ""


def _composer(rules: Rules, layout: Layout, named: str | None) -> Callable[[Sequence[str]], str]:
    """Return what makes a segment's name of the cells of the layout's segment columns."""
    if not layout.segment:
        return lambda _: named or ""
    # A ready-made file has the name itself in its second column, whatever template made it (rule S7).
    if layout.segment[0].found_by == "place":
        return lambda texts: texts[0].strip()
    return composer(rules.segment)


def _as_one(columns: Sequence[Column]) -> Column | None:
    """Return one column to speak of for those that name a segment together."""
    if len(columns) < 2:
        return next(iter(columns), None)
    return Column(-1, ", ".join(column.name for column in columns), "template")


def is_blank(cell: str) -> bool:
    """Say whether nothing can be seen in a cell."""
    return all(c.isspace() or unicodedata.category(c) == "Cf" for c in cell)
