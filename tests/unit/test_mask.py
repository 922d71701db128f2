"""Masks: what may be shown of a cell (rules R1 and S9)."""

import pytest

from relay.rewrite.mask import looks_like_identifier, mask_identifier, mask_name, mask_text


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        pytest.param("+44 20 7946 0123", "***-***-0123", id="number"),
        pytest.param("２１２-５５５-０１２３", "***-***-0123", id="full-width number"),
        pytest.param("555 012", "***", id="six digits"),
        pytest.param("n/a", "***", id="word"),
        pytest.param("Dora.Doe@example.com", "D***@example.com", id="address"),
        pytest.param("d@example.com", "***@example.com", id="address with one letter"),
        pytest.param("dora＠example.com", "d***@example.com", id="full-width address"),
        pytest.param("<dora@example.com", "***@example.com", id="address behind a bracket"),
        pytest.param("dora@2125550123", "d***@***", id="number for a domain"),
        pytest.param("dora@dora doe", "d***@***", id="name for a domain"),
        pytest.param("", "***", id="nothing"),
    ],
)
def test_identifiers_are_masked(cell: str, shown: str) -> None:
    """Of a number the last four digits are shown, of an address its first letter and domain, of the rest nothing."""
    assert mask_identifier(cell) == shown


@pytest.mark.parametrize(
    ("cell", "shown"),
    [
        pytest.param("VIP+ Customers", "VIP+ Customers", id="name"),
        pytest.param("VIP 2026", "VIP 2026", id="name with a year"),
        pytest.param("VIP\u200b\n", "VIP\\u200b\\u000a", id="what cannot be seen"),
        pytest.param("call 212-555-0123", "call ***-***-****", id="number"),
        pytest.param("list of dora@example.com", "l***@example.com", id="address"),
        pytest.param("x" * 81, "x" * 80 + "…", id="long"),
    ],
)
def test_names_are_shown_unless_a_person_strayed_into_them(cell: str, shown: str) -> None:
    """A segment's or column's name is shown with its invisible characters spelled out, but for digits and addresses."""
    assert mask_name(cell) == shown


def test_what_may_be_an_identifier() -> None:
    """An at sign or seven digits without a letter may be somebody; a column's name or a segment is not."""
    assert all(
        map(looks_like_identifier, ("2125550123", "+44 20 7946 0000", "222 4455", "a@b", "２１２５５５０１２３"))
    )
    assert not any(map(looks_like_identifier, ("phone", "address2", "VIP 20261123", "2026", "", "segment 1")))


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("wrong query", "wrong query"),
        ("see ticket 4711, 1,204 rows of 2026-11-23 06:22", "see ticket 4711, 1,204 rows of 2026-11-23 06:22"),
        ("instead of sirendenim-20261123T062155Z-9c1e2a.1", "instead of sirendenim-20261123T062155Z-9c1e2a.1"),
        ("she is (212) 555-0123, she says", "she is ***-***-0123, she says"),
        ("+1 212 555 0123 complained", "***-***-0123 complained"),
        ("asked by ada@example.com today", "asked by a***@example.com today"),
        ("２１２５５５０１２３", "***-***-0123"),
    ],
)
def test_people_are_masked_in_what_an_operator_types(typed: str, shown: str) -> None:
    """A reason is kept in the history and logged: names, dates, counts and ids stay, a person in it does not."""
    assert mask_text(typed) == shown
