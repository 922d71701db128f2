"""Retention on a real state: what was kept for long enough goes, whatever is still needed stays, also after a kill."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from parts.books import PERSON, ROUTE, Books
from parts.host import SHRUNK, Host, a_host
from parts.service import RELAY, Service, Setup
from parts.sshd import NEEDS_SSHD, Sshd

from relay.config import RetentionSettings
from relay.model import ArrivalState, Ban, Delivery, DeliveryState, ExportState, Fingerprint, Landing, NewExport
from relay.retention import Removal, foresee, sweep
from relay.spool import Spool
from relay.store import Store

DAY = timedelta(days=1)
SETTINGS = RetentionSettings()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A host whose service has run."""
    with a_host(tmp_path) as host:
        Spool(host.state_dir).prepare([])
        yield host


def keep_bytes(host: Host, delivery: Delivery) -> None:
    """Lay down what the stages would have laid down for a delivery's export."""
    directory = Spool(host.state_dir).export(delivery.route, delivery.export_id)
    for name in ("source/0001", f"drafts/{delivery.ordinal}.csv", "rejects.csv", "report.json"):
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        (directory / name).write_text(f"{delivery.id} {name}")


def send(host: Host, *, days_ago: int, segment: str = "VIP") -> Delivery:
    """A list that was sent some days ago."""
    host.books.now -= days_ago * DAY
    sent = host.send(segment=segment)
    host.books.now += days_ago * DAY
    keep_bytes(host, sent)
    return sent


def held(host: Host, *, days_ago: int) -> Delivery:
    """A list that has been held for some days."""
    host.books.now -= days_ago * DAY
    it = host.books.plan(SHRUNK, segment="held")
    host.books.now += days_ago * DAY
    keep_bytes(host, it)
    return it


def many_old_files(host: Host) -> Path:
    """The sources of an old export that takes a while to remove."""
    source = Spool(host.state_dir).export(ROUTE, send(host, days_ago=20, segment="Old").export_id) / "source"
    for number in range(4_000):
        (source / f"{number + 1:04}").write_bytes(b"x")
    return source


def wait_until_some_are_gone(source: Path, is_over: Callable[[], bool]) -> None:
    """Return in the middle of the removal."""
    deadline = time.monotonic() + 60
    while sum(1 for _ in source.iterdir()) > 3_500 and not is_over():
        assert time.monotonic() < deadline


def files(host: Host) -> dict[str, list[str]]:
    """The files that are left, by export."""
    left: dict[str, list[str]] = {}
    for directory in Spool(host.state_dir).export_directories():
        left[directory.name] = [str(it.relative_to(directory)) for it in sorted(directory.rglob("*")) if it.is_file()]
    return left


def swept(host: Host, spool: Spool | None = None, *, at: datetime | None = None) -> Removal:
    """Run a sweep, and return what it says that it removed."""
    return sweep(SETTINGS, spool or Spool(host.state_dir), host.books.store, at or host.books.now)


ALL = ["drafts/1.csv", "rejects.csv", "report.json", "source/0001"]


def test_files_go_by_age_and_the_last_two_lists_stay(host: Host) -> None:
    """Of four old lists the newer two keep their bytes, for `restore` and the overlap; reports go later (rule R4)."""
    ages = (20, 10, 9, 8)
    sent = {age: send(host, days_ago=age) for age in ages}
    young = send(host, days_ago=6, segment="young")
    swept(host)
    assert files(host) == {
        sent[10].export_id: ["rejects.csv", "report.json"],
        sent[9].export_id: ["drafts/1.csv", "rejects.csv", "report.json"],
        sent[8].export_id: ["drafts/1.csv", "rejects.csv", "report.json"],
        young.export_id: ALL,
    }


def test_what_waits_keeps_everything(host: Host) -> None:
    """A held list, and one that failed: all their files, for as long as a person may decide (rule R4)."""
    waiting = held(host, days_ago=13)
    host.books.now -= 13 * DAY
    failed = host.fail(segment="failed")
    host.books.now += 13 * DAY
    keep_bytes(host, failed)
    swept(host)
    assert files(host) == {waiting.export_id: ALL, failed.export_id: ALL}


def test_what_nobody_decides_on_is_discarded_after_a_fortnight(host: Host) -> None:
    """With the reason `retention`; its bytes go with the same sweep, and a quarantined export likewise (rule R5)."""
    waiting = held(host, days_ago=14)
    host.books.now -= 14 * DAY
    quarantined = host.quarantine()
    host.books.now += 14 * DAY
    swept(host)
    it = host.books.look(waiting)
    assert (it.state, it.reason) == (DeliveryState.DISCARDED, "retention")
    export = host.books.store.export(quarantined)
    assert export is not None
    assert export.state is ExportState.DISCARDED
    assert files(host) == {}
    told = host.books.store.transitions(waiting.id)[-1]
    assert (told.event, told.fields["operator"]) == ("delivery.discarded", "retention")


def test_a_failed_list_is_said_again_and_then_discarded(host: Host) -> None:
    """Nobody decided, and its people's data is not kept for ever (rules G14 and R5)."""
    host.books.now -= 14 * DAY
    failed = host.fail(segment="failed")
    keep_bytes(host, failed)
    host.books.now += 2 * DAY
    assert host.books.store.remind({ROUTE: (2 * DAY,)}, host.books.now) == [failed.id]
    told = host.books.store.transitions(failed.id)[-1]
    assert (told.event, told.fields["reason"]) == ("delivery.overdue", "name_taken")
    host.books.now += 12 * DAY
    swept(host)
    assert host.books.look(failed).state is DeliveryState.DISCARDED
    assert files(host) == {}


def test_a_stranded_export_is_said_again_and_then_discarded(host: Host) -> None:
    """It waits for files of a route that is no more; it is not discarded before that was said (rules G14 and R5)."""
    store, now = host.books.store, host.books.now
    began_at = now - 20 * DAY
    part = store.land(Landing("lost", "/uploads/X/1.csv", Fingerprint(7, 7), 5, confirmed=True), began_at)
    export = store.gather(NewExport("gone-1", "gone", 0, None, "lost", "/uploads/X/"), began_at)
    store.gathered(export.id, [part], detail="1 file so far", waits_until=began_at + DAY, now=began_at)
    assert foresee(SETTINGS, Spool(host.state_dir), store, now).discarded == ()
    swept(host)
    assert store.remind({ROUTE: (DAY,)}, now, otherwise=(2 * DAY,)) == [export.id]
    told = store.transitions(export.id)[-1]
    assert (told.event, told.fields["reason"]) == ("export.overdue", "stranded")
    swept(host)
    assert [it.state for it in store.exports()] == [ExportState.DISCARDED]
    assert [it.state for it in store.arrivals()] == [ArrivalState.CLAIMED]


def test_the_last_reminder_says_when_it_is_discarded(host: Host) -> None:
    """Two days before, with the instant (rules G14 and R5)."""
    waiting = held(host, days_ago=12)
    assert host.books.store.remind({ROUTE: (12 * DAY,)}, host.books.now, kept=14 * DAY) == [waiting.id]
    told = host.books.store.transitions(waiting.id)[-1]
    assert told.event == "delivery.overdue"
    discard_at = datetime.fromisoformat(told.fields["discard_at"])
    assert abs(discard_at - host.books.now - 2 * DAY) < timedelta(seconds=1)


class CutOffError(Exception):
    """The end of a process."""


class SpoolThatIsCut(Spool):
    """A spool whose process ends before the file that would be removed next."""

    def __init__(self, state_dir: Path, after: int) -> None:
        super().__init__(state_dir)
        self._left = after

    def remove_file(self, file: Path) -> bool:
        """Remove some files, then die."""
        if not self._left:
            raise CutOffError
        self._left -= 1
        return super().remove_file(file)


@pytest.mark.parametrize("after", range(10))
def test_a_sweep_cut_off_anywhere_is_completed_by_the_next(host: Host, after: int) -> None:
    """What may not go is there after every cut, and in the end only that (rule R7)."""
    kept = [send(host, days_ago=age) for age in (30, 9, 8)][1:]
    held(host, days_ago=15)
    with pytest.raises(CutOffError):
        swept(host, SpoolThatIsCut(host.state_dir, after))
    for it in kept:
        assert Spool(host.state_dir).draft(it).exists()
    swept(host)
    assert files(host) == {it.export_id: ["drafts/1.csv", "rejects.csv", "report.json"] for it in kept}
    assert not foresee(SETTINGS, Spool(host.state_dir), host.books.store, host.books.now)


def test_the_history_goes_after_a_year_and_more(host: Host) -> None:
    """But not of lists that are kept, and not of what waits (rule R6)."""
    gone = send(host, days_ago=410, segment="VIP")
    sent = [send(host, days_ago=age) for age in (403, 402, 401)]
    swept(host)
    store = host.books.store
    assert store.export(gone.export_id) is None
    assert store.export(sent[0].export_id) is None
    assert store.transitions(gone.id) == store.transitions(gone.export_id) == []
    assert [it.id for it in store.deliveries()] == [sent[2].id, sent[1].id]
    assert store.last_sent("attentive", ROUTE)["VIP"].id == sent[2].id


@pytest.mark.parametrize("end", ["withdraw", "unroute", "ignore"])
def test_a_file_of_no_export_is_forgotten_when_it_is_gone(host: Host, end: str) -> None:
    """With its name and its history; one that still lies there stays known, or it would be taken for a new one (R6)."""
    store, landed_at = host.books.store, host.books.now - 401 * DAY
    gone, there = (
        store.land(Landing("amperity", f"/uploads/{number}", Fingerprint(number, 1), 5, confirmed=True), landed_at)
        for number in (1, 2)
    )
    for it in (gone, there):
        hint = () if end == "withdraw" else ("nobody wants it",)
        getattr(store, end)(it.id, *hint, landed_at)
    store.cleared([gone.id], landed_at)
    swept(host)
    assert [it.id for it in store.arrivals()] == [there.id]
    assert store.transitions(f"arrival/{gone.id}") == []
    assert len(store.transitions(f"arrival/{there.id}")) == 2


def test_a_source_that_was_let_in_again_is_forgotten(host: Host) -> None:
    """By its own date, like everything that belongs to no export (rule R6)."""
    store, banned_at = host.books.store, host.books.now - 401 * DAY
    store.keep_bans([Ban("203.0.113.7/32", "refused_login", banned_at, host.books.now + DAY)], banned_at)
    store.lift_ban("203.0.113.7/32", "mel", banned_at)
    assert store.transitions("source/203.0.113.7/32")
    swept(host)
    assert store.transitions("source/203.0.113.7/32") == []


def test_sweeps_at_once_are_in_nobodys_way(host: Host) -> None:
    """`relay purge` beside the hourly sweep: what one was quicker to remove, the other does not claim (rule R7)."""
    for age in reversed(range(10, 50)):
        send(host, days_ago=age)
    there = len([file for names in files(host).values() for file in names])
    with ThreadPoolExecutor(4) as pool:
        removed = [file for done in [pool.submit(swept, host) for _ in range(8)] for file, _ in done.result().files]
    left = len([file for names in files(host).values() for file in names])
    assert len(removed) == len(set(removed)) == there - left
    assert len(files(host)) == 4  # Their reports are not old enough, and the lists of two of them are kept.


def test_a_list_that_is_being_restored_is_not_swept_away(host: Host) -> None:
    """Its bytes are there before its row is: a sweep at that moment waits until it is seen what they are for."""
    source = send(host, days_ago=20)
    with closing(Store.open(Spool(host.state_dir).database)) as others, ThreadPoolExecutor() as pool:
        sweeps: list[Future[object]] = []

        def keep(it: Delivery, again: Delivery) -> None:
            spool = Spool(host.state_dir)
            spool.link_draft(it, again)
            sweeps.append(pool.submit(sweep, SETTINGS, spool, others, host.books.now))
            wait(sweeps, timeout=1)

        restored = host.books.store.restore(
            source.id, PERSON, host.books.today, host.books.now + DAY, host.books.now, keep=keep
        )
        sweeps[0].result()
    assert Spool(host.state_dir).draft(restored).exists()


def test_a_duplicate_keeps_the_one_that_it_repeats(host: Host) -> None:
    """An original stays for as long as a later export refers to it."""
    host.books.now -= 401 * DAY
    original = host.books.receive()
    host.books.accept(original)
    host.books.now += 2 * DAY
    again = host.books.receive()
    host.books.store.duplicate(again.id, original.id, host.books.today, host.books.now)
    host.books.now += 399 * DAY
    swept(host)
    assert host.books.store.export(original.id) is not None
    swept(host, at=host.books.now + 2 * DAY)
    assert host.books.store.exports() == []


def test_a_dry_run_shows_what_would_go_and_takes_nothing(host: Host) -> None:
    """The same files that the command then removes."""
    for age in (30, 9, 8):
        send(host, days_ago=age)
    waiting = held(host, days_ago=15)
    before = files(host)
    shown, foreseen = host.run("purge", "--dry-run"), host.document("purge", "--dry-run")
    assert shown.exit_code == 0, shown.output
    assert foreseen["discarded"] == [waiting.id]
    assert all(f"{it['file']} would be removed, " in shown.stdout for it in foreseen["files"])
    assert foreseen["bytes"] == sum(it["bytes"] for it in foreseen["files"])
    assert f"{waiting.id} would be discarded" in shown.stdout
    assert files(host) == before
    assert host.books.look(waiting).state is DeliveryState.HELD
    removed = host.run("purge")
    assert removed.exit_code == 0, removed.output
    named = [line.split()[0] for line in shown.stdout.splitlines() if " would be removed, " in line]
    assert named == [it["file"] for it in foreseen["files"]] != []
    assert all(f"{it} was removed, " in removed.stdout for it in named)
    assert host.document("purge") == {
        "dry_run": False,
        "discarded": [],
        "files": [],
        "bytes": 0,
        "exports": 0,
        "in_the_way": [],
    }
    assert host.books.look(waiting).state is DeliveryState.DISCARDED


def test_a_restored_list_survives_the_one_that_it_came_from(host: Host) -> None:
    """They share their bytes; each has its own name for them."""
    old = send(host, days_ago=20)
    keep = Spool(host.state_dir).link_draft
    restored = host.books.store.restore(
        old.id, PERSON, host.books.today, host.books.now + DAY, host.books.now, keep=keep
    )
    claimed = host.books.claim()
    assert claimed is not None
    host.books.send(claimed)
    send(host, days_ago=0)
    swept(host)
    assert Spool(host.state_dir).draft(restored).exists()
    assert not Spool(host.state_dir).draft(old).exists()


def test_a_dry_run_names_what_clients_sent_and_no_list_came_of(host: Host) -> None:
    """Files that no route wants, and uploads that ended half-way, with their sizes; what is younger is not named."""
    spool = Spool(host.state_dir)
    spool.prepare(["amperity"])
    host.books.now -= 8 * DAY
    for name, days in (("old.txt", 8), ("new.txt", 1)):
        unwanted = spool.landing("amperity") / "uploads" / name
        unwanted.write_bytes(bytes(2_000))
        status = unwanted.stat()
        fingerprint = Fingerprint(status.st_ino, status.st_mtime_ns)
        landed_at = host.books.now + (8 - days) * DAY
        landing = Landing("amperity", f"/uploads/{name}", fingerprint, 2_000, confirmed=True)
        host.books.store.unroute(host.books.store.land(landing, landed_at).id, "add a route", landed_at)
    host.books.now += 8 * DAY
    aborted = spool.incoming("amperity") / "half"
    aborted.write_bytes(bytes(500))
    two_days_ago = time.time() - 2 * DAY.total_seconds()
    os.utime(aborted, (two_days_ago, two_days_ago))
    shown = host.run("purge", "--dry-run").stdout
    assert "landing/amperity/uploads/old.txt would be removed, 2.0 kB" in shown
    assert "new.txt" not in shown
    assert host.run("purge").stdout.splitlines()[0] == "landing/amperity/uploads/old.txt was removed, 2.0 kB"
    assert [it.name for it in (spool.landing("amperity") / "uploads").iterdir()] == ["new.txt"]


def test_a_purge_that_is_killed_is_completed_by_the_next(host: Host) -> None:
    """SIGKILL in the middle of the command: what may not go is there, and the next one takes the rest (rule R7)."""
    kept = [send(host, days_ago=age) for age in (30, 9, 8)][1:]
    waiting = host.fail(segment="Waits")
    many = many_old_files(host)
    purge = subprocess.Popen([*RELAY, "--config", str(host.config), "purge"], stdout=subprocess.DEVNULL)
    wait_until_some_are_gone(many, lambda: purge.poll() is not None)
    purge.kill()
    assert purge.wait(60) == -signal.SIGKILL, "it was done before it was killed"
    for it in kept:
        assert Spool(host.state_dir).draft(it).exists()
    assert host.run("purge").exit_code == 0
    assert not list(many.glob("*"))
    for it in kept:
        assert Spool(host.state_dir).draft(it).exists()
    assert host.books.look(waiting).state is DeliveryState.FAILED


@NEEDS_SSHD
def test_a_sweep_of_the_service_that_is_killed_is_completed_by_its_next_start(tmp_path: Path) -> None:
    """SIGKILL in the middle of the daemon's own: nothing that is needed has gone, and the rest goes then (rule R7)."""
    with Sshd(tmp_path / "upstream") as upstream:
        setup = Setup(tmp_path / "relay", upstream)
        setup.route(ROUTE)
        setup.state.mkdir()
        with Books(setup.state / "relay.db") as books:
            books.now = datetime.now(UTC)
            host = Host(setup.config, setup.state, books)
            kept = [send(host, days_ago=age) for age in (30, 9, 8)][1:]
            waiting = host.fail(segment="Waits")
            keep_bytes(host, waiting)
            many = many_old_files(host)
        with Service(setup) as service:
            wait_until_some_are_gone(many, lambda: bool(service.named("retention.swept")))
            service.kill()
            assert not service.named("retention.swept"), "it was done before it was killed"
        assert list(many.iterdir())
        with Service(setup) as service:
            assert service.wait_for("retention.swept")["files"] > 0
            assert service.stop() == 0
        assert not many.exists()
        spool = Spool(setup.state)
        for it in (*kept, waiting):
            assert spool.draft(it).exists()
        assert spool.source(ROUTE, waiting.export_id, "0001").exists()
