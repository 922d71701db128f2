"""Scenes of a relay's life, to be played by a `Play`, which can be broken off and played on anywhere.

Together they reach every event of the catalogue but those in `OUT_OF_REACH`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from parts.lists import phones
from parts.play import Play
from parts.promise import Books
from parts.service import ssh_keygen
from relay.freshness import Expectation
from relay.log import Event
from relay.model import DeliveryState, ExportState
from relay.naming import remote_name
from relay.store import Store

OUT_OF_REACH: Final[dict[Event, str]] = {
    Event.RELAY_HEARTBEAT: "the first comes after a minute; it counts what is there and changes nothing",
    Event.RELAY_FAILED: "the last word before a defect, or a port that is taken, ends the service: that end is a death",
    Event.LANDING_SESSION_FAILED: "only a defect leads to it; the session ends as that of a cut-off client does",
    Event.RELAY_INTERRUPTED: "each death in which the next daemon finds it is one; the line changes nothing",
    Event.RELAY_STALLED: "a loop would have to stand still for minutes; the line changes nothing",
    Event.LANDING_LISTEN_IGNORED: "it tells of a setting that a reload leaves alone, and changes nothing",
    Event.LANDING_WATCH_REFUSED: "it tells at the start of what the kernel refused; tests/faults/test_disk_faults.py",
    Event.LANDING_PATH_BLOCKED: "it tells of what root put there, and changes nothing; tests/unit/test_obstacles.py",
    Event.KEY_EXPIRING: "it tells of a date in a key's file, and changes nothing",
    Event.KEY_EXPIRED: "as above",
    Event.LIBRARY_WARNED: "only a library can say it; it is a line and nothing else",
}
"""The events that no scene reaches, each with the reason."""


@dataclass(frozen=True)
class Scene:
    """What happens, and what it needs.

    Args:
        play: what happens; played anew, it goes on where it was broken off.
        reaches: the events that it is there for.
        prepare: called before each life of the daemon.
        upstream: makes, in a directory, what a further line of the upstream's configuration is about, and returns it.
        settle: the landing zone's `settle`.
        before: the step at which a life ends that comes before the one that is looked at.
        fault: the calls that fail while the play's disk is broken, as the tracer is told.
    """

    play: Callable[[Play], None]
    reaches: frozenset[str]
    prepare: Callable[[Play], None] = lambda _: None
    upstream: Callable[[Path], str] | None = None
    settle: str = "0.1s"
    before: str | None = None
    fault: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        """What it is called."""
        return self.play.__name__

    @property
    def sentence(self) -> str:
        """What happens in it."""
        return " ".join((self.play.__doc__ or "").split())

    def __call__(self, play: Play) -> None:
        """Play it, and stop the service in good order."""
        self.play(play)
        play.stop()


def sent(play: Play) -> None:
    """An export of two segments arrives, and both lists are sent."""
    play.upload("/uploads/list.csv", phones(99, "VIP", "Lapsed"))
    play.wait(lambda books: _count(books, DeliveryState.SENT) >= 2, "both lists to be sent")


def repeated(play: Play) -> None:
    """An export is delivered again: the same bytes, then other bytes that say the same."""
    play.upload("/uploads/list.csv", phones(99, "VIP"))
    play.wait(lambda books: _count(books, DeliveryState.SENT) >= 1, "the list to be sent")
    play.upload("/uploads/again.csv", phones(99, "VIP"))
    play.upload("/uploads/with-header.csv", phones(99, "VIP", header=True))
    play.wait(lambda books: len(books.exports) >= 3 and books.settled, "the others to be recognised")


def split(play: Play) -> None:
    """A list of more rows than a file may have goes out as several, and a day's second one after it."""
    play.upload("/uploads/list.csv", phones(99, "VIP"))
    play.wait(lambda books: _count(books, DeliveryState.SENT) >= 1, "the list to be sent")
    play.upload("/uploads/next.csv", phones(90, "VIP"))
    play.wait(lambda books: _count(books, DeliveryState.SENT) >= 2, "the next to be sent")


def _split_after_40(play: Play) -> None:
    play.setup.route(
        top='path = "/uploads/**"', sections='[guards]\noversize = "split"\nmax_rows = 40\nsame_day = "send"'
    )


def quarantined(play: Play) -> None:
    """A cut-off export is judged again, and discarded; another names only segments that are refused."""
    play.upload("/uploads/cut-off.csv", phones(99, "VIP") + b'2125550100,"VIP')
    play.wait(lambda books: _export(books, "/uploads/cut-off.csv") and books.settled, "the export to be set aside")
    play.command("requeue", _export(play.books(), "/uploads/cut-off.csv"))
    play.wait(lambda books: books.settled, "the export to be set aside again")
    play.command("discard", _export(play.books(), "/uploads/cut-off.csv"))
    play.upload("/uploads/refused.csv", phones(99, "VIP+"))
    play.wait(lambda books: len(books.exports) >= 2 and books.settled, "everything to settle")


def gathered(play: Play) -> None:
    """Exports wait for their end marker: it comes, never comes, or their client takes them back."""
    _put_with_marker(play, "/uploads/whole.csv", phones(99, "VIP"))
    play.wait(lambda books: _count(books, DeliveryState.SENT) >= 1, "the whole one to be sent")
    play.upload("/uploads/nothing.csv.DONE", b"", wanted=False)
    play.upload("/uploads/taken-back.csv", phones(60, "VIP"), wanted=False)
    play.wait(lambda books: _export(books, "/uploads/taken-back.csv"), "the wait for its marker")
    play.remove("/uploads/taken-back.csv")
    play.upload("/uploads/without.csv", phones(80, "VIP"))
    play.wait(lambda books: _export(books, "/uploads/without.csv") and books.settled, "the wait for the marker to end")
    for export in play.books().exports:
        if export.state is ExportState.QUARANTINED:
            play.command("requeue", "--as-whole", export.id)
    play.wait_until_settled()


def _await_markers(play: Play) -> None:
    play.setup.route(
        top='path = "/uploads/**"', sections='[source]\ncomplete = "done"\nwait = "3s"\n[guards]\nsame_day = "send"'
    )


def _put_with_marker(play: Play, path: str, content: bytes) -> None:
    marker = play.setup.directory / "marker"
    marker.touch()
    play.upload(path, content, then=f'put "{marker}" "{path}.DONE"')


def decided(play: Play) -> None:
    """An operator discards, releases, requeues and restores lists: held ones, one whose name is taken, one sent."""
    play.upload("/uploads/all.csv", phones(200, "VIP"))
    play.wait(lambda books: _count(books, DeliveryState.SENT) >= 1, "the first list to be sent")
    _have_held(play, "/uploads/test.csv", 60)
    play.command("discard", _list(play.books(), "/uploads/test.csv"))
    _have_held(play, "/uploads/small.csv", 70)
    play.command("release", _list(play.books(), "/uploads/small.csv"))
    play.wait(lambda books: _count(books, DeliveryState.SENT) >= 2, "the released list to be sent")
    stranger = remote_name("sirendenim", datetime.now(UTC).date(), 3)
    play.once("a stranger's file", lambda: play.put_strangers_file(stranger))
    play.upload("/uploads/taken.csv", phones(90, "VIP"))
    play.wait(lambda books: _list(books, "/uploads/taken.csv") and books.settled, "the upstream to refuse it")
    play.remove_strangers_file(stranger)
    play.command("requeue", _list(play.books(), "/uploads/taken.csv"))
    play.wait(lambda books: _count(books, DeliveryState.SENT) >= 3, "the requeued list to be sent")
    play.command("restore", "--route", "sirendenim", "--segment", "VIP")
    play.wait(lambda books: _count(books, DeliveryState.SENT) >= 4, "the restored list to be sent")


def _have_held(play: Play, path: str, people: int) -> None:
    play.upload(path, phones(people, "VIP"))
    play.wait(lambda books: _list(books, path) and books.settled, "the guard to object")


def _send_all_of_a_day(play: Play) -> None:
    play.setup.route(top='path = "/uploads/**"', sections='[guards]\nsame_day = "send"')


def suspended(play: Play) -> None:
    """The upstream refuses the login; meanwhile a list is held and released, and then it lets the relay in again."""
    authorized = play.upstream.client_key.with_suffix(".pub")
    away = authorized.with_suffix(".away")
    play.once("the login is refused", lambda: authorized.rename(away))
    play.upload("/uploads/list.csv", phones(99, "VIP"))
    play.once("the refusal", lambda: play.wait(lambda _: play.ask(Store.suspensions), "the suspension"))
    play.wait(lambda books: not _count(books, DeliveryState.SENDING) and books.deliveries, "the list to wait")
    play.command("hold", _list(play.books(), "/uploads/list.csv"))
    play.once("the login is open", lambda: away.rename(authorized))
    while play.ask(Store.suspensions):  # Where it was started anew, the service may have found out by itself.
        play.try_command("resume", "attentive")
    play.command("release", _list(play.books(), "/uploads/list.csv"))
    play.wait(lambda books: _count(books, DeliveryState.SENT) >= 1, "the list to be sent")


def overtaken(play: Play) -> None:
    """A held list is superseded by a newer one, a segment disappears, and another list has grown."""
    play.upload("/uploads/both.csv", phones(200, "VIP", "Lapsed"))
    play.wait(lambda books: _count(books, DeliveryState.SENT) >= 2, "both lists to be sent")
    _have_held(play, "/uploads/small.csv", 60)
    play.upload("/uploads/right.csv", phones(180, "VIP"))
    play.wait(lambda books: _count(books, DeliveryState.SENT) >= 3, "the right list to be sent")
    play.upload("/uploads/grown.csv", phones(500, "VIP"))
    play.wait(lambda books: _count(books, DeliveryState.SENT) >= 4, "the grown list to be sent")


def _supersede_on_a_day(play: Play) -> None:
    play.setup.route(top='path = "/uploads/**"', sections='[guards]\nsame_day = "supersede"')


def stray(play: Play) -> None:
    """Files of which no list comes: one that no route wants, a probe, one cut off, one too large."""
    play.upload("/elsewhere.csv", phones(9, "VIP"), wanted=False)
    play.upload("/uploads/probe", b"probe", then='rm "/uploads/probe"', wanted=False)
    play.once("a cut-off upload", lambda: play.cut_off("/uploads/cut-off.csv"))
    play.once("a large file", lambda: play.try_to_upload("/uploads/large.csv", b"1" * 70_000, wanted=False))
    play.expect_alive()
    play.wait(lambda books: len(books.arrivals) >= 2 and books.settled, "everything to settle")


def _limit_files(play: Play) -> None:
    play.setup.route(top='path = "/uploads/**"')
    play.setup.change("landing", max_file_size="64kB")


def misconfigured(play: Play) -> None:
    """A reload finds the configuration broken, and the next one finds it put right."""
    _name_no_upstream(play)
    play.reload("config.refused")
    play.upload("/uploads/list.csv", phones(99, "VIP"))
    _send_all_of_a_day(play)
    play.reload("config.reloaded")
    play.upload("/uploads/second.csv", phones(60, "VIP"))
    play.wait(lambda books: _count(books, DeliveryState.SENT) >= 2, "both lists to be sent")


def _name_no_upstream(play: Play) -> None:
    play.setup.route(top='path = "/uploads/**"', identifier="fax")


def crowded(play: Play) -> None:
    """Less of the disk is free than there should be, and then enough again."""
    play.setup.change("landing", min_free="900TB")
    play.reload("config.reloaded")
    play.try_to_upload("/uploads/early.csv", phones(9, "VIP"), wanted=False)
    play.service.wait_for("disk.low")
    play.setup.change("landing", min_free="0B")
    play.reload("config.reloaded", count=2)
    play.upload("/uploads/list.csv", phones(99, "VIP"))
    play.service.wait_for("disk.recovered")
    play.wait(lambda books: _count(books, DeliveryState.SENT) >= 1, "the list to be sent")


def _have_room(play: Play) -> None:
    play.setup.change("landing", min_free="0B")


def standstill(play: Play) -> None:
    """The disk refuses for a while: the service stands still, and goes on by itself."""
    play.upload("/uploads/list.csv", phones(99, "VIP"))
    if len(play.lives) == 1:
        play.broken.touch()
        play.try_to_upload("/uploads/refused.csv", phones(60, "Lapsed"))
        play.service.wait_for("relay.suspended")
        play.broken.unlink()
        play.service.wait_for("relay.resumed")
    play.upload("/uploads/refused.csv", phones(60, "Lapsed"))
    play.wait(lambda books: books.settled and _count(books, DeliveryState.SENT) >= 2, "both lists to be sent")


def strangers(play: Play) -> None:
    """A stranger tries to log in and is shut out, Amperity with it, until an operator lets its address in again."""
    while "unban 127.0.0.1" not in play.done and not play.ask(_bans):
        play.knock()
        play.expect_alive()
    if "unban 127.0.0.1" not in play.done:
        play.knock()
        play.command("unban", "127.0.0.1")
    play.upload("/uploads/list.csv", phones(99, "VIP"))
    play.wait(lambda books: _count(books, DeliveryState.SENT) >= 1, "the list to be sent")


def _punish_at_once(play: Play) -> None:
    play.setup.change("landing.penalties", refused_login="10m", threshold="1s")


def _bans(store: Store) -> object:
    return store.bans(datetime.now(UTC))


def recovered(play: Play) -> None:
    """A list was being sent when the service died; it is sent again under its name."""
    sent(play)


def swept(play: Play) -> None:
    """What was kept for long enough is removed at the start, and the upstream shows the host key that it has next."""
    play.upload("/uploads/list.csv", phones(99, "VIP"))
    play.wait(lambda books: _count(books, DeliveryState.SENT) >= 1, "the list to be sent")
    play.upload("/uploads/next.csv", phones(70, "Lapsed"))
    play.wait(lambda books: _count(books, DeliveryState.SENT) >= 2, "the next list to be sent")


def _keep_nothing(play: Play) -> None:
    play.setup.change("retention", files="0.001s", rejects="0.001s")


def _next_host_key(directory: Path) -> str:
    return f"HostKey {ssh_keygen(directory / 'next_key', 'ecdsa')}"


def watched(play: Play) -> None:
    """A list is late, was missing yesterday, waits for a person for too long, goes out; so does a cut-off export."""
    play.upload("/uploads/new.csv", phones(99, "VIP"))
    play.upload("/uploads/cut-off.csv", phones(99, "VIP") + b'2125550100,"VIP')
    play.wait(lambda books: len(books.exports) >= 2 and books.settled, "both to wait for a person")
    said = {"delivery.overdue", "export.overdue", "freshness.late", "freshness.missing"}
    play.wait(lambda _: said <= play.history(), "everything to be said")
    play.command("release", _list(play.books(), "/uploads/new.csv"))
    play.wait(lambda _: "freshness.ok" in play.history(), "the recovery")


def _expect_lists(play: Play) -> None:
    """Be late for today's, and have missed yesterday's."""
    now = datetime.now(UTC)
    by = time(now.hour)
    play.setup.change("", report=str(play.setup.directory / "nowhere" / "report.html"))
    play.setup.route(
        top=f'path = "/uploads/**"\nexpect_by = "{by:%H:%M}"\ngrace = "12h"\nexpect_segments = ["VIP"]',
        sections='[guards]\nnew_segment = "hold"\nremind_after = ["1s"]',
    )
    if not play.lives:
        store = Store.open(play.database)
        store.judge_freshness(
            "sirendenim", Expectation(by, timedelta(hours=12), ZoneInfo("UTC"), ("VIP",)), now - timedelta(days=2)
        )
        store.close()


def _events(text: str) -> frozenset[str]:
    return frozenset(text.split())


SCENES: Final[dict[str, Scene]] = {
    scene.name: scene
    for scene in (
        Scene(
            sent,
            _events(
                "relay.started relay.ready relay.draining relay.stopped landing.login_succeeded "
                "landing.upload_confirmed arrival.landed arrival.claimed export.received export.accepted "
                "delivery.queued delivery.sending delivery.sent"
            ),
        ),
        Scene(repeated, _events("export.duplicated delivery.duplicated")),
        Scene(split, _events("slice.sent"), _split_after_40),
        Scene(quarantined, _events("export.quarantined export.requeued export.discarded")),
        Scene(
            gathered,
            _events("export.gathering export.withdrawn arrival.ignored arrival.withdrawn export.quarantined"),
            _await_markers,
            settle="1s",
        ),
        Scene(
            decided,
            _events(
                "delivery.held delivery.discarded delivery.released delivery.failed delivery.requeued delivery.restored"
            ),
            _send_all_of_a_day,
        ),
        Scene(
            suspended, _events("upstream.suspended upstream.resumed delivery.deferred delivery.held delivery.released")
        ),
        Scene(overtaken, _events("delivery.superseded segment.disappeared delivery.grown"), _supersede_on_a_day),
        Scene(
            stray, _events("arrival.unrouted arrival.withdrawn landing.upload_unconfirmed"), _limit_files, settle="2s"
        ),
        Scene(misconfigured, _events("config.refused config.reloaded"), _send_all_of_a_day),
        Scene(crowded, _events("disk.low disk.recovered landing.upload_refused"), _have_room),
        Scene(
            standstill,
            _events("relay.suspended relay.resumed"),
            fault={"step": r"daemon (?!log|send|inotify)\w+ .*", "error": "ENOSPC"},
        ),
        Scene(
            strangers,
            _events(
                "landing.login_refused landing.address_banned landing.connections_dropped landing.address_unbanned"
            ),
            _punish_at_once,
        ),
        Scene(recovered, _events("delivery.recovered"), before="daemon log delivery.sending"),
        Scene(
            swept,
            _events("retention.swept upstream.host_key_offered"),
            _keep_nothing,
            _next_host_key,
            before="daemon log delivery.sent",
        ),
        Scene(
            watched,
            _events("delivery.overdue export.overdue freshness.late freshness.missing freshness.ok report.failed"),
            _expect_lists,
        ),
    )
}


def _count(books: Books, *states: DeliveryState) -> int:
    return sum(it.state in states for it in books.deliveries)


def _export(books: Books, path: str) -> str:
    """Return the id of the first export of a file, "" where there is none."""
    found = [it for it in books.exports if it.path == path]
    return min(found, key=lambda it: it.received_at).id if found else ""


def _list(books: Books, path: str) -> str:
    """Return the id of the first list of a file's first export, "" where there is none."""
    export = _export(books, path)
    return min((it.id for it in books.deliveries if it.export_id == export), default="")
