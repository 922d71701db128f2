"""`relay status` of a host with thirty routes: one screen, trouble first."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from parts.host import SHRUNK, Host, a_host
from parts.thirty import ROUTES, thirty_routes

LINES, COLUMNS = 50, 120


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    """The host; it takes a while to have lived for two nights, and these tests only look."""
    with thirty_routes(tmp_path_factory.mktemp("thirty")) as host:
        yield host


def test_thirty_routes_fit_on_one_screen_trouble_first(host: Host) -> None:
    """What wants a person stands above all that is well, with its figures and commands; exit 1."""
    said = host.run("status", RELAY_CONFIG=str(host.config))
    assert said.exit_code == 1
    lines = said.stdout.splitlines()
    assert len(lines) <= LINES
    # A command is on one line so that it can be pasted, whatever this program is called here.
    assert max(len(line) for line in lines if " -m relay " not in line and str(host.state_dir) not in line) <= COLUMNS
    assert lines[0].endswith("; 3 routes are late, 1 list is held, 1 list has failed")
    table = next(number for number, line in enumerate(lines) if line.startswith("route "))
    trouble = "\n".join(lines[:table])
    for words in ("brand07, expected by", "LATE", "brand12, VIP", SHRUNK.detail, "brand23, Lapsed", "other content"):
        assert words in trouble
    assert [line.split()[-2] for line in lines[:table] if " -m relay " in line] == [
        *("release", "discard", "requeue", "discard"),
    ]
    assert [line.split()[0] for line in lines[table + 1 : table + 31]] == [
        *("brand07", "brand12", "brand23"),
        *(name for name in ROUTES if name not in {"brand07", "brand12", "brand23"}),
    ]


def test_each_route_says_in_a_line_how_it_stands(host: Host) -> None:
    """Of all of its segments together: how many, when the last was sent, rows, change, rejected, and a word for it."""
    lines = {line.split()[0]: line.split() for line in host.run("status").stdout.splitlines() if line[:5] == "brand"}
    assert lines["brand07"][1:3] == ["late", "3"]
    assert lines["brand12"][1:3] == ["held", "4"]
    assert lines["brand23"][1:3] == ["failed", "3"]
    assert (lines["brand03"][1:3], lines["brand03"][5:8]) == (["sent", "3"], ["15,030", "−1.3", "%"])


def test_one_route_is_shown_in_full(host: Host) -> None:
    """With --route: all of its segments, and no other's; what waits elsewhere is no finding then."""
    said = host.run("status", "--route", "brand04")
    assert said.exit_code == 0, said.output
    assert "Most Loyal Customers" in said.stdout
    assert "brand12" not in said.stdout
    assert host.run("status", "--route", "brand12").exit_code == 1
    said = host.run("status", "--route", "nobody")
    assert said.exit_code == 2
    assert "there are: brand01" in said.stderr


def test_where_everything_is_in_trouble_the_screen_still_ends(tmp_path: Path) -> None:
    """The first lists are shown with their commands, the others counted, with the command that lists them."""
    with a_host(tmp_path) as host:
        for number in range(40):
            host.books.plan(SHRUNK, segment=f"Segment {number}", rows=20)
        said = host.run("status").stdout
    assert "; 40 lists are held" in said
    assert "and 36 more: " in said
    assert "deliveries --state held" in said
    assert len(said.splitlines()) <= LINES


def test_programs_get_everything(host: Host) -> None:
    """The document has every segment of every route, however many there are."""
    document = host.document("status")
    assert len(document["routes"]) == 30
    assert sum(len(route["segments"]) for route in document["routes"]) == 73
