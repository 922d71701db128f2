"""What things are called: the file at the upstream, the export, the delivery, a source on disk.

An id is greppable, sorts by time and can be said on the phone: `sirendenim-20261123T062155Z-9c1e2a`, and `….1` for
its first delivery.
"""

import re
from datetime import UTC, date, datetime
from typing import Final


def remote_name(client_domain: str, day: date, number: int) -> str:
    """Return the final name of an outgoing file: `sirendenim_subscriber_segment_20261123_1.csv` (rules A1 and A2).

    Args:
        client_domain: the label that Attentive assigned to the account.
        day: the date of the list, in the route's time zone (rule D2).
        number: the file's number of that date, from 1; written unpadded.

    Raises:
        ValueError: `number` is less than 1.
    """
    if number < 1:
        raise ValueError(f"file numbers begin at 1, not {number}")
    return f"{client_domain}_subscriber_segment_{day:%Y%m%d}_{number}.csv"


def names_in_a_row(first: str, count: int) -> list[str]:
    """Return the names of a list that goes out as `count` files, given the first one's (rule D13)."""
    stem, _, number = first.removesuffix(".csv").rpartition("_")
    return [f"{stem}_{int(number) + more}.csv" for more in range(count)]


def folded_segment(segment: str) -> str:
    """Return a segment's name without what does not tell two names apart: case, blanks, `_` and `-` (rule G10)."""
    return re.sub(r"[ _-]", "", segment).lower()


def temporary_name(remote_name: str, delivery_id: str, attempt: int) -> str:
    """Return the name under which an attempt, from 1, writes a list before it gets `remote_name` (rule U1).

    It does not end in `.csv`, so that Attentive leaves it alone, and carries the delivery's id, so that it is
    recognisably ours. Each attempt has its own: a rename that an earlier one asked for and whose answer was lost may
    yet happen, and must not publish what this one has written so far.
    """
    return f"{remote_name}.{delivery_id}.{attempt}.part"


_TEMPORARY: Final = re.compile(r"(?P<remote_name>.+\.csv)\.(?P<delivery_id>.+\.\d+)\.\d+\.part")


def delivery_of_temporary(name: str) -> tuple[str, str] | None:
    """Return the final name and the delivery's id that `temporary_name` was given, None for any other name."""
    match = _TEMPORARY.fullmatch(name)
    return (match["remote_name"], match["delivery_id"]) if match else None


def export_id(route: str, received_at: datetime, suffix: str) -> str:
    """Return the id of an export: route, instant of its first arrival in UTC, and a random suffix.

    Raises:
        ValueError: `received_at` is naive.
    """
    if received_at.tzinfo is None:
        raise ValueError("an export's instant must be aware")
    return f"{route}-{received_at.astimezone(UTC):%Y%m%dT%H%M%SZ}-{suffix}"


def delivery_id(export_id: str, ordinal: int) -> str:
    """Return the id of an export's delivery; `ordinal` counts its segments from 1."""
    return f"{export_id}.{ordinal}"


def source_name(part: int) -> str:
    """Return what an export's source is called on disk, never as the client named it: `0001` for the first part."""
    return f"{part:04}"


def printable(name: str) -> str:
    """Return a name with what cannot be seen in it, and bytes that are no text, spelled out: clients choose freely."""
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in name)


def natural_order(name: str) -> tuple[list[tuple[str, int]], str]:
    """Return what names sort by when the numbers in them count as numbers: `2.csv` before `10.csv` (rules C4, K4).

    Case does not count, nor do zeros before a number, unless names differ in nothing else.
    """
    pieces = re.findall(r"([^0-9]*)([0-9]*)", name)
    return [(text.casefold(), int(digits or -1)) for text, digits in pieces], name


def draft_name(ordinal: int) -> str:
    """Return what the rewritten list of an export's segment is called on disk: `1.csv`."""
    return f"{ordinal}.csv"
