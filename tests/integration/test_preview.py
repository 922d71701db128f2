"""`relay preview`: what would become of a file, with nothing sent, noted or left behind."""

import hashlib
import json
import os
import stat
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from parts.canary import assert_no_person
from parts.host import Host, a_host, configure, run
from parts.people import people
from parts.service import RELAY
from parts.terminal import needs_terminals, on_a_terminal

from relay.spool import Spool

GOOD = b"given_name,phone,segment_name\nAda,(212) 555-0101,VIP\nBen,+1 212 555 0102,VIP\nCleo,2125550103,Lapsed\n"
FLAWED = GOOD + b"Dan,212-555-0104 x7,VIP\nEve,,VIP\nFay,2125550105,VIP+\n"
KEYS = {"quarantine", "recognised", "counts", "lists", "rejects", "first_rejects", "remarks"}
UNUSABLE = b"given_name,phone,segment_name\nAda,2125550101,VIP\nBen,21255501"


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A host whose service has run, and has done nothing yet."""
    with a_host(tmp_path) as host:
        yield host


@pytest.fixture
def export(tmp_path: Path) -> Path:
    """A file as Amperity might send it."""
    path = tmp_path / "export.csv"
    path.write_bytes(GOOD)
    return path


def test_it_works_before_the_service_ever_ran(tmp_path: Path, export: Path) -> None:
    """What would be sent, of how many rows; exit 0, and nothing is made anywhere."""
    config, state_dir = configure(tmp_path)
    said = run(config, "preview", str(export), "--route", "sirendenim")
    assert said.exit_code == 0, said.output
    lines = [line.split() for line in said.stdout.splitlines()]
    assert ["VIP", "send", "2", "–", "–", "–", "–", "–", "0", "0", "0"] in lines
    assert ["Lapsed", "send", "1", "–", "–", "–", "–", "–", "0", "0", "0"] in lines
    assert not state_dir.exists()


def test_it_compares_with_what_was_last_sent(host: Host, export: Path) -> None:
    """A list that a guard would hold says so, with the figures and the change: exit 1, and no trace in the state."""
    host.send(segment="VIP", rows=48_000)
    before = host.books.store.exports(), host.books.store.deliveries()
    said = host.run("preview", str(export), "--route", "sirendenim")
    assert said.exit_code == 1
    assert "shrunk: 2 rows, last sent 48,000" in said.stdout
    assert ["VIP", "hold", "2", "48,000", "−100.0", "%", "–", "–", "–", "0", "0", "0"] in [
        it.split() for it in said.stdout.splitlines()
    ]
    assert (host.books.store.exports(), host.books.store.deliveries()) == before


def test_it_warns_of_growth_and_of_a_name_like_another(host: Host, export: Path) -> None:
    """A list that grew somewhat would be sent, with a warning; one whose name is nearly a known one would be held."""
    host.books.now -= timedelta(days=1)
    host.send(segment="lapsed", rows=1_000)
    export.write_bytes(b"phone,segment_name\n" + b"".join(f"{it.phone},VIP\n".encode() for it in people(300)))
    host.send(segment="VIP", rows=100)
    assert "grew: 300 rows, last sent 100, 3.0 times as many" in preview_of(host, export)
    export.write_bytes(GOOD)
    assert "near_duplicate_name: “Lapsed” is new, and known is “lapsed”" in preview_of(host, export)


def preview_of(host: Host, export: Path, *options: str) -> str:
    """What the preview says, its lines joined."""
    return " ".join(host.run("preview", str(export), "--route", "sirendenim", *options).stdout.split())


def test_two_names_that_are_nearly_one_are_seen_in_one_export(host: Host, export: Path) -> None:
    """As the service would: the first is sent, and the second is held."""
    export.write_bytes(b"phone,segment_name\n2125550101,VIP Club\n2125550102,vip_club\n")
    assert "near_duplicate_name: “vip_club” is new, and known is “VIP Club”" in preview_of(host, export)


def test_a_pattern_over_the_path_is_tried_in_a_directory_that_is_named(tmp_path: Path) -> None:
    """Where it would land is not known here, so that it can be said; the refusal says how."""
    config, _ = configure(tmp_path)
    with (config.parent / "routes.d" / "sirendenim.toml").open("a") as route:
        route.write("segment.pattern = '/uploads/(?P<segment>[^/]+)/'\n")
    export = tmp_path / "export.csv"
    export.write_bytes(b"phone\n2125550101\n")
    refused = run(config, "preview", str(export), "--route", "sirendenim")
    assert "no_segment_in_path" in refused.stdout
    assert "`--in`" in refused.stdout
    said = run(config, "preview", str(export), "--route", "sirendenim", "--in", "/uploads/Summer")
    assert said.exit_code == 0, said.output
    assert ["Summer", "send", "1"] in [line.split()[:3] for line in said.stdout.splitlines()]


def test_it_counts_the_people_in_common_with_the_list_last_sent(host: Host, export: Path) -> None:
    """Another segment's people under this one's name: held, with who is lost and gained (rule G12)."""
    host.books.now -= timedelta(days=1)
    sent = host.send(segment="VIP", rows=1_200)
    kept = Spool(host.state_dir).draft(sent)
    kept.parent.mkdir(parents=True)
    kept.write_text("".join(f"{it.phone},VIP\n" for it in people(1_200)))
    export.write_text("phone,segment_name\n" + "".join(f"{it.phone},VIP\n" for it in people(1_100, first=1_150)))
    assert "replaced: 1,100 rows, of which 50 were in the list last sent: 1,150 lost, 1,050 gained" in preview_of(
        host, export
    )
    shown = [it.split() for it in host.run("preview", str(export), "--route", "sirendenim").stdout.splitlines()]
    assert ["VIP", "hold", "1,100", "1,200", "−8.3", "%", "50", "1,150", "1,050", "0", "0", "0"] in shown
    (found,) = host.document("preview", str(export), "--route", "sirendenim")["lists"]
    assert found["overlap"] == {"kept": 50, "lost": 1_150, "gained": 1_050}


def test_the_same_list_again_is_a_duplicate(host: Host, export: Path) -> None:
    """What is there already for today is named, and is no finding."""
    first = host.send(segment="VIP", rows=2, content="2125550101,VIP\n2125550102,VIP\n")
    document = host.document("preview", str(export), "--route", "sirendenim")
    vip = document["lists"][0]
    assert (vip["segment"], vip["verdict"], vip["why"]) == ("VIP", "duplicate", {"other_id": first.id})
    assert host.run("preview", str(export), "--route", "sirendenim").exit_code == 0


def test_rejected_rows_are_a_finding_and_shown_masked(host: Host, export: Path) -> None:
    """Reasons with their lines, the first rows of the reject report, and no number anywhere."""
    export.write_bytes(FLAWED)
    said = host.run("preview", str(export), "--route", "sirendenim")
    assert said.exit_code == 1
    for words in (
        "extension",
        "segment_characters",
        "***-***-",
        "6 rows = 3 to send + 0 duplicates + 2 rejected + 1 empty",
    ):
        assert words in said.stdout
    assert_no_person(said.output, "the preview")
    document = host.document("preview", str(export), "--route", "sirendenim")
    assert {it["reason"]: it["first_lines"] for it in document["rejects"]} == {
        "extension": [5],
        "segment_characters": [7],
    }
    assert [it["line"] for it in document["first_rejects"]] == ["5", "7"]
    assert_no_person(json.dumps(document), "the document")


def test_an_unusable_file_would_be_quarantined(host: Host, export: Path) -> None:
    """Reason, what was found and what to do: exit 1."""
    export.write_bytes(UNUSABLE)
    said = host.run("preview", str(export), "--route", "sirendenim")
    assert said.exit_code == 1
    assert "would be quarantined: truncated" in said.stdout
    assert "Have the export sent again" in said.stdout
    document = host.document("preview", str(export), "--route", "sirendenim")
    assert set(document["quarantine"]) == {"reason", "detail", "hint"}
    assert set(document) == KEYS


def test_output_has_the_lists_as_they_would_be_sent(host: Host, export: Path, tmp_path: Path) -> None:
    """The files are those of the rewrite, for their owner only; a directory with something in it is refused."""
    output = tmp_path / "preview"
    assert host.run("preview", str(export), "--route", "sirendenim", "--output", str(output)).exit_code == 0
    assert {path.name: path.read_bytes() for path in output.iterdir()} == {
        "1_VIP.csv": b"2125550101,VIP\n2125550102,VIP\n",
        "2_Lapsed.csv": b"2125550103,Lapsed\n",
        "rejects.csv": b"file,line,column,reason,masked\n",
    }
    assert {stat.S_IMODE(path.stat().st_mode) for path in output.iterdir()} == {0o600}
    again = host.run("preview", str(export), "--route", "sirendenim", "--output", str(output))
    assert again.exit_code == 1
    assert "is not empty" in again.stderr
    impossible = host.run("preview", str(export), "--route", "sirendenim", "--output", str(export / "below-a-file"))
    assert impossible.exit_code == 1
    assert "cannot be written" in impossible.stderr


def test_nothing_is_left_behind(host: Host, export: Path, tmp_path: Path) -> None:
    """The rewritten lists hold people: they are gone when the command ends."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    command = [*RELAY, "--config", str(host.config), "preview", str(export), "--route", "sirendenim"]
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "TMPDIR": str(temporary)})
    assert list(temporary.iterdir()) == []
    assert export.read_bytes() == GOOD


def test_an_unknown_route_is_wrong_usage(host: Host, export: Path) -> None:
    """The routes that there are, are named: exit 2."""
    said = host.run("preview", str(export), "--route", "other")
    assert said.exit_code == 2
    assert "sirendenim" in said.stderr


def test_its_keys_are_stable(host: Host, export: Path) -> None:
    """Programs rest on these keys."""
    document = host.document("preview", str(export), "--route", "sirendenim")
    assert set(document) == KEYS
    vip = document["lists"][0]
    assert set(vip) == {"segment", "verdict", "counts", "last_sent_rows", "overlap", "sha256", "slices", "why"}
    assert vip["sha256"] == hashlib.sha256(b"2125550101,VIP\n2125550102,VIP\n").hexdigest()


@needs_terminals
def test_a_long_look_has_a_bar_on_a_terminal(host: Host, tmp_path: Path) -> None:
    """How many rows were read and what share of the file, where a person looks; what was found goes elsewhere."""
    export, results = tmp_path / "long.csv", tmp_path / "results"
    export.write_text("phone,segment_name\n" + "".join(f"{it.phone},VIP\n" for it in people(4_800)) * 80)
    look = ("preview", str(export), "--route", "sirendenim")
    seen = on_a_terminal(host.config, *look, stdout=results)
    for words in ("\u2501", "0%", "384,000 rows", "100%"):
        assert words in seen
    assert results.read_text().startswith("recognised as format")
    assert "384,000 rows = 4,800 to send" in results.read_text()
    assert not {"\u2501", "\x1b", "\r"} & set(results.read_text())
    unseen = host.run(*look)
    assert (unseen.stdout, unseen.stderr) == (results.read_text(), "")


@needs_terminals
def test_on_a_terminal_the_file_is_named_before_the_bar_ends(host: Host, export: Path) -> None:
    """What the file was taken for is said at once and stays; the bar is wiped away when the figures come."""
    seen = on_a_terminal(host.config, "preview", str(export), "--route", "sirendenim")
    named, figures = seen.index("recognised as"), seen.index("3 rows = 3 to send")
    read = seen.index("100%")
    assert named < read < seen.index("\x1b[2K", read) < figures
    assert "\u2501" not in seen[figures:]
