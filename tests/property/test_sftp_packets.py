"""Whatever a logged-in client sends: the service goes on, nothing stays open, and nothing half-done is published."""

import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from parts.descriptors import open_descriptors
from parts.landing import LandingZone, until
from parts.sftp import RawSftp, string

from relay.landing.codec import write_request
from relay.sftp import MOST_PACKET, BadMessageError, Fields, Inbox, Kind

HANDLES = st.sampled_from([b"\0\0\0\1", b"\0\0\0\2", b"\0\0\0\3", b"", b"\xff" * 4, b"\0" * 5])
"""The first handles that a session gives out, and what it never does."""

PATHS = st.sampled_from(
    [b"/uploads/a", b"/uploads/b", b"/uploads/c/d", b"/uploads", b"/", b"", b"..", b"/../../etc/passwd", b"\xff", b"\0"]
) | st.binary(max_size=300)
NUMBERS64 = st.sampled_from([0, 1, 5, 2**31, 2**63 - 1, 2**63, 2**64 - 1]) | st.integers(0, 2**64 - 1)
NUMBERS32 = st.sampled_from([0, 1, 2**31, 2**32 - 1]) | st.integers(0, 2**32 - 1)
ATTRIBUTES = st.builds(
    lambda has, rest: struct.pack(">I", has) + rest, st.sampled_from([0, 1, 4, 15]) | NUMBERS32, st.binary(max_size=40)
)
EXTENSIONS = st.sampled_from(
    [b"posix-rename@openssh.com", b"statvfs@openssh.com", b"fsync@openssh.com", b"limits@openssh.com", b"hardlink", b""]
)


def _request(kind: int, *fields: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return st.tuples(st.integers(0, 2**32 - 1), *fields).map(
        lambda parts: struct.pack(">BI", kind, parts[0]) + b"".join(parts[1:])
    )


def _packed(form: str, numbers: st.SearchStrategy[int]) -> st.SearchStrategy[bytes]:
    return numbers.map(lambda number: struct.pack(form, number))


_HANDLE, _PATH, _TEXT = HANDLES.map(string), PATHS.map(string), st.binary(max_size=100).map(string)
_U32, _U64 = _packed(">I", NUMBERS32), _packed(">Q", NUMBERS64)
_FLAGS = _packed(">I", st.sampled_from([0x1A, 0x01, 0x2A, 0x0A, 0x06]) | NUMBERS32)

REASONABLE = st.one_of(
    _request(Kind.OPEN, _PATH, _FLAGS, ATTRIBUTES),
    _request(Kind.CLOSE, _HANDLE),
    _request(Kind.READ, _HANDLE, _U64, _U32),
    _request(Kind.WRITE, _HANDLE, _U64, _TEXT, st.binary(max_size=20)),
    _request(Kind.FSTAT, _HANDLE),
    _request(Kind.FSETSTAT, _HANDLE, ATTRIBUTES),
    _request(Kind.READDIR, _HANDLE),
    *(_request(kind, _PATH) for kind in (Kind.LSTAT, Kind.STAT, Kind.OPENDIR, Kind.REMOVE, Kind.RMDIR, Kind.REALPATH)),
    _request(Kind.SETSTAT, _PATH, ATTRIBUTES),
    _request(Kind.MKDIR, _PATH, ATTRIBUTES),
    _request(Kind.RENAME, _PATH, _PATH),
    _request(Kind.SYMLINK, _PATH, _PATH),
    _request(Kind.EXTENDED, EXTENSIONS.map(string), _PATH | _HANDLE, st.just(b"") | _PATH),
)
"""Requests of every kind, about files, handles and sizes that are there, and about those that are not."""


def _truncated(packets: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return packets.flatmap(lambda packet: st.integers(1, len(packet)).map(lambda length: packet[:length]))


PACKETS = st.lists(
    st.one_of(REASONABLE, REASONABLE, REASONABLE, _truncated(REASONABLE), st.binary(min_size=1, max_size=60)),
    max_size=25,
)
"""Mostly requests, some of them cut short, and some that are none."""


@given(st.binary(max_size=400))
def test_no_bytes_are_a_defect_to_the_reader_of_fields(packet: bytes) -> None:
    """Every way to read them ends with a value or with the one error that ends a session."""
    for read in (Fields.u32, Fields.u64, Fields.string, Fields.size_attribute):
        with suppress(BadMessageError):
            read(Fields(packet))
    with suppress(BadMessageError):
        write = write_request(memoryview(packet))
        assert len(write.payload) <= len(packet)


@given(st.lists(st.binary(min_size=1, max_size=300), max_size=20))
def test_no_stream_makes_the_inbox_wait_for_what_cannot_come(pieces: list[bytes]) -> None:
    """It ends in whole packets, the beginning of a possible one, or the error that ends a session."""
    inbox = Inbox()
    with suppress(BadMessageError):
        for piece in pieces:
            inbox.feed(piece)
            while (packet := inbox.take()) is not None:
                assert 1 <= len(packet) <= MOST_PACKET
                del packet
        assert len(inbox) < 4 + MOST_PACKET


@pytest.fixture(scope="module")
def zone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LandingZone]:
    """One landing zone for every example: it has to survive them all."""
    limits = {"max_file_size": "1MB"}
    account = {"quota": "50MB", "max_files": 200}
    with LandingZone(tmp_path_factory.mktemp("fuzzed") / "zone", limits=limits, account=account) as zone:
        yield zone


def _talk(zone: LandingZone, packets: Sequence[bytes]) -> None:
    """Send packets ahead and end the session as a client does that has had enough."""
    with RawSftp(zone.port, "amperity", zone.key) as client, suppress(OSError):
        for packet in packets:
            client.send_packet(packet)
        client.channel.shutdown_write()
        while client.channel.recv(65536):
            pass


def _open_files(zone: LandingZone) -> list[str]:
    """What lies in the account's directories and is open in this process."""
    mine = (str(zone.spool.landing("amperity")), str(zone.spool.incoming("amperity")))
    return [target for target in open_descriptors().values() if target.startswith(mine)]


@settings(max_examples=settings().max_examples // 2, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(packets=PACKETS)
@example(packets=[b"\x03\0\0\0\1" + string(b"/uploads/a") + b"\0\0\0\x1a\0\0\0\0"] * 70)
@example(packets=[struct.pack(">BI", Kind.WRITE, 1) + string(b"\0\0\0\1") + b"\xff" * 12])
def test_no_session_breaks_the_service_or_leaves_anything_open(zone: LandingZone, packets: list[bytes]) -> None:
    """No defect, no hang, no descriptor, no unpublished file, and the next client is served as if nothing had been."""
    _talk(zone, packets)
    until(lambda: not zone.server.visits and not _open_files(zone), "everything to be closed")
    assert zone.incoming() == []
    assert zone.events("landing.session_failed") == []
    assert not any(path.is_symlink() for path in zone.spool.landing("amperity").rglob("*"))
    with RawSftp(zone.port, "amperity", zone.key) as client:
        assert client.ask(Kind.STAT, string(b"/uploads")).kind == Kind.ATTRS


def test_a_packet_that_is_too_large_ends_its_session_at_once(zone: LandingZone) -> None:
    """Its length is enough: nobody waits for the bytes, and none are kept."""
    with RawSftp(zone.port, "amperity", zone.key) as client:
        client.channel.sendall((MOST_PACKET + 1).to_bytes(4, "big"))
        assert client.exit_status() == 1
