"""The settings of a rewrite: what they refuse, and when two of them judge alike."""

from typing import Any

import pytest
from pydantic import ValidationError

from relay.rewrite.rules import Rules

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "name with a plus": ({"segment": {"name": "VIP+"}}, "64 ASCII letters"),
    "name that is a number": ({"segment": {"name": "212-555-0123"}}, "no phone number"),
    "rename to a refused name": ({"segment": {"rename": {"VIP": "VIP!"}}}, "64 ASCII letters"),
    "rename of what never comes": ({"segment": {"rename": {" VIP": "VIP"}}}, "would never match"),
    "rename twice": ({"segment": {"rename": {"A": "B", "B": "C"}}}, "itself renamed"),
    "no segment column": ({"segment": {"column": []}}, "at least 1 item"),
    "delimiter of two characters": ({"source": {"delimiter": "||"}}, "one character"),
    "delimiter that is a letter": ({"source": {"delimiter": "x"}}, "one character"),
    "delimiter that is a quote": ({"source": {"delimiter": '"'}}, "one character"),
    "delimiter that is nothing": ({"source": {"delimiter": ""}}, "one character"),
    "escape that is a blank": ({"source": {"escape": " "}}, "one character"),
    "escape that is the delimiter": ({"source": {"delimiter": "\\", "escape": "\\"}}, "same character"),
    "no identifier column": ({"source": {"identifier_column": []}}, "at least 1 item"),
    "unknown key": ({"phone": {"validate": "format"}}, "Extra inputs"),
}


@pytest.mark.parametrize("name", WRONG)
def test_settings_that_cannot_be_meant_are_refused(name: str) -> None:
    """A setting that could do nothing, or break rule A3, S4 or S7, is refused with the sentence that says why."""
    settings, said = WRONG[name]
    with pytest.raises(ValidationError, match=said):
        Rules.model_validate({"identifier": "phone", **settings})


def test_the_identifier_is_never_guessed() -> None:
    """There are no rules without the kind of identifier (rule A4)."""
    with pytest.raises(ValidationError, match="identifier"):
        Rules.model_validate({})


def test_digests_tell_settings_apart() -> None:
    """Equal settings have one digest however they were given, any other setting another (rule D9)."""
    plain = Rules.model_validate({"identifier": "phone"})
    same = Rules.model_validate({"identifier": "phone", "segment": {"rename": {}}, "phone": {"validation": "format"}})
    others = [
        Rules.model_validate({"identifier": "email"}),
        Rules.model_validate({"identifier": "phone", "segment": {"rename": {"A": "B"}}}),
        Rules.model_validate({"identifier": "phone", "phone": {"extension": "drop"}}),
        Rules.model_validate({"identifier": "phone", "source": {"control_column": []}}),
    ]
    assert plain.digest() == same.digest()
    assert len({rules.digest() for rules in (plain, *others)}) == len(others) + 1


def test_rules_survive_the_way_to_the_child() -> None:
    """What is written as JSON for the child is read as the same rules."""
    rules = Rules.model_validate(
        {
            "identifier": "email",
            "source": {"delimiter": "\t", "identifier_column": ["mail"]},
            "segment": {"name": "VIP"},
        }
    )
    assert Rules.model_validate_json(rules.model_dump_json()) == rules
