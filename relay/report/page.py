"""The layout of the report: a template, and how figures are written in it."""

from datetime import UTC, datetime
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from relay.report.story import Story

_CHART_WIDTH: Final = 720
_CHART_HEIGHT: Final = 120


def render(story: Story) -> str:
    """Return the story as one HTML document. Everything that somebody else named is escaped."""
    environment = Environment(
        loader=PackageLoader("relay.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"count": _count, "moment": _moment, "percent": _percent, "lasting": _lasting}
    template = environment.get_template("report.html.j2")
    return template.render(story=story, width=_CHART_WIDTH, height=_CHART_HEIGHT)


def _count(number: int | None) -> str:
    return "–" if number is None else f"{number:,}"


def _moment(at: datetime | str | None) -> str:
    if at is None:
        return "–"
    at = datetime.fromisoformat(at) if isinstance(at, str) else at
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f} %" if whole else "–"


def _lasting(minutes: float) -> str:
    seconds = 60 * minutes
    if seconds < 2:
        return "less than two seconds"
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{minutes:.1f} minutes" if minutes < 120 else f"{minutes / 60:.1f} hours"
