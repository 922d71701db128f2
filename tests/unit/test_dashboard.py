"""The dashboard for Grafana: every query in it is understood, and rests on events and fields of the catalogue only."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from parts.logql import Lines, groups, log_queries, parse

from relay.log import CATALOGUE, Event

DASHBOARD = Path(__file__).parents[2] / "deploy" / "monitoring" / "grafana-dashboard.json"
BOARD = json.loads(DASHBOARD.read_text(encoding="utf-8"))
ALWAYS = {"timestamp", "level", "event", "host"}
DELAYS = {f"delays_{stage}" for stage in ("landing", "rewrite", "queue", "connect", "transfer")}
"""What the field `delays` becomes when a line is read as JSON."""


def queries() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield each query with the title of its panel."""
    for panel in BOARD["panels"]:
        yield from ((panel["title"], target) for target in panel["targets"])
    yield from ((it["name"], it["target"]) for it in BOARD["annotations"]["list"])


QUERIES = list(queries())
by_query = pytest.mark.parametrize(("title", "target"), QUERIES, ids=[f"{it[0]} {it[1]['refId']}" for it in QUERIES])


def events(lines: Lines) -> list[Event]:
    """Return the events that a log query selects."""
    chosen = [it.value for it in lines.filters if it.label == "event"]
    levels = [it.value for it in lines.filters if it.label == "level"]
    if not chosen:
        return [event for event, entry in CATALOGUE.items() if re.fullmatch(levels[0], entry.level)]
    return [Event(name) for name in chosen[0].split("|")]


def fields(lines: Lines) -> set[str]:
    """Return what every line of a log query has or may have."""
    have = [{*CATALOGUE[event].fields, *CATALOGUE[event].optional} for event in events(lines)]
    return set.intersection(*have) | ALWAYS | (DELAYS if all("delays" in it for it in have) else set())


@by_query
def test_a_query_rests_on_the_catalogue(title: str, target: dict[str, Any]) -> None:
    """Each event is one, and each field that is compared, counted or grouped by is one of that event's."""
    query = parse(target["expr"])
    for lines in log_queries(query):
        used = {it.label for it in lines.filters} | ({lines.unwrapped} if lines.unwrapped else set())
        assert used <= fields(lines), title
        assert [(it.label, it.value) for it in lines.stream] == [("service_name", "relay")]
    for label, lines in groups(query):
        assert label in fields(lines), title


@by_query
def test_a_legend_shows_what_the_query_groups_by(title: str, target: dict[str, Any]) -> None:
    """A label that the query does not keep would be empty."""
    shown = set(re.findall(r"{{(\w+)}}", target.get("legendFormat", "")))
    together = [it for it in QUERIES if it[0] == title]
    kept = {label for _, it in together for label, _ in groups(parse(it["expr"]))}
    assert shown <= kept, title


def test_every_panel_is_explained_and_has_its_place() -> None:
    """A panel has a title, a description, an id of its own, and overlaps no other."""
    panels = BOARD["panels"]
    assert all(panel["title"] and panel["description"] for panel in panels)
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for panel in panels
        for at in [panel["gridPos"]]
        for x in range(at["x"], at["x"] + at["w"])
        for y in range(at["y"], at["y"] + at["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_the_data_come_from_the_source_that_the_reader_chooses() -> None:
    """It is imported anywhere: no panel names a data source of its own."""
    assert {panel["datasource"]["uid"] for panel in BOARD["panels"]} == {"${datasource}"}
    assert [it["name"] for it in BOARD["templating"]["list"]] == ["datasource"]
