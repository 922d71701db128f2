"""The packets of SFTP: cut out of the stream, read, and written."""

import os
import struct
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parts.sftp import string

from relay.landing import codec
from relay.sftp import MOST_PACKET, BadMessageError, Fields, Inbox, Kind, Status


def cut(chunks: Sequence[bytes]) -> list[bytes]:
    """Feed chunks one after the other and take whatever is complete after each."""
    inbox = Inbox()
    packets = []
    for chunk in chunks:
        inbox.feed(chunk)
        while (packet := inbox.take()) is not None:
            packets.append(bytes(packet))
            del packet
    assert len(inbox) == 0
    return packets


@given(st.lists(st.binary(min_size=1, max_size=200), max_size=20), st.lists(st.integers(1, 50), min_size=1))
def test_packets_are_cut_out_however_they_arrive(packets: list[bytes], sizes: list[int]) -> None:
    """The same packets come out whatever pieces the stream is received in."""
    stream = b"".join(map(string, packets))
    chunks = []
    at = turn = 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        chunks.append(stream[at : at + size])
        at, turn = at + size, turn + 1
    assert cut(chunks) == packets


def test_the_inbox_counts_only_what_was_not_taken() -> None:
    """What was taken no longer counts towards the bound on memory."""
    inbox = Inbox()
    inbox.feed(string(b"first") + string(b"second"))
    inbox.take()
    assert len(inbox) == len(string(b"second"))


@pytest.mark.parametrize("length", [0, MOST_PACKET + 1, 0xFFFFFFFF])
def test_an_impossible_length_is_refused_at_once(length: int) -> None:
    """Four bytes are enough to know that no packet will follow; nobody waits for 4 GiB."""
    inbox = Inbox()
    inbox.feed(length.to_bytes(4, "big"))
    with pytest.raises(BadMessageError):
        inbox.take()


def test_the_largest_write_of_any_client_fits() -> None:
    """A WRITE of 256 KiB, the most that clients send unasked, is one packet."""
    packet = struct.pack(">BI", Kind.WRITE, 7) + string(b"hndl") + bytes(8) + string(bytes(256 * 1024))
    assert cut([string(packet)]) == [packet]


def write_packet(handle: bytes, offset: int, content: bytes, trailing: bytes = b"") -> memoryview:
    """A WRITE as it is taken from the inbox."""
    packet = struct.pack(">BI", Kind.WRITE, 7) + string(handle) + struct.pack(">Q", offset) + string(content)
    return memoryview(packet + trailing)


@pytest.mark.parametrize("trailing", [b"", b"\0" * 40])
def test_a_write_is_read_whatever_trails_it(trailing: bytes) -> None:
    """Bytes after the payload are not part of it: older Go clients send some."""
    write = codec.write_request(write_packet(b"hndl", 2**40, b"content", trailing))
    assert (write.request, write.handle, write.offset, bytes(write.payload)) == (7, b"hndl", 2**40, b"content")


@pytest.mark.parametrize("missing", [1, 7, 8, 20, 30])
def test_a_write_cut_short_is_no_write(missing: int) -> None:
    """A WRITE whose payload is shorter than it says would otherwise lose bytes silently."""
    with pytest.raises(BadMessageError):
        codec.write_request(write_packet(b"hndl", 0, b"content")[:-missing])


@pytest.mark.parametrize("handle", [b"", b"abc", b"abcde", b"a handle of somebody else's"])
def test_a_write_to_a_foreign_handle_names_no_open_one(handle: bytes) -> None:
    """A handle of another length is read as one that is never open."""
    assert codec.write_request(write_packet(handle, 0, b"x" * 100)).handle == b""


def test_fields_are_read_in_order() -> None:
    """Numbers and strings come out as they went in."""
    fields = Fields(struct.pack(">IQ", 5, 2**50) + string(b"name"))
    assert (fields.u32(), fields.u64(), fields.string()) == (5, 2**50, b"name")


@pytest.mark.parametrize("packet", [b"", b"\0\0\0", string(b"name")[:-1], b"\xff\xff\xff\xff"])
def test_a_field_cut_short_is_refused(packet: bytes) -> None:
    """No field reaches beyond its packet."""
    with pytest.raises(BadMessageError):
        Fields(packet).string()


def test_the_size_is_found_among_all_attributes() -> None:
    """Owner, mode, times and extensions are passed over, and what follows them is still found."""
    extensions = struct.pack(">I", 1) + string(b"name") + string(b"value")
    attributes = struct.pack(">IQIIIII", 0x8000000F, 42, 1, 1, 0o644, 1, 1) + extensions
    fields = Fields(attributes + string(b"next"))
    assert fields.size_attribute() == 42
    assert fields.string() == b"next"


def test_no_size_is_not_a_size_of_zero() -> None:
    """A SETSTAT that sets only the mode must not truncate."""
    assert Fields(struct.pack(">II", 0x4, 0o644)).size_attribute() is None


@pytest.mark.parametrize("flags", [0x1, 0x2, 0x4, 0x8, 0x80000000])
def test_attributes_cut_short_are_refused(flags: int) -> None:
    """Flags that promise what does not follow make a broken packet."""
    with pytest.raises(BadMessageError):
        Fields(struct.pack(">I", flags)).size_attribute()


def test_a_status_carries_its_request_code_and_message() -> None:
    """The layout that every client parses: length, type, request, code, message, language."""
    packet = codec.status(Status.FAILURE, "why").packet(9)
    assert packet == string(struct.pack(">BII", 101, 9, 4) + string(b"why") + string(b"en"))


def test_version_lists_the_extensions() -> None:
    """VERSION says 3 and what else may be asked for."""
    assert codec.version([(b"a@b", b"1")]) == string(struct.pack(">BI", 2, 3) + string(b"a@b") + string(b"1"))


def test_a_listed_file_looks_as_ls_shows_it(tmp_path: Path) -> None:
    """The long name has the columns that clients cut it into, with the year only for an old file."""
    file = tmp_path / "list.csv"
    file.write_bytes(b"12345")
    file.chmod(0o600)
    os.utime(file, (1_000_000_000, 1_000_000_000))
    name, line, _ = codec.entry("list.csv", file.stat(), "amperity", 1_000_000_100.0)
    assert name == b"list.csv"
    assert line.split() == [b"-rw-------", b"1", b"amperity", b"amperity", b"5", b"Sep", b"9", b"01:46", b"list.csv"]
    _, old, _ = codec.entry("list.csv", file.stat(), "amperity", 1_100_000_000.0)
    assert old.split()[5:8] == [b"Sep", b"9", b"2001"]
