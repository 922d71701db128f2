"""`relay report`: 90 days in one HTML file, looked at in a real browser."""

import re
import stat
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from parts.books import Books, draft, report
from parts.browser import CHROMIUM, Scheme, picture_of
from parts.canary import assert_no_person
from parts.host import SHRUNK, Host, a_host
from parts.month import live_for_a_month
from parts.service import Service, Setup
from parts.sshd import NEEDS_SSHD, Sshd, until

from relay.model import Acceptance, Comparison, Overlap, Queue

NEEDS_CHROMIUM = pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A host that has a month behind it: two segments every day, one held list, a day without."""
    with a_host(tmp_path) as host:
        live_for_a_month(host, second="Lapsed <b>")
        yield host


def test_it_says_what_was_sent_held_and_rejected(host: Host, tmp_path: Path) -> None:
    """Each segment with its last list, the held one with its figures, the reasons of rejects; one private file."""
    output = tmp_path / "report.html"
    said = host.run("report", "--output", str(output))
    assert said.exit_code == 0, said.output
    assert stat.S_IMODE(output.stat().st_mode) == 0o600
    html = output.read_text(encoding="utf-8")
    assert "50,900 people, last sent" in html
    assert SHRUNK.detail in html
    assert "<td>letters</td>" in html
    assert html.count("<svg") == html.count('role="img"') == 3
    assert "delivery.held" in html
    assert not list(tmp_path.glob(".report*"))


@pytest.mark.parametrize(
    ("lasting", "words"),
    [
        (timedelta(seconds=1), "less than two seconds"),
        (timedelta(seconds=42), "42 seconds"),
        (timedelta(minutes=9), "9.0 minutes"),
        (timedelta(hours=3), "3.0 hours"),
    ],
)
def test_it_says_how_long_lists_take(tmp_path: Path, lasting: timedelta, words: str) -> None:
    """In the unit that people would use; where nothing was sent yet, nothing is said of it."""
    with a_host(tmp_path) as host:
        assert "From landing to sent" not in host.run("report").stdout
        claimed = host.claim(segment="VIP", rows=1_000)
        host.books.wait(lasting)
        host.books.send(claimed)
        said = " ".join(host.run("report").stdout.split())
    assert f"From landing to sent it usually takes {words}; the longest took {words}." in said


def test_names_that_others_chose_are_escaped(host: Host) -> None:
    """A segment's name is text, whatever is in it."""
    html = host.run("report").stdout
    assert "Lapsed &lt;b&gt;" in html
    assert "Lapsed <b>" not in html


def test_it_loads_nothing_and_runs_nothing(host: Host) -> None:
    """No script, no address of another host, and a policy that forbids both; and nobody is in it."""
    html = host.run("report").stdout
    assert "<script" not in html
    assert not re.search(r"(src|href)=.(?!data:)", html)
    assert "http://" not in html
    assert "https://" not in html
    assert "default-src 'none'" in html
    assert_no_person(html, "the report")


def test_lost_and_gained_are_shown(host: Host) -> None:
    """People that a list lost and gained against the one before (rule G12)."""
    books = host.books
    (last,) = (it for it in books.store.deliveries(limit=3) if it.segment == "Most Loyal" and it.sent_at)
    compared_with_last(books, Comparison(last.id, Overlap(kept=800, lost=321, gained=123)))
    assert "800 as before, 123 gained, 321 lost" in " ".join(host.run("report").stdout.split())


def compared_with_last(books: Books, comparison: Comparison) -> None:
    """Send one more list of the segment, compared with the one last sent."""
    export = books.receive()
    stale_at, compared = books.now + timedelta(days=2), {1: comparison}
    acceptance = Acceptance(
        "settings",
        books.today,
        "attentive",
        "sirendenim",
        books.now,
        books.store.next_arrival(),
        stale_at,
        {},
        comparisons=compared,
    )
    books.store.accept(export.id, report(draft(segment="Most Loyal")), acceptance, lambda *_: Queue(), books.now)
    claimed = books.claim()
    assert claimed is not None
    books.send(claimed)


def test_a_file_that_cannot_be_written_is_said(host: Host, tmp_path: Path) -> None:
    """Exit 1, with the reason."""
    said = host.run("report", "--output", str(tmp_path / "nowhere" / "report.html"))
    assert said.exit_code == 1
    assert "cannot be written: No such file" in said.stderr


@NEEDS_CHROMIUM
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_it(host: Host, tmp_path: Path, scheme: Scheme) -> None:
    """Rendered by Chromium without a word on its console, in light and in dark, with every bar in its place."""
    page, picture = tmp_path / "report.html", tmp_path / "report.png"
    host.run("report", "--output", str(page))
    said = picture_of(page, scheme, picture)
    assert "CONSOLE" not in said
    assert picture.stat().st_size > 20_000


@NEEDS_SSHD
def test_the_service_writes_it_by_itself_and_says_when_it_cannot(tmp_path: Path) -> None:
    """Where `report` names a file it is there after the start, private; if it cannot be written, an event says so."""
    with Sshd(tmp_path / "upstream") as upstream:
        setup = Setup(tmp_path / "relay", upstream)
        setup.route()
        page = tmp_path / "page" / "report.html"
        setup.config.write_text(f'report = "{page}"\n{setup.config.read_text()}')
        with Service(setup) as service:
            failed = service.wait_for("report.failed")
            assert (failed["path"], failed["reason"]) == (str(page), "No such file or directory")
            assert "`report`" in failed["hint"]
            assert service.stop() == 0
        page.parent.mkdir()
        with Service(setup) as service:
            service.wait_for("relay.ready")
            until(page.exists, "the report is written")
            assert service.stop() == 0
            assert service.named("report.failed") == []
        assert stat.S_IMODE(page.stat().st_mode) == 0o600
        assert "<title>" in page.read_text(encoding="utf-8")
