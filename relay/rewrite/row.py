"""The reference rules for one row: sent, rejected or left out, and which segment it counts for.

This is what every faster way of deciding rows must agree with, and what it hands the strange ones to.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from relay.model import IdentifierKind
from relay.rewrite.email import judge_email
from relay.rewrite.layout import Column, Layout
from relay.rewrite.mask import mask_identifier, mask_name
from relay.rewrite.phone import judge_phone
from relay.rewrite.rules import Rules
from relay.rewrite.segment import judge_segment
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


class RowJudge:
    """Judges the rows of one source. It remembers segment names, and nothing of any person.

    `refused_names` has those that were refused, as far as they are told apart.
    """

    def __init__(self, rules: Rules, layout: Layout) -> None:
        self._rules = rules
        self._layout = layout
        self.refused_names: set[str] = set()
        self._segments: dict[str, str] = {}

    def judge(self, cells: Sequence[str]) -> Row | RejectedRow | OmittedRow:
        """Say what becomes of a row.

        A row of the wrong width is rejected whole: nobody knows which of its cells moved. What is left out anyway (an
        empty identifier, a control group) is not also rejected for its segment's name.
        """
        layout = self._layout
        if len(cells) != layout.width:
            return RejectedRow(None, Reason.WRONG_COLUMN_COUNT, None)
        segment = self._segment(cells)
        name = segment if isinstance(segment, str) else None
        omission = self._omission(cells)
        if omission is not None:
            return OmittedRow(name, omission)
        if self._control(cells) not in _NOT_IN_CONTROL:
            return RejectedRow(name, Reason.UNCLEAR_CONTROL, layout.control)
        if isinstance(segment, Rejected):
            return RejectedRow(None, segment.reason, layout.segment)
        identifier = self._judge_identifier(cells[layout.identifier.position])
        if isinstance(identifier, Rejected):
            return RejectedRow(segment, identifier.reason, layout.identifier)
        return Row(segment, identifier)

    def looks_cut_off(self, cells: Sequence[str]) -> bool:
        """Say of a last row without line end whether it is only the beginning of a row (rule S8).

        It is if cells are missing, or if its last one may be but the beginning of what should stand there: of a segment
        named before, where it would name another; of an identifier, where it would be another person's; or of a control
        group's flag, where it would be none.
        """
        layout = self._layout
        if len(cells) != layout.width:
            return len(cells) < layout.width
        last, text = layout.width - 1, cells[-1].strip()
        if layout.segment is not None and layout.segment.position == last:
            names = self._segments.keys() | self.refused_names
            return any(name.startswith(text) and name != text for name in names)
        if layout.control is not None and layout.control.position == last:
            return not text
        return layout.identifier.position == last and not _is_blank(text) and self._is_beginning(text)

    def mask(self, cells: Sequence[str], column: Column | None) -> str:
        """Return what may be shown of the cell that a rejection is about (rule S9)."""
        if column is None:
            return ""
        cell = cells[column.position]
        return mask_identifier(cell) if column == self._layout.identifier else mask_name(cell)

    def _omission(self, cells: Sequence[str]) -> Omission | None:
        if self._control(cells) in _IN_CONTROL:
            return Omission.CONTROL
        return Omission.EMPTY if _is_blank(cells[self._layout.identifier.position]) else None

    def _control(self, cells: Sequence[str]) -> str:
        control = self._layout.control
        return "" if control is None else cells[control.position].strip().lower()

    def _segment(self, cells: Sequence[str]) -> str | Rejected:
        if self._layout.segment is None:
            return self._rules.segment.name or Rejected(Reason.NO_SEGMENT)
        text = cells[self._layout.segment.position].strip()
        known = self._segments.get(text)
        if known is not None:
            return known
        segment = judge_segment(text, self._rules.segment)
        if isinstance(segment, str):
            self._segments[text] = segment
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
            return judged == Rejected(Reason.INVALID_ADDRESS)
        if isinstance(judged, Identifier):
            return judged.value[0] in "01"
        return judged == Rejected(Reason.WRONG_LENGTH) and sum(map(str.isdecimal, text)) < _MOST_DIGITS


def _is_blank(cell: str) -> bool:
    """Say whether nothing can be seen in a cell."""
    return all(c.isspace() or unicodedata.category(c) == "Cf" for c in cell)
