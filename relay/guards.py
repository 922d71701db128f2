"""When a list is held for a person: pure judgement of one segment's counts against its history and a policy.

A held list costs a day; a wrong list that replaces a segment texts or omits real people. So a guard errs on holding,
names its reason and its figures, and leaves yesterday's list live. Segments' names stand in “…” in what it says, so
that a log which is not to show them can tell them from the rest.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Annotated, Final, Literal, Self

from pydantic import Field, field_validator, model_validator

from relay.model import DeliveryState, Draft, Hold, HoldReason, Overlap, Report
from relay.settings import Duration, Settings

MOST_ROWS: Final = 500_000
"""Rows that Attentive takes in a file (rule A8)."""

Ratio = Annotated[float, Field(ge=0, le=1)]


class GuardPolicy(Settings):
    """When a list is held instead of sent. Ratios are judged from `min_rows` rows on."""

    min_rows: Annotated[int, Field(ge=1)] = 100
    """Ratios are judged only from this many rows: of the list last sent for `max_shrink`, of the new one otherwise."""
    max_shrink: Ratio = 0.5
    """Hold as `shrunk` a list that lacks more than this share of the rows last sent for its segment."""
    max_growth: Annotated[float, Field(ge=1)] = 10
    """Hold as `grew` a list of more than so many times the rows last sent for its segment."""
    warn_growth: Annotated[float, Field(ge=1)] = 2
    """Warn in the log of a list of more than so many times the rows last sent, and send it."""
    min_overlap: Ratio = 0.2
    """Hold as `replaced` a list that has less than this share of its people in common with the list last sent, counted
    on the shorter of the two."""
    min_overlap_rows: Annotated[int, Field(ge=1)] = 1000
    """People are compared only for lists of so many rows or more."""
    max_rejected: Ratio = 0.05
    """Hold as `rejected_rows` when more than this share of a segment's rows, empty ones aside, is rejected."""
    max_empty: Ratio = 0.5
    """Hold as `empty_identifiers` when more than this share of a segment's rows has no identifier."""
    max_suspect: Ratio = 0.2
    """Hold as `suspect_rows` when more than this share of the rows to send is of numbers that do not exist."""
    max_rows: Annotated[int, Field(ge=1, le=MOST_ROWS)] = MOST_ROWS
    """The most rows of one outgoing file; Attentive takes at most 500,000."""
    oversize: Literal["hold", "split"] = "hold"
    """What to do with a list of more than `max_rows` rows: ask, or send it as several files of one date. Nobody has
    published what Attentive makes of several files of a segment: set `split` only when White Glove has said that
    together they are one list."""
    same_day: Literal["hold", "send", "supersede"] = "hold"
    """What to do with a second, different list of a segment on one date: ask, send both in order, or replace the first
    while it is unsent."""
    near_duplicate_name: Literal["hold", "send"] = "hold"
    """What to do with a new segment whose name equals a known one's but for case, blanks, `_` and `-`: it is more
    often a slip of the pen than a second segment."""
    new_segment: Literal["send", "hold"] = "send"
    """What to do with the first list of any other new segment."""
    remind_after: tuple[Duration, ...] = (timedelta(days=2), timedelta(days=7))
    """When to say again that a held list or a quarantined export still waits for a person."""

    @field_validator("remind_after")
    @classmethod
    def _in_order(cls, remind_after: tuple[timedelta, ...]) -> tuple[timedelta, ...]:
        return tuple(sorted(remind_after))

    @model_validator(mode="after")
    def _warning_comes_first(self) -> Self:
        if self.warn_growth > self.max_growth:
            raise ValueError("warn_growth is above max_growth, so that nothing would ever be warned of")
        return self

    def splits(self, rows: int) -> bool:
        """Say whether a list of so many rows goes out as several files (rule D13)."""
        return self.oversize == "split" and rows > self.max_rows


@dataclass(frozen=True, slots=True)
class Earlier:
    """A list of the same segment that counts (rule D4): newest first, by the order of arrivals, in a `History`."""

    delivery_id: str
    state: DeliveryState
    list_date: date
    last_arrival: int
    sha256: str
    remote_name: str | None


@dataclass(frozen=True, slots=True)
class History:
    """What is known about a segment at the moment of judging.

    `last_sent_rows` is None where no list of it was ever sent. `earlier` holds the lists in effect, newest first.
    `is_new` says that no list of it was sent and none is on its way; `similar` then has the known names that equal
    its own but for case, blanks, `_` and `-`. `last_sent_id` is the delivery that was sent last,
    and `overlap` how many people it has in common with the one that is judged, where that is known.
    """

    last_sent_rows: int | None
    earlier: Sequence[Earlier] = ()
    is_new: bool = False
    similar: Sequence[str] = ()
    last_sent_id: str | None = None
    overlap: Overlap | None = None

    def on(self, day: date) -> tuple[Earlier, ...]:
        """The lists in effect for `day`, newest first."""
        return tuple(earlier for earlier in self.earlier if earlier.list_date == day)

    def newer_than(self, last_arrival: int) -> Earlier | None:
        """A list that came after the arrival of this number and is on its way or sent already, or None (rule D7)."""
        return next(
            (it for it in self.earlier if it.last_arrival > last_arrival and it.state is not DeliveryState.HELD), None
        )


def find_twin(draft: Draft, history: History, day: date) -> Earlier | None:
    """Return the list of the same date that makes `draft` a duplicate, or None (rule D4).

    Only a list that is in effect or waits behind it counts: when a different list has gone out since, sending the
    first content again would be a change, not a repetition.
    """
    for earlier in history.on(day):
        if earlier.sha256 == draft.sha256:
            return earlier
        if earlier.state is not DeliveryState.HELD:
            return None
    return None


def judge(draft: Draft, report: Report, history: History, day: date, policy: GuardPolicy) -> Hold | None:
    """Say whether one segment's list is held, and why: the first guard that objects, most telling first.

    A draft without rows is held whatever its history: its caller plans one only where the segment was sent before.
    """
    guards: tuple[Callable[[], Hold | None], ...] = (
        lambda: _empty(draft, history),
        lambda: _oversize(draft, policy),
        lambda: _near_duplicate_name(draft, history, policy),
        lambda: _new_segment(draft, history, policy),
        lambda: _rejected(draft, report, policy),
        lambda: _empty_identifiers(draft, policy),
        lambda: _suspect(draft, policy),
        lambda: _shrunk(draft, history, policy),
        lambda: _grew(draft, history, policy),
        lambda: _replaced(draft, history.overlap, policy),
        lambda: _same_day(history.on(day), policy),
    )
    return next((hold for guard in guards if (hold := guard()) is not None), None)


def _empty(draft: Draft, history: History) -> Hold | None:
    if draft.counts.rows_out:
        return None
    was = "" if history.last_sent_rows is None else f", last sent {history.last_sent_rows:,}"
    return Hold(
        HoldReason.EMPTY,
        f"no row of {draft.counts.rows_in:,} is left to send{was}",
        "A file cannot empty a segment, so the list last sent stays live. Correct the export and have it sent again, "
        "then `relay discard` this one.",
    )


def _oversize(draft: Draft, policy: GuardPolicy) -> Hold | None:
    if policy.oversize == "split" or draft.counts.rows_out <= policy.max_rows:
        return None
    return Hold(
        HoldReason.OVERSIZE,
        f"{draft.counts.rows_out:,} rows, limit {policy.max_rows:,}",
        f"Attentive takes at most {MOST_ROWS:,} rows in a file. Split the segment in Amperity, then `relay discard` "
        "this one. Or ask White Glove whether several files of one date make one list: if so, set "
        'oversize = "split" under [guards] in the route, then `relay release` this one.',
    )


def _rejected(draft: Draft, report: Report, policy: GuardPolicy) -> Hold | None:
    own, shared = draft.counts, report.unattributed
    for rejected, rows, whose in (
        (own.rejected, own.rows_in - own.empty, "rows of this segment, empty ones aside,"),
        # Rows whose segment cannot be told may be anybody's: too many of them make every list of the export doubtful.
        (
            shared.rejected,
            report.totals.rows_in - report.totals.empty,
            "rows of the whole export, empty ones aside, their segment unknown,",
        ),
    ):
        if rows >= policy.min_rows and rejected > policy.max_rejected * rows:
            return Hold(
                HoldReason.REJECTED_ROWS,
                f"{rejected:,} of {rows:,} {whose} rejected, {_percent(rejected / rows)}, "
                f"limit {_percent(policy.max_rejected)}",
                "See the reject report (`relay show`). Correct the export, or `relay release` to send what is left.",
            )
    return None


def _empty_identifiers(draft: Draft, policy: GuardPolicy) -> Hold | None:
    counts = draft.counts
    if counts.rows_in < policy.min_rows or counts.empty <= policy.max_empty * counts.rows_in:
        return None
    return Hold(
        HoldReason.EMPTY_IDENTIFIERS,
        f"{counts.empty:,} of {counts.rows_in:,} rows have no identifier, {_percent(counts.empty / counts.rows_in)}, "
        f"limit {_percent(policy.max_empty)}",
        "Check which column the export puts the identifier in, or `relay release` to send what is left.",
    )


def _suspect(draft: Draft, policy: GuardPolicy) -> Hold | None:
    counts = draft.counts
    if counts.rows_out < policy.min_rows or counts.suspect <= policy.max_suspect * counts.rows_out:
        return None
    return Hold(
        HoldReason.SUSPECT_ROWS,
        f"{counts.suspect:,} of {counts.rows_out:,} numbers do not exist, "
        f"{_percent(counts.suspect / counts.rows_out)}, limit {_percent(policy.max_suspect)}",
        "Check that the column holds phone numbers, or `relay release` to send them all the same.",
    )


def _shrunk(draft: Draft, history: History, policy: GuardPolicy) -> Hold | None:
    last, rows = history.last_sent_rows, draft.counts.rows_out
    if last is None or last < policy.min_rows or rows >= (1 - policy.max_shrink) * last:
        return None
    return Hold(
        HoldReason.SHRUNK,
        f"{rows:,} rows, last sent {last:,}, −{_percent(1 - rows / last)}, limit −{_percent(policy.max_shrink)}",
        "The list last sent stays live. If this one is right, `relay release` it; if it was a test or a part, "
        "`relay discard` it.",
    )


def growth(draft: Draft, history: History, policy: GuardPolicy) -> str | None:
    """Return the figures of a list that grew so much that it is worth a warning, None for any other (rule G9)."""
    if not _has_grown(draft, history, policy.warn_growth, policy):
        return None
    return f"{_times(draft, history)}, held above {policy.max_growth:g} times"


def _grew(draft: Draft, history: History, policy: GuardPolicy) -> Hold | None:
    if not _has_grown(draft, history, policy.max_growth, policy):
        return None
    return Hold(
        HoldReason.GREW,
        f"{_times(draft, history)}, limit {policy.max_growth:g} times",
        "The list last sent stays live. If the segment really is that large now, `relay release` it; otherwise correct "
        "the query in Amperity, then `relay discard` this one.",
    )


def _has_grown(draft: Draft, history: History, times: float, policy: GuardPolicy) -> bool:
    rows, last = draft.counts.rows_out, history.last_sent_rows
    return last is not None and rows >= policy.min_rows and rows > times * last


def _times(draft: Draft, history: History) -> str:
    rows, last = draft.counts.rows_out, history.last_sent_rows or 1
    return f"{rows:,} rows, last sent {last:,}, {rows / last:,.1f} times as many"


def _replaced(draft: Draft, overlap: Overlap | None, policy: GuardPolicy) -> Hold | None:
    if overlap is None or draft.counts.rows_out < policy.min_overlap_rows or overlap.share >= policy.min_overlap:
        return None
    return Hold(
        HoldReason.REPLACED,
        f"{draft.counts.rows_out:,} rows, of which {overlap.kept:,} were in the list last sent: {overlap.lost:,} lost, "
        f"{overlap.gained:,} gained, {_percent(overlap.share)} in common, limit {_percent(policy.min_overlap)}",
        "The size is normal, but these are other people: a swapped segment name or a wrong query looks like that. The "
        "list last sent stays live. If this one is right, `relay release` it; otherwise `relay discard` it.",
    )


def _near_duplicate_name(draft: Draft, history: History, policy: GuardPolicy) -> Hold | None:
    if not history.similar or policy.near_duplicate_name != "hold":
        return None
    known = " and ".join(f"“{name}”" for name in history.similar)
    return Hold(
        HoldReason.NEAR_DUPLICATE_NAME,
        f"“{draft.segment}” is new, and known is {known}, the same but for case, blanks, _ or -",
        "If the new name is a slip, set it right in Amperity (or in `segment.rename`), have the export sent again, and "
        "`relay discard` this one. If it is a segment of its own, `relay release` it.",
    )


def _new_segment(draft: Draft, history: History, policy: GuardPolicy) -> Hold | None:
    if not history.is_new or policy.new_segment != "hold":
        return None
    return Hold(
        HoldReason.NEW_SEGMENT,
        f"{draft.counts.rows_out:,} rows of “{draft.segment}”, of which no list was sent before",
        "Sending it makes a new segment at Attentive: `relay release` it if that is meant, or `relay discard` it.",
    )


def _same_day(today: Sequence[Earlier], policy: GuardPolicy) -> Hold | None:
    if not today or policy.same_day != "hold":
        return None
    other = today[0]
    name = f" as {other.remote_name}" if other.remote_name else ""
    return Hold(
        HoldReason.SAME_DAY,
        f"a different list of this segment for the same date is {other.state}{name}: {other.delivery_id}",
        "If this is a correction, `relay release` it; if it is a second part of one list, `relay discard` it, set "
        'source.group = "directory" with source.complete = "done" or "quiet" in the route, and have the export sent '
        "again.",
    )


def _percent(share: float) -> str:
    return f"{share * 100:.1f} %"
