"""Identifiers by the column: the answer of the reference rules, wherever one is given (rules P1 to P6 and E1 to E5)."""

from typing import Final

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from parts.people import PHONE_FORMS, people, person

from relay.rewrite.bulk import judged
from relay.rewrite.bulk.cells import Cells, as_words
from relay.rewrite.bulk.emails import Domains, Emails
from relay.rewrite.bulk.judged import Identifiers
from relay.rewrite.bulk.phones import Phones
from relay.rewrite.bulk.shapes import LONGEST, shape_of
from relay.rewrite.email import judge_email
from relay.rewrite.mask import mask_identifier
from relay.rewrite.phone import judge_phone
from relay.rewrite.rules import EmailRules, PhoneRules
from relay.rewrite.verdict import Identifier, Reason, Rejected

LAYOUTS: Final = (
    *("###-###-####", "(###) ###-####", "+1##########", "1-###-###-####", "+1 (###) ### ####", "##########"),
    *("###-#### x##", "##########x###", "###-###-#### ext. #", "##########.0", "#######.###", "#.######E#", "###-####"),
    *("+## ### ## ###", "00## ### ## ###", "+1 1 ### ### ####", "11##########", "011 1 ##########", "1##########"),
    *("n/a", "1-800-FLOWERS", "###-###-####;###", "###\u2011###\u2011####", "(###)\u00a0###-####", "###,####,###"),
    *(
        "########.00",
        "-##########",
        "##########c####",
        "###/###/####/x##",
        "+##########",
        "############",
        "＠##",
        "²##########",
    ),
)
PHONE_RULES: Final = [
    PhoneRules.model_validate({"validation": validation, "extension": extension})
    for validation in ("format", "nanp", "valid")
    for extension in ("reject", "drop")
]


@st.composite
def written(draw: st.DrawFn) -> str:
    """A cell in one of many layouts, its digits drawn, perhaps with a change or two."""
    cell = "".join(str(draw(st.integers(0, 9))) if sign == "#" else sign for sign in draw(st.sampled_from(LAYOUTS)))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, max(0, len(cell) - 1)))
        cell = cell[:at] + draw(st.sampled_from([*"01+x.,;#eE-() \t", "\u00a0", "\uff11", ""])) + cell[at + 1 :]
    return cell


def assert_agrees(found: Identifiers, row: int, cell: str, expected: Identifier | Rejected) -> None:
    """See that a judged cell is what the reference rules say it is."""
    rows, code = np.array([row]), int(found.codes[row])
    if isinstance(expected, Identifier):
        assert code == judged.SENT
        assert bool(found.suspects[row]) == expected.suspect
        assert judged.lines(found.values(rows), ",VIP\n").decode() == f"{expected.value},VIP\n"
    else:
        assert judged.reason_of(code) is expected.reason
        assert found.masked(rows) == [mask_identifier(cell)]


@given(
    st.lists(written() | st.text("0123456789+()-. xXeE#;,\0\1", max_size=26), max_size=30), st.sampled_from(PHONE_RULES)
)
def test_numbers_are_judged_as_by_the_reference_rules(cells: list[str], rules: PhoneRules) -> None:
    """Whatever is decided of a number by its shape is what the rules say of it."""
    found = Phones(Cells.of(cells), rules)
    for row, cell in enumerate(cells):
        if found.codes[row] == judged.EMPTY:
            assert cell == ""
        elif found.codes[row] != judged.STRANGE:
            assert_agrees(found, row, cell, judge_phone(cell, rules))


@given(
    st.lists(
        st.emails() | st.from_regex(r"\A[a-zA-Z0-9._+@ -]{0,20}@?[a-z.]{0,8}\Z") | st.just("a\n@b.example"), max_size=20
    ),
    st.sampled_from(("lower", "preserve")),
)
def test_addresses_are_judged_as_by_the_reference_rules(cells: list[str], case: str) -> None:
    """Whatever is decided of an address by its pattern and domain is what the rules say of it."""
    rules = EmailRules.model_validate({"case": case})
    found = Emails(Cells.of(cells), rules, Domains(rules))
    for row, cell in enumerate(cells):
        if found.codes[row] not in {judged.STRANGE, judged.EMPTY}:
            assert_agrees(found, row, cell, judge_email(cell, rules))


@pytest.mark.parametrize("form", PHONE_FORMS[:9])
def test_the_usual_ways_of_writing_are_decided_in_bulk(form: str) -> None:
    """No number that is written in a usual way is left to the slow rules."""
    found = Phones(Cells.of([somebody.written(form) for somebody in people(50)]), PhoneRules())
    assert (found.codes == judged.SENT).all()
    assert found.keys(np.arange(50)).tolist() == [int(somebody.phone) for somebody in people(50)]


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("212-555-0100 x45", Reason.EXTENSION),
        ("2125550100.0", Reason.DECIMAL_SUFFIX),
        ("2.12555E9", Reason.SCIENTIFIC_NOTATION),
        ("1-800-FLOWERS", Reason.LETTERS),
        ("n/a", Reason.LETTERS),
        ("+47 922 34 567", Reason.NOT_NANP),
        ("222 4455", Reason.WRONG_LENGTH),
    ],
)
def test_the_usual_faults_are_decided_in_bulk(cell: str, reason: Reason) -> None:
    """What is often wrong with a number is seen by its shape, and shown as the rules show it."""
    found = Phones(Cells.of([cell]), PhoneRules())
    assert judged.reason_of(int(found.codes[0])) is reason
    assert found.masked(np.array([0])) == [mask_identifier(cell)]


@pytest.mark.parametrize("cell", ["2125550100", "+1 (212) 555-0100", "212\u2011555\u20110100 x4", "n/a"])
def test_a_shape_is_told_by_every_byte_of_a_cell(cell: str) -> None:
    """Whatever byte stands at whatever place of a cell, it is taken for another shape unless digit stands for digit."""
    text = cell.encode()
    others = [text[:at] + bytes([byte]) + text[at + 1 :] for at in range(len(text)) for byte in range(256)]
    cells = Cells(
        np.frombuffer(b"".join(others) + bytes(64), np.uint8),
        np.arange(len(others)) * len(text),
        np.arange(1, len(others) + 1) * len(text),
    )
    shape = shape_of(text, PhoneRules())
    digits = frozenset(b"0123456789")
    expected = [
        all(one == own or {one, own} <= digits for one, own in zip(other, text, strict=True)) for other in others
    ]
    assert shape.fits(as_words(cells.items(LONGEST))).tolist() == expected


def test_what_the_reference_rules_found_is_noted() -> None:
    """A strange cell, once judged, is written and told apart like any other."""
    for found in (
        Phones(Cells.of(["?", "?"]), PhoneRules()),
        Emails(Cells.of(["?", "?"]), EmailRules(), Domains(EmailRules())),
    ):
        value = person(7).phone if isinstance(found, Phones) else person(7).email
        assert (found.codes == judged.STRANGE).all()
        found.put(1, Identifier(value, key=value, suspect=isinstance(found, Phones)))
        assert found.codes.tolist() == [judged.STRANGE, judged.SENT]
        assert judged.lines(found.values(np.array([1])), ",VIP\n").decode() == f"{value},VIP\n"
        assert bool(found.suspects[1]) == isinstance(found, Phones)
