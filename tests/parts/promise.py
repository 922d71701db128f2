"""The promise, as something that can be checked: of what was acknowledged, and of what lies at the upstream.

- Every acknowledged upload ends in exactly one explained end state.
- Under a final name there is a complete list or nothing.
- A retry has the same name and the same bytes.
- An older list never follows a newer one.
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from relay.model import Arrival, ArrivalState, Delivery, DeliveryState, Export, ExportState, Slice
from relay.store import Store

Line = dict[str, Any]

FINAL_NAME: Final = re.compile(r"\w+_subscriber_segment_\d{8}_\d+\.csv")

_NO_EXPORT: Final = {ArrivalState.UNROUTED, ArrivalState.WITHDRAWN, ArrivalState.IGNORED}
_WAITING: Final = {ExportState.GATHERING, ExportState.RECEIVED}
_MOVING: Final = {DeliveryState.QUEUED, DeliveryState.SENDING, DeliveryState.DEFERRED}


@dataclass
class Told:
    """What the clients did and were told.

    By the SHA-256 of what they sent: how often it was attempted, how often it was acknowledged, and how often something
    else was sent to its place afterwards, perhaps before it was claimed; the paths that were acknowledged and that no
    export comes of; and the names of what somebody else has put at the upstream.
    """

    attempted: Counter[str] = field(default_factory=Counter)
    acknowledged: Counter[str] = field(default_factory=Counter)
    replaced: Counter[str] = field(default_factory=Counter)
    unwanted: set[str] = field(default_factory=set)
    strangers: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Books:
    """What the relay has noted."""

    arrivals: list[Arrival]
    exports: list[Export]
    deliveries: list[Delivery]
    slices: dict[str, list[Slice]] = field(default_factory=dict)
    """The files of each list that goes out as several, by its delivery's id."""

    @property
    def settled(self) -> bool:
        """Whether nothing is left that the relay would do by itself."""
        return not (
            any(it.state is ArrivalState.LANDED for it in self.arrivals)
            or any(it.state in _WAITING for it in self.exports)
            or any(it.state in _MOVING for it in self.deliveries)
        )


def read_books(database: Path) -> Books:
    """Look into the database, beside a running daemon or without one."""
    store = Store.open_beside(database, read_only=True)
    try:
        # In the order in which things move: what has left one table since is seen in the next.
        arrivals, exports, deliveries = store.arrivals(), store.exports(), store.deliveries()
        slices = {it.id: store.slices(it.id) for it in deliveries if it.files > 1}
        return Books(arrivals, exports, deliveries, slices)
    finally:
        store.close()


def sha256(content: bytes) -> str:
    """The hash by which contents are told apart."""
    return hashlib.sha256(content).hexdigest()


def check_promise(books: Books, told: Told, lives: Iterable[list[Line]], uploads: Iterable[Path]) -> None:
    """Fail where the promise is broken, once everything has settled.

    Args:
        books: what the relay has noted.
        told: what the clients were told.
        lives: the log of each daemon that there was.
        uploads: the upstreams' directories.
    """
    assert books.settled, _unsettled(books)
    check_custody(books, told)
    check_names(books, lives)
    for directory in uploads:
        check_upstream(books, directory)
    check_sent_lists_are_there(books, list(uploads))
    check_order(books, uploads)


def check_custody(books: Books, told: Told) -> None:
    """Every acknowledged upload is in custody and has come to an explained end, and no upload took effect twice."""
    exports: defaultdict[str, list[Export]] = defaultdict(list)
    for export in books.exports:
        exports[export.source_sha256 or ""].append(export)
    replaced = 0
    for content, times in told.acknowledged.items():
        found = exports[content]
        assert times - told.replaced[content] <= len(found) <= told.attempted[content], (
            f"acknowledged {times} times, attempted {told.attempted[content]} times, in custody {len(found)} times"
        )
        replaced += max(0, times - len(found))
    withdrawn = sum(it.state is ArrivalState.WITHDRAWN for it in books.arrivals)
    assert replaced <= withdrawn, f"{replaced} are in no export, but {withdrawn} were withdrawn"
    ends = {it.path: it.state for it in books.arrivals}
    for path in told.unwanted:
        assert ends[path] in _NO_EXPORT, f"{path} is {ends[path]}"
    for export in books.exports:
        # One whose files were all taken back before it was complete never had any content.
        assert export.source_sha256 is None or told.attempted[export.source_sha256], f"nobody sent {export.id}"
        if export.state is ExportState.QUARANTINED:
            assert export.reason, f"{export.id} is quarantined without a reason"
            assert export.hint, f"{export.id} is quarantined without a hint"
        if export.state is ExportState.ACCEPTED:
            assert export.report is not None
    for delivery in books.deliveries:
        if delivery.state in {DeliveryState.HELD, DeliveryState.FAILED}:
            assert delivery.reason, f"{delivery.id} is {delivery.state} without a reason"
            assert delivery.hint, f"{delivery.id} is {delivery.state} without a hint"


def check_names(books: Books, lives: Iterable[list[Line]]) -> None:
    """Whatever was said of a delivery's name and bytes in any life is what they are now."""
    now = {it.id: it for it in books.deliveries}
    for line in (line for life in lives for line in life if "delivery" in line):
        delivery = now[line["delivery"]]
        names_now = {None, *_planned_of(books, delivery)}
        assert line.get("remote_name") in names_now, f"{delivery.id} had another name: {line['remote_name']}"
        assert line.get("sha256") in {None, delivery.sha256}, f"{delivery.id} had other bytes: {line['sha256']}"
    names = [(it.upstream, name) for it in books.deliveries for name in _planned_of(books, it)]
    assert len(names) == len(set(names)), "one name was given twice"


def check_upstream(books: Books, directory: Path, strangers: Collection[str] = ()) -> None:
    """Under a final name lies the whole list that was planned under it. True at any moment, also of a dead relay.

    `strangers` are the names of what somebody else has put there.
    """
    planned = {name: sha for it in books.deliveries for name, sha in _planned_of(books, it).items()}
    for path in sorted(directory.iterdir()):
        if FINAL_NAME.fullmatch(path.name) and path.name not in strangers:
            assert path.name in planned, f"{path.name} was never planned"
            found = sha256(path.read_bytes())
            assert found == planned[path.name], f"{path.name} is not the list that was planned"


def _planned_of(books: Books, delivery: Delivery) -> dict[str, str]:
    """The final names of a delivery's files, and the hash of each."""
    if delivery.files > 1:
        return {it.remote_name: it.sha256 for it in books.slices[delivery.id]}
    return {delivery.remote_name: delivery.sha256} if delivery.remote_name else {}


def check_sent_lists_are_there(books: Books, uploads: list[Path]) -> None:
    """What is said to be sent is there, and what is there was said to be sent.

    The temporary file of an attempt that was cut off may be left; the relay clears it away in its time (rule U3).
    """
    there = {path.name for directory in uploads for path in directory.iterdir() if FINAL_NAME.fullmatch(path.name)}
    sent = {name for it in books.deliveries for name in list(_planned_of(books, it))[: it.files_sent]}
    assert there == sent, f"only there: {sorted(there - sent)}, only said: {sorted(map(str, sent - there))}"


def check_order(books: Books, uploads: Iterable[Path]) -> None:
    """The lists of a segment got their final names in the order in which they came, whatever the clock said."""
    named_at = {path.name: path.stat().st_ctime_ns for directory in uploads for path in directory.iterdir()}
    # They are read newest planned first; it decides between lists of one arrival (rule D8).
    place = {it.id: -number for number, it in enumerate(books.deliveries)}
    segments: defaultdict[tuple[str, str, str], list[Delivery]] = defaultdict(list)
    for delivery in books.deliveries:
        if delivery.state is DeliveryState.SENT:
            segments[delivery.upstream, delivery.client_domain, delivery.segment].append(delivery)
    for lists in segments.values():
        in_time = sorted(lists, key=lambda it: named_at[it.remote_name or ""])
        came = [(it.last_arrival, place[it.id]) for it in in_time]
        assert came == sorted(came), f"an older list followed a newer one: {[it.id for it in in_time]}"


def _unsettled(books: Books) -> str:
    arrivals = [(it.id, it.state) for it in books.arrivals]
    exports = [(it.id, it.state) for it in books.exports]
    deliveries = [(it.id, it.state) for it in books.deliveries]
    return f"not settled: {arrivals}, {exports}, {deliveries}"
