"""The log: its catalogue is complete, every call keeps to it, and every line can be read by a program."""

import ast
import io
import json
import logging
import re
import threading
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog

import relay
from relay.lifecycle import ArrivalEvent, DeliveryEvent, ExportEvent
from relay.log import CATALOGUE, FIELDS, Event, configure, emit
from relay.model import Freshness

PACKAGE = Path(relay.__file__).parent
ALWAYS = {"timestamp", "level", "event"}
# Conditions and the like, which are no participle in -ed: they are named as a whole.
IRREGULAR = {
    "low",
    "ready",
    "heartbeat",
    "draining",
    "gathering",
    "withdrawn",
    "held",
    "sent",
    "sending",
    "grown",
    "swept",
    "overdue",
    "expiring",
} | {*Freshness}


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """A log set up to write JSON lines into memory, and everything as it was afterwards."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, logging.lastResort, logging.raiseExceptions, warnings.showwarning
    stream = io.StringIO()
    configure(stream)
    yield stream
    root.handlers[:], level, logging.lastResort, logging.raiseExceptions, warnings.showwarning = before
    root.setLevel(level)
    structlog.reset_defaults()


def lines(log: io.StringIO) -> list[dict[str, object]]:
    """Return what was logged, each line read as JSON."""
    return [json.loads(line) for line in log.getvalue().splitlines()]


def test_every_event_is_in_the_catalogue() -> None:
    """An event without an entry could not be emitted, and an alert could not rest on it."""
    assert set(CATALOGUE) == set(Event)


def test_the_catalogue_keeps_the_order_of_the_events() -> None:
    """The reference lists events as the enum does, in the order in which a list meets them."""
    assert list(CATALOGUE) == list(Event)


@pytest.mark.parametrize("event", Event)
def test_every_field_is_documented_once(event: Event) -> None:
    """An event's fields all have a meaning in the reference, and none is both certain and optional."""
    entry = CATALOGUE[event]
    fields = [*entry.fields, *entry.optional]
    assert set(fields) <= set(FIELDS)
    assert len(fields) == len(set(fields))
    assert not ALWAYS & set(fields)
    assert entry.meaning


def test_no_documented_field_is_unused() -> None:
    """The reference promises no field that no line has."""
    used = {field for entry in CATALOGUE.values() for field in (*entry.fields, *entry.optional)}
    assert set(FIELDS) == used
    assert list(FIELDS) == sorted(FIELDS)


@pytest.mark.parametrize("event", Event)
def test_names_follow_one_grammar(event: Event) -> None:
    """A name is a noun, a dot, and a past participle or a condition."""
    noun, _, happened = event.value.partition(".")
    assert re.fullmatch(r"[a-z]+", noun)
    assert re.fullmatch(r"([a-z]+_)*[a-z]+", happened)
    assert happened.endswith("ed") or happened in IRREGULAR
    assert event.name == f"{noun}_{happened}".upper()


@pytest.mark.parametrize("event", [event for event, entry in CATALOGUE.items() if entry.level == "error"])
def test_an_error_says_what_to_do(event: Event) -> None:
    """Level error means that a person must act, so the line has the reason and a hint."""
    assert "hint" in CATALOGUE[event].fields


@pytest.mark.parametrize("event", [event for event in Event if "state" in CATALOGUE[event].fields])
def test_a_transition_has_its_number(event: Event) -> None:
    """A line about a change of state carries the number by which a repeated line is recognised."""
    assert "seq" in CATALOGUE[event].fields


def test_every_change_of_state_has_an_event() -> None:
    """Whatever can happen to an arrival, export or delivery can be told from the log."""
    # A delivery that is claimed is, in the log, one that is being sent.
    happenings = {f"arrival.{event}" for event in ArrivalEvent} | {f"export.{event}" for event in ExportEvent}
    happenings |= {f"delivery.{event}" for event in DeliveryEvent} - {"delivery.claimed"} | {"delivery.sending"}
    assert happenings <= {event.value for event in Event}


def test_a_line_is_one_json_object(log: io.StringIO) -> None:
    """A line has timestamp, level and event first, then the event's fields; what is None is left out."""
    emit(Event.LANDING_LOGIN_SUCCEEDED, session="s1", account="amperity", address="127.0.0.1", method=None)
    (line,) = lines(log)
    stamp = line.pop("timestamp")
    assert isinstance(stamp, str)
    assert datetime.fromisoformat(stamp).tzinfo == UTC
    assert list(line.items()) == [
        ("level", "info"),
        ("event", "landing.login_succeeded"),
        ("session", "s1"),
        ("account", "amperity"),
        ("address", "127.0.0.1"),
    ]


def test_the_level_is_the_catalogues(log: io.StringIO) -> None:
    """Nobody chooses a level where an event is emitted."""
    emit(Event.CONFIG_REFUSED, problems=2, detail="d", hint="h")
    emit(Event.LANDING_LOGIN_REFUSED, session="s1", address="127.0.0.1", reason="password")
    assert [line["level"] for line in lines(log)] == ["error", "warning"]


def test_a_missing_field_is_refused(log: io.StringIO) -> None:
    """A line without a field that alerts may rest on is a defect of the program, not a shorter line."""
    with pytest.raises(TypeError, match=r"relay.ready: missing fields \['routes'\]"):
        emit(Event.RELAY_READY, listen=())
    assert not log.getvalue()


def test_an_uncatalogued_field_is_refused(log: io.StringIO) -> None:
    """Nothing gets into the log that the catalogue does not promise, so no cell ever can."""
    with pytest.raises(TypeError, match="identifier"):
        emit(Event.RELAY_STOPPED, uptime=1, identifier="x")
    assert not log.getvalue()


def test_any_value_can_be_written(log: io.StringIO) -> None:
    """A value of whatever type, a name that is no text, a line end: each becomes one line of JSON."""
    emit(
        Event.EXPORT_ACCEPTED,
        **(dict.fromkeys(CATALOGUE[Event.EXPORT_ACCEPTED].fields) | {"seq": 1, "route": "a\udcff\n\x1b[31mb"}),
    )
    emit(
        Event.RELAY_STOPPED, uptime={("a", 1): float("nan"), "at": datetime(2026, 11, 23, tzinfo=UTC), "in": Path("x")}
    )
    first, second = lines(log)
    assert first["route"] == "a\udcff\n\x1b[31mb"
    assert second["uptime"] == {"('a', 1)": "nan", "at": "2026-11-23T00:00:00+00:00", "in": "x"}


def test_a_terminal_gets_readable_text_that_cannot_steer_it() -> None:
    """On a terminal a line is for people, and a client's file name cannot change colours or move the cursor."""
    stream = io.StringIO()
    configure(stream, pretty=True)
    emit(Event.LANDING_UPLOAD_CONFIRMED, session="s1", account="a", path="/x\x1b[31my", bytes=3)
    structlog.reset_defaults()
    text = stream.getvalue()
    assert "landing.upload_confirmed" in text
    assert "/x\\x1b[31my" in text
    assert text.count("\n") == 1


def test_a_library_is_heard_without_its_words(log: io.StringIO) -> None:
    """A library's log message may quote what a peer sent; only the library, the place and the exception are shown."""
    canary = "whatever-a-peer-sent"
    logging.getLogger("asyncssh").warning("peer said %s", canary)
    logging.getLogger("asyncssh").warning("badly %d formatted", canary)
    logging.getLogger("asyncssh").info("chatter")
    try:
        int(canary)
    except ValueError:
        logging.getLogger("asyncio").exception("a task failed with %s", canary)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(canary, stacklevel=1)
    assert canary not in log.getvalue()
    shown = [(line["event"], line["library"], line.get("reason")) for line in lines(log)]
    assert shown == [
        ("library.warned", "asyncssh", None),
        ("library.warned", "asyncssh", None),
        ("library.warned", "asyncio", "ValueError"),
        ("library.warned", "warnings", "UserWarning"),
    ]
    assert all(str(line["place"]).startswith("test_log") for line in lines(log))


def test_a_thread_that_dies_is_heard_without_its_words(log: io.StringIO) -> None:
    """Python would print a traceback with what the exception says; here it is a line that says where."""

    def fail() -> None:
        raise ValueError("whatever-a-peer-sent")

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    (line,) = map(json.loads, log.getvalue().splitlines())
    assert (line["event"], line["library"], line["reason"]) == ("library.warned", "threading", "ValueError")
    assert "test_log.py:" in line["place"]


def test_setting_up_twice_writes_a_line_once(log: io.StringIO) -> None:
    """A second set-up takes the place of the first."""
    configure(log)
    logging.getLogger("asyncssh").warning("once")
    emit(Event.RELAY_DRAINING)
    assert [line["event"] for line in lines(log)] == ["library.warned", "relay.draining"]


def emissions(source: Path) -> Iterator[tuple[str, Event, set[str], bool]]:
    """Yield the calls `emit(Event.X, …)` of a module: where, which event, which fields, whether `**` adds more."""
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) == "emit":
            event = node.args[0]
            if isinstance(event, ast.Attribute):
                fields = {keyword.arg for keyword in node.keywords if keyword.arg}
                more = any(keyword.arg is None for keyword in node.keywords)
                yield f"{source}:{node.lineno}", Event[event.attr], fields, more


SOURCES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("source", SOURCES, ids=[str(path.relative_to(PACKAGE)) for path in SOURCES])
def test_every_call_keeps_to_the_catalogue(source: Path) -> None:
    """Each `emit` in the code names a catalogued event with all of its fields and no other."""
    for where, event, fields, more in emissions(source):
        entry = CATALOGUE[event]
        assert fields <= {*entry.fields, *entry.optional}, where
        assert more or set(entry.fields) <= fields, where


def test_calls_are_found() -> None:
    """The test above looks at real calls: the daemon's and the log's own."""
    found = {event for source in SOURCES for _, event, _, _ in emissions(source)}
    assert {Event.RELAY_READY, Event.LIBRARY_WARNED} <= found
