"""E-mail addresses: the plain ones by a pattern and by domains that the reference rules have judged before.

Whether a plain address is accepted depends on its domain alone, as long as it is not too long. All that is not plain
(quotes, blanks, other than ASCII characters, an unusual sign before the `@`) is strange.
"""

import re
from typing import Final

import numpy as np
from numpy.typing import NDArray

from relay.rewrite.bulk.cells import Cells
from relay.rewrite.bulk.judged import EMPTY, SENT, STRANGE, Codes
from relay.rewrite.email import judge_email
from relay.rewrite.mask import mask_identifier
from relay.rewrite.rules import EmailRules
from relay.rewrite.verdict import Identifier

_LONGEST_LOCAL: Final = 64
_LONGEST: Final = 254

_PLAIN: Final = re.compile(
    r"^(?:([A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*)@([A-Za-z0-9.-]+)|.*)$",
    re.MULTILINE,
)
_MOST_DOMAINS: Final = 100_000
"""Domains whose verdict is remembered at a time."""


class Domains:
    """Which domains the reference rules accept; it remembers what it asked."""

    def __init__(self, rules: EmailRules) -> None:
        self._rules = rules
        self._accepted: dict[str, bool] = {"": False}

    def accept(self, found: list[tuple[str, str]]) -> list[bool]:
        """Say of each address, given as what is before and behind its `@`, whether its domain is accepted."""
        if len(self._accepted) > _MOST_DOMAINS:
            self._accepted = {"": False}
        accepted = self._accepted
        for domain in {domain for _, domain in found} - accepted.keys():
            accepted[domain] = isinstance(judge_email(f"a@{domain}", self._rules), Identifier)
        return [accepted[domain] for _, domain in found]


class Emails:
    """A column of addresses, judged; see `relay.rewrite.bulk.judged.Identifiers`."""

    def __init__(self, cells: Cells, rules: EmailRules, domains: Domains) -> None:
        count = len(cells)
        self.suspects: NDArray[np.bool_] = np.zeros(count, np.bool_)
        self._cells = _texts(cells)
        joined = "\n".join(self._cells)
        self._values = joined.lower().split("\n") if rules.case == "lower" else self._cells
        self._keys = self._values if rules.case == "lower" else joined.lower().split("\n")
        plain = domains.accept(_PLAIN.findall(joined)) if count else []
        self.codes: Codes = np.where(np.array(plain, np.bool_), np.uint8(SENT), np.uint8(STRANGE))
        self.codes[self._too_long()] = STRANGE
        self.codes[cells.lengths == 0] = EMPTY

    def put(self, row: int, identifier: Identifier) -> None:
        """Note what the reference rules found in a strange cell."""
        self.codes[row] = SENT
        self._values[row] = identifier.value
        self._keys[row] = str(identifier.key)

    def masked(self, rows: NDArray[np.intp]) -> list[str]:
        """Return what may be shown of rejected cells (rule S9)."""
        return [mask_identifier(self._cells[row]) for row in rows.tolist()]

    def values(self, rows: NDArray[np.intp]) -> NDArray[np.object_]:
        """Return the addresses of these rows, which are `SENT`."""
        return np.array([self._values[row] for row in rows.tolist()], np.object_)

    def keys(self, rows: NDArray[np.intp]) -> NDArray[np.uint64]:
        """Return 64 bits for each of these rows' addresses (rule E2).

        They are keyed by chance for each run. Two of ten million addresses share theirs in one of 300,000 lists.
        """
        keys = self._keys
        return np.fromiter((hash(keys[row]) for row in rows.tolist()), np.int64, len(rows)).view(np.uint64)

    def _too_long(self) -> list[int]:
        return [
            row
            for row, cell in enumerate(self._cells)
            if len(cell) > _LONGEST_LOCAL and (len(cell) > _LONGEST or cell.find("@") > _LONGEST_LOCAL)
        ]


def _texts(cells: Cells) -> list[str]:
    """Return cells as text, a line end in one as a blank; neither is plain."""
    text = cells.text.tobytes()
    places = zip(cells.begins.tolist(), cells.ends.tolist(), strict=True)
    found = [text[begin:end].strip() for begin, end in places]
    joined = b"\n".join(found)
    if joined.count(b"\n") != len(found) - 1:
        joined = b"\n".join(cell.replace(b"\n", b" ") for cell in found)
    return joined.decode("utf-8").split("\n") if found else []
