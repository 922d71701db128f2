"""What may be shown of a cell: enough to find it in the source, not enough to know the person (rules R1 and S9)."""

import re
import unicodedata
from typing import Final

from relay.naming import printable

_PLAIN_DOMAIN: Final = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_LONGEST_SHOWN: Final = 80

FEWEST_PHONE_DIGITS: Final = 7
"""What has fewer digits is nobody's phone number."""

_MOST_SHOWN_DIGITS: Final = 4


def looks_like_identifier(cell: str) -> bool:
    """Say whether a cell may be somebody's phone number or address, well written or not.

    It errs on yes: it decides what must not be shown or taken for a column's name, never what is sent.
    """
    folded = unicodedata.normalize("NFKC", cell)
    return "@" in folded or (_digits_in(folded) >= FEWEST_PHONE_DIGITS and not any(map(str.isalpha, folded)))


def mask_identifier(cell: str) -> str:
    """Return `***-***-0123` for what may be a phone number, `d***@example.com` for an address, `***` for the rest."""
    folded = unicodedata.normalize("NFKC", cell).strip()
    if "@" in folded:
        return _mask_address(folded)
    digits = [str(unicodedata.decimal(c)) for c in folded if c.isdecimal()]
    return "***-***-" + "".join(digits[-4:]) if len(digits) >= FEWEST_PHONE_DIGITS else "***"


def mask_name(cell: str) -> str:
    """Return a segment's or a column's name as it may be shown.

    It is shown in full, what cannot be seen in it spelled out, unless an identifier may have strayed into it.
    """
    folded = unicodedata.normalize("NFKC", cell)
    if "@" in folded:
        return _mask_address(folded.strip())
    if _digits_in(folded) > _MOST_SHOWN_DIGITS:
        cell = "".join("*" if c.isdecimal() else c for c in folded)
    shown = printable(cell)
    return shown if len(shown) <= _LONGEST_SHOWN else shown[:_LONGEST_SHOWN] + "…"


_ADDRESS: Final = re.compile(r"\S+@\S+")
_NUMBER: Final = re.compile(r"(?<![\w-])(?!(?:19|20)\d\d-?\d\d-?\d\d)[+(]?\d(?:[\s().\-/]{0,3}\d){6,}")
"""Seven digits or more, however they are set apart, but for a date and what is within an id."""


def mask_text(text: str) -> str:
    """Return a sentence that somebody typed, with what may be somebody's number or address in it masked (rule R1)."""
    folded = unicodedata.normalize("NFKC", text)
    shown = _ADDRESS.sub(lambda it: mask_identifier(it[0]), folded)
    shown = _NUMBER.sub(lambda it: mask_identifier(it[0]), shown)
    return text if shown == folded else shown


def _mask_address(text: str) -> str:
    local, _, domain = text.rpartition("@")
    first = local[0] if len(local) > 1 and local[0].isascii() and local[0].isalnum() else ""
    plain = _PLAIN_DOMAIN.fullmatch(domain) and _digits_in(domain) <= _MOST_SHOWN_DIGITS
    return f"{first}***@{domain if plain else '***'}"


def _digits_in(text: str) -> int:
    return sum(map(str.isdecimal, text))
