"""The options by which a list of exports or deliveries is narrowed down."""

from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click
from pydantic import TypeAdapter

from relay.cli.context import unknown_route
from relay.settings import Duration

if TYPE_CHECKING:
    from relay.config import Config
    from relay.store import Store

_Command = TypeVar("_Command", bound=Callable[..., Any])

_DEFAULT_LIMIT: Final = 50


class Since(click.ParamType[datetime]):
    """An instant in UTC: an ISO date, an ISO date and time, or a duration back from now such as `2d`."""

    name = "since"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        """Read `value`, or refuse it with an example of what is understood."""
        text = str(value)
        try:
            return datetime.now(UTC) - TypeAdapter(Duration).validate_python(text)
        except ValueError:
            pass  # Then it is a date.
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            self.fail(f"{text!r} is neither a date such as 2026-11-23 nor a duration such as 2d or 12h", param, ctx)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at


def narrowed(states: type[StrEnum]) -> Callable[[_Command], _Command]:
    """Give a listing command `--route`, `--state`, `--since` and `--limit`."""
    options = (
        click.option("--route", metavar="NAME", help="Only of this route."),
        click.option(
            "--state",
            type=click.Choice([state.value for state in states]),
            callback=lambda _context, _option, word: None if word is None else states(word),
            help="Only those in this state.",
        ),
        click.option(
            "--since", type=Since(), metavar="WHEN", help="Only from this UTC date on, or this long back: 2d, 12h."
        ),
        click.option(
            "--limit",
            type=click.IntRange(min=1),
            default=_DEFAULT_LIMIT,
            show_default=True,
            metavar="N",
            help="At most so many, the newest.",
        ),
    )

    def decorate(command: _Command) -> _Command:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def refuse_unknown(route: str | None, loaded: "Config", store: "Store") -> None:
    """Refuse a route that the configuration does not have and the history does not know.

    Otherwise a name that is misspelt would look like a route to which nothing came.
    """
    if route is None or route in loaded.routes or store.exports(route=route, limit=1):
        return
    raise unknown_route(route, loaded.routes)
