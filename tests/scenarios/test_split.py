"""A segment of more rows than a file takes: held, explained, then allowed, sent as several files, and undone."""

import json
from pathlib import Path

from parts.people import people
from parts.service import Line, Service, Setup, relay
from parts.sftp import sftp
from parts.sshd import NEEDS_SSHD, Sshd

from relay.naming import names_in_a_row

pytestmark = NEEDS_SSHD

HOLD = "[guards]\nmax_rows = 100\nmax_growth = 20\nmin_overlap = 0"
SPLIT = f'{HOLD}\noversize = "split"\nsame_day = "send"'


def upload(service: Service, count: int, *, first: int = 0, as_: str = "list.csv") -> str:
    """Have Amperity send a list, and return what is to arrive of it."""
    content = "".join(f"{it.phone},VIP\n" for it in people(count, first=first))
    local = service.setup.directory / "to-upload"
    local.write_text(content)
    sftp(service.port, "amperity", service.setup.client_key, f'put "{local}" "/uploads/{as_}"')
    return content


def document(setup: Setup, *arguments: str) -> Line:
    """What a command says as JSON."""
    found: Line = json.loads(relay(setup, *arguments, "--json").stdout)
    return found


def arrived(upstream: Sshd, delivery: Line) -> list[str]:
    """The contents of a delivery's files at the upstream, in the order of their numbers."""
    names = names_in_a_row(delivery["remote_name"], delivery.get("slices", 1))
    return [(upstream.uploads / name).read_text() for name in names]


def test_an_oversize_list_is_held_until_splitting_is_allowed(tmp_path: Path) -> None:
    """The hold says what to ask and to set; released after that, the list goes out as three files of one date."""
    with Sshd(tmp_path / "upstream") as upstream:
        setup = Setup(tmp_path / "relay", upstream)
        setup.route(sections=HOLD)
        with Service(setup) as service:
            content = upload(service, 250)
            held = service.wait_for("delivery.held")
            assert (held["reason"], held["detail"]) == ("oversize", "250 rows, limit 100")
            assert 'oversize = "split"' in held["hint"]
            assert upstream.received() == {}
            setup.route(sections=SPLIT)
            service.reload()
            service.wait_for("config.reloaded")
            said = relay(setup, "release", held["delivery"], "--reason", "White Glove says yes")
            assert "_1.csv to" in said.stdout
            assert "_3.csv" in said.stdout
            sent = service.wait_for("delivery.sent")
            assert arrived(upstream, sent) == [
                "".join(content.splitlines(keepends=True)[it : it + 100]) for it in (0, 100, 200)
            ]
        shown = document(setup, "show", held["delivery"])
        assert (shown["slices"], shown["slices_sent"]) == (3, 3)
        assert [it["rows"] for it in shown["outgoing"]] == [100, 100, 50]
        assert all(it["sent_at"] for it in shown["outgoing"])


def test_a_split_list_is_one_list_to_everything_else(tmp_path: Path) -> None:
    """Preview foresees it, the guards compare whole lists, and a restoration sends all of its files again."""
    with Sshd(tmp_path / "upstream") as upstream:
        setup = Setup(tmp_path / "relay", upstream)
        setup.route(sections=SPLIT)
        with Service(setup) as service:
            first = upload(service, 250)
            sent = service.wait_for("delivery.sent")
            upload(service, 90, as_="small.csv")
            held = service.wait_for("delivery.held")
            assert held["reason"] == "shrunk"
            assert held["detail"].startswith("90 rows, last sent 250,")
            assert (held["kept"], held["lost"], held["gained"]) == (90, 160, 0)
            upload(service, 220, first=30, as_="second.csv")
            second = service.wait_for("delivery.sent", count=2)
            assert second["slices"] == 3
            restored = relay(setup, "restore", "--route", "sirendenim", "--segment", "VIP")
            assert "_7.csv to" in restored.stdout
            again = service.wait_for("delivery.sent", count=3)
            assert "".join(arrived(upstream, again)) == "".join(arrived(upstream, sent)) == first
        foreseen = document(setup, "preview", str(tmp_path / "relay" / "to-upload"), "--route", "sirendenim")
        assert [it["slices"] for it in foreseen["lists"]] == [3]
        assert (
            "goes out as 3 files"
            in relay(setup, "preview", str(tmp_path / "relay" / "to-upload"), "--route", "sirendenim").stdout
        )


def test_a_list_that_is_given_up_half_way_can_be_undone(tmp_path: Path) -> None:
    """Everything that shows the list says that the segment may be incomplete, and one command makes it whole."""
    with Sshd(tmp_path / "upstream") as upstream:
        setup = Setup(tmp_path / "relay", upstream)
        setup.route(sections=SPLIT)
        with Service(setup) as service:
            whole = upload(service, 250)
            sent = service.wait_for("delivery.sent")
            taken = upstream.uploads / names_in_a_row(sent["remote_name"], 5)[-1]
            taken.write_text("theirs\n")
            upload(service, 240, as_="next.csv")
            failed = service.wait_for("delivery.failed")
            assert (failed["reason"], failed["slices_sent"], failed["slices"]) == ("name_taken", 1, 3)
            for command in (("status",), ("show", failed["delivery"]), ("deliveries",)):
                assert "1 of its 3 files" in " ".join(relay(setup, *command).stdout.split()), command
            said = relay(setup, "discard", failed["delivery"], "--reason", "start over")
            assert "may be incomplete" in said.stdout
            assert "`relay restore`" in said.stdout
            relay(setup, "restore", "--route", "sirendenim", "--segment", "VIP", check=True)
            again = service.wait_for("delivery.sent", count=2)
            assert "".join(arrived(upstream, again)) == whole
