"""The reference: `configuration.md`, `events.md` and `states.md` in `docs`, written from the code that they document.

`python -m relay.cli.reference docs` writes them into `docs`; a test fails when they differ from the code.
"""

import itertools
import sys
import types
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import time, timedelta
from enum import Enum, StrEnum
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any, Final, Literal, Union, get_args, get_origin
from zoneinfo import ZoneInfo

from annotated_types import Ge, Le
from pydantic import AfterValidator, BaseModel, ByteSize
from pydantic.fields import FieldInfo

from relay.attention import ATTENTION, runbook_section
from relay.cli.pasting import DECISIONS
from relay.config import (
    AccountSettings,
    HostSettings,
    LandingSettings,
    LimitSettings,
    LogSettings,
    PenaltySettings,
    RetentionSettings,
    RouteSettings,
    UpstreamSettings,
)
from relay.config.bounds import AtMost
from relay.config.translation import settable_keys
from relay.lifecycle import ARRIVAL, BIRTHS, DELIVERY, EXPORT
from relay.log import CATALOGUE, FIELDS, Event
from relay.model import ArrivalState, DeliveryState, ExportState
from relay.settings import format_duration, format_size, meanings

_WRITTEN: Final = "<!-- Written by `python -m relay.cli.reference docs`; changes belong into the code. -->"

_UNITS: Final = {
    "connections": "connections",
    "depth": "layers",
    "ipv4_prefix": "bits",
    "ipv6_prefix": "bits",
    "keepalives_unanswered": "questions",
    "limit": "segments",
    "max_files": "files",
    "max_rows": "rows",
    "members": "members",
    "min_overlap_rows": "rows",
    "min_rows": "rows",
    "most_sources": "sources",
    "port": "a port",
    "ratio": "times",
    "sessions_per_account": "sessions",
    "sessions_per_connection": "sessions",
    "source_burst": "connections",
    "source_rate": "connections per second",
    "startups_per_source": "connections",
    "tries": "tries",
}
"""What the whole numbers of the configuration count."""

_CONFIGURATION: Final = f"""\
# Configuration

{_WRITTEN}

`relay.toml` describes the host, and each file `routes.d/NAME.toml` beside it a tenant: the route `NAME`. Both are
[TOML](https://toml.io). `relay init` writes a pair to start from; `relay check` shows all mistakes at once.

- An unknown key is a mistake. A key stands above the first `[section]` or in the section that it is listed under.
- A **duration** is a number with a unit: `"30s"`, `"5m"`, `"48h"`, `"14d"`. It is more than nothing.
- A **size** is a number with a unit: `"500kB"`, `"20MB"`, `"1.5GB"`, `"2TB"`. A kB is 1000 bytes.
- A **share** is a number from 0 to 1.
- A **network** is an address, or several in CIDR notation: `"203.0.113.7"`, `"203.0.113.0/24"`, `"2001:db8::/48"`.
- A relative **file** name is looked up among systemd's credentials (`$CREDENTIALS_DIRECTORY`), then beside
  `relay.toml`. A **secret file** beside it has mode 600: one that its group or others can read is refused. Secrets
  never stand in the configuration itself.
- SIGHUP reads accounts, routes and the landing zone's limits, penalties and algorithms again. A reload that finds a
  mistake changes nothing and logs `config.refused`. Where the relay listens, its host keys, its state and its
  upstreams' secrets change by restart.
"""

_EVENTS: Final = f"""\
# Log events

{_WRITTEN}

The log goes to standard error, one JSON object a line, or readable text where that is a terminal. `relay events` shows
this list too.

- Every line has `timestamp` (ISO 8601, UTC), `level` and `event`, and the fields of its event. A field in brackets is
  there only where it applies, and a field without a value is left out.
- `info` is a change of state as it should be, `warning` is trouble that is being handled, `error` needs a person: its
  `hint` says what to do.
- Where an alert rests on an event, *wants* says how soon a person is to act (`page` now, `ticket` on the same working
  day, `look` when there is time) and when, and leads to what to do: [runbook.md](runbook.md) has a section for each.
- A line with `seq` tells a change of state, exactly as the history has it. After a crash a line may be repeated: it
  then has the same `seq`.
- No field can carry a phone number or an e-mail address (rule R1).
"""

_STATES: Final = f"""\
# States

{_WRITTEN}

What may happen to an arrival, an export and a delivery: the tables of `relay/lifecycle.py`, drawn. An event that a
state does not list is illegal, changes nothing and raises. The arrow from the dot shows where each may begin; a state
that leads to the other dot is final. What the states mean: [flow.md](flow.md).
"""

_Section = tuple[str, type[BaseModel]]

_HOST_SECTIONS: Final[Sequence[_Section]] = (
    ("Above the first section", HostSettings),
    ("`[landing]`", LandingSettings),
    ("`[landing.limits]`", LimitSettings),
    ("`[landing.penalties]`", PenaltySettings),
    ("`[accounts.NAME]`", AccountSettings),
    ("`[upstreams.NAME]`", UpstreamSettings),
    ("`[log]`", LogSettings),
    ("`[retention]`", RetentionSettings),
)
_ROUTE_SECTIONS: Final[Sequence[_Section]] = (
    ("Above the first section", RouteSettings),
    *(
        (f"`[{key}]`", field.annotation)
        for key, field in RouteSettings.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
    ),
)


def configuration() -> str:
    """Write `docs/configuration.md`: every key with its section, default, unit and meaning."""
    host = itertools.chain.from_iterable(_section(title, model) for title, model in _HOST_SECTIONS)
    route = itertools.chain.from_iterable(_section(title, model) for title, model in _ROUTE_SECTIONS)
    return "\n".join([_CONFIGURATION, "## `relay.toml`\n", *host, "## `routes.d/NAME.toml`\n", *route])


def events() -> str:
    """Write `docs/events.md`: every event with its level, meaning and fields, and every field."""
    parts = [_EVENTS]
    for noun, group in itertools.groupby(CATALOGUE.items(), key=lambda item: item[0].partition(".")[0]):
        parts += [
            f"## {noun.capitalize()}\n",
            _table(
                ("event", "level", "meaning", "fields", "wants"),
                (
                    (
                        f"`{event}`",
                        entry.level,
                        entry.meaning,
                        " ".join(
                            [*(f"`{name}`" for name in entry.fields), *(f"[`{name}`]" for name in entry.optional)]
                        ),
                        _wants(event),
                    )
                    for event, entry in group
                ),
            ),
        ]
    parts += ["## Fields\n", _table(("field", "meaning"), ((f"`{name}`", meaning) for name, meaning in FIELDS.items()))]
    return "\n".join(parts)


def _wants(event: Event) -> str:
    section = runbook_section(event)
    if section is None:
        return ""
    return f"[{ATTENTION[event].action}]({section.removeprefix('docs/')}): {ATTENTION[event].when}"


def states() -> str:
    """Write `docs/states.md`: the transition tables as diagrams."""
    return "\n".join(
        [
            _STATES,
            _diagram("Arrival", BIRTHS[ArrivalState], ARRIVAL),
            _diagram("Export", BIRTHS[ExportState], EXPORT),
            _diagram("Delivery", BIRTHS[DeliveryState], DELIVERY),
            _WAYS_OUT,
            _table(("state", "ends by", "commands"), [*_ways_out("export", EXPORT), *_ways_out("delivery", DELIVERY)]),
        ]
    )


def _ways_out(noun: str, table: Mapping[Any, Mapping[Any, StrEnum]]) -> Iterator[tuple[str, str, str]]:
    """Yield each state of a table with the events that end it, and the commands by which a person causes one."""
    for state, leads_to in table.items():
        commands = ", ".join(f"`relay {decision}`" for decision in DECISIONS.get(state, ()))
        events = ", ".join(f"`{event}`" for event in leads_to)
        yield f"{noun} `{state}`", events or "nothing: it is final", commands or "–"


_WAYS_OUT: Final = """## Ways out

What a person can end, and how. A state that has events and no command ends by itself: a list that is being sent by its
upstream's answer or deadline (rule U10), an export that is about to be rewritten by its rewrite, or by the third crash
of it (rule T2). A suspended upstream is left by `relay resume`, or by a probe that succeeds; a ban by `relay unban`, or
by its end; and what was sent is undone by `relay restore`.
"""


def _diagram(noun: str, births: Iterable[str], table: Mapping[Any, Mapping[Any, StrEnum]]) -> str:
    """Draw one transition table in Mermaid's notation."""
    lines = [f"    [*] --> {state}" for state in sorted(births)]
    for state, leads_to in table.items():
        lines += [f"    {state} --> {after}: {event}" for event, after in leads_to.items()]
        lines += [] if leads_to else [f"    {state} --> [*]"]
    return "\n".join([f"## {noun}\n", "```mermaid", "stateDiagram-v2", *lines, "```\n"])


def _section(title: str, model: type[BaseModel]) -> Iterator[str]:
    keys = {key: model.model_fields[key] for key in settable_keys(model)}
    rows = [
        (
            f"`{key}`",
            _default(field),
            _kind(key, field.annotation, field.metadata),
            _one_line(meanings(model).get(key, "")),
        )
        for key, field in keys.items()
        if not _is_section(field.annotation)
    ]
    yield f"### {title}\n"
    yield f"{_one_line((model.__doc__ or '').partition(':param')[0])}\n"
    yield _table(("key", "default", "kind", "meaning"), rows)


def _is_section(annotation: object) -> bool:
    """Say whether a key is a section of its own, or holds named ones."""
    inner = get_args(annotation)[-1] if get_origin(annotation) is dict else annotation
    return isinstance(inner, type) and issubclass(inner, BaseModel)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "*required*"
    value = field.get_default(call_default_factory=True)
    return "–" if value is None else f"`{_as_toml(value)}`"


def _as_toml(value: object) -> str:
    """Write a default as the configuration would."""
    if isinstance(value, timedelta):
        value = format_duration(value)
    elif isinstance(value, ByteSize):
        value = format_size(value)
    if isinstance(value, str | Path | ZoneInfo):
        return f'"{value}"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Mapping):
        return "{}"
    if isinstance(value, Iterable):
        return f"[{', '.join(map(_as_toml, value))}]"
    return str(value)


def _kind(key: str, annotation: object, metadata: Sequence[object]) -> str:
    """Say what a key's value is, with its unit and its bounds."""
    annotation, metadata = _unwrapped(annotation, metadata)
    if choices := _choices(annotation):
        return " or ".join(filter(None, [", ".join(choices[:-1]), choices[-1]]))
    if get_origin(annotation) is tuple:
        return f"list of {_kind(key, get_args(annotation)[0], ())}s"
    if get_origin(annotation) is dict:
        return "table of texts"
    if annotation is float:
        return "share" if any(isinstance(bound, Le) for bound in metadata) else f"number{_bounds(metadata)}"
    if annotation is int:
        return f"{_UNITS[key]}{_bounds(metadata)}"
    return "directory" if key == "state_dir" else f"{_KINDS[annotation]}{_longest(metadata)}"


def _longest(metadata: Sequence[object]) -> str:
    longest = (it.func.longest for it in metadata if isinstance(it, AfterValidator) and isinstance(it.func, AtMost))
    return "".join(f", at most `{format_duration(it)}`" for it in longest)


def _unwrapped(annotation: object, metadata: Sequence[object]) -> tuple[object, Sequence[object]]:
    """Take off an annotation what says only that there may be nothing, and gather what bounds it."""
    if get_origin(annotation) in (Union, types.UnionType):
        annotation = next(member for member in get_args(annotation) if member is not types.NoneType)
    if hasattr(annotation, "__metadata__"):
        annotation, *more = get_args(annotation)
        return _unwrapped(annotation, [*metadata, *more])
    return annotation, metadata


def _choices(annotation: object) -> list[str]:
    """Return the words that a key may have, if they are fixed."""
    words = get_args(annotation) if get_origin(annotation) is Literal else ()
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        words = tuple(member.value for member in annotation)
    return [f'`"{word}"`' for word in words]


_KINDS: Final[Mapping[object, str]] = {
    bool: "`true` or `false`",
    str: "text",
    IPv4Network: "network",  # or of the other family: the first of the two tells
    Path: "file",
    time: "time of day",
    timedelta: "duration",
    ByteSize: "size",
    ZoneInfo: "time zone",
}


def _bounds(metadata: Sequence[object]) -> str:
    least = next((bound.ge for bound in metadata if isinstance(bound, Ge)), None)
    most = next((bound.le for bound in metadata if isinstance(bound, Le)), None)
    if most is not None:
        return f", {least} to {most}"
    return f", at least {least}"


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Write a Markdown table, with a line end after it."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def reference() -> dict[str, str]:
    """Return each file of the reference by its name."""
    return {"configuration.md": configuration(), "events.md": events(), "states.md": states()}


def main(directory: Path) -> None:
    """Write every file of the reference into `directory`."""
    for name, text in reference().items():
        (directory / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
