"""What a client may ask for, asked of the operations themselves."""

import io
import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from parts.descriptors import open_descriptors
from parts.sftp import string

from relay import log
from relay.floor import Floor
from relay.landing import codec, table
from relay.landing.codec import Answer
from relay.landing.custody import Custody
from relay.landing.filesystem import Disk, Root
from relay.landing.handles import Handles
from relay.landing.operations import MOST_HANDLES, Operations
from relay.landing.room import Allowance, Room, measure
from relay.model import Landing, RelayError
from relay.sftp import MOST_DATA, Fields, Kind, OpenFlag, Status

CREATE = OpenFlag.WRITE | OpenFlag.CREATE | OpenFlag.TRUNCATE


class Client:
    """A client's operations, and what came of them."""

    def __init__(self, directory: Path) -> None:
        for name in ("landing", "incoming"):
            (directory / name).mkdir()
        self.landing, self.incoming = directory / "landing", directory / "incoming"
        self.log = io.StringIO()
        log.configure(self.log, pretty=False)
        self.noted: list[Landing] = []
        self.landed = 0
        self.stopping = False
        self.full = False
        root = Root(self.landing, self.incoming, Disk())
        self.free = 1 << 50
        self.room = Room(
            Allowance(file=1000, total=3000, entries=200),
            lambda: measure((self.landing, self.incoming)),
            Floor(lambda: self.free, 1000),
        )
        self.handles = Handles(1 << 20)
        custody = Custody("amperity", "s1", self.room, self.handles, self._note, self._count, lambda: self.stopping)
        self.operations = Operations(root, custody, background=lambda work: work())

    def _note(self, landing: Landing) -> None:
        if self.full:
            raise RelayError("relay.db cannot grow", hint="Make room.")
        self.noted.append(landing)

    def _count(self) -> None:
        self.landed += 1

    def ask(self, kind: int, body: bytes) -> Answer:
        """Have a request answered."""
        fields = Fields(body)
        answer = self.operations.perform(table.find(kind, fields).run, fields)
        if answer.then:
            answer.then()
        return answer

    def open(self, path: str, flags: int = CREATE) -> Answer:
        """OPEN."""
        return self.ask(Kind.OPEN, string(path.encode()) + struct.pack(">II", flags, 0))

    def upload(self, path: str) -> bytes:
        """OPEN for writing and return the handle."""
        answer = self.open(path)
        assert answer.kind == Kind.HANDLE, answer
        return answer.body[4:]

    def write(self, handle: bytes, content: bytes) -> Answer:
        """WRITE at the beginning."""
        return self.operations.write(codec.Write(1, handle, 0, memoryview(content)))


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Client]:
    """A client that has logged in."""
    client = Client(tmp_path)
    yield client
    client.operations.end("over")


def status(answer: Answer) -> int:
    """The code of a STATUS."""
    assert answer.kind == Kind.STATUS, answer
    return int.from_bytes(answer.body[:4], "big")


def message(answer: Answer) -> str:
    """The message of a STATUS."""
    return answer.body[8 : 8 + int.from_bytes(answer.body[4:8], "big")].decode()


@pytest.mark.parametrize(
    ("flags", "exists", "outcome"),
    [
        ("WRITE CREATE TRUNCATE", False, "upload"),
        ("WRITE CREATE TRUNCATE", True, "upload"),
        ("READ WRITE CREATE TRUNCATE", True, "upload"),
        ("WRITE CREATE", False, "upload"),
        ("WRITE CREATE EXCLUSIVE", False, "upload"),
        ("WRITE TRUNCATE", True, "upload"),
        ("READ", True, "download"),
        ("READ", False, "No such file or directory"),
        ("WRITE", False, "No such file or directory"),
        ("WRITE TRUNCATE", False, "No such file or directory"),
        ("WRITE", True, "Resuming is not supported; send the whole file again"),
        ("READ WRITE", True, "Resuming is not supported; send the whole file again"),
        ("WRITE CREATE", True, "Resuming is not supported; send the whole file again"),
        ("WRITE APPEND", True, "Appending is not supported; send the whole file again"),
        ("WRITE CREATE APPEND", False, "Appending is not supported; send the whole file again"),
        ("WRITE CREATE TRUNCATE APPEND", True, "Appending is not supported; send the whole file again"),
        ("WRITE CREATE EXCLUSIVE", True, "The name is taken"),
        ("WRITE CREATE TRUNCATE EXCLUSIVE", True, "The name is taken"),
    ],
)
def test_every_way_to_open_a_file(client: Client, flags: str, outcome: str, *, exists: bool) -> None:
    """An upload begins empty, and a published file is never written again (rule L3)."""
    if exists:
        (client.landing / "uploads" / "list.csv").write_bytes(b"published")
    answer = client.open("/uploads/list.csv", sum(OpenFlag[name] for name in flags.split()))
    if answer.kind == Kind.HANDLE:
        assert outcome == ("upload" if client.operations.uploads else "download")
    else:
        assert message(answer) == outcome
    assert exists is (client.landing / "uploads" / "list.csv").exists()


def test_a_directory_is_not_a_file(client: Client) -> None:
    """Neither to write nor to read."""
    assert message(client.open("/uploads")) == "The name is taken"
    assert status(client.open("/uploads", OpenFlag.READ)) == Status.NO_SUCH_FILE
    assert status(client.open("/")) == Status.PERMISSION_DENIED


def test_a_confirmed_upload_is_noted_logged_and_hinted_at(client: Client) -> None:
    """Noted before the answer, logged and hinted at after it."""
    handle = client.upload("/uploads/list.csv")
    client.write(handle, b"content")
    fields = Fields(string(handle))
    answer = client.operations.perform(table.find(Kind.CLOSE, fields).run, fields)
    assert [(landing.path, landing.size, landing.confirmed) for landing in client.noted] == [
        ("/uploads/list.csv", 7, True)
    ]
    assert "upload_confirmed" not in client.log.getvalue()
    assert client.landed == 0
    assert answer.then is not None
    answer.then()
    assert "upload_confirmed" in client.log.getvalue()
    assert client.landed == 1


def test_an_upload_that_cannot_be_noted_is_refused_without_saying_why(client: Client) -> None:
    """The client is told that it failed; what is wrong inside is for the operator."""
    client.full = True
    handle = client.upload("/uploads/list.csv")
    client.write(handle, b"content")
    answer = client.ask(Kind.CLOSE, string(handle))
    assert status(answer) == Status.FAILURE
    assert "relay.db" not in message(answer)
    assert '"reason": "not_durable"' in client.log.getvalue()
    assert list((client.landing / "uploads").iterdir()) == []
    assert client.landed == 0


def test_a_handle_is_closed_once(client: Client) -> None:
    """Afterwards it is unknown, and its number is not given out again."""
    handle = client.upload("/uploads/list.csv")
    assert status(client.ask(Kind.CLOSE, string(handle))) == Status.OK
    assert status(client.ask(Kind.CLOSE, string(handle))) == Status.FAILURE
    assert status(client.write(handle, b"x")) == Status.FAILURE
    assert client.upload("/uploads/list.csv") != handle


def test_an_upload_that_failed_to_close_is_closed(client: Client) -> None:
    """A refused CLOSE does not keep the handle, or a client could not go on."""
    client.full = True
    handle = client.upload("/uploads/list.csv")
    client.ask(Kind.CLOSE, string(handle))
    assert client.operations.uploads == []
    assert list(client.incoming.iterdir()) == []


def test_handles_are_bounded_and_given_back(client: Client) -> None:
    """Nobody opens files without end, and a closed one makes room."""
    handles = [client.upload(f"/uploads/{number}") for number in range(MOST_HANDLES)]
    assert "may be open at once" in message(client.open("/uploads/one-more"))
    assert "may be open at once" in message(client.ask(Kind.OPENDIR, string(b"/")))
    client.ask(Kind.CLOSE, string(handles[0]))
    client.upload("/uploads/one-more")


def test_what_is_closed_refused_or_given_up_counts_no_more(client: Client) -> None:
    """The account's share is what is open, not what ever was (rule L11)."""
    for _ in range(client.handles.most_of_an_account - 1):
        client.handles.take("amperity")
    for _ in range(3):
        assert status(client.ask(Kind.CLOSE, string(client.upload("/uploads/list.csv")))) == Status.OK
        assert status(client.open("/uploads/nothing", OpenFlag.READ)) == Status.NO_SUCH_FILE
        client.full = True
        assert status(client.ask(Kind.CLOSE, string(client.upload("/uploads/list.csv")))) == Status.FAILURE
        client.full = False
    client.upload("/uploads/list.csv")
    assert "files of an account may be open at once" in message(client.open("/uploads/one-more"))
    client.operations.end("not_closed")
    client.handles.take("amperity")


def test_one_handle_that_cannot_be_closed_does_not_keep_the_others(client: Client) -> None:
    """Every upload is aborted and every descriptor closed, whatever one of them raises."""
    client.upload("/uploads/first")
    there = client.landing / "there"
    there.touch()
    client.open("/there", OpenFlag.READ)
    client.upload("/uploads/last")
    os.close(next(number for number, target in open_descriptors().items() if target == str(there)))
    with pytest.raises(OSError, match="Bad file descriptor"):
        client.operations.end("connection_lost")
    assert list(client.incoming.iterdir()) == []
    assert client.log.getvalue().count("landing.upload_unconfirmed") == 2
    assert not [target for target in open_descriptors().values() if target.startswith(str(client.landing.parent))]


def test_a_handle_that_cannot_be_closed_is_given_back(client: Client) -> None:
    """It is tried once: its number may be another file's by then."""
    there = client.landing / "there"
    there.touch()
    handle = client.open("/there", OpenFlag.READ).body[4:]
    os.close(next(number for number, target in open_descriptors().items() if target == str(there)))
    assert status(client.ask(Kind.CLOSE, string(handle))) == Status.FAILURE
    assert "not open" in message(client.ask(Kind.CLOSE, string(handle)))


def test_uploads_do_not_begin_while_stopping(client: Client) -> None:
    """What is open may end; nothing new begins, and the client is told to come again."""
    handle = client.upload("/uploads/first")
    client.stopping = True
    assert "send the file again" in message(client.open("/uploads/second"))
    assert status(client.ask(Kind.CLOSE, string(handle))) == Status.OK


@pytest.mark.parametrize(
    ("size", "reason"), [(1001, "file_too_large"), (600, "quota_used_up")], ids=["one file", "all files"]
)
def test_a_write_without_room_fails_and_so_does_the_upload(client: Client, size: int, reason: str) -> None:
    """The client hears of it at once and again at CLOSE, the log says why, and nothing is left (rule L8)."""
    (client.landing / "uploads" / "before").write_bytes(bytes(2500))
    handle = client.upload("/uploads/list.csv")
    assert status(client.write(handle, bytes(size))) == Status.FAILURE
    assert "earlier write" in message(client.write(handle, b"x"))
    assert "not kept" in message(client.ask(Kind.CLOSE, string(handle)))
    assert f'"reason": "{reason}"' in client.log.getvalue()
    assert list(client.incoming.iterdir()) == []
    assert client.noted == []


def test_a_size_without_room_is_refused(client: Client) -> None:
    """A client that sets the size first is told before it sends anything; the upload itself is not spoilt."""
    handle = client.upload("/uploads/list.csv")
    answer = client.ask(Kind.FSETSTAT, string(handle) + struct.pack(">IQ", 0x1, 1001))
    assert message(answer) == "A file may have 1kB"
    client.write(handle, b"short")
    assert status(client.ask(Kind.CLOSE, string(handle))) == Status.OK


def test_no_upload_and_no_directory_begins_without_room(client: Client) -> None:
    """The client is told so in words, the operator in the log; what was there stays."""
    (client.landing / "uploads" / "before").write_bytes(bytes(3000))
    assert message(client.open("/uploads/list.csv")) == "The quota of 3kB is used up"
    assert message(client.ask(Kind.MKDIR, string(b"/uploads/a") + bytes(4))) == "The quota of 3kB is used up"
    assert client.log.getvalue().count('"landing.upload_refused"') == 2
    assert [path.name for path in (client.landing / "uploads").iterdir()] == ["before"]


def test_removing_and_aborting_make_room_at_once(client: Client) -> None:
    """A client that clears up may go on (rule L8)."""
    (client.landing / "uploads" / "before").write_bytes(bytes(2500))
    first = client.upload("/uploads/first")
    assert status(client.write(first, bytes(600))) == Status.FAILURE
    client.ask(Kind.CLOSE, string(first))
    client.ask(Kind.REMOVE, string(b"/uploads/before"))
    for name in ("/uploads/second", "/uploads/third", "/uploads/third", "/uploads/third"):
        handle = client.upload(name)
        assert status(client.write(handle, bytes(1000))) == Status.OK
        assert status(client.ask(Kind.CLOSE, string(handle))) == Status.OK


def test_below_the_floor_uploads_wait_for_better_times(client: Client) -> None:
    """Reading, removing and closing go on; an upload that would go on for long does not (rule L8)."""
    handle = client.upload("/uploads/list.csv")
    client.free = 999
    assert "nearly full" in message(client.open("/uploads/second"))
    client.write(handle, b"content")
    assert status(client.ask(Kind.CLOSE, string(handle))) == Status.OK
    assert status(client.ask(Kind.REMOVE, string(b"/uploads/list.csv"))) == Status.OK
    assert client.log.getvalue().count('"disk.low"') == 1


def test_wishes_about_a_file_are_accepted_and_ignored(client: Client) -> None:
    """Mode, owner and times are the relay's own (rule R2); the size of what has landed stays."""
    (client.landing / "uploads" / "list.csv").write_bytes(b"published")
    path = string(b"/uploads/list.csv")
    before = (client.landing / "uploads" / "list.csv").stat()
    assert status(client.ask(Kind.SETSTAT, path + struct.pack(">IIIIII", 0xE, 1, 1, 0o777, 1, 1))) == Status.OK
    assert status(client.ask(Kind.SETSTAT, path + struct.pack(">IQ", 0x1, 0))) == Status.OP_UNSUPPORTED
    assert status(client.ask(Kind.SETSTAT, string(b"/nothing") + struct.pack(">I", 0))) == Status.NO_SUCH_FILE
    assert (client.landing / "uploads" / "list.csv").stat() == before


def test_the_size_of_an_open_upload_is_set(client: Client) -> None:
    """FSETSTAT with a size, on an upload and on nothing else."""
    handle = client.upload("/uploads/list.csv")
    client.write(handle, b"0123456789")
    assert status(client.ask(Kind.FSETSTAT, string(handle) + struct.pack(">IQ", 0x1, 4))) == Status.OK
    client.ask(Kind.CLOSE, string(handle))
    assert (client.landing / "uploads" / "list.csv").read_bytes() == b"0123"
    reading = client.open("/uploads/list.csv", OpenFlag.READ).body[4:]
    answer = client.ask(Kind.FSETSTAT, string(reading) + struct.pack(">IQ", 0x1, 0))
    assert status(answer) == Status.PERMISSION_DENIED


def size(answer: Answer) -> int:
    """The size in an ATTRS."""
    assert answer.kind == Kind.ATTRS, answer
    return int.from_bytes(answer.body[4:12], "big")


def test_a_session_sees_what_it_is_writing(client: Client) -> None:
    """By name and not in a list (rule L9): sshfs looks after each OPEN, and sets sizes by name."""
    (client.landing / "uploads" / "list.csv").write_bytes(b"published")
    path = string(b"/uploads/list.csv")
    handle = client.upload("/uploads/list.csv")
    assert size(client.ask(Kind.LSTAT, path)) == 0
    client.write(handle, b"content")
    assert size(client.ask(Kind.STAT, path)) == 7
    assert status(client.ask(Kind.SETSTAT, path + struct.pack(">IQ", 0x1, 4))) == Status.OK
    assert size(client.ask(Kind.STAT, path)) == 4
    assert (client.landing / "uploads" / "list.csv").read_bytes() == b"published"
    client.ask(Kind.CLOSE, string(handle))
    assert (client.landing / "uploads" / "list.csv").read_bytes() == b"cont"


def test_of_two_uploads_of_one_name_a_session_sees_the_later_one(client: Client) -> None:
    """As it would where both wrote into one file."""
    first, second = client.upload("/uploads/list.csv"), client.upload("/uploads/list.csv")
    client.write(first, b"first")
    client.write(second, b"second one")
    assert size(client.ask(Kind.STAT, string(b"/uploads/list.csv"))) == 10
    client.ask(Kind.CLOSE, string(second))
    assert size(client.ask(Kind.STAT, string(b"/uploads/list.csv"))) == 5


@pytest.mark.parametrize("kind", [Kind.READLINK, Kind.SYMLINK, 21, 99, 255])
def test_links_and_unknown_requests_are_unsupported(client: Client, kind: int) -> None:
    """Refused by name or by not being there (rule L4)."""
    assert status(client.ask(kind, string(b"/a") + string(b"/b"))) == Status.OP_UNSUPPORTED


@pytest.mark.parametrize("name", [b"hardlink@openssh.com", b"lsetstat@openssh.com", b"copy-data", b""])
def test_unknown_extensions_are_unsupported(client: Client, name: bytes) -> None:
    """Hard links among them."""
    assert status(client.ask(Kind.EXTENDED, string(name) + string(b"/a") + string(b"/b"))) == Status.OP_UNSUPPORTED


def test_a_download_is_read_to_its_end_and_not_beyond(client: Client) -> None:
    """At most as much at once as was announced; behind the end there is EOF, however far."""
    (client.landing / "uploads" / "big").write_bytes(bytes(300 * 1024))
    handle = string(client.open("/uploads/big", OpenFlag.READ).body[4:])
    assert len(client.ask(Kind.READ, handle + struct.pack(">QI", 0, 2**32 - 1)).body) == 4 + MOST_DATA
    assert client.ask(Kind.READ, handle + struct.pack(">QI", 300 * 1024 - 1, 10)).body == string(b"\0")
    for offset in (300 * 1024, 2**63 - 1, 2**63, 2**64 - 1):
        assert status(client.ask(Kind.READ, handle + struct.pack(">QI", offset, 10))) == Status.EOF


def test_a_published_file_is_not_written_by_a_reading_handle(client: Client) -> None:
    """A handle for reading is refused to WRITE and to fsync."""
    (client.landing / "uploads" / "list.csv").write_bytes(b"published")
    handle = client.open("/uploads/list.csv", OpenFlag.READ).body[4:]
    assert status(client.write(handle, b"x")) == Status.PERMISSION_DENIED
    assert (client.landing / "uploads" / "list.csv").read_bytes() == b"published"


def test_a_long_directory_is_listed_whole(client: Client) -> None:
    """In several answers, each entry once."""
    for number in range(250):
        (client.landing / "uploads" / f"{number:03}").touch()
    handle = string(client.ask(Kind.OPENDIR, string(b"/uploads")).body[4:])
    counts = []
    while (answer := client.ask(Kind.READDIR, handle)).kind == Kind.NAME:
        counts.append(int.from_bytes(answer.body[:4], "big"))
    assert counts == [100, 100, 52]
    assert status(answer) == Status.EOF


def test_moving_and_removing_are_worth_a_scan(client: Client) -> None:
    """The intake is told when a landed file is elsewhere."""
    (client.landing / "uploads" / "a").touch()
    client.ask(Kind.RENAME, string(b"/uploads/a") + string(b"/uploads/b"))
    client.ask(Kind.REMOVE, string(b"/uploads/b"))
    assert client.landed == 2
