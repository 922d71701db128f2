"""The alerts over the log: each is tried on lines that the real service wrote, on good days and on bad ones."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from parts import cloudwatch, logql, troubles
from parts.cloudwatch import read_stack
from parts.logql import Lines, LogLine, Query
from parts.once import once_for_all
from vrl_python import VRLRuntime

from relay.attention import ATTENTION, runbook_section
from relay.log import CATALOGUE, FIELDS, Event

MONITORING = Path(__file__).parents[2] / "deploy" / "monitoring"
# The scenes are played once for all tests, and one of them waits for a heartbeat.
pytestmark = pytest.mark.timeout(600)

NEEDED = troubles.needed()
needs_parts = pytest.mark.skipif(NEEDED is not None, reason=f"needs {NEEDED}")

NUMBERS: Final[dict[Event, int]] = {
    Event.RELAY_STARTED: 3,
    Event.LANDING_LOGIN_REFUSED: 3,
    Event.LANDING_CONNECTIONS_DROPPED: 1000,
    Event.LANDING_ADDRESS_BANNED: 10,
    Event.LANDING_UPLOAD_UNCONFIRMED: 5,
    Event.DELIVERY_DEFERRED: 10,
    Event.LIBRARY_WARNED: 20,
}
"""How often an event must be logged within an hour until it wants a person, where once is not enough."""

WRITTEN_OUT: Final = {"ten": 10, "twenty": 20, "three times": 3, "five times": 5, "a thousand": 1000}

NEVER_PLAYED: Final[dict[Event, dict[str, Any]]] = {
    Event.LANDING_SESSION_FAILED: {
        "session": "s1",
        "account": "amperity",
        "reason": "KeyError",
        "detail": "d",
        "hint": "h",
    },
    Event.LANDING_PATH_BLOCKED: {
        "account": "amperity",
        "path": "/uploads/list.csv",
        "reason": "Permission denied",
        "hint": "h",
    },
    Event.LANDING_WATCH_REFUSED: {"reason": "ENOSPC", "hint": "h"},
    Event.RELAY_STALLED: {"detail": "d", "hint": "h"},
    Event.LANDING_LISTEN_IGNORED: {"listen": ["127.0.0.1:22"], "detail": "d", "hint": "h"},
    Event.LIBRARY_WARNED: {"library": "asyncssh", "place": "channel:1 f"},
}
"""What only a defect or a service manager brings about: the log itself writes these lines, by the catalogue."""


@dataclass(frozen=True)
class Alert:
    """An alert of Loki's ruler."""

    name: str
    expression: str
    severity: str
    runbook: str
    summary: str

    @property
    def query(self) -> Query:
        """Its expression, understood."""
        parsed = logql.parse(self.expression)
        assert not isinstance(parsed, Lines)
        return parsed

    @property
    def event(self) -> Event:
        """The one event that it rests on."""
        (event,) = {it.value for lines in logql.log_queries(self.query) for it in lines.filters if it.label == "event"}
        return Event(event)

    def fires(self, lines: Sequence[str], now: datetime) -> bool:
        """Say whether it fires at `now` over lines as they were written."""
        return bool(self.query.at(now, [in_loki(line) for line in lines]))


def read_alerts() -> list[Alert]:
    """Read the rules."""
    rules = yaml.safe_load((MONITORING / "loki-rules.yaml").read_text(encoding="utf-8"))
    return [
        Alert(
            it["alert"],
            it["expr"],
            it["labels"]["severity"],
            it["annotations"]["runbook"],
            it["annotations"]["summary"],
        )
        for group in rules["groups"]
        for it in group["rules"]
    ]


ALERTS = read_alerts()
STACK = read_stack(MONITORING / "cloudwatch.yaml", Routes=["sirendenim"])
by_alert = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert.name)
by_alarm = pytest.mark.parametrize("alarm", STACK.alarms)


def alarm_event(alarm: str) -> Event:
    """Return the event that an alarm of CloudWatch rests on, as its description says."""
    described = re.fullmatch(
        r"(page|ticket|look): ([a-z_.]+)[^.]*\. What to do: docs/runbook\.md, section ([a-z_.]+)\s*",
        STACK.alarms[alarm]["AlarmDescription"],
    )
    assert described is not None
    assert described[2] == described[3]
    return Event(described[2])


# What ships the log


REMAP: Final[str] = yaml.safe_load((MONITORING / "vector.yaml").read_text(encoding="utf-8"))["transforms"]["relay"][
    "source"
]


def shipped(message: str) -> dict[str, Any]:
    """Return what Vector makes of an entry of the journal."""
    entry = {"message": message, "host": "relay-1", "PRIORITY": "6", "timestamp": "2026-11-24T12:00:00Z"}
    runtime = VRLRuntime()
    done: dict[str, Any] = runtime.execute(REMAP, entry).processed_event
    return done


def in_loki(line: str) -> LogLine:
    """Return a line as it lies in Loki once Vector has shipped it."""
    event = json.loads(line)
    return LogLine(datetime.fromisoformat(event["timestamp"]), {"service_name": "relay", "host": "relay-1"}, line)


# The lines


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """The log of each scene: whichever process of the tests comes first plays them for all."""
    return once_for_all(tmp_path_factory, "logs", lambda: play(tmp_path_factory))


def play(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """Play the scenes, some of them at once: each has a service of its own, and mostly waits."""
    with ThreadPoolExecutor(3) as players:
        played = {name: players.submit(scene, tmp_path_factory.mktemp(name)) for name, scene in troubles.SCENES.items()}
        return {name: it.result() for name, it in played.items()}


@pytest.fixture(scope="module")
def lines(logs: Mapping[str, list[str]]) -> dict[Event, list[str]]:
    """Every line of every scene, by its event, and those that no scene can bring about."""
    found: dict[Event, list[str]] = {}
    for line in (it for log in logs.values() for it in log):
        found.setdefault(Event(json.loads(line)["event"]), []).append(line)
    for event, fields in NEVER_PLAYED.items():
        found[event] = [written(event, fields)]
    return found


def written(event: Event, fields: Mapping[str, Any]) -> str:
    """Have the log write a line, in a process of its own."""
    code = "import json, sys; from relay.log import *; configure(); emit(Event(sys.argv[1]), **json.loads(sys.argv[2]))"
    command = [sys.executable, "-c", code, event, json.dumps(fields)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stderr


def repeated(line: str, times: int, until: datetime) -> list[str]:
    """Return a line as it would stand in the log `times` times in the minute before an instant."""
    document = json.loads(line)
    return [
        json.dumps({**document, "timestamp": (until - timedelta(milliseconds=50 * number)).isoformat()})
        for number in range(times)
    ]


def troubled(event: Event, lines: Mapping[Event, list[str]], times: int, now: datetime) -> list[str]:
    """Return lines of an event, `times` times; of rows that are rejected, by the number in a line."""
    line = lines[event][0]
    if event is Event.LANDING_LOGIN_REFUSED:
        line = next(it for it in lines[event] if "account" in json.loads(it))
    if event is Event.LANDING_CONNECTIONS_DROPPED:
        return repeated(json.dumps({**json.loads(line), "connections": times}), 1, now)
    if event is Event.EXPORT_ACCEPTED:
        line = max(lines[event], key=lambda it: json.loads(it)["rejected"])
    return repeated(line, times, now)


@needs_parts
def test_the_scenes_bring_about_every_line_that_an_alert_rests_on(lines: Mapping[Event, list[str]]) -> None:
    """An alert is judged by no imagined line, but for the few that only a defect or a service manager writes."""
    assert set(ATTENTION) <= set(lines)


@needs_parts
@by_alert
def test_an_alert_of_loki_fires_for_its_event(alert: Alert, lines: Mapping[Event, list[str]]) -> None:
    """As often as its event has to be logged until it wants a person, and not once less."""
    now = datetime.fromisoformat(json.loads(lines[Event.RELAY_READY][0])["timestamp"]) + timedelta(hours=3)
    if alert.event is Event.RELAY_HEARTBEAT:
        assert alert.fires([], now)
        assert not alert.fires(repeated(lines[alert.event][0], 1, now), now)
        return
    times = NUMBERS.get(alert.event, 1)
    assert alert.fires(troubled(alert.event, lines, times, now), now)
    assert not alert.fires(troubled(alert.event, lines, times, now), now + timedelta(days=2))
    assert times == 1 or not alert.fires(troubled(alert.event, lines, times - 1, now), now)


@needs_parts
@by_alarm
def test_an_alarm_of_cloudwatch_goes_on_for_its_event(alarm: str, lines: Mapping[Event, list[str]]) -> None:
    """As often as its event has to be logged until it wants a person, and not once less."""
    now = datetime.fromisoformat(json.loads(lines[Event.RELAY_READY][0])["timestamp"]) + timedelta(hours=3)
    event = alarm_event(alarm)
    if event is Event.RELAY_HEARTBEAT:
        assert STACK.is_in_alarm(alarm, [], now)
        assert not STACK.is_in_alarm(alarm, documents(repeated(lines[event][0], 1, now)), now)
        return
    times = NUMBERS.get(event, 1)
    told = documents(troubled(event, lines, times, now))
    fewer = documents(troubled(event, lines, times - 1, now))
    assert STACK.is_in_alarm(alarm, told, now)
    assert not STACK.is_in_alarm(alarm, told, now + timedelta(days=2))
    assert not STACK.is_in_alarm(alarm, fewer, now)


def documents(lines: Sequence[str]) -> list[dict[str, Any]]:
    """Return lines as CloudWatch reads them."""
    return cloudwatch.as_documents(lines)


@needs_parts
@by_alert
def test_an_alert_of_loki_keeps_quiet_on_a_good_day(alert: Alert, logs: Mapping[str, list[str]]) -> None:
    """Nobody is called for a day on which all went as it should."""
    good = logs["a_good_day"]
    assert not alert.fires(good, datetime.fromisoformat(json.loads(good[-1])["timestamp"]))


@needs_parts
@by_alarm
def test_an_alarm_of_cloudwatch_keeps_quiet_on_a_good_day(alarm: str, logs: Mapping[str, list[str]]) -> None:
    """Nobody is called for a day on which all went as it should."""
    good = logs["a_good_day"]
    now = datetime.fromisoformat(json.loads(good[-1])["timestamp"])
    assert not STACK.is_in_alarm(alarm, documents(good), now)


@needs_parts
@by_alert
def test_an_alert_of_loki_hears_no_other_event(alert: Alert, lines: Mapping[Event, list[str]]) -> None:
    """What is logged of anything else, however often, is not its business."""
    now = datetime.fromisoformat(json.loads(lines[Event.RELAY_READY][0])["timestamp"]) + timedelta(hours=3)
    others = [it for event, found in lines.items() if event != alert.event for it in repeated(found[0], 25, now)]
    assert alert.fires(others, now) is (alert.event is Event.RELAY_HEARTBEAT)


@pytest.mark.parametrize("event", ATTENTION)
def test_every_event_that_wants_a_person_has_its_alerts(event: Event) -> None:
    """On both platforms, with the severity that the catalogue has, leading to its section of the runbook."""
    in_loki = [(alert.severity, alert.runbook) for alert in ALERTS if alert.event is event]
    in_cloudwatch = [
        STACK.alarms[name]["AlarmDescription"].partition(":")[0] for name in STACK.alarms if alarm_event(name) is event
    ]
    assert in_loki == [(ATTENTION[event].action, runbook_section(event))]
    assert in_cloudwatch == [ATTENTION[event].action]


@by_alarm
def test_an_alarm_calls_whom_its_severity_says(alarm: str) -> None:
    """A page reaches the topic of pages, and no other."""
    severity = STACK.alarms[alarm]["AlarmDescription"].partition(":")[0]
    assert STACK.alarms[alarm]["AlarmActions"] == [{"Ref": f"{severity.capitalize()}Topic"}]


@pytest.mark.parametrize("event", NUMBERS)
def test_the_catalogue_says_the_same_number(event: Event) -> None:
    """How often it takes, as docs/events.md has it, is what the alerts say."""
    (number,) = {number for words, number in WRITTEN_OUT.items() if re.search(rf"\b{words}\b", ATTENTION[event].when)}
    assert number == NUMBERS[event]
    assert all(
        ATTENTION[it].when == "it is logged"
        for it in ATTENTION.keys() - NUMBERS.keys()
        if CATALOGUE[it].level != "info"
    )


@by_alert
def test_an_alert_shows_only_what_its_event_has(alert: Alert) -> None:
    """A label that the event does not carry would be empty in the message."""
    fields = {*CATALOGUE[alert.event].fields, *CATALOGUE[alert.event].optional}
    grouped = {label for label, _ in logql.groups(alert.query)}
    assert grouped <= fields | {"host"}
    assert set(re.findall(r"\$labels\.(\w+)", alert.summary)) <= grouped


# The way there


@needs_parts
def test_vector_ships_a_line_as_it_is(lines: Mapping[Event, list[str]]) -> None:
    """Every field arrives under its name, with the host; of the journal's own nothing else does."""
    for line in (found[0] for found in lines.values()):
        event = shipped(line)
        assert event.pop("host") == "relay-1"
        told, meant = event.pop("timestamp"), json.loads(line)
        assert datetime.fromisoformat(str(told).replace(" UTC", "+00:00")) == datetime.fromisoformat(
            meant.pop("timestamp")
        )
        assert event == meant


@pytest.mark.parametrize("text", ["relay: 2 problems in the configuration", "[1, 2]", '"quoted"', "{", ""])
def test_vector_ships_text_as_text(text: str) -> None:
    """What is no line of the log is neither lost nor taken for one."""
    assert shipped(text) == {"host": "relay-1", "timestamp": "2026-11-24T12:00:00Z", "text": text}


@pytest.mark.parametrize("name", ["vector-loki.yaml", "vector-cloudwatch.yaml"])
def test_where_the_log_goes_is_made_of_the_lines(name: str) -> None:
    """Each destination takes what the transform makes, as JSON, and keeps it on disk while it is away."""
    (sink,) = yaml.safe_load((MONITORING / name).read_text(encoding="utf-8"))["sinks"].values()
    assert sink["inputs"] == ["relay"]
    assert sink["encoding"]["codec"] == "json"
    assert sink["buffer"]["type"] == "disk"


def test_loki_gets_the_labels_that_the_queries_ask_for() -> None:
    """The stream that every alert selects is the one that Vector makes."""
    labels = yaml.safe_load((MONITORING / "vector-loki.yaml").read_text(encoding="utf-8"))["sinks"]["loki"]["labels"]
    asked = {
        (it.label, it.value) for alert in ALERTS for lines in logql.log_queries(alert.query) for it in lines.stream
    }
    assert asked == {("service_name", labels["service_name"])}
    assert not labels.keys() & FIELDS.keys()


def test_cloudformation_takes_the_template() -> None:
    """cfn-lint, which knows the schema of every resource, has nothing to say against it."""
    command = [str(Path(sys.executable).with_name("cfn-lint")), str(MONITORING / "cloudwatch.yaml")]
    linted = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (linted.returncode, linted.stdout) == (0, "")
