"""How the cells of a text are told apart."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dialect:
    """The characters that have a meaning. Without `quotes` a quote is a character like any other."""

    delimiter: str
    escape: str | None = None
    quotes: bool = True
