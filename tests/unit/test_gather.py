"""Scans of a landing zone whose exports have several files, with a clock of the test's own (rules C1 to C8)."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from parts.zone import ACCOUNT, PERSON, Zone

from relay.model import ArrivalState, ExportState

QUIET, WAIT = 60, 7200
X = "/uploads/X.csv"
ONE, TWO, THREE = f"{X}/0000001.csv", f"{X}/0000002.csv", f"{X}/0000003.csv"
DONE = f"{X}/.DONE"

Opened = Callable[..., Zone]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    """Give what opens a zone whose route has these settings under `[source]`."""
    zones: list[Zone] = []

    def open_zone(**source: Any) -> Zone:
        zones.append(Zone(tmp_path / "state", **source))
        return zones[-1]

    yield open_zone
    for zone in zones:
        zone.store.close()


@pytest.fixture
def done(opened: Opened) -> Zone:
    """Directories that end with a marker."""
    return opened(group="directory", complete="done")


@pytest.fixture
def quiet(opened: Opened) -> Zone:
    """Directories that end when nothing more comes."""
    return opened(group="directory", complete="quiet")


# A directory with an end marker


@pytest.mark.parametrize(
    "marker",
    [DONE, "/uploads/X.csv.DONE", "/uploads/X.done", f"{X}/X.csv.DONE", f"{X}/_SUCCESS"],
)
def test_a_directory_becomes_one_export_when_its_marker_comes(done: Zone, marker: str) -> None:
    """However the marker is called; the marker itself is claimed and is no part."""
    done.put_all(TWO, ONE)
    assert done.scan(after=3).received == ()
    assert done.the_export().state is ExportState.GATHERING
    done.put(marker, b"")
    assert done.scan(after=1).received == ()
    assert done.scan(after=1).received == (done.the_export().id,)
    export = done.the_export()
    assert (export.state, export.path) == (ExportState.RECEIVED, f"{X}/")
    assert done.sources(export) == [ONE, TWO]
    assert set(done.states().values()) == {ArrivalState.CLAIMED}
    assert [it.part for it in done.arrivals(marker)] == [None]


def test_parts_are_in_the_order_of_their_numbers(done: Zone) -> None:
    """Numbers count as numbers, whatever their width, and in whatever order they came (rule C4)."""
    done.put_all(*(f"/uploads/X/{number}.csv" for number in (10, 2, 1, *range(3, 10))), "/uploads/X/.DONE")
    done.scan(after=3)
    done.scan(after=QUIET)
    assert done.sources(done.the_export()) == [f"/uploads/X/{number}.csv" for number in range(1, 11)]


def test_the_id_is_fixed_when_the_first_part_is_there(done: Zone) -> None:
    """It tells when the first part landed, and stays through a restart."""
    done.put_all(ONE)
    landed_at = done.arrivals(ONE)[0].landed_at
    done.scan(after=3)
    export = done.the_export()
    assert export.id.startswith(f"sirendenim-{landed_at:%Y%m%dT%H%M%SZ}-")
    done.restart()
    done.put_all(TWO, DONE)
    done.scan(after=3)
    assert [it.id for it in done.exports(ExportState.RECEIVED)] == [export.id]


def test_a_waiting_export_says_what_it_has_and_lacks(done: Zone) -> None:
    """And until when it waits; its files know which export they wait with."""
    done.put_all(ONE, THREE)
    done.scan(after=3)
    export = done.the_export()
    assert export.detail == ("2 files so far: 0000001.csv, 0000003.csv; there is no end marker; 0000002.csv is missing")
    assert export.waits_until is not None
    assert (export.waits_until - done.arrivals(THREE)[0].landed_at).total_seconds() == WAIT
    assert [it.export_id for it in done.arrivals()] == [export.id] * 2


def test_a_marker_that_never_comes_quarantines(done: Zone) -> None:
    """Nothing is sent of it; the reason says what to do (rule C5)."""
    done.put_all(ONE, TWO)
    done.scan(after=3)
    assert done.scan(after=WAIT - 10).received == ()
    done.scan(after=10)
    export = done.the_export()
    assert (export.state, export.reason) == (ExportState.QUARANTINED, "incomplete")
    assert export.detail == "2 files: 0000001.csv, 0000002.csv; there is no end marker; nothing more came for 2h"
    assert export.hint is not None
    assert 'source.complete = "quiet"' in export.hint
    assert done.sources(export) == [ONE, TWO]


def test_a_marker_before_its_parts_ends_them_when_nothing_more_comes(done: Zone) -> None:
    """The order was broken on the way, so both the marker and quiet must be there (rule C3)."""
    done.put_all(DONE, ONE)
    assert done.scan(after=3).received == ()
    done.put_all(TWO)
    assert done.scan(after=QUIET - 2).received == ()
    done.scan(after=1)
    assert done.sources(done.the_export()) == [ONE, TWO]


def test_a_marker_of_one_part_ends_nothing_while_more_comes(done: Zone) -> None:
    """Each part may have a marker of its own (rule C3)."""
    for part in (ONE, TWO):
        done.put_all(part, f"{part}.DONE")
        assert done.scan(after=QUIET - 10).received == ()
    done.scan(after=10)
    assert done.sources(done.the_export()) == [ONE, TWO]


def test_a_gap_is_waited_for_although_the_marker_is_there(done: Zone) -> None:
    """The missing part arrives, and all is well (rule C6)."""
    done.put_all(ONE, THREE, DONE)
    assert done.scan(after=QUIET).received == ()
    done.put_all(TWO)
    assert done.scan(after=QUIET).received == (done.the_export().id,)
    assert done.sources(done.the_export()) == [ONE, TWO, THREE]


def test_a_gap_that_stays_quarantines(done: Zone) -> None:
    """A list without its middle is never sent (rule C6)."""
    done.put_all(ONE, THREE, DONE)
    done.scan(after=3)
    done.scan(after=WAIT)
    export = done.the_export()
    assert (export.state, export.reason) == (ExportState.QUARANTINED, "incomplete")
    assert export.detail is not None
    assert "0000002.csv is missing" in export.detail
    assert export.hint is not None
    assert 'source.gaps = "accept"' in export.hint
    assert done.states()[DONE] is ArrivalState.CLAIMED


def test_gaps_can_be_normal(opened: Opened) -> None:
    """The setting says so."""
    zone = opened(group="directory", complete="done", gaps="accept")
    zone.put_all(ONE, THREE, DONE)
    assert len(zone.scan(after=3).received) == 1


def test_an_empty_part_is_no_part(done: Zone) -> None:
    """It is waited for like a missing one, and may be sent again in full (rule C6)."""
    done.put_all(ONE)
    done.put(TWO, b"")
    done.put_all(DONE)
    assert done.scan(after=3).received == ()
    assert "0000002.csv is empty" in (done.the_export().detail or "")
    done.put_all(TWO)
    assert done.scan(after=QUIET).received == (done.the_export().id,)


def test_a_part_that_spark_lists_is_waited_for(done: Zone) -> None:
    """Its committer's list says what belongs to the export, its marker that gaps are normal (rule C6)."""
    first, third = f"{X}/part-00000-a.csv", f"{X}/part-00002-c.csv"
    done.put_all(first, f"{X}/_started_7")
    done.put(f"{X}/_committed_7", json.dumps({"added": ["part-00000-a.csv", "part-00002-c.csv"]}).encode())
    done.put(f"{X}/_SUCCESS", b"")
    assert done.scan(after=QUIET).received == ()
    assert "part-00002-c.csv is missing" in (done.the_export().detail or "")
    done.put_all(third)
    assert done.scan(after=QUIET).received == (done.the_export().id,)
    assert done.sources(done.the_export()) == [first, third]
    assert set(done.states().values()) == {ArrivalState.CLAIMED}


@pytest.mark.parametrize("content", [b"not JSON", b'["a list"]', b'{"added": 7}', b"\xff"])
def test_a_list_that_cannot_be_read_names_nothing(done: Zone, content: bytes) -> None:
    """It is not ours, and the numbers still tell."""
    done.put_all(f"{X}/part-00000-a.csv")
    done.put(f"{X}/_committed_7", content)
    done.put(f"{X}/_SUCCESS", b"")
    assert len(done.scan(after=3).received) == 1


# Its client changes its mind


def test_a_part_sent_again_replaces_the_first(done: Zone) -> None:
    """Until the export is complete, the newest version counts (rule C2)."""
    done.put_all(ONE)
    done.put(TWO, b"old\n")
    done.scan(after=3)
    done.put_all(TWO, DONE)
    done.scan(after=3)
    assert done.sources(done.the_export()) == [ONE, TWO]
    assert [it.state for it in done.arrivals(TWO)] == [ArrivalState.WITHDRAWN, ArrivalState.CLAIMED]


def test_a_removed_part_leaves(done: Zone) -> None:
    """What its client took back before the end was never part of it (rule C2)."""
    done.put_all(ONE, TWO, f"{X}/0000001.csv.tmp")
    done.scan(after=3)
    done.remove(f"{X}/0000001.csv.tmp")
    done.put_all(DONE)
    done.scan(after=3)
    assert done.sources(done.the_export()) == [ONE, TWO]


def test_a_directory_written_aside_and_renamed_is_one_export(done: Zone) -> None:
    """The export that waited under the first name is withdrawn, the one of the final name sent (rule C2)."""
    done.put_all("/uploads/X.csv.tmp/0000001.csv", "/uploads/X.csv.tmp/0000002.csv")
    done.scan(after=3)
    first = done.the_export()
    done.rename("/uploads/X.csv.tmp", X)
    done.put_all(DONE)
    done.scan()
    done.scan(after=3)
    done.scan(after=QUIET)
    assert {it.id: it.state for it in done.exports()} == {
        first.id: ExportState.DISCARDED,
        **{it.id: ExportState.RECEIVED for it in done.exports() if it.id != first.id},
    }
    (received,) = done.exports(ExportState.RECEIVED)
    assert len(done.sources(received)) == 2


def test_an_export_whose_files_are_all_gone_is_withdrawn(done: Zone) -> None:
    """Nobody has to decide about it; a file of the same name later begins another one (rule C2)."""
    done.put_all(ONE)
    done.scan(after=3)
    first = done.the_export()
    done.remove(ONE)
    done.scan()
    found = done.the_export()
    assert (found.state, found.reason) == (ExportState.DISCARDED, "withdrawn")
    done.put_all(ONE, DONE)
    done.scan(after=3)
    assert [it.id == first.id for it in done.exports(ExportState.RECEIVED)] == [False]


# The next run


def test_the_next_run_of_the_same_names_is_a_new_export(done: Zone) -> None:
    """What was taken stays as it was, and a smaller run has only its own parts (rule C2)."""
    done.put_all(ONE, TWO, DONE)
    done.scan(after=3)
    first = done.the_export()
    done.wait(86400)
    done.put(ONE, b"the second run\n")
    assert done.scan(after=3).received == ()
    done.put(DONE, b"")
    done.scan(after=3)
    second = next(it for it in done.exports(ExportState.RECEIVED) if it.id != first.id)
    assert done.sources(second) == ["the second run"]
    assert done.sources(first) == [ONE, TWO]


def test_a_part_that_comes_after_the_end_wipes_nothing(done: Zone) -> None:
    """It waits for an end of its own, and is quarantined without one (rule C2)."""
    done.put_all(ONE, TWO, DONE)
    done.scan(after=3)
    first = done.the_export()
    done.put_all(THREE)
    done.scan(after=3)
    done.scan(after=WAIT)
    assert [it.state for it in done.exports()] == [ExportState.RECEIVED, ExportState.QUARANTINED]
    late = next(it for it in done.exports() if it.id != first.id)
    assert "0000001.csv, 0000002.csv are missing" in (late.detail or "")


def test_a_run_over_the_rest_of_one_that_never_ended_is_not_mixed(done: Zone) -> None:
    """A part that nobody sent anew may be of the earlier run, and makes the export incomplete (rule C7)."""
    done.put_all(ONE, THREE)
    done.scan(after=3)
    done.wait(WAIT / 2)
    done.put_all(ONE, TWO, DONE)
    done.scan(after=3)
    done.scan(after=QUIET)
    export = done.the_export()
    assert export.state is ExportState.GATHERING
    assert "0000003.csv, from before, was not" in (export.detail or "")


def test_an_old_marker_ends_no_new_run(done: Zone) -> None:
    """A marker belongs to one run; the file that lies there from the last one is claimed already."""
    done.put_all(ONE, DONE)
    done.scan(after=3)
    done.put_all(ONE)
    assert done.scan(after=QUIET * 2).received == ()
    assert [it.state for it in done.exports()] == [ExportState.RECEIVED, ExportState.GATHERING]


# Quiet


def test_a_directory_is_whole_when_nothing_more_comes(quiet: Zone) -> None:
    """Each part begins the time anew; a marker ends nothing earlier and is claimed with the rest (rule C1)."""
    quiet.put_all(ONE)
    assert quiet.scan(after=QUIET - 2).received == ()
    quiet.put_all(TWO, DONE)
    assert quiet.scan(after=QUIET - 2).received == ()
    assert quiet.scan(after=1).received == (quiet.the_export().id,)
    assert quiet.sources(quiet.the_export()) == [ONE, TWO]
    assert set(quiet.states().values()) == {ArrivalState.CLAIMED}


def test_an_upload_under_way_is_waited_for(quiet: Zone) -> None:
    """A part that takes longer than `quiet` to arrive is part of its export (rule C1)."""
    quiet.put_all(ONE)
    quiet.wait(QUIET)
    upload = quiet.begin_upload()
    assert quiet.scan(after=1).received == ()
    upload.unlink()
    quiet.put_all(TWO)
    assert quiet.scan(after=QUIET).received == (quiet.the_export().id,)
    assert quiet.sources(quiet.the_export()) == [ONE, TWO]


def test_a_file_that_a_kill_left_without_a_row_is_waited_for(quiet: Zone) -> None:
    """It was renamed into place but not noted, so it must rest first, and its export with it (rule C1)."""
    quiet.put_all(ONE)
    quiet.wait(QUIET - 5)
    quiet.restart()
    quiet.put(TWO, noted=False)
    written_at = (quiet.spool.landing(ACCOUNT) / TWO.lstrip("/")).stat()
    assert written_at.st_size
    quiet.scan(after=QUIET)
    quiet.scan(after=QUIET)
    quiet.scan(after=QUIET)
    assert len(quiet.sources(quiet.the_export())) == 2


def test_files_of_two_directories_are_two_exports(quiet: Zone) -> None:
    """Also where one lies in the other (rule C1)."""
    quiet.put_all("/uploads/a/1.csv", "/uploads/a/b/1.csv", "/uploads/1.csv")
    quiet.scan(after=3)
    quiet.scan(after=QUIET)
    received = quiet.exports(ExportState.RECEIVED)
    assert sorted(it.path for it in received) == ["/uploads/", "/uploads/a/", "/uploads/a/b/"]


# Files that are exports of their own


@pytest.mark.parametrize("marker", ["/uploads/VIP.csv.DONE", "/uploads/VIP.Done", "/uploads/.done", "/uploads.DONE"])
@pytest.mark.parametrize("first", ["file", "marker"])
def test_a_file_waits_for_its_marker(opened: Opened, marker: str, first: str) -> None:
    """In whatever order the two arrive (rule C3)."""
    zone = opened(complete="done", path="/uploads/*.csv")
    one, other = ("/uploads/VIP.csv", marker) if first == "file" else (marker, "/uploads/VIP.csv")
    zone.put_all(one)
    assert zone.scan(after=600).received == ()
    zone.put_all(other)
    assert zone.scan(after=3).received == (zone.the_export().id,)
    assert zone.the_export().path == "/uploads/VIP.csv"
    assert set(zone.states().values()) == {ArrivalState.CLAIMED}


def test_one_marker_ends_every_file_of_its_directory(opened: Opened) -> None:
    """It is claimed once, and each file is an export of its own (rule C3)."""
    zone = opened(complete="done")
    zone.put_all("/uploads/VIP.csv", "/uploads/Lapsed.csv")
    zone.scan(after=3)
    zone.put_all("/uploads/.DONE")
    assert len(zone.scan(after=3).received) == 2
    assert set(zone.states().values()) == {ArrivalState.CLAIMED}


def test_a_file_without_its_marker_is_given_up(opened: Opened) -> None:
    """A marker of another file is none of its own (rule C5)."""
    zone = opened(complete="done")
    zone.put_all("/uploads/VIP.csv", "/uploads/Lapsed.csv.DONE")
    zone.scan(after=3)
    zone.scan(after=WAIT)
    assert zone.the_export().reason == "incomplete"
    assert zone.states()["/uploads/Lapsed.csv.DONE"] is ArrivalState.IGNORED


@pytest.mark.parametrize("complete", ["close", "quiet"])
@pytest.mark.parametrize("marker", ["/uploads/VIP.csv.DONE", "/uploads/.DONE", "/uploads.DONE", "/uploads/_SUCCESS"])
@pytest.mark.parametrize("first", ["file", "marker"])
def test_a_marker_that_nobody_waits_for_goes_with_its_file(
    opened: Opened, complete: str, marker: str, first: str
) -> None:
    """It is no export and no file that no route wants, before its file or after it (rule C3)."""
    zone = opened(complete=complete, path="/uploads/*.csv")
    one, other = ("/uploads/VIP.csv", marker) if first == "file" else (marker, "/uploads/VIP.csv")
    zone.put_all(one)
    zone.scan(after=3)
    zone.put_all(other)
    zone.scan(after=QUIET)
    zone.scan(after=3)
    assert zone.the_export().state is ExportState.RECEIVED
    assert set(zone.states().values()) == {ArrivalState.CLAIMED}
    assert [it.export_id for it in zone.arrivals(marker)] == [zone.the_export().id]


def test_a_marker_of_nothing_is_ignored(opened: Opened) -> None:
    """It is explained and harms nobody, on a path that a route wants or that none does (rule C3)."""
    zone = opened(path="/uploads/*.csv")
    zone.put_all("/uploads/VIP.DONE", "/elsewhere/.DONE")
    zone.scan(after=3)
    assert set(zone.states().values()) == {ArrivalState.LANDED}
    zone.scan(after=WAIT)
    assert set(zone.states().values()) == {ArrivalState.IGNORED}
    assert zone.exports() == []


def test_markers_leave_the_view_with_their_files(done: Zone) -> None:
    """A day after they landed, also those of nothing; what still waits stays (rule R3)."""
    done.put_all(ONE, DONE, "/uploads/other.DONE")
    done.scan(after=3)
    done.scan(after=WAIT)
    assert done.states()["/uploads/other.DONE"] is ArrivalState.IGNORED
    done.wait(86400)
    done.put_all("/uploads/Y/0000001.csv")
    done.scan(after=3)
    done.clear()
    assert [it.path for it in done.spool.look(ACCOUNT).files] == ["/uploads/Y/0000001.csv"]
    assert [it.path for it in done.store.arrivals(in_view=True)] == ["/uploads/Y/0000001.csv"]


@pytest.mark.parametrize(
    "directory",
    [
        "/uploads/VIP & friends, 100 %",
        "/uploads/two\nlines",
        "/uploads/caf\udce9",
        "/uploads/ШТРАССЕ ß İ",
        "/uploads/a/b/c/d.csv",
        "/uploads/[x]{1}*?",
        "/uploads/x.DONE",
    ],
)
def test_names_may_be_odd(done: Zone, directory: str) -> None:
    """Whatever a client calls its directory: blanks, line ends, bytes that are no text, letters whose case is odd."""
    done.put_all(f"{directory}/0000001.csv", f"{directory}/\udcff\n.csv")
    done.scan(after=3)
    assert done.the_export().state is ExportState.GATHERING
    assert (done.the_export().detail or "").isprintable()
    done.put(f"{directory}.done", b"")
    assert done.scan(after=3).received == (done.the_export().id,)
    done.restart()
    assert done.the_export().path == f"{directory}/"
    assert done.scan(after=3).received == ()


def test_without_grouping_each_file_is_an_export(opened: Opened) -> None:
    """Also the parts of a split output: the guard of the same day then holds the second (rule D5)."""
    zone = opened()
    zone.put_all(ONE, TWO)
    assert len(zone.scan(after=3).received) == 2


# A person decides


def test_a_person_can_say_that_it_is_whole(done: Zone) -> None:
    """It is taken at the next scan, with what is there (rule C8)."""
    done.put_all(ONE, THREE)
    done.scan(after=3)
    done.store.requeue(done.the_export().id, PERSON, done.now, as_whole=True)
    assert done.scan().received == (done.the_export().id,)
    assert done.sources(done.the_export()) == [ONE, THREE]
    assert done.the_export().state is ExportState.RECEIVED


def test_a_person_can_give_it_up(done: Zone) -> None:
    """Its files go with it; what comes later is another export (rule C8)."""
    done.put_all(ONE)
    done.scan(after=3)
    first = done.the_export()
    done.store.discard(first.id, PERSON, done.now)
    done.put_all(TWO)
    done.scan(after=3)
    assert [it.state for it in done.exports()] == [ExportState.DISCARDED, ExportState.GATHERING]
    assert [it.export_id == first.id for it in done.arrivals()] == [True, False]


# Restarts and reloads


def test_a_kill_while_parts_are_taken_costs_nothing(done: Zone) -> None:
    """Links without a row are made anew at the next start (law 4)."""
    done.put_all(ONE, TWO, DONE)
    done.scan()
    export = done.the_export()
    source = done.spool.export(export.route, export.id) / "source"
    source.mkdir(parents=True)
    (source / "0001").hardlink_to(done.spool.landing(ACCOUNT) / ONE.lstrip("/"))
    (source / "0007").write_bytes(b"half")
    done.restart()
    done.scan(after=3)
    assert done.sources(done.the_export()) == [ONE, TWO]


def test_other_settings_after_a_reload_regroup_what_waits(done: Zone) -> None:
    """Files that are not claimed follow the settings of the day; nothing is lost."""
    done.put_all(ONE, TWO)
    done.scan(after=3)
    done.restart(group="file", complete="close")
    done.scan()
    done.scan()
    assert sorted(it.state for it in done.exports()) == [
        ExportState.DISCARDED,
        ExportState.RECEIVED,
        ExportState.RECEIVED,
    ]
    assert set(done.states().values()) == {ArrivalState.CLAIMED}


def test_a_persons_discard_at_the_moment_of_a_removal_is_no_defect(done: Zone) -> None:
    """The client takes a file back and a person discards the export at once: it is the person's then."""
    done.put_all(ONE, TWO)
    done.scan(after=3)
    export = done.the_export()
    done.remove(ONE)
    done.meanwhile = lambda: done.store.discard(export.id, PERSON, done.now)
    done.scan(after=1)
    done.scan(after=1)
    assert {it.state for it in done.exports()} == {ExportState.DISCARDED}
    assert set(done.states().values()) == {ArrivalState.CLAIMED}


def test_what_lies_with_an_account_that_is_no_more_is_said_and_cleared(opened: Opened) -> None:
    """Nobody wants it: it is unrouted with what to do, and leaves in time like any other file."""
    zone = opened()
    zone.put("/uploads/late.csv")
    zone.config = replace(zone.config, accounts={}, routes={})
    zone.restart()
    zone.scan(after=3)
    (arrival,) = zone.arrivals()
    assert arrival.state is ArrivalState.UNROUTED
    (told,) = [it for it in zone.store.transitions(f"arrival/{arrival.id}") if it.event == "arrival.unrouted"]
    assert "account amperity is not in the configuration any more" in told.fields["hint"]
    zone.wait(7 * 24 * 3600)
    zone.clear()
    assert zone.spool.look(ACCOUNT).files == ()
