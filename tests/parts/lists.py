"""Lists to send, as the rewrite leaves them."""

import hashlib
from dataclasses import replace
from pathlib import Path

from relay.naming import temporary_name
from relay.upstream import Draft, Upload

NAME = "sirendenim_subscriber_segment_20261123_1.csv"
TEMPORARY = temporary_name(NAME, "sirendenim-20261123T062155Z-9c1e2a.1", 1)
RETRY = temporary_name(NAME, "sirendenim-20261123T062155Z-9c1e2a.1", 2)
"""What the first attempt and the second write under."""


def rows(count: int, segment: str = "VIP") -> bytes:
    """A list of `count` made-up subscribers."""
    return b"".join(b"212555%04d,%s\n" % (100 + number % 100, segment.encode()) for number in range(count))


def an_upload(directory: Path, content: bytes) -> Upload:
    """A list that lies in `directory` and is to be sent as `NAME` for the first time."""
    path = directory / "draft.csv"
    path.write_bytes(content)
    return Upload(Draft(path, len(content), hashlib.sha256(content).hexdigest()), NAME, TEMPORARY)


def again(upload: Upload, *, unanswered: str | None = None) -> Upload:
    """The same list at its second attempt, with what the first one knew."""
    return replace(upload, temporary_name=RETRY, earlier_name=TEMPORARY, unanswered=unanswered)


def phones(people: int, *segments: str, header: bool = False) -> bytes:
    """A list of invented people as Amperity sends it, in one segment or more."""
    rows = [f"212555{number:04},{segment}\n" for number in range(100, 100 + people) for segment in segments]
    return ("phone,segment_name\n" * header + "".join(rows)).encode()
