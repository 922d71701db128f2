"""A real store on a real file, with the stages around it played by the test."""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Self

from relay.guards import History
from relay.model import (
    Acceptance,
    Arrival,
    Cut,
    Decision,
    Delivery,
    Draft,
    Export,
    Fingerprint,
    Landing,
    NewExport,
    Queue,
    Receipt,
    Report,
    SegmentCounts,
    Verdict,
)
from relay.naming import export_id
from relay.store import Sent, Store

ROUTE = "sirendenim"
UPSTREAM = "attentive"
LEASE = timedelta(minutes=10)
PERSON = Decision("mel", "looked at it")
START = datetime(2026, 11, 23, 6, 0, tzinfo=UTC)


class Books:
    """A store, a clock that a test moves, and the ways in which the stages use the one by the other."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.now = START
        self.commits = 0
        self._numbers = 0
        self.store = self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.store.close()

    def reopen(self) -> None:
        """Close the database and open it again, as a restart does."""
        self.store.close()
        self.store = self._open()

    @property
    def today(self) -> date:
        """The date that the clock shows."""
        return self.now.date()

    def wait(self, by: timedelta = timedelta(minutes=1)) -> None:
        """Let time go by."""
        self.now += by

    def land(self, *, account: str = "amperity", confirmed: bool = True) -> Arrival:
        """A new file in the landing zone."""
        number = self._next()
        landing = Landing(
            account, f"/uploads/{number}.csv", Fingerprint(number, number), 120, confirmed=confirmed, session="s1"
        )
        return self.store.land(landing, self.now)

    def receive(self, *, content: str = "", route: str = ROUTE) -> Export:
        """A new export of one landed file; equal `content` is equal bytes."""
        arrival = self.land()
        new = NewExport(
            export_id(route, self.now, f"{self._next():06x}"), route, 120, sha256(content), "amperity", arrival.path
        )
        return self.store.receive(new, [arrival.id], self.now)

    def gather(self, path: str = "/uploads/X.csv/") -> Export:
        """A new export that waits for files."""
        new = NewExport(export_id(ROUTE, self.now, f"{self._next():06x}"), ROUTE, 0, None, "amperity", path)
        return self.store.gather(new, self.now)

    def accept(
        self,
        export: Export,
        *drafts: Draft,
        plan: Callable[[Draft, History], Verdict] | None = None,
        last_arrival: int | None = None,
        upstream: str = UPSTREAM,
        client_domain: str = ROUTE,
        cuts: Sequence[Cut] = (),
    ) -> list[Delivery]:
        """Accept an export today, with these drafts; they are queued unless `plan` says otherwise.

        `last_arrival` has it count as come with an earlier file than its own.
        """
        own = max((it.id for it in self.store.arrivals(export_id=export.id)), default=0)
        acceptance = Acceptance(
            settings_digest="settings",
            list_date=self.today,
            upstream=upstream,
            client_domain=client_domain,
            landed_at=self.now,
            last_arrival=own if last_arrival is None else last_arrival,
            stale_at=self.now + timedelta(hours=48),
            delays={"landing": 2.0, "rewrite": 0.5},
            cuts={1: cuts} if cuts else {},
        )
        return self.store.accept(export.id, report(*drafts), acceptance, plan or (lambda *_: Queue()), self.now)

    def plan(
        self,
        verdict: Verdict | None = None,
        *,
        segment: str = "VIP",
        content: str = "",
        rows: int = 1000,
        last_arrival: int | None = None,
        upstream: str = UPSTREAM,
        route: str = ROUTE,
        client_domain: str = ROUTE,
        cuts: Sequence[Cut] = (),
    ) -> Delivery:
        """A delivery of a new export's only segment, queued unless `verdict` says otherwise."""
        given = verdict or Queue()
        return self.accept(
            self.receive(route=route),
            draft(segment=segment, content=content or str(self._next()), rows=rows),
            plan=lambda *_: given,
            last_arrival=last_arrival,
            upstream=upstream,
            client_domain=client_domain,
            cuts=cuts,
        )[0]

    def claim(self, *upstreams: str) -> Delivery | None:
        """Claim what is due."""
        return self.store.claim_due(self.now, LEASE, upstreams or (UPSTREAM,))

    def send(self, delivery: Delivery) -> None:
        """Report a claimed delivery as sent."""
        self.store.sent(
            [Sent(delivery.id, receipt(delivery), {"queue": 1.0, "connect": 0.1, "transfer": 0.2})], self.now
        )

    def send_slice(self, delivery: Delivery) -> Delivery | None:
        """Report the next file of a claimed delivery as sent."""
        it = self.store.slices(delivery.id)[delivery.files_sent]
        it_has = replace(receipt(delivery), remote_name=it.remote_name, size=it.size)
        return self.store.slice_sent(delivery.id, it_has, delivery.attempts, self.now)

    def defer(self, delivery: Delivery, *, until: timedelta = timedelta(seconds=30)) -> None:
        """Report an attempt as failed, with the next one due after `until`."""
        self.store.defer(delivery.id, "timeout", "no answer", "see the network", self.now + until, self.now)

    def fail(self, delivery: Delivery) -> None:
        """Report a claimed delivery as refused for good."""
        self.store.fail(delivery.id, "name_taken", "other content", "look there", self.now)

    def hold(self, delivery: Delivery) -> Delivery:
        """Have a person hold a delivery."""
        return self.store.hold(delivery.id, PERSON, self.now)

    def release(self, delivery: Delivery, *, cuts: Sequence[Cut] = ()) -> Delivery:
        """Have a person release a delivery."""
        stale_at = self.now + timedelta(hours=48)
        return self.store.release(delivery.id, PERSON, self.today, stale_at, self.now, cuts=cuts)

    def discard(self, subject: Delivery | Export) -> Delivery | Export:
        """Have a person discard a delivery or an export."""
        return self.store.discard(subject.id, PERSON, self.now)

    def requeue(self, subject: Delivery | Export) -> Delivery | Export:
        """Have a person requeue a delivery or an export."""
        return self.store.requeue(subject.id, PERSON, self.now, stale_at=self.now + timedelta(hours=48))

    def look(self, delivery: Delivery) -> Delivery:
        """A delivery as it is by now."""
        found = self.store.delivery(delivery.id)
        assert found is not None
        return found

    def events(self, subject: str) -> list[str]:
        """What happened to an export or a delivery, in order."""
        return [transition.event for transition in self.store.transitions(subject)]

    def _open(self) -> Store:
        return Store.open(self.path, committed=self._count_commit)

    def _count_commit(self) -> None:
        self.commits += 1

    def _next(self) -> int:
        self._numbers += 1
        return self._numbers


def draft(ordinal: int = 1, *, segment: str = "VIP", content: str = "a list", rows: int = 1000) -> Draft:
    """A rewritten list; equal `content` is equal bytes."""
    counts = SegmentCounts(rows_in=rows + 6, rows_out=rows, duplicates=2, rejected=3, empty=1, suspect=4)
    return Draft(ordinal, segment, counts, f"{ordinal}.csv", rows * 15, sha256(content))


def cuts_of(*rows: int) -> list[Cut]:
    """A list cut into files of so many rows."""
    return [
        Cut(count, offset=15 * sum(rows[:number]), size=15 * count, sha256=sha256(f"{number}"))
        for number, count in enumerate(rows)
    ]


def report(*drafts: Draft) -> Report:
    """What a rewrite with these drafts found."""
    return Report(
        drafts, SegmentCounts(rows_in=1, rejected=1), {"letters": 4}, {"letters": (7, 9)}, 0, {"header": True}
    )


def receipt(delivery: Delivery, *, verified: bool = True) -> Receipt:
    """What the upstream was seen to have of a delivery."""
    assert delivery.remote_name is not None
    return Receipt(
        delivery.remote_name,
        delivery.size,
        verified,
        "rename",
        connect=timedelta(seconds=0.1),
        transfer=timedelta(seconds=0.2),
    )


def sha256(content: str) -> str:
    """The hash of some content."""
    return hashlib.sha256(content.encode()).hexdigest()
