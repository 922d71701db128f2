"""How much there may be: of a length of time, and of the things in a list."""

from collections.abc import Collection
from datetime import timedelta
from typing import TypeVar

from pydantic import AfterValidator

from relay.config.problems import trouble
from relay.settings import format_duration

_Several = TypeVar("_Several", bound=Collection[object])


def at_most(longest: timedelta) -> AfterValidator:
    """Make the validator of a length of time that is more than nothing and at most `longest`."""

    def check(duration: timedelta) -> timedelta:
        if not timedelta(0) < duration <= longest:
            raise trouble(
                "this length of time cannot be", hint=f"It is more than 0s and at most {format_duration(longest)}."
            )
        return duration

    return AfterValidator(check)


def _not_empty(values: _Several) -> _Several:
    # In place of pydantic's min_length, which also counts values that are there but wrong.
    if not values:
        raise trouble("there is none", hint="At least one is needed.")
    return values


NotEmpty = AfterValidator(_not_empty)
