"""E-mail addresses: what is accepted, how it is written, and why the rest is not (rules E1 to E5)."""

import pytest

from relay.rewrite.email import judge_email
from relay.rewrite.rules import EmailRules
from relay.rewrite.verdict import Identifier, Reason, Rejected

BY_DEFAULT = EmailRules()
PRESERVING = EmailRules(case="preserve")
INTERNATIONAL = EmailRules(internationalized=True)

REJECTED = {
    "a number": ("2125550123", Reason.WRONG_IDENTIFIER_KIND),
    "a number, formatted": ("+1 (212) 555-0123", Reason.WRONG_IDENTIFIER_KIND),
    "a foreign number": ("+44 20 7946 0000", Reason.WRONG_IDENTIFIER_KIND),
    "a comma": ("jane,doe@example.com", Reason.BAD_CHARACTERS),
    "a blank": ("jane doe@example.com", Reason.BAD_CHARACTERS),
    "a line end inside": ("jane\n@example.com", Reason.BAD_CHARACTERS),
    "quotes": ('"jane"@example.com', Reason.BAD_CHARACTERS),
    "a name before it": ("Jane <jane@example.com>", Reason.BAD_CHARACTERS),
    "a zero-width space": ("jane\u200b@example.com", Reason.BAD_CHARACTERS),
    "two addresses": ("jane@example.com, joe@example.com", Reason.BAD_CHARACTERS),
    "a bell": ("jane\a@example.com", Reason.BAD_CHARACTERS),
    "an umlaut before the sign": ("jäne@example.com", Reason.INTERNATIONALIZED),
    "an umlaut behind the sign": ("jane@exämple.com", Reason.INTERNATIONALIZED),
    "no domain": ("jane@", Reason.INVALID_ADDRESS),
    "no name": ("@example.com", Reason.INVALID_ADDRESS),
    "no dot in the domain": ("jane@example", Reason.INVALID_ADDRESS),
    "two signs": ("jane@doe@example.com", Reason.INVALID_ADDRESS),
    "two dots": ("jane..doe@example.com", Reason.INVALID_ADDRESS),
    "a bare host": ("jane@[127.0.0.1]", Reason.INVALID_ADDRESS),
    "two addresses, semicolon": ("jane@example.com;joe@example.com", Reason.INVALID_ADDRESS),
    "a word": ("n/a", Reason.INVALID_ADDRESS),
    "nothing": ("", Reason.INVALID_ADDRESS),
}


@pytest.mark.parametrize("name", REJECTED)
def test_what_is_no_plain_address_is_rejected(name: str) -> None:
    """A cell that is not one address in ASCII, without anything that needs quotes, is rejected with its reason."""
    cell, reason = REJECTED[name]
    assert judge_email(cell, BY_DEFAULT) == Rejected(reason)


def test_addresses_are_trimmed_and_lower_cased() -> None:
    """An address is written in lower case without the blanks around it."""
    address = "jane.doe@example.com"
    assert judge_email("\t Jane.DOE@Example.COM\u00a0", BY_DEFAULT) == Identifier(address, key=address)


def test_case_can_be_preserved_but_not_in_the_key() -> None:
    """With `case = "preserve"` an address is written as it came, and still found again in any case."""
    for address in ("Jane.Doe@Example.com", "Postmaster@example.com"):
        assert judge_email(address, PRESERVING) == Identifier(address, key=address.lower())


@pytest.mark.parametrize("local", ["jane+vip", "o'brien", "jane_doe-1", "a", "x" * 64])
def test_what_an_address_may_contain_is_kept(local: str) -> None:
    """A tag, an apostrophe and other characters that an address may have are not touched."""
    address = f"{local}@example.com"
    assert judge_email(address, BY_DEFAULT) == Identifier(address, key=address)


def test_a_domain_in_ascii_stays_in_ascii() -> None:
    """An internationalised domain in its ASCII form is an ASCII address, and is not turned into Unicode."""
    address = "jane@xn--exmple-cua.com"
    assert judge_email(address, BY_DEFAULT) == Identifier(address, key=address)


@pytest.mark.parametrize("address", ["jäne@example.com", "jane@exämple.com", "ẞ@example.com"])
def test_internationalised_addresses_are_accepted_where_wanted(address: str) -> None:
    """With `internationalized = true` such an address is written so that it stays the same when it comes in again."""
    judged = judge_email(address.upper(), INTERNATIONAL)
    assert isinstance(judged, Identifier)
    assert judge_email(judged.value, INTERNATIONAL) == judged
    assert judge_email(address, INTERNATIONAL) == judged


def test_an_address_without_a_stable_lower_case_is_refused() -> None:
    """A Cherokee domain is another one in lower case, so it is refused where addresses are lower-cased (rule S7)."""
    address = "jane@\u13a0\u13a1.example.com"
    assert judge_email(address, INTERNATIONAL) == Rejected(Reason.INVALID_ADDRESS)
    assert isinstance(judge_email(address, EmailRules(internationalized=True, case="preserve")), Identifier)
