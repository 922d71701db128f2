"""What is wrong with a configuration: problems in an operator's words, and the error that carries all of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pydantic_core import PydanticCustomError

from relay.model import RelayError


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: in which file, at which key, what, and what to do about it."""

    file: Path
    path: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.file}: {self.path}" if self.path else f"{self.file}"
        return f"{where}: {self.message}" + (f"\n    {self.hint}" if self.hint else "")


class ConfigError(RelayError):
    """The configuration cannot be used; `problems` holds everything that is wrong with it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        super().__init__(
            "\n".join([f"the configuration has {count}:", *map(str, self.problems)]),
            hint="Correct the files and run `relay check` again.",
        )


def trouble(message: str, *, hint: str = "") -> PydanticCustomError:
    """Make the error with which a validator says what is wrong with a value, and what to do about it."""
    return PydanticCustomError("relay", "{message}", {"message": message, "hint": hint})
