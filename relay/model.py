"""The nouns of the relay, in the order in which a list meets them: arrival, export, draft, delivery, receipt.

Everything here is a value. Instants end in `_at` and are aware UTC, sizes are bytes, counts are plural nouns.
None of these types has a field that could carry a phone number or an address.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any


class RelayError(Exception):
    """Trouble that a person can act on.

    Args:
        message: what was wrong, and where.
        hint: the sentence an operator acts on.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class IdentifierKind(StrEnum):
    """What a subscriber is identified by; fixed per account with Attentive, never guessed (rule A4)."""

    PHONE = "phone"
    EMAIL = "email"


class ArrivalState(StrEnum):
    """Where one landed file stands."""

    LANDED = "landed"
    CLAIMED = "claimed"
    WITHDRAWN = "withdrawn"
    UNROUTED = "unrouted"
    IGNORED = "ignored"


class ExportState(StrEnum):
    """Where one logical list from Amperity stands."""

    GATHERING = "gathering"
    RECEIVED = "received"
    ACCEPTED = "accepted"
    DUPLICATED = "duplicated"
    QUARANTINED = "quarantined"
    DISCARDED = "discarded"


class DeliveryState(StrEnum):
    """Where one segment's list stands on its way to the upstream."""

    QUEUED = "queued"
    HELD = "held"
    SENDING = "sending"
    DEFERRED = "deferred"
    FAILED = "failed"
    SENT = "sent"
    SUPERSEDED = "superseded"
    DUPLICATED = "duplicated"
    DISCARDED = "discarded"


class Freshness(StrEnum):
    """Whether what was expected by a time had gone out by then, or by the end of its grace (rule W2)."""

    OK = "ok"
    LATE = "late"
    MISSING = "missing"


class HoldReason(StrEnum):
    """Why a list waits for a person (rules G1 to G12)."""

    SHRUNK = "shrunk"
    GREW = "grew"
    REPLACED = "replaced"
    EMPTY = "empty"
    REJECTED_ROWS = "rejected_rows"
    EMPTY_IDENTIFIERS = "empty_identifiers"
    SUSPECT_ROWS = "suspect_rows"
    OVERSIZE = "oversize"
    SAME_DAY = "same_day"
    NEAR_DUPLICATE_NAME = "near_duplicate_name"
    NEW_SEGMENT = "new_segment"
    STALE = "stale"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """Which bytes a landed file is, whatever it is called: a renamed file keeps it, a replaced one does not."""

    inode: int
    modified_ns: int


@dataclass(frozen=True, slots=True)
class Landing:
    """A complete file in the landing zone that has no arrival row yet.

    `confirmed` says that a client closed it and was answered OK; a file put there by other means was only seen to rest.
    """

    account: str
    path: str
    fingerprint: Fingerprint
    size: int
    confirmed: bool
    session: str | None = None


@dataclass(frozen=True, slots=True)
class Arrival:
    """One landed file, as the client named it, and what became of it.

    `export_id` is the export that it belongs to, or waits with. `part` says which of its files it is, from 1; None for
    an end marker, and for what is not claimed yet.
    """

    id: int
    account: str
    path: str
    fingerprint: Fingerprint
    size: int
    confirmed: bool
    session: str | None
    state: ArrivalState
    landed_at: datetime
    export_id: str | None
    part: int | None = None


@dataclass(frozen=True, slots=True)
class Export:
    """One logical list from Amperity, from one or more arrivals.

    `account` and `path` say where it came in: the path of its one file, or that of a directory, which ends in a slash.
    `source_sha256` is None until all of its files are there; `waits_until` says how long they are waited for, and
    `as_whole` that a person said that they are all there.

    `attempts` counts rewrites that crashed, so that a file which kills the rewrite is not tried for ever.
    `list_date` is the date of acceptance in the route's time zone.
    """

    id: str
    route: str
    state: ExportState
    received_at: datetime
    account: str
    path: str
    source_bytes: int
    source_sha256: str | None
    attempts: int
    settings_digest: str | None
    list_date: date | None
    report: "Report | None"
    reason: str | None
    hint: str | None
    original_id: str | None
    detail: str | None = None
    waits_until: datetime | None = None
    as_whole: bool = False


@dataclass(frozen=True, slots=True)
class NewExport:
    """An export of which custody is about to be taken: its bytes are durable, its row is not there yet.

    `account` and `path` say where it came in: the path of its one file, or that of a directory, which ends in a slash.
    `source_sha256` is None while it waits for more files.
    """

    id: str
    route: str
    source_bytes: int
    source_sha256: str | None
    account: str
    path: str


@dataclass(frozen=True, slots=True)
class SegmentCounts:
    """What became of one segment's rows.

    rows_in = rows_out + duplicates + rejected + empty + control; `suspect` counts rows among `rows_out`.
    """

    rows_in: int = 0
    rows_out: int = 0
    duplicates: int = 0
    rejected: int = 0
    empty: int = 0
    control: int = 0
    suspect: int = 0

    def __add__(self, other: "SegmentCounts") -> "SegmentCounts":
        return SegmentCounts(
            self.rows_in + other.rows_in,
            self.rows_out + other.rows_out,
            self.duplicates + other.duplicates,
            self.rejected + other.rejected,
            self.empty + other.empty,
            self.control + other.control,
            self.suspect + other.suspect,
        )


@dataclass(frozen=True, slots=True)
class Draft:
    """One segment's rewritten list before it has a name.

    `ordinal` numbers the segments of an export from 1 in order of first appearance and becomes the delivery's suffix;
    `file` is the name under the export's `drafts/`, None where no row is left.
    """

    ordinal: int
    segment: str
    counts: SegmentCounts
    file: str | None
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Report:
    """What the rewrite of one export found. It holds names, counts and line numbers, never a cell.

    `unattributed` counts the rows that belong to no usable segment (no name, a refused name, a broken row).
    `reasons` maps a reject reason to how many rows have it, `first_lines` to the first lines that do.
    `recognised` says what the source was taken for (delimiter, header, columns and how each was found).
    """

    drafts: tuple[Draft, ...]
    unattributed: SegmentCounts
    reasons: dict[str, int]
    first_lines: dict[str, tuple[int, ...]]
    refused_segments: int
    recognised: dict[str, Any]

    @property
    def totals(self) -> SegmentCounts:
        """The counts of the whole export."""
        return sum((draft.counts for draft in self.drafts), self.unattributed)


@dataclass(frozen=True, slots=True)
class Overlap:
    """The people of a list against those of the list last sent: how many are in both, only in that, only in this."""

    kept: int
    lost: int
    gained: int

    @property
    def share(self) -> float:
        """How much of the shorter list is in both, from 0 to 1; two lists of which one is empty have all in common."""
        shorter = self.kept + min(self.lost, self.gained)
        return self.kept / shorter if shorter else 1.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """An overlap, and the delivery whose list was compared with."""

    delivery_id: str
    overlap: Overlap


@dataclass(frozen=True, slots=True)
class Hold:
    """Why a list is held: the reason, the figures in words, and what to do about it."""

    reason: HoldReason
    detail: str
    hint: str


@dataclass(frozen=True, slots=True)
class Queue:
    """Verdict: the list goes out, and overtakes what is unsent of its segment from earlier dates (rule D7).

    `replace_same_day` says that it overtakes what is unsent from its own date, too. `growth` are the figures of a list
    that is much longer than the one last sent, though not so much that it is held (rule G9).
    """

    replace_same_day: bool = False
    growth: str | None = None


@dataclass(frozen=True, slots=True)
class Duplicate:
    """Verdict: the same list is already there for this date (rule D4)."""

    other_id: str


@dataclass(frozen=True, slots=True)
class Overtaken:
    """Verdict: a list that came later is already on its way or sent, so this one is superseded at birth (rule D7)."""

    other_id: str


@dataclass(frozen=True, slots=True)
class Skip:
    """Verdict: there is nothing to send and nothing to protect; the export's report says so (rule G2)."""


Verdict = Queue | Hold | Duplicate | Overtaken | Skip


@dataclass(frozen=True, slots=True)
class Cut:
    """The rows of a list that one of several files is to carry: where their bytes lie in it, and what they must be."""

    rows: int
    offset: int
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Slice:
    """One of the several files that a list goes out as: the `number`-th, from 1, under a name of its own (rule D13).

    `first_attempt` is the delivery's attempt in which it was begun, None before; `sent_at` is None until the upstream
    has it under its final name.
    """

    number: int
    remote_name: str
    rows: int
    offset: int
    size: int
    sha256: str
    first_attempt: int | None = None
    sent_at: datetime | None = None
    verified: bool | None = None


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What holds for every list of an accepted export.

    `list_date` is today in the route's time zone. `last_arrival` is the number of the arrival that came last of the
    export's, which is the order of lists (rule D8). From `stale_at` on an unsent list is held (rule G8). `delays` are
    the seconds spent so far, by stage. `comparisons` has, by ordinal, the lists that could be compared with
    the one last sent of their segment, `cuts` those that go out as several files if they go out at once (rule D13).
    """

    settings_digest: str
    list_date: date
    upstream: str
    client_domain: str
    landed_at: datetime
    last_arrival: int
    stale_at: datetime
    delays: dict[str, float]
    comparisons: Mapping[int, Comparison] = field(default_factory=dict)
    cuts: Mapping[int, Sequence[Cut]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Delivery:
    """One segment's list on its way.

    `kept`, `lost` and `gained` count its people against those of the list that had been sent last when it was planned;
    None where there was none to compare with (rule G12).

    `remote_name` and `remote_date` are given once, when the delivery enters `queued`, and never change.
    `planned_on` is the date of planning in the route's time zone. `last_arrival` is the number of the arrival that came
    last of its export's, or would have come next when it was restored: the order of lists (rule D8). From `stale_at`
    on, a delivery that is still unsent is held (rule G8); a person's release moves it. `unanswered` is the name at the
    upstream under which an attempt may have left the list although a request of its got no answer (rules U8 and U9).

    `files` is how many files the list goes out as, of which the upstream has the first `files_sent` (rule D13); where
    there are several, `remote_name` is the first one's, and the numbers in the others' names follow.
    """

    id: str
    export_id: str
    route: str
    upstream: str
    client_domain: str
    segment: str
    ordinal: int
    state: DeliveryState
    counts: SegmentCounts
    size: int
    sha256: str
    planned_at: datetime
    planned_on: date
    landed_at: datetime
    last_arrival: int
    stale_at: datetime
    remote_name: str | None = None
    remote_date: date | None = None
    files: int = 1
    files_sent: int = 0
    queued_at: datetime | None = None
    sent_at: datetime | None = None
    due_at: datetime | None = None
    lease_until: datetime | None = None
    attempts: int = 0
    unanswered: str | None = None
    verified: bool | None = None
    previous_rows: int | None = None
    kept: int | None = None
    lost: int | None = None
    gained: int | None = None
    reason: str | None = None
    detail: str | None = None
    hint: str | None = None

    @property
    def list_date(self) -> date:
        """The date that this list counts for: the one in its name, or the day of planning while it has none."""
        return self.remote_date or self.planned_on

    @property
    def is_partly_sent(self) -> bool:
        """Whether the upstream has some of its files and not all of them (rule D14)."""
        return 0 < self.files_sent < self.files

    def is_small(self, most: int) -> bool:
        """Say whether it goes out as one file, of at most so many bytes."""
        return self.files == 1 and self.size <= most


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the upstream was seen to have when a delivery was sent.

    `verified` is False where the file was gone at once after a clean publish: picked up, as far as anyone can tell.
    """

    remote_name: str
    size: int
    verified: bool
    publish: str
    connect: timedelta
    transfer: timedelta


@dataclass(frozen=True, slots=True)
class Suspension:
    """Why nothing is sent to an upstream, and when to see whether it is well again."""

    upstream: str
    reason: str
    detail: str
    hint: str
    suspended_at: datetime
    probe_at: datetime


@dataclass(frozen=True, slots=True)
class Probe:
    """What `relay check --connect` found at an upstream.

    `publish` is how lists will get their final names there, None where none can be sent. `found` says in words, by
    what was tried, how it went.
    """

    upstream: str
    probed_at: datetime
    publish: str | None
    found: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Ban:
    """A source that is shut out of the landing zone: the network it counts as, for which last offence, until when."""

    source: str
    reason: str
    banned_at: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits: deliveries for their turn or next attempt, deliveries for a person, exports for a person."""

    queued: int
    held: int
    quarantined: int


@dataclass(frozen=True, slots=True)
class Decision:
    """An operator's word on an export or a delivery."""

    operator: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class Transition:
    """One change of state, as it was stored: the history of an arrival, export, delivery, upstream or ban."""

    seq: int
    event: str
    subject: str
    from_state: str | None
    to_state: str
    at: datetime
    fields: dict[str, Any] = field(default_factory=dict)
