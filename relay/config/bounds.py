"""How much there may be: of a length of time, and of the things in a list."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Final, TypeVar

from pydantic import AfterValidator, Field

from relay.config.problems import trouble
from relay.settings import Duration, Size, format_duration

_Several = TypeVar("_Several", bound=Collection[object])


@dataclass(frozen=True, slots=True)
class AtMost:
    """Lets a length of time pass that is more than nothing and at most `longest`."""

    longest: timedelta

    def __call__(self, duration: timedelta) -> timedelta:
        """Return `duration` if it may be."""
        if not timedelta(0) < duration <= self.longest:
            raise trouble(
                "this length of time cannot be", hint=f"It is more than 0s and at most {format_duration(self.longest)}."
            )
        return duration


def at_most(longest: timedelta) -> AfterValidator:
    """Make the validator of a length of time; the reference reads the bound from it."""
    return AfterValidator(AtMost(longest))


def _not_empty(values: _Several) -> _Several:
    # In place of pydantic's min_length, which also counts values that are there but wrong.
    if not values:
        raise trouble("there is none", hint="At least one is needed.")
    return values


NotEmpty = AfterValidator(_not_empty)

LONGEST_PAUSE: Final = timedelta(hours=1)

Pause = Annotated[Duration, at_most(LONGEST_PAUSE)]
"""How long something rests, or may take while somebody waits for it."""

Most = Annotated[Size, Field(gt=0, le=10**15)]
"""How many bytes something may have at most."""
