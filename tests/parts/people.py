"""Made-up people: numbers of the block kept free for fiction (555-01XX) and addresses at example.com, nobody's."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

AREA_CODES: Final = (
    *("201", "202", "203", "205", "206", "207", "208", "209", "210", "212", "213", "214", "215", "216", "217", "218"),
    *("301", "302", "303", "304", "305", "307", "308", "309", "310", "312", "313", "314", "315", "316", "317", "318"),
    *("401", "402", "404", "405", "406", "407", "408", "409", "410", "412", "413", "414", "415", "416", "417", "418"),
)
"""Area codes in use, so that none of these numbers is suspect (rule P3)."""

PHONE_FORMS: Final = (
    "{area}555{line}",
    "1{area}555{line}",
    "{area}-555-{line}",
    "1{area}-555-{line}",
    "1-{area}-555-{line}",
    "+1{area}555{line}",
    "+1 ({area}) 555 {line}",
    "({area})-555-{line}",
    "{area}.555.{line}",
    "011 1 {area} 555 {line}",
    " 00 1 {area}/555/{line} ",
    "{area}\N{NON-BREAKING HYPHEN}555\N{NO-BREAK SPACE}{line}",
)
"""Ways in which one person's number may be written; every one is accepted (rule P1)."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who does not exist."""

    area: str
    line: str

    @property
    def phone(self) -> str:
        """The number as ten digits."""
        return f"{self.area}555{self.line}"

    @property
    def email(self) -> str:
        """The address in lower case."""
        return f"person.{self.area}.{self.line}@example.com"

    def written(self, form: str) -> str:
        """The number in one of `PHONE_FORMS`."""
        return form.format(area=self.area, line=self.line)


def person(number: int) -> Person:
    """Return one of 4,800 people, the same for the same number."""
    area, line = divmod(number, 100)
    return Person(AREA_CODES[area], f"01{line:02}")


def people(count: int, *, first: int = 0) -> Iterator[Person]:
    """Yield `count` different people."""
    return map(person, range(first, first + count))
