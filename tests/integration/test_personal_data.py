"""No person leaves the payload: canaries go in by every door and are searched for in everything that comes out."""

from pathlib import Path

import pytest
from parts.canary import assert_no_person, assert_no_person_below, people_in
from parts.service import Service, Setup, relay
from parts.sftp import sftp
from parts.sshd import NEEDS_SSHD, Sshd

PHONES = b"""\
given_name,phone,segment_name
Ada,(212) 555-0101,VIP
Ben,+1 212 555 0102 ext. 7,VIP
Cleo,1 1 212 555 0103,VIP
Dan,212-555-0104,ada@example.com
Eve,eve@example.com,VIP
Fay,2125550105.0,VIP
Gil,2.125550106E9,VIP
Hal,\xef\xbc\x92\xef\xbc\x91\xef\xbc\x925550107,VIP
Ivy,2125550108,"too, special (212) 555-0109"
"""
AMBIGUOUS = b"home,work,segment_name\n2125550110,2125550111,VIP\n"
CUT_OFF = b"phone,segment_name\n2125550112,VIP\n2125550113"
HEADERLESS_WITHOUT_SEGMENT = b"2125550114\n2125550115\n"
# What holds the payload, and so holds people.
PAYLOAD = ("landing/*", "incoming/*", "exports/*/source/*", "exports/*/drafts/*")


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("212-555-0101", True),
        ("(212) 555-0101", True),
        ("+1 212.555.0101", True),
        ("d.o+x@mail.example.com", True),
        ("***-***-0101 and d***@example.com", False),
        ("sha256 9a2125550101be", False),
    ],
)
def test_the_search_finds_a_person_however_written(text: str, *, found: bool) -> None:
    """The canaries' own test: a search that finds nothing proves nothing."""
    assert bool(people_in(text)) is found


@NEEDS_SSHD
@pytest.mark.timeout(300)  # Some thirty commands, each a process of its own.
def test_no_person_in_log_output_or_kept_files(tmp_path: Path) -> None:
    """Whatever row or file comes in and whichever command runs, people are in the payload and nowhere else."""
    with Sshd(tmp_path / "upstream") as upstream:
        setup = Setup(tmp_path / "relay", upstream)
        setup.route()
        with Service(setup) as service:
            for number, content in enumerate((PHONES, AMBIGUOUS, CUT_OFF, HEADERLESS_WITHOUT_SEGMENT), start=1):
                local = setup.directory / f"to-upload-{number}"
                local.write_bytes(content)
                sftp(service.port, "amperity", setup.client_key, f'put "{local}" /uploads/{number}.csv')
            service.wait_for("export.quarantined", count=3)
            sent = service.wait_for("delivery.sent")
            export, delivery = sent["export"], sent["delivery"]
            quarantined = [line["export"] for line in service.named("export.quarantined")]
            commands = [
                *[[name, *form] for name in ("status", "exports", "deliveries") for form in ([], ["--json"])],
                *[
                    ["show", identifier, *form]
                    for identifier in (export, delivery, *quarantined)
                    for form in ([], ["--json"])
                ],
                *[
                    ["preview", str(setup.directory / f"to-upload-{number}"), "--route", "sirendenim", *form]
                    for number in (1, 2, 3, 4)
                    for form in ([], ["--json"])
                ],
                ["requeue", delivery],
                ["restore", "--route", "sirendenim", "--segment", "VIP"],
                ["report"],
                ["purge", "--dry-run"],
                ["purge"],
                ["check"],
            ]
            for command in commands:
                said = relay(setup, *command)
                assert said.stdout + said.stderr, command
                assert_no_person(said.stdout + said.stderr, f"the output of relay {' '.join(command)}")
            service.stop()
            assert_no_person("".join(service.raw), "the log")
        assert_no_person_below(setup.state, but=PAYLOAD)
