"""`relay preview` of several files, or a directory, as one export."""

import json
from pathlib import Path

import pytest
from parts.host import configure, run
from parts.people import people

HEADER = "phone,segment_name\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A configuration whose route makes one export of a directory."""
    config, _ = configure(tmp_path)
    route(config, group="directory", complete="quiet")
    return config


def route(config: Path, **source: str) -> None:
    """Set the route's `[source]`."""
    path = config.parent / "routes.d" / "sirendenim.toml"
    text = path.read_text(encoding="utf-8").partition("[source]")[0]
    path.write_text(text + "[source]\n" + "".join(f'{key} = "{value}"\n' for key, value in source.items()))


def split(directory: Path, *numbers: int, header: bool = True) -> Path:
    """A directory of parts, each of two people, the header in the first only or in none."""
    directory.mkdir()
    for number in numbers:
        rows = "".join(f"{it.phone},VIP\n" for it in people(2, first=number * 10))
        text = (HEADER if header and number == min(numbers) else "") + rows
        (directory / f"{number:07}.csv").write_text(text, encoding="utf-8")
    return directory


def test_a_directory_is_one_export(config: Path, tmp_path: Path) -> None:
    """Its parts are read in natural order, its marker is not; the header of the first counts for all."""
    parts = split(tmp_path / "VIP.csv", 1, 2, 3)
    (parts / ".DONE").touch()
    said = run(config, "preview", str(parts), "--route", "sirendenim", "--json")
    assert said.exit_code == 0, said.output
    document = json.loads(said.stdout)
    assert document["counts"]["rows_out"] == 6
    assert document["recognised"]["sources"] == 3
    assert document["remarks"] == []


def test_several_files_are_one_export(config: Path, tmp_path: Path) -> None:
    """In whatever order they are named."""
    parts = split(tmp_path / "VIP.csv", 1, 2)
    said = run(
        config,
        *("preview", str(parts / "0000002.csv"), str(parts / "0000001.csv")),
        *("--route", "sirendenim", "--output", str(tmp_path / "out")),
    )
    assert said.exit_code == 0, said.output
    written = (tmp_path / "out" / "1_VIP.csv").read_text(encoding="utf-8")
    assert [line.partition(",")[0] for line in written.splitlines()] == [
        it.phone for it in (*people(2, first=10), *people(2, first=20))
    ]


def test_a_gap_would_quarantine(config: Path, tmp_path: Path) -> None:
    """Which part is missing, and which setting lets it pass; with that it passes."""
    parts = split(tmp_path / "VIP.csv", 1, 3)
    said = run(config, "preview", str(parts), "--route", "sirendenim")
    assert said.exit_code == 1
    assert "quarantined: incomplete" in said.stdout
    assert "0000002.csv is missing" in said.stdout
    assert 'source.gaps = "accept"' in " ".join(said.stdout.split())
    route(config, group="directory", complete="quiet", gaps="accept")
    assert run(config, "preview", str(parts), "--route", "sirendenim").exit_code == 0


def test_it_says_when_the_route_would_not_group(config: Path, tmp_path: Path) -> None:
    """The settings that make one export of it are named."""
    route(config, complete="close")
    said = run(config, "preview", str(split(tmp_path / "VIP.csv", 1, 2)), "--route", "sirendenim")
    assert said.exit_code == 0, said.output
    assert 'source.group = "directory"' in " ".join(said.stdout.split())


def test_it_says_when_the_marker_would_be_waited_for(config: Path, tmp_path: Path) -> None:
    """The directory is shown all the same."""
    route(config, group="directory", complete="done")
    parts = split(tmp_path / "VIP.csv", 1, 2)
    (parts / "more").mkdir()
    said = run(config, "preview", str(parts), "--route", "sirendenim")
    assert said.exit_code == 0, said.output
    assert "no end marker" in said.stdout
    assert "Left out: 1 directories within" in said.stdout


def test_nothing_but_markers_is_refused(config: Path, tmp_path: Path) -> None:
    """There is nothing to show, which is said."""
    parts = tmp_path / "VIP.csv"
    parts.mkdir()
    (parts / "_SUCCESS").touch()
    said = run(config, "preview", str(parts), "--route", "sirendenim")
    assert said.exit_code == 1
    assert "could be a list" in said.stderr
