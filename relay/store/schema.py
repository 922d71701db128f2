"""The tables, as the newest migration leaves them; a test compares the two.

A column has the name of the field that it stores. Every state is text, checked by the database against its enum.
"""

from enum import StrEnum
from typing import Final

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Date,
    Enum,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    text,
)

from relay.model import ArrivalState, DeliveryState, ExportState, Freshness
from relay.store.columns import ClientPath, FingerprintText, Instant

VERSION: Final = "0009"
"""The newest revision under `migrations/versions`; a database that says so is opened without Alembic."""

metadata: Final = MetaData()


def _state(of: type[StrEnum], name: str) -> Enum:
    return Enum(
        of, name=name, native_enum=False, create_constraint=True, values_callable=lambda enum: [it.value for it in enum]
    )


def _count(name: str) -> Column[int]:
    return Column(name, Integer, nullable=False, server_default="0")


FOLDED_SEGMENT: Final = text("lower(replace(replace(replace(segment, ' ', ''), '_', ''), '-', ''))")
"""A segment's name without what a near-duplicate may differ in (rule G10). An index is used only for this very text."""

_SEGMENT: Final = ("upstream", "client_domain", "segment")
"""What tells one segment from another (rule D3)."""


exports: Final = Table(
    "exports",
    metadata,
    Column("id", String, primary_key=True),
    Column("route", String, nullable=False),
    Column("state", _state(ExportState, "export_state"), nullable=False),
    Column("account", String, nullable=False),
    Column("path", ClientPath, nullable=False),
    Column("source_bytes", Integer, nullable=False),
    # None while more files are waited for.
    Column("source_sha256", String),
    Column("received_at", Instant, nullable=False),
    _count("attempts"),
    Column("accepted_at", Instant),
    Column("settings_digest", String),
    Column("list_date", Date),
    # Text of the rewrite's own format: the store keeps it, `relay.rewrite.report` reads it.
    Column("report", String),
    Column("delays", JSON),
    Column("original_id", String, ForeignKey("exports.id")),
    Column("reason", String),
    Column("detail", String),
    Column("hint", String),
    Column("waits_until", Instant),
    # A person said that the files that are there are all of them.
    Column("as_whole", Boolean, nullable=False, server_default="0"),
    Index("exports_by_receipt", "received_at"),
    Index("exports_by_state", "state", "received_at"),
    Index("exports_by_route", "route", "received_at"),
)

arrivals: Final = Table(
    "arrivals",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("account", String, nullable=False),
    Column("path", ClientPath, nullable=False),
    Column("fingerprint", FingerprintText, nullable=False),
    Column("size", Integer, nullable=False),
    Column("confirmed", Boolean, nullable=False),
    Column("session", String),
    Column("state", _state(ArrivalState, "arrival_state"), nullable=False),
    Column("landed_at", Instant, nullable=False),
    Column("export_id", String, ForeignKey("exports.id")),
    # Which part of its export it is, from 1; an end marker is none.
    Column("part", Integer),
    # When its file left the landing zone's view (rule R3); from then on it is of no interest to a scan.
    Column("cleared_at", Instant),
    Column("hint", String),
    # Noting the same file twice is one arrival.
    Index(
        "arrivals_landed_once",
        "account",
        "path",
        "fingerprint",
        unique=True,
        sqlite_where=text("state = 'landed'"),
    ),
    Index("arrivals_in_view", "account", "id", sqlite_where=text("cleared_at IS NULL")),
    Index("arrivals_by_export", "export_id", "part"),
    Index("arrivals_by_state", "state"),
    sqlite_autoincrement=True,
)

deliveries: Final = Table(
    "deliveries",
    metadata,
    # The order of planning; it decides between the lists of one segment that have one arrival (rule D8).
    Column("place", Integer, primary_key=True),
    Column("id", String, nullable=False, unique=True),
    Column("export_id", String, ForeignKey("exports.id"), nullable=False),
    Column("route", String, nullable=False),
    Column("upstream", String, nullable=False),
    Column("client_domain", String, nullable=False),
    Column("segment", String, nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("state", _state(DeliveryState, "delivery_state"), nullable=False),
    _count("rows_in"),
    _count("rows_out"),
    _count("duplicates"),
    _count("rejected"),
    _count("empty"),
    _count("control"),
    _count("suspect"),
    Column("size", Integer, nullable=False),
    Column("sha256", String, nullable=False),
    Column("landed_at", Instant, nullable=False),
    # The order of lists: the number of the last arrival of its export. No clock has a say in it (rule D8).
    _count("last_arrival"),
    Column("planned_at", Instant, nullable=False),
    Column("planned_on", Date, nullable=False),
    Column("stale_at", Instant, nullable=False),
    Column("previous_rows", Integer),
    Column("kept", Integer),
    Column("lost", Integer),
    Column("gained", Integer),
    Column("remote_name", String),
    Column("remote_date", Date),
    # How many files it goes out as; where several, they are in `slices`, and `remote_name` is the first one's.
    Column("files", Integer, nullable=False, server_default="1"),
    _count("files_sent"),
    # Whether it took the place of the unsent lists of its own date when it was queued (rule D7).
    Column("replaces_same_day", Boolean, nullable=False, server_default="0"),
    Column("queued_at", Instant),
    Column("due_at", Instant),
    Column("lease_until", Instant),
    _count("attempts"),
    # The name at the upstream under which an attempt may have left the list (rules U8 and U9).
    Column("unanswered", String),
    Column("sent_at", Instant),
    Column("verified", Boolean),
    Column("publish", String),
    Column("reason", String),
    Column("detail", String),
    Column("hint", String),
    UniqueConstraint("export_id", "ordinal"),
    # Rule D1: no name twice at an upstream.
    UniqueConstraint("upstream", "remote_name"),
    Index("deliveries_of_segment", *_SEGMENT, "last_arrival", "place"),
    Index("deliveries_by_folded_name", "upstream", "client_domain", FOLDED_SEGMENT),
    # Rule D8: one at a time.
    Index("deliveries_sending_once", *_SEGMENT, unique=True, sqlite_where=text("state = 'sending'")),
    Index("deliveries_by_state", "state", "due_at"),
    Index("deliveries_by_sending", "route", "sent_at", sqlite_where=text("sent_at IS NOT NULL")),
    Index("deliveries_by_route", "route", "place"),
    sqlite_autoincrement=True,
)

slices: Final = Table(
    "slices",
    metadata,
    Column("delivery_id", String, ForeignKey("deliveries.id"), primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("upstream", String, nullable=False),
    Column("remote_name", String, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("offset", Integer, nullable=False),
    Column("size", Integer, nullable=False),
    Column("sha256", String, nullable=False),
    Column("first_attempt", Integer),
    Column("sent_at", Instant),
    Column("verified", Boolean),
    # Rule D1: no name twice at an upstream.
    UniqueConstraint("upstream", "remote_name"),
)
"""The files of each list that goes out as several (rule D13)."""

file_numbers: Final = Table(
    "file_numbers",
    metadata,
    Column("upstream", String, primary_key=True),
    Column("client_domain", String, primary_key=True),
    Column("day", Date, primary_key=True),
    Column("last", Integer, nullable=False),
)
"""The last number given per upstream, client domain and date (rules D1 and D3)."""

freshness: Final = Table(
    "freshness",
    metadata,
    Column("route", String, primary_key=True),
    Column("day", Date, primary_key=True),
    # Empty for the route as a whole.
    Column("segment", String, primary_key=True),
    # NULL for the date from which on the route is watched.
    Column("verdict", _state(Freshness, "freshness_verdict")),
    Column("judged_at", Instant, nullable=False),
)
"""The verdict of each date, of the route and of each segment expected of it (rule W2)."""

suspensions: Final = Table(
    "suspensions",
    metadata,
    Column("upstream", String, primary_key=True),
    Column("reason", String, nullable=False),
    Column("detail", String, nullable=False),
    Column("hint", String, nullable=False),
    Column("suspended_at", Instant, nullable=False),
    Column("probe_at", Instant, nullable=False),
)

probes: Final = Table(
    "probes",
    metadata,
    Column("upstream", String, primary_key=True),
    Column("probed_at", Instant, nullable=False),
    Column("publish", String),
    Column("found", JSON, nullable=False),
)
"""What `relay check --connect` found last at each upstream."""

bans: Final = Table(
    "bans",
    metadata,
    Column("source", String, primary_key=True),
    Column("reason", String, nullable=False),
    Column("banned_at", Instant, nullable=False),
    Column("until", Instant, nullable=False),
)
"""The sources that are shut out of the landing zone (rule L22); what is over may still stand here."""

transitions: Final = Table(
    "transitions",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("event", String, nullable=False),
    Column("subject", String, nullable=False),
    Column("from_state", String),
    Column("to_state", String, nullable=False),
    Column("at", Instant, nullable=False),
    Column("fields", JSON, nullable=False),
    Index("transitions_of_subject", "subject", "seq"),
    sqlite_autoincrement=True,
)
"""The history of everything, and the outbox of the log."""

log_position: Final = Table(
    "log_position",
    metadata,
    Column("only", Integer, primary_key=True),
    Column("logged", Integer, nullable=False),
)
"""One row: the last transition that is in the log."""
