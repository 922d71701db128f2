"""E-mail addresses: what a cell must be to be sent (rules E1 to E4)."""

import re
import unicodedata
from typing import Final

from email_validator import EmailNotValidError, validate_email

from relay.rewrite.mask import looks_like_identifier
from relay.rewrite.rules import EmailRules
from relay.rewrite.verdict import Identifier, Reason, Rejected

_UNSAFE: Final = re.compile(r"[\s,\"]")
"""What would need quotes in the outgoing file (rules A3 and E3)."""


def judge_email(cell: str, rules: EmailRules) -> Identifier | Rejected:
    """Return the address that a cell holds, or why it cannot be sent."""
    text = cell.strip()
    if "@" not in text and looks_like_identifier(text):
        return Rejected(Reason.WRONG_IDENTIFIER_KIND)
    if _UNSAFE.search(text) or not text.isprintable():
        return Rejected(Reason.BAD_CHARACTERS)
    if not text.isascii() and not rules.internationalized:
        return Rejected(Reason.INTERNATIONALIZED)
    address = _address(text, rules)
    if address is None:
        return Rejected(Reason.INVALID_ADDRESS)
    return Identifier(address, key=_lower(address))


def _address(text: str, rules: EmailRules) -> str | None:
    """Return an address as it is to be written, None where it is none."""
    spelled = _spell(text, rules)
    if spelled is None or rules.case == "preserve":
        return spelled
    lower = _lower(spelled)
    # Outside ASCII the lower case of an address may be no address, or be spelled otherwise when it comes in again (S7).
    return lower if lower.isascii() or _spell(lower, rules) == lower else None


def _spell(text: str, rules: EmailRules) -> str | None:
    try:
        valid = validate_email(text, check_deliverability=False, allow_smtputf8=rules.internationalized)
    except EmailNotValidError:
        return None
    # The library's spelling turns `xn--` domains into Unicode, for one: what is ASCII already is left alone.
    return text if text.isascii() else valid.normalized


def _lower(address: str) -> str:
    return unicodedata.normalize("NFC", address.lower())
