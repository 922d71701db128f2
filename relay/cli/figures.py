"""How instants, sizes and changes are written for people."""

from collections.abc import Mapping
from datetime import UTC, datetime


def moment(at: datetime | None) -> str | None:
    """Write an instant in UTC, to the second: `2026-11-23 06:22:10`."""
    return None if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def minute(at: datetime | None) -> str | None:
    """Write an instant in UTC where there is little room, to the minute: `2026-11-23 06:22`."""
    return None if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M}"


def size(count: int) -> str:
    """Write a number of bytes in the unit that reads best: `3.2 MB`."""
    amount = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "bytes" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def counted(count: int, noun: str) -> str:
    """Write how many there are of something: `1 file`, `1,204 files`."""
    return f"{count:,} {noun}" + "s" * (count != 1)


def rows(count: int) -> str:
    """Write a number of rows: `1 row`, `15,830 rows`."""
    return counted(count, "row")


def change(count: int, before: int | None) -> str | None:
    """Write how much a list grew or shrank: `+2.1 %`, `−40.0 %`; None where there was no list before."""
    if not before:
        return None
    share = 100 * (count - before) / before
    return "±0 %" if not share else f"{share:+.1f} %".replace("-", "−")


def recognised(found: Mapping[str, object]) -> str:
    """Write what a source was taken for: `delimiter ",", header yes, columns 4`."""
    return ", ".join(f"{name} {_as_found(value)}" for name, value in found.items())


def _as_found(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f'"{value}"' if isinstance(value, str) else str(value)
