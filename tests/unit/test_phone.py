"""Phone numbers: what is accepted as which ten digits, and why the rest is not (rules P1 to P6)."""

import phonenumbers
import pytest
from parts.people import AREA_CODES, PHONE_FORMS, person

from relay.rewrite.phone import is_phone, judge_phone
from relay.rewrite.rules import PhoneRules
from relay.rewrite.verdict import Identifier, Reason, Rejected

BY_DEFAULT = PhoneRules()
DROPPING = PhoneRules(extension="drop")

ACCEPTED = {
    "ten digits": "2125550123",
    "dashes": "212-555-0123",
    "eleven digits": "12125550123",
    "eleven digits, dashes behind": "1212-555-0123",
    "a one and a dash": "1-212-555-0123",
    "brackets": "(212) 555-0123",
    "brackets and a dash": "(212)-555-0123",
    "dots": "212.555.0123",
    "a dot at the end": "2125550123.",
    "one dot behind the area code": "212.5550123",
    "slashes": "212/555/0123",
    "blanks around and between": "  212 555 0123 ",
    "a tab": "212\t555\t0123",
    "a line end behind": "2125550123\r\n",
    "a plus": "+12125550123",
    "a plus, written loosely": "+ 1 (212) 555 0123",
    "a plus in brackets": "(+1) 212 555 0123",
    "dialled from abroad": "011 1 212 555 0123",
    "dialled from abroad, no blanks": "01112125550123",
    "dialled from Europe": "00 1 212 555 0123",
    "dialled from Europe, no blanks": "0012125550123",
    "full-width digits": "２１２５５５０１２３",
    "full-width signs": "＋１（２１２）５５５－０１２３",
    "Arabic digits": "٢١٢٥٥٥٠١٢٣",
    "a no-break space": "212\u00a0555\u00a00123",
    "an ideographic space": "212\u3000555\u30000123",
    "a non-breaking hyphen": "212\u2011555\u20110123",
    "en dashes": "212\u2013555\u20130123",
    "minus signs": "212\u2212555\u22120123",
    "a soft hyphen": "212\u00ad5550123",
    "a zero-width space": "212\u200b5550123",
    "direction marks": "\u202d(212) 555-0123\u202c",
    "a byte-order mark": "\ufeff2125550123",
}

REJECTED = {
    "an address": ("jane@example.com", Reason.WRONG_IDENTIFIER_KIND),
    "a full-width address": ("jane＠example.com", Reason.WRONG_IDENTIFIER_KIND),
    "a float of twelve digits": ("2.12555012E9", Reason.SCIENTIFIC_NOTATION),
    "a float with a signed exponent": ("2.12555E+09", Reason.SCIENTIFIC_NOTATION),
    "a float with a comma": ("2,12555e9", Reason.SCIENTIFIC_NOTATION),
    "a whole number with exponent": ("2125550123E0", Reason.SCIENTIFIC_NOTATION),
    "a float": ("2125550123.0", Reason.DECIMAL_SUFFIX),
    "a float with country code": ("12125550123.0", Reason.DECIMAL_SUFFIX),
    "a float with plus": ("+12125550123.00", Reason.DECIMAL_SUFFIX),
    "a float with comma": ("2125550123,0", Reason.DECIMAL_SUFFIX),
    "nine digits that a zero makes ten": ("415555267.0", Reason.DECIMAL_SUFFIX),
    "nine digits and a fraction": ("212555012.3", Reason.DECIMAL_SUFFIX),
    "eight digits and two decimals": ("21255501.23", Reason.DECIMAL_SUFFIX),
    "zeros of a long fraction": ("2125550123.0000", Reason.DECIMAL_SUFFIX),
    "extension x": ("212-555-0123 x45", Reason.EXTENSION),
    "extension ext.": ("(212) 555-0123 ext. 45", Reason.EXTENSION),
    "extension #": ("2125550123#45", Reason.EXTENSION),
    "extension after a semicolon": ("2125550123;45", Reason.EXTENSION),
    "extension after a comma": ("2125550123,456", Reason.EXTENSION),
    "extension in RFC 3966": ("2125550123;ext=45", Reason.EXTENSION),
    "extension in Spanish": ("212-555-0123 anexo 45", Reason.EXTENSION),
    "extension and a word": ("call 212-555-0123 x45", Reason.EXTENSION),
    "vanity": ("1-800-FLOWERS", Reason.LETTERS),
    "a scheme": ("tel:+12125550123", Reason.LETTERS),
    "a word": ("2125550123 mobile", Reason.LETTERS),
    "a word instead": ("n/a", Reason.LETTERS),
    "a spreadsheet's error": ("#N/A", Reason.LETTERS),
    "letters of another script": ("2125550123 д", Reason.LETTERS),
    "country code twice": ("+1 1 206 555 0123", Reason.DOUBLED_COUNTRY_CODE),
    "country code twice, digits": ("112065550123", Reason.DOUBLED_COUNTRY_CODE),
    "country code twice, second with plus": ("1 +1 206 555 0123", Reason.DOUBLED_COUNTRY_CODE),
    "country code twice, from abroad": ("011 1 1 206 555 0123", Reason.DOUBLED_COUNTRY_CODE),
    "country code twice, from Europe": ("00 1 1 206 555 0123", Reason.DOUBLED_COUNTRY_CODE),
    "Norway, ten digits": ("+47 922 34 567", Reason.NOT_NANP),
    "Norway from Europe": ("0047 922 34 567", Reason.NOT_NANP),
    "Norway from America": ("011 47 922 34 567", Reason.NOT_NANP),
    "Britain": ("+44 20 7946 0000", Reason.NOT_NANP),
    "a prefix that a regex once took": ("+32 4155550123", Reason.NOT_NANP),
    "a plus and ten digits": ("+2125550123", Reason.NOT_NANP),
    "a plus and a dialling prefix": ("+011 1 212 555 0123", Reason.NOT_NANP),
    "seven digits": ("555 0123", Reason.WRONG_LENGTH),
    "Canada's 310 numbers": ("310-1234", Reason.WRONG_LENGTH),
    "nine digits": ("212555012", Reason.WRONG_LENGTH),
    "eleven digits, no one before them": ("21255501234", Reason.WRONG_LENGTH),
    "a plus, a one and nine digits": ("+1212555012", Reason.WRONG_LENGTH),
    "two numbers, semicolon": ("2125550123;2125550199", Reason.WRONG_LENGTH),
    "two numbers, slash": ("2125550123/2125550199", Reason.WRONG_LENGTH),
    "two numbers, comma": ("2125550123, 2125550199", Reason.WRONG_LENGTH),
    "two short numbers": ("555-0123;555-0199", Reason.WRONG_LENGTH),
    "country code three times": ("1112065550123", Reason.WRONG_LENGTH),
    "a dash": ("-", Reason.WRONG_LENGTH),
    "nothing": ("", Reason.WRONG_LENGTH),
    "stars": ("212*555*0123", Reason.BAD_CHARACTERS),
    "a text mark": ("'2125550123", Reason.BAD_CHARACTERS),
    "square brackets": ("[212] 555-0123", Reason.BAD_CHARACTERS),
    "a plus inside": ("1+2125550123", Reason.BAD_CHARACTERS),
    "a plus behind": ("2125550123+", Reason.BAD_CHARACTERS),
    "two pluses": ("++12125550123", Reason.BAD_CHARACTERS),
    "a line end inside": ("212555\n0123", Reason.BAD_CHARACTERS),
    "a colon": ("212:5550123", Reason.BAD_CHARACTERS),
    "a raised digit": ("212555012³0", Reason.BAD_CHARACTERS),
}


@pytest.mark.parametrize("name", ACCEPTED)
def test_usual_ways_of_writing_are_accepted(name: str) -> None:
    """A number is accepted in every form of rule P1 and becomes its ten digits."""
    assert judge_phone(ACCEPTED[name], BY_DEFAULT) == Identifier("2125550123", key=2125550123)


@pytest.mark.parametrize("cell", ["1234567890", "123-456-7890", "1123-456-7890", "11234567890"])
def test_attentives_four_forms_are_one_number(cell: str) -> None:
    """Each of the four forms that the specification accepts becomes the same ten digits, and counts as suspect."""
    assert judge_phone(cell, BY_DEFAULT) == Identifier("1234567890", key=1234567890, suspect=True)


@pytest.mark.parametrize("name", REJECTED)
def test_what_could_become_another_number_is_rejected(name: str) -> None:
    """A cell that has no accepted form is rejected with the first reason of rule P4, and so by every validation."""
    cell, reason = REJECTED[name]
    for validation in ("format", "nanp", "valid"):
        assert judge_phone(cell, PhoneRules.model_validate({"validation": validation})) == Rejected(reason)
    assert not is_phone(cell)


@pytest.mark.parametrize("first_digits", ["00", "011", "0", "1"])
def test_ten_digits_alone_are_taken_as_they_are(first_digits: str) -> None:
    """Ten digits have no prefix, whatever they begin with: what is written is accepted when it comes in again."""
    ten = first_digits.ljust(10, "2")
    assert judge_phone(ten, BY_DEFAULT) == Identifier(ten, key=int(ten), suspect=True)
    assert judge_phone(f"+1{ten}", BY_DEFAULT) == Identifier(ten, key=int(ten), suspect=True)


@pytest.mark.parametrize(
    "cell",
    [
        pytest.param("212-555-0123 x45", id="x"),
        pytest.param("+1 (212) 555-0123 ext. 45", id="ext"),
        pytest.param("(212) 555-0123 (ext 45)", id="in brackets"),
        pytest.param("12125550123,456", id="comma"),
        pytest.param("1212-555-0123;ext=45", id="the form that the library strips a digit of"),
    ],
)
def test_extension_is_dropped_where_that_is_wanted(cell: str) -> None:
    """With `extension = "drop"` the number before an extension is sent."""
    assert judge_phone(cell, DROPPING) == Identifier("2125550123", key=2125550123)


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        pytest.param("call 212-555-0123 x45", Reason.LETTERS, id="a word before"),
        pytest.param("2125550123 x4 x5", Reason.EXTENSION, id="two extensions"),
        pytest.param("2125550123 x30/x30", Reason.EXTENSION, id="two equal extensions"),
        pytest.param("2125550123 FLOWERS x45", Reason.EXTENSION, id="letters between"),
        pytest.param("1-800-FLOWERS x45", Reason.EXTENSION, id="vanity"),
        pytest.param("2125550123;2125550199", Reason.WRONG_LENGTH, id="two numbers"),
        pytest.param("2125550123 ext. 5550199", Reason.LETTERS, id="too long for an extension"),
        pytest.param("2125550123,0", Reason.DECIMAL_SUFFIX, id="a float with comma"),
        pytest.param("1212555012.0 x5", Reason.DECIMAL_SUFFIX, id="a float before"),
        pytest.param("+47 922 34 567 x45", Reason.NOT_NANP, id="Norway before"),
        pytest.param("555-0123 x212", Reason.WRONG_LENGTH, id="seven digits before"),
    ],
)
def test_dropping_an_extension_drops_nothing_else(cell: str, reason: Reason) -> None:
    """What stands before a dropped extension is judged like any cell, and what is not only an extension stays."""
    assert judge_phone(cell, DROPPING) == Rejected(reason)


@pytest.mark.parametrize("form", range(len(PHONE_FORMS)))
def test_one_person_has_one_key(form: int) -> None:
    """However a number is written, its key is its ten digits (rule P6)."""
    somebody = person(7)
    assert judge_phone(somebody.written(PHONE_FORMS[form]), BY_DEFAULT) == Identifier(
        somebody.phone, key=int(somebody.phone)
    )


@pytest.mark.parametrize(
    ("cell", "nanp", "valid"),
    [
        pytest.param("2125550123", True, True, id="in use"),
        pytest.param("2345678901", True, True, id="the specification's second"),
        pytest.param("2225550123", True, False, id="area code not in use"),
        pytest.param("1234567890", False, False, id="the specification's first"),
        pytest.param("0234567890", False, False, id="the specification's third"),
        pytest.param("2115550123", False, False, id="area code N11"),
        pytest.param("2925550123", False, False, id="area code with a nine in the middle"),
        pytest.param("2121550123", False, False, id="exchange that begins with 1"),
        pytest.param("2129110123", False, True, id="exchange N11"),
    ],
)
def test_stricter_validations(cell: str, *, nanp: bool, valid: bool) -> None:
    """`nanp` asks the numbering plan, `valid` the library; either rejects as `invalid_number` (rule P2)."""
    for validation, accepts in (("format", True), ("nanp", nanp), ("valid", valid)):
        judged = judge_phone(cell, PhoneRules.model_validate({"validation": validation}))
        expected = Identifier(cell, key=int(cell), suspect=not valid) if accepts else Rejected(Reason.INVALID_NUMBER)
        assert judged == expected


def test_suspect_is_what_the_library_does_not_know() -> None:
    """A number is suspect exactly if the library, asked about it with +1, calls it invalid (rule P3)."""
    for area in range(1000):
        for exchange in ("555", "911", "310", "055"):
            number = f"{area:03}{exchange}0123"
            judged = judge_phone(number, BY_DEFAULT)
            assert isinstance(judged, Identifier)
            assert judged.suspect is not phonenumbers.is_valid_number(phonenumbers.parse(f"+1{number}"))


def test_test_people_are_not_suspect() -> None:
    """The made-up people's numbers are of area codes in use, so that tests can tell suspect ones from them."""
    for area in AREA_CODES:
        assert judge_phone(f"{area}5550100", BY_DEFAULT) == Identifier(f"{area}5550100", key=int(f"{area}5550100"))
