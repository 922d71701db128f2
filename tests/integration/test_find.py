"""`relay find`: in which kept files a person occurs, however written and packed; nobody else is shown."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from parts.canary import assert_no_person
from parts.host import Host, a_host
from parts.people import PHONE_FORMS, person

from relay.cli import main
from relay.spool import Spool

SOMEBODY, SOMEBODY_ELSE = person(7), person(8)


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    """A host whose service has run."""
    with a_host(tmp_path) as host:
        Spool(host.state_dir).prepare(["amperity"])
        yield host


def find(host: Host, identifier: str) -> Result:
    """Ask for a person."""
    return CliRunner().invoke(main, ["--config", str(host.config), "find"], input=identifier + "\n")


def kept(host: Host, name: str, content: bytes, *, export: str = "sirendenim-1") -> Path:
    """A file of an export."""
    path = Spool(host.state_dir).export("sirendenim", export) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def rows(*phones: str) -> bytes:
    """A table with these people in it."""
    return ("phone,segment_name\n" + "".join(f'"{it}",VIP\n' for it in phones)).encode()


def test_programs_get_one_document(host: Host) -> None:
    """The files, and those that could not be looked into, with stable keys; nobody is shown."""
    holds = kept(host, "source/0001", rows(SOMEBODY_ELSE.phone, SOMEBODY.phone))
    broken = kept(host, "source/0001", gzip.compress(rows(SOMEBODY.phone))[:-9], export="sirendenim-2")
    arguments = ["--config", str(host.config), "find", "--json"]
    said = CliRunner().invoke(main, arguments, input=SOMEBODY.phone + "\n")
    assert (said.exit_code, said.stderr) == (1, "")
    (unread,) = json.loads(said.stdout)["unread"]
    assert json.loads(said.stdout) == {"files": [str(holds)], "unread": [unread]}
    assert (unread["file"], set(unread)) == (str(broken), {"file", "reason"})
    assert_no_person(said.output, "the document of relay find")
    broken.unlink()
    alone = CliRunner().invoke(main, arguments, input=SOMEBODY.phone + "\n")
    assert (alone.exit_code, json.loads(alone.stdout)) == (0, {"files": [str(holds)], "unread": []})


@pytest.mark.parametrize("form", PHONE_FORMS)
def test_a_number_is_found_in_whatever_way_it_is_written(host: Host, form: str) -> None:
    """Every accepted way of writing it, between other people's; nobody is shown."""
    holds = kept(host, "source/0001", rows(SOMEBODY_ELSE.phone, SOMEBODY.written(form)))
    kept(host, "source/0001", rows(SOMEBODY_ELSE.written(form)), export="sirendenim-2")
    said = find(host, SOMEBODY.phone)
    assert said.exit_code == 0, said.output
    assert said.stdout.splitlines() == [str(holds)]
    assert_no_person(said.output, "the output of relay find")


@pytest.mark.parametrize(
    "between",
    [
        pytest.param("\N{MINUS SIGN}", id="minus sign"),
        pytest.param("\N{WORD JOINER}", id="word joiner"),
        pytest.param("\N{SOFT HYPHEN}", id="soft hyphen"),
        pytest.param("\N{LEFT-TO-RIGHT MARK}", id="left-to-right mark"),
        pytest.param("\N{POP DIRECTIONAL FORMATTING}", id="formatting"),
        pytest.param("\N{HEBREW PUNCTUATION MAQAF}", id="maqaf"),
        pytest.param(" " * 9, id="many blanks"),
        pytest.param("\t", id="tab"),
        pytest.param(r"\u2011", id="JSON's escape"),
        pytest.param(r"\u202d\u2011", id="escapes in a row"),
        pytest.param(r"\/", id="escaped slash"),
        pytest.param(r"\t", id="escaped tab"),
    ],
)
def test_a_number_is_found_whatever_is_sent_of_it(host: Host, between: str) -> None:
    """What stands between the digits is folded by the rule that reads the number for sending (rule P1)."""
    written = between.join((SOMEBODY.area, "555", SOMEBODY.line))
    holds = kept(host, "source/0001", f'{{"phone": "{written}", "segment_name": "VIP"}}\n'.encode())
    other = between.join((SOMEBODY_ELSE.area, "555", SOMEBODY_ELSE.line))
    kept(host, "source/0002", f'{{"phone": "{other}", "segment_name": "VIP"}}\n'.encode())
    assert find(host, SOMEBODY.phone).stdout.splitlines() == [str(holds)]


def test_digits_of_another_script_are_digits(host: Host) -> None:
    """As the relay sends them: as those of ASCII."""
    arabic = SOMEBODY.phone.translate({ord("0") + digit: 0x660 + digit for digit in range(10)})
    holds = kept(host, "source/0001", rows(arabic))
    assert find(host, SOMEBODY.phone).stdout.splitlines() == [str(holds)]


def test_a_number_within_a_longer_one_is_another(host: Host) -> None:
    """Digits before or behind make it somebody else's, but for the code of +1."""
    kept(host, "source/0001", rows(f"{SOMEBODY.phone}0", f"9{SOMEBODY.phone}", f"91{SOMEBODY.phone}"))
    holds = kept(host, "source/0002", rows(f"0111{SOMEBODY.phone}"))
    assert find(host, SOMEBODY.phone).stdout.splitlines() == [str(holds)]


def test_what_is_asked_for_may_be_written_in_any_way_too(host: Host) -> None:
    """As it stands in a person's letter."""
    holds = kept(host, "drafts/1.csv", f"{SOMEBODY.phone},VIP\n".encode())
    said = find(host, f"+1 ({SOMEBODY.area}) 555-{SOMEBODY.line}")
    assert said.stdout.splitlines() == [str(holds)]


def test_an_address_is_found_in_any_case_and_only_as_a_whole(host: Host) -> None:
    """Another address that ends in it, or begins with it, is another person's."""
    holds = kept(host, "drafts/1.csv", f"{SOMEBODY.email.upper()},VIP\n".encode())
    kept(host, "drafts/2.csv", f"x{SOMEBODY.email},VIP\n{SOMEBODY.email}.au,VIP\n".encode())
    assert find(host, SOMEBODY.email).stdout.splitlines() == [str(holds)]


def test_packed_and_binary_sources_are_looked_into(host: Host) -> None:
    """Gzip, whatever it is called, and Parquet; what was unpacked is not left behind."""
    table = pa.table({"phone": [SOMEBODY.phone], "segment_name": ["VIP"]})
    holds = [
        kept(host, "source/0001", gzip.compress(rows(SOMEBODY.phone))),
        kept(host, "source/0002", rows(SOMEBODY.phone)),
        kept(host, "source/0003", b""),
    ]
    pq.write_table(table, holds[2])
    said = find(host, SOMEBODY.phone)
    assert said.stdout.splitlines() == [str(it) for it in holds]
    assert not list(Spool(host.state_dir).incoming_zone.glob("find-*"))


def test_landed_and_half_uploaded_files_are_looked_through_once(host: Host) -> None:
    """A landed file and the source taken of it are one file with two names."""
    spool = Spool(host.state_dir)
    source = kept(host, "source/0001", rows(SOMEBODY.phone))
    (spool.landing("amperity") / "uploads" / "export.csv").hardlink_to(source)
    upload = spool.incoming("amperity") / "half"
    upload.write_bytes(rows(SOMEBODY.phone)[:-3])
    assert find(host, SOMEBODY.phone).stdout.splitlines() == [str(source), str(upload)]


def test_a_person_who_is_nowhere_is_a_finding(host: Host) -> None:
    """Exit 1, as of a search that found nothing; another's longer number is no match."""
    kept(host, "source/0001", rows(f"9{SOMEBODY.phone}", f"{SOMEBODY.phone}9"))
    said = find(host, SOMEBODY.phone)
    assert (said.exit_code, said.stdout) == (1, "")
    assert "found in 0 files" in said.stderr


def test_what_cannot_be_looked_into_is_named(host: Host) -> None:
    """Half an archive may hold anybody: exit 1 though the person was found elsewhere."""
    broken = kept(host, "source/0001", gzip.compress(rows(SOMEBODY.phone))[:-9])
    holds = kept(host, "source/0002", rows(SOMEBODY.phone))
    said = find(host, SOMEBODY.phone)
    assert said.exit_code == 1
    assert said.stdout.splitlines() == [str(holds)]
    assert f"{broken} could not be looked into" in said.stderr


@pytest.mark.parametrize("text", ["", "Ada", "555-0107", f"{SOMEBODY.phone}12"])
def test_what_is_no_identifier_is_refused_without_being_shown(host: Host, text: str) -> None:
    """Whoever mistypes a number need not find it in a terminal's history."""
    said = find(host, text)
    assert said.exit_code == 1
    assert "neither a phone number" in said.stderr
    assert not text or text not in said.output
