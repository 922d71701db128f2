"""How the cells of a text are told apart."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dialect:
    """The characters that have a meaning. Without `quotes` a quote is a character like any other.

    `trusted` says that the route vouches for it: a cell may hold whatever lines its quotes put into it (rule S13).
    """

    delimiter: str
    escape: str | None = None
    quotes: bool = True
    trusted: bool = False
