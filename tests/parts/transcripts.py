"""Transcripts: what an operator types on a prepared host, and what is said, with everything masked that differs by run.

`PYTHONPATH=tests .venv/bin/python -m parts.transcripts` writes `tests/transcripts/*.txt` anew.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from click.testing import CliRunner

from parts.host import Host, a_host
from parts.people import people
from relay.cli import main
from relay.model import Ban, Delivery, Hold, HoldReason
from relay.spool import Spool

TRANSCRIPTS: Final = Path(__file__).parents[1] / "transcripts"
NIGHT: Final = timedelta(days=1)
SHRUNK: Final = Hold(
    HoldReason.SHRUNK,
    "20 rows, last sent 1,010, −98.0 %, limit −50.0 %",
    "The list last sent stays live. If this one is right, `relay release` it; if it was a test or a part, "
    "`relay discard` it.",
)
_MASKS: Final[tuple[tuple[str, str], ...]] = (
    (r"\S*python\S* -m relay( --config \S+)?", "relay"),
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", "YYYY-MM-DDThh:mm:ssZ"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "YYYY-MM-DD hh:mm:ss"),
    (r"\d{4}-\d\d-\d\d \d\d:\d\d", "YYYY-MM-DD hh:mm"),
    (r"\d{8}T\d{6}Z", "YYYYMMDDThhmmssZ"),
    (r"\d{4}-\d\d-\d\d", "YYYY-MM-DD"),
    (r"_20\d{6}_", "_YYYYMMDD_"),
    (r"sirendenim@sftp\.example\.com", "sirendenim@…"),
    (r"SHA256:[\w+/]{43}", "SHA256:…"),
    (r"[\d.]+ [MGT]B of [\d.]+ [GT]B free", "some of the disk is free"),
)


@dataclass
class Session:
    """An operator's session on a host: what was typed and said so far."""

    host: Host
    lines: list[str] = field(default_factory=list)

    def type(self, *arguments: str, said: str | None = None, most: int | None = None) -> None:
        """Give a command, with `said` on its standard input; of a long answer, only the first `most` lines are kept."""
        environment = {"SUDO_USER": "mel", "RELAY_CONFIG": str(self.host.config)}
        shown = CliRunner().invoke(main, [*arguments], env=environment, input=said)
        assert shown.exception is None or isinstance(shown.exception, SystemExit), shown.exception
        self.lines.append(f"$ {'… | ' if said else ''}relay {' '.join(map(_quoted, arguments))}")
        out = shown.stdout.splitlines()
        self.lines += out if most is None or len(out) <= most else [*out[:most], "[more lines]"]
        self.lines += [f"! {line}" for line in shown.stderr.splitlines()]
        self.lines += [f"[exit status {shown.exit_code}]", ""]

    def text(self) -> str:
        """All of it, masked; what came by way of standard error begins with an exclamation mark."""
        text = "\n".join(self.lines).replace(str(self.host.config.parent), "/etc/relay")
        text = text.replace(str(self.host.state_dir), "/var/lib/relay").replace(str(self.host.config.parents[1]), "~")
        for pattern, mask in _MASKS:
            text = re.sub(pattern, mask, text)
        return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def _quoted(argument: str) -> str:
    return f'"{argument}"' if " " in argument else argument


def send(host: Host, count: int, segment: str, *, first: int = 0) -> Delivery:
    """A list of so many invented people that came in a file and was sent, with both files where they belong."""
    content = "".join(f"{it.phone},{segment}\n" for it in people(count, first=first))
    sent = host.send(segment=segment, content=content, rows=count)
    spool = Spool(host.state_dir)
    for path in (spool.draft(sent), spool.source(sent.route, sent.export_id, "0001")):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    return sent


def two_nights(host: Host) -> dict[str, Delivery]:
    """Two nights on which all went out."""
    sent: dict[str, Delivery] = {}
    host.books.now -= 2 * NIGHT
    for night in range(2):
        sent[f"VIP {night}"] = send(host, 1_000 + 10 * night, "VIP", first=night)
        host.books.wait()
        sent[f"Lapsed {night}"] = send(host, 150 + night, "Lapsed", first=2_000 + night)
        host.books.now += NIGHT
    return sent


def a_hard_night(host: Host) -> dict[str, Any]:
    """Two good nights, and one on which much went wrong."""
    sent: dict[str, Any] = two_nights(host)
    sent["held"] = host.books.plan(SHRUNK, segment="VIP", rows=20)
    host.books.wait(timedelta(seconds=1))
    sent["failed"] = host.fail(segment="Win Back", rows=700)
    host.books.wait(timedelta(seconds=1))
    host.books.defer(host.claim(segment="Abandoned Cart", rows=80), until=timedelta(hours=2))
    sent["quarantined"] = host.quarantine()
    host.books.store.unroute(host.books.land().id, "add a route for it, or have it sent elsewhere", host.books.now)
    host.books.store.suspend(
        "attentive",
        "login_refused",
        "the password was not accepted",
        "Ask Attentive for the right one, put it in place, and `relay resume attentive`.",
        host.books.now + timedelta(minutes=5),
        host.books.now,
    )
    return sent


def morning(session: Session) -> None:
    """What went out last night, if not, why not, and what ends it."""
    found = a_hard_night(session.host)
    session.type("status")
    session.type("exports", "--limit", "3")
    session.type("deliveries", "--state", "held")
    session.type("deliveries", "--since", "30h", "--limit", "3")
    session.type("show", found["held"].id)
    session.type("show", found["quarantined"])
    session.type("show", found["held"].export_id)
    session.type("deliveries", "--state", "held", "--json")


def decisions(session: Session) -> None:
    """Every decision, and what becomes of it."""
    found = a_hard_night(session.host)
    session.type("release", found["held"].id, "--reason", "the segment really is that small now")
    session.type("hold", found["held"].id, "--reason", "marketing is not sure after all")
    session.type("discard", found["held"].id, "--reason", "was a campaign test")
    session.type("requeue", found["failed"].id, "--reason", "their file is gone")
    session.type("requeue", found["quarantined"], "--reason", "identifier_column is right now")
    session.type("resume", "attentive", "--reason", "new password")
    session.type("restore", "--route", "sirendenim", "--segment", "VIP", "--reason", "wrong query")
    session.type("show", found["held"].id)


def a_quiet_day(session: Session) -> None:
    """All is well."""
    two_nights(session.host)
    session.type("status")
    session.type("check")
    session.type("bans")
    now = session.host.books.now
    session.host.books.store.keep_bans([Ban("203.0.113.7/32", "password", now, now + timedelta(hours=1))], now)
    session.type("bans")
    session.type("unban", "203.0.113.7")
    session.type("unban", "203.0.113.7")
    session.type("events", most=6)
    session.type("purge", "--dry-run")


def personal_data(session: Session) -> None:
    """Who is in which kept files, and what retention takes."""
    session.host.books.now -= timedelta(days=15)
    two_nights(session.host)
    session.host.books.plan(SHRUNK, segment="VIP", rows=20)
    session.host.books.now += timedelta(days=15)
    two_nights(session.host)
    session.type("find", said="(201) 555-0101\n")
    session.type("find", said="nobody@example.com\n")
    session.type("purge", "--dry-run")
    session.type("purge")
    session.type("find", said="(201) 555-0101\n")


def preview(session: Session) -> None:
    """What would become of a file."""
    two_nights(session.host)
    good = session.host.config.parents[1] / "export.csv"
    rows = [f"{it.phone},VIP" for it in people(990, first=5)] + ["212-555-0104 x7,VIP", ",VIP", "2125550105,VIP+"]
    good.write_text("phone,segment_name\n" + "\n".join(rows) + "\n", encoding="utf-8")
    session.type("preview", str(good), "--route", "sirendenim")
    swapped = good.with_name("swapped.csv")
    swapped.write_text("".join(f"{it.phone},VIP\n" for it in people(1_000, first=2_400)), encoding="utf-8")
    session.type("preview", str(swapped), "--route", "sirendenim")
    broken = good.with_name("broken.csv")
    broken.write_text("phone,segment_name\n2125550101,VIP\n21255501", encoding="utf-8")
    session.type("preview", str(broken), "--route", "sirendenim")


def errors(session: Session) -> None:
    """What is said to who asks for what cannot be."""
    found = two_nights(session.host)
    sent = found["VIP 1"]
    session.type("show", "9c1e2a")
    session.type("show", sent.id[:-3])
    session.type("release", sent.id)
    session.type("hold", sent.id)
    session.type("restore", "--route", "sirendenim", "--segment", "Nobody")
    session.type("preview", str(session.host.config), "--route", "nowhere")
    session.type("resume", "nowhere")
    session.type("unheard-of")
    route = session.host.config.parent / "routes.d" / "sirendenim.toml"
    route.write_text(route.read_text().replace('"phone"', '"fax"') + "surprise = 1\n", encoding="utf-8")
    session.type("check")


SESSIONS: Final[dict[str, Callable[[Session], None]]] = {
    it.__name__: it for it in (morning, decisions, a_quiet_day, personal_data, preview, errors)
}


def play(name: str, directory: Path) -> str:
    """Play a session on a new host, and return its transcript."""
    with a_host(directory) as host:
        Spool(host.state_dir).prepare(["amperity"])
        session = Session(host)
        SESSIONS[name](session)
        return session.text()


if __name__ == "__main__":
    for each in SESSIONS:
        with TemporaryDirectory() as temporary:
            (TRANSCRIPTS / f"{each}.txt").write_text(play(each, Path(temporary)), encoding="utf-8")
