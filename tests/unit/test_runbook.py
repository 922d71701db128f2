"""The runbook: a section for every event that an alert rests on, and nothing in it that the relay does not have."""

import ast
import io
import re
from pathlib import Path

import click
import pytest
import structlog
from parts import runbook
from parts.runbook import as_code, commands, sections, text, typed
from pydantic import BaseModel

import relay
from relay.attention import ATTENTION, runbook_section
from relay.cli import main
from relay.cli.reference import events
from relay.config import AccountSettings, HostSettings, RouteSettings, UpstreamSettings
from relay.config.translation import settable_keys
from relay.log import CATALOGUE, FIELDS, Event, configure, emit

PACKAGE = Path(relay.__file__).parent
TOOLS = {"df", "du", "findmnt", "fuser", "gpg", "journalctl", "less", "ls", "relay", "ssh-keyscan", "sudo", "systemctl"}
"""What else a host with systemd, OpenSSH and GnuPG has."""

STAND_INS = {"ID", "ROUTE", "SEGMENT", "ACCOUNT", "UPSTREAM"}
"""What the runbook says a reader is to put something in the place of."""


def keys(section: type[BaseModel], path: str) -> set[str]:
    """Return the settings of a section as the runbook writes them: with the table that they stand in."""
    found = set()
    for key in settable_keys(section):
        inner = section.model_fields[key].annotation
        at = f"{path}{key}"
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            found |= {f"[{at}]", *keys(inner, f"{at}.")}
        found.add(at)
    return found


SETTINGS = {
    *keys(HostSettings, ""),
    *keys(AccountSettings, "accounts.NAME."),
    *keys(UpstreamSettings, "upstreams.NAME."),
    *keys(RouteSettings, ""),
}


def literals() -> set[str]:
    """Return every text in the code: what the relay can write into a log line, such as a reason, is one of them."""
    return {
        node.value
        for source in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_every_event_that_wants_a_person_has_a_section() -> None:
    """Whatever an alert rests on, the runbook tells of it, in the order of the catalogue and of nothing else."""
    assert [section.title for section in sections()] == [event.value for event in Event if event in ATTENTION]


def test_every_warning_and_error_wants_a_person() -> None:
    """No trouble is logged that nobody is told what to do about; an error is never only worth a look."""
    troubles = {event for event, entry in CATALOGUE.items() if entry.level != "info"}
    assert troubles <= set(ATTENTION)
    assert all(ATTENTION[event].action != "look" for event in troubles if CATALOGUE[event].level == "error")


def test_what_is_no_trouble_wants_a_person_only_by_its_number_or_absence() -> None:
    """An event of level info is logged every day: only how often, or that it is not, can tell something."""
    assert all(ATTENTION[event].when != "it is logged" for event in ATTENTION if CATALOGUE[event].level == "info")


@pytest.mark.parametrize("event", ATTENTION)
def test_the_catalogue_leads_to_the_section(event: Event) -> None:
    """The link that an event carries is the anchor of the section with its name, and the reference has it."""
    (section,) = [it for it in sections() if it.title == event]
    assert runbook_section(event) == f"docs/{runbook.RUNBOOK.name}#{section.anchor}"
    assert f"[{ATTENTION[event].action}](runbook.md#{section.anchor}): {ATTENTION[event].when}" in events()


def test_an_event_without_section_has_no_link() -> None:
    """A line that wants nobody leads nowhere."""
    assert runbook_section(Event.DELIVERY_SENT) is None


@pytest.mark.parametrize("section", sections(), ids=lambda section: section.title)
def test_a_section_says_what_it_means_what_to_look_at_and_what_to_do(section: runbook.Section) -> None:
    """Whoever is woken finds the same three parts in each, and a command that shows the evidence."""
    assert list(section.parts) == ["Means", "Look", "Do"]
    assert typed(section.parts["Look"])


@pytest.mark.parametrize("words", list(commands()), ids=" ".join)
def test_every_command_of_the_relay_exists(words: list[str]) -> None:
    """Each command that the runbook names is one, takes the options it is given, and lacks none that it needs."""
    name, *arguments = words
    command = main.get_command(click.Context(main), name)
    assert command is not None
    with click.Context(command, info_name=name) as context:
        given, _, _ = command.make_parser(context).parse_args(args=list(arguments))
    lacking = {it.name for it in command.params if isinstance(it, click.Option) and it.required} - given.keys()
    assert not lacking or not arguments


def test_every_other_command_is_a_hosts() -> None:
    """Nothing is typed that a host with systemd, OpenSSH and GnuPG does not have."""
    assert {command[0] for command in typed(text())} <= TOOLS


def test_every_event_that_is_searched_for_exists() -> None:
    """A search of the journal for the relay's lines names events of the catalogue, each spelled out or as choices."""
    searched = [command[command.index("--grep") + 1] for command in typed(text()) if {"--unit", "--grep"} <= {*command}]
    names = {
        f"{noun}.{head}{choice}"
        for pattern in searched
        for noun, head, choices in re.findall(r"([a-z]+)\\\.([a-z_]*)(?:\(([a-z_|]+)\))?", pattern)
        for choice in (choices or "").split("|")
    }
    assert names
    assert names <= {event.value for event in Event}


def test_the_search_for_trouble_finds_it() -> None:
    """The search that the runbook begins with is made for the lines as the relay writes them."""
    stream = io.StringIO()
    configure(stream)
    emit(Event.DISK_LOW, bytes=1, detail="d", hint="h")
    emit(Event.RELAY_DRAINING)
    structlog.reset_defaults()
    pattern = typed(text())[0][-1]
    assert [bool(re.search(pattern, line)) for line in stream.getvalue().splitlines()] == [True, False]


def test_every_word_in_code_is_the_relays() -> None:
    """What is written as code is an event, a field, a setting with its table, a command, or a word of the log."""
    known = {*Event, *FIELDS, *SETTINGS, *STAND_INS, "expiry-time", "landing/", "page", "ticket", "look"}
    words = [it for it in as_code(text()) if it not in known and it.split()[0] not in TOOLS]
    written = literals()
    assert [it for it in words if it not in written] == []


def test_a_setting_is_written_with_its_table() -> None:
    """The test above would notice a setting that does not exist, and one that stands elsewhere."""
    assert {"landing.min_free", "accounts.NAME.quota", "upstreams.NAME.password", "expect_by", "[guards]"} <= SETTINGS
    assert not {"landing.quota", "guards.expect_by", "min_free"} & SETTINGS


def test_every_link_leads_somewhere() -> None:
    """A link is to a section of the runbook or to a file beside it."""
    anchors = {section.anchor for section in sections()}
    for link in re.findall(r"\]\(([^)]+)\)", text()):
        file, _, anchor = link.partition("#")
        assert (runbook.RUNBOOK.parent / file).exists() if file else anchor in anchors, link
