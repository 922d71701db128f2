"""What the rules say of many identifiers at once, in arrays that go by row."""

from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from relay.rewrite.bulk.seen import Keys
from relay.rewrite.verdict import Identifier, Reason

Codes = NDArray[np.uint8]
Values = NDArray[np.bytes_] | NDArray[np.object_]
"""Identifiers: ASCII bytes, all as long, or texts."""

STRANGE: Final = 0
"""The reference rules must look."""
SENT: Final = 1
EMPTY: Final = 2
CONTROL: Final = 3
NONE: Final = 4
"""No row at all."""

_REASONS: Final = tuple(Reason)
_FIRST_REASON: Final = 5


def code_of(reason: Reason) -> int:
    """Return the code of a rejection."""
    return _FIRST_REASON + _REASONS.index(reason)


def reason_of(code: int) -> Reason:
    """Return the reason that a code stands for; it must be a rejection's."""
    return _REASONS[code - _FIRST_REASON]


def are_rejected(codes: Codes) -> NDArray[np.bool_]:
    """Say which codes are rejections."""
    return codes >= _FIRST_REASON


class Identifiers(Protocol):
    """One column's identifiers, judged.

    `codes` says of each cell what it is; of those that are `SENT`, `suspects` says whether they are doubtful.
    """

    codes: Codes
    suspects: NDArray[np.bool_]

    def put(self, row: int, identifier: Identifier) -> None:
        """Note what the reference rules found in a strange cell."""

    def masked(self, rows: NDArray[np.intp]) -> list[str]:
        """Return what may be shown of rejected cells (rule S9)."""

    def keys(self, rows: NDArray[np.intp]) -> Keys:
        """Return by what these rows' persons, who are `SENT`, are told apart."""

    def values(self, rows: NDArray[np.intp]) -> Values:
        """Return the identifiers of these rows, which are `SENT`, as they are written."""


def lines(values: Values, ending: str) -> bytes:
    """Return the outgoing lines of identifiers; `ending` is what follows each (rule A3)."""
    if values.dtype == object:
        return (ending.join([*values.tolist(), ""])).encode()
    found = np.empty(len(values), [("identifier", values.dtype), ("ending", f"V{len(ending)}")])
    found["identifier"] = values
    found["ending"] = np.void(ending.encode())
    return found.tobytes()
