"""Draws how time and memory grow with the rows, as one SVG picture with two panels."""

from collections.abc import Callable, Sequence
from typing import Final

WIDTH: Final = 360
HEIGHT: Final = 240
MARGIN: Final = 56

Point = tuple[int, float, float]
"""Rows, seconds, megabytes."""


def draw(points: Sequence[Point]) -> str:
    """Return the picture."""
    panels = (
        _panel(0, "seconds", [(rows, seconds) for rows, seconds, _ in points]),
        _panel(WIDTH + MARGIN, "peak memory, MB", [(rows, memory) for rows, _, memory in points]),
    )
    size = f'width="{2 * (WIDTH + MARGIN) + MARGIN}" height="{HEIGHT + 2 * MARGIN}"'
    style = 'font-family="sans-serif" font-size="12" fill="#444"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>\n{"".join(panels)}</svg>\n'


def _panel(left: int, title: str, values: Sequence[tuple[int, float]]) -> str:
    most_rows, most = max(rows for rows, _ in values), max(value for _, value in values)
    x = _scale(left + MARGIN, WIDTH, most_rows)
    y = _scale(MARGIN + HEIGHT, -HEIGHT, most)
    path = " ".join(f"{x(rows):.1f},{y(value):.1f}" for rows, value in values)
    dots = "".join(f'<circle cx="{x(rows):.1f}" cy="{y(value):.1f}" r="3" fill="#06c"/>\n' for rows, value in values)
    frame = f'<path d="M{x(0)},{y(most)} V{y(0)} H{x(most_rows)}" fill="none" stroke="#999"/>\n'
    labels = "".join(
        f'<text x="{at_x:.0f}" y="{at_y:.0f}" text-anchor="{anchor}">{text}</text>\n'
        for at_x, at_y, anchor, text in (
            (x(0), MARGIN - 16, "start", title),
            (x(0) - 6, y(most) + 4, "end", f"{most:,.0f}"),
            (x(0) - 6, y(0) + 4, "end", "0"),
            (x(most_rows), y(0) + 18, "end", f"{most_rows:,} rows"),
        )
    )
    return f'{frame}<polyline points="{path}" fill="none" stroke="#06c" stroke-width="2"/>\n{dots}{labels}'


def _scale(begin: float, length: float, most: float) -> Callable[[float], float]:
    return lambda value: begin + length * value / most
