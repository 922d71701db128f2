"""One upload: complete and durable, or nothing at all."""

import errno
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from parts.descriptors import open_descriptors

from relay.floor import Floor
from relay.landing.codec import RefusedError
from relay.landing.filesystem import Disk, Root
from relay.landing.room import Allowance, Room, measure
from relay.landing.upload import WRITE_BACK_EVERY, Upload
from relay.model import Fingerprint, RelayError

PATH = ("uploads", "list.csv")


class Account:
    """An account's directories, the uploads of one file into them, and what was noted of it."""

    def __init__(self, directory: Path) -> None:
        self.landing, self.incoming = directory / "landing", directory / "incoming"
        self.landing.mkdir()
        self.incoming.mkdir()
        self.disk = Disk()
        self.free = 1 << 50
        self.room = Room(
            Allowance(file=1 << 50, total=1 << 50, entries=100),
            lambda: measure((self.landing, self.incoming)),
            Floor(lambda: self.free, 1000),
        )
        self.noted: list[tuple[Fingerprint, int]] = []
        self._opened = ExitStack()

    def upload(self, *, must_be_new: bool = False, readable: bool = False) -> Upload:
        """Begin an upload."""
        root = Root(self.landing, self.incoming, self.disk)
        self._opened.callback(root.close)
        upload = Upload(root, self.room, lambda work: work(), PATH, must_be_new=must_be_new, readable=readable)
        self._opened.callback(upload.discard)
        return upload

    def note(self, fingerprint: Fingerprint, size: int) -> None:
        """Note a landing."""
        self.noted.append((fingerprint, size))

    def published(self) -> bytes | None:
        """What the client sees under the upload's name."""
        path = self.landing.joinpath(*PATH)
        return path.read_bytes() if path.exists() else None

    def assert_nothing_is_left(self) -> None:
        """Fail if anything was published, noted or left behind."""
        assert self.published() is None
        assert self.noted == []
        assert list(self.incoming.iterdir()) == []

    def close(self) -> None:
        """Give up what a test left open."""
        self._opened.close()


@contextmanager
def an_account(directory: Path) -> Iterator[Account]:
    """An account with an empty landing zone, after which no descriptor is open that was not before."""
    before = open_descriptors()
    account = Account(directory)
    yield account
    account.close()
    assert open_descriptors() == before


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    """An account with an empty landing zone."""
    with an_account(tmp_path) as account:
        yield account


def write(upload: Upload, offset: int, content: bytes) -> None:
    """Write some bytes."""
    upload.write(offset, memoryview(content))


def test_a_file_is_published_by_its_commit_and_not_before(account: Account) -> None:
    """The bytes lie where no client sees them until then, and what is noted is that very file."""
    upload = account.upload()
    write(upload, 0, b"one,")
    write(upload, 4, b"two\n")
    assert account.published() is None
    assert upload.commit(account.note) == 8
    assert account.published() == b"one,two\n"
    found = account.landing.joinpath(*PATH).stat()
    assert account.noted == [(Fingerprint(found.st_ino, found.st_mtime_ns), 8)]
    assert found.st_mode & 0o777 == 0o600
    assert list(account.incoming.iterdir()) == []


def test_an_empty_file_is_a_file(account: Account) -> None:
    """Nothing written, nothing missing."""
    account.upload().commit(account.note)
    assert account.published() == b""


def test_data_and_names_are_durable_before_the_landing_is_noted(account: Account) -> None:
    """File, rename, directory, row: in this order, or a power cut loses what was acknowledged."""
    steps: list[str] = []

    def sync(descriptor: int) -> None:
        what = "directory" if os.path.isdir(f"/proc/self/fd/{descriptor}") else "file"  # noqa: PTH112
        steps.append(f"{what} synced, {'published' if account.published() is not None else 'unpublished'}")
        os.fsync(descriptor)

    account.disk = Disk(sync=sync)
    upload = account.upload()
    write(upload, 0, b"x")
    upload.commit(lambda *_: steps.append("noted"))
    assert steps == ["file synced, unpublished", "directory synced, published", "noted"]


class ShortWrites:
    """A disk that takes only some bytes of each write, and no more at all once it is full."""

    def __init__(self, room: int) -> None:
        self.room = room

    def write(self, descriptor: int, payload: memoryview, offset: int) -> int:
        """Write what fits, seven bytes at most."""
        if not self.room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count = os.pwrite(descriptor, payload[: min(7, self.room)], offset)
        self.room -= count
        return count


def test_a_write_that_took_only_a_part_is_gone_on_with(account: Account) -> None:
    """The count that a write returns is looked at: no byte is taken for written that was not."""
    account.disk = Disk(write=ShortWrites(1000).write)
    upload = account.upload()
    write(upload, 0, bytes(range(100)))
    upload.commit(account.note)
    assert account.published() == bytes(range(100))


def test_a_full_disk_fails_the_write_and_the_upload_for_good(account: Account) -> None:
    """The last block does not fit: neither a later write nor the client's CLOSE makes a file of it."""
    account.disk = Disk(write=(disk := ShortWrites(20)).write)
    upload = account.upload()
    write(upload, 0, b"0123456789")
    with pytest.raises(OSError, match="No space left"):
        write(upload, 10, b"01234567890123456789")
    disk.room = 1000
    with pytest.raises(RefusedError, match="earlier write"):
        write(upload, 10, b"01234567890123456789")
    with pytest.raises(RefusedError, match="not kept"):
        upload.commit(account.note)
    account.assert_nothing_is_left()


def test_a_write_that_takes_nothing_does_not_hang(account: Account) -> None:
    """A disk that neither takes bytes nor fails is a failed one."""
    account.disk = Disk(write=lambda *_: 0)
    with pytest.raises(OSError, match="Input/output error"):
        write(account.upload(), 0, b"x")


def failing(number: int) -> Disk:
    """A disk on which the `number`-th sync fails: 1 is the file's, 2 the directory's."""
    calls = iter(range(1, 10))

    def sync(descriptor: int) -> None:
        if next(calls) == number:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        os.fsync(descriptor)

    return Disk(sync=sync)


@pytest.mark.parametrize("number", [1, 2])
def test_a_failed_sync_publishes_nothing(account: Account, number: int) -> None:
    """What the disk did not confirm is not confirmed to the client."""
    account.disk = failing(number)
    upload = account.upload()
    write(upload, 0, b"x")
    with pytest.raises(OSError, match="Input/output error"):
        upload.commit(account.note)
    account.assert_nothing_is_left()


def test_a_failed_sync_that_the_client_asked_for_is_remembered(account: Account) -> None:
    """The kernel reports lost bytes once: a second sync would succeed, and prove nothing."""
    account.disk = failing(1)
    upload = account.upload()
    write(upload, 0, b"x")
    with pytest.raises(OSError, match="Input/output error"):
        upload.sync()
    with pytest.raises(RefusedError, match="not kept"):
        upload.commit(account.note)
    account.assert_nothing_is_left()


def test_a_landing_that_cannot_be_noted_is_no_landing(account: Account) -> None:
    """The file leaves the client's view again, so that what the client is told is what is there."""

    def refuse(*_: object) -> None:
        raise RelayError("the database is full")

    upload = account.upload()
    write(upload, 0, b"x")
    with pytest.raises(RelayError):
        upload.commit(refuse)
    account.assert_nothing_is_left()


def test_a_gap_is_noticed(account: Account) -> None:
    """Bytes that were never written would be read as zeros."""
    upload = account.upload()
    write(upload, 0, b"0123")
    write(upload, 8, b"8901")
    with pytest.raises(RefusedError, match="never written"):
        upload.commit(account.note)
    account.assert_nothing_is_left()


@given(st.permutations(range(12)), st.lists(st.integers(0, 11), max_size=6))
def test_writes_may_come_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], again: list[int]
) -> None:
    """Clients write several blocks at once, and some of them twice: complete is complete."""
    with an_account(tmp_path_factory.mktemp("account")) as account:
        upload = account.upload()
        for block in [*order, *again]:
            write(upload, block * 3, bytes([block]) * 3)
        upload.commit(account.note)
        assert account.published() == b"".join(bytes([block]) * 3 for block in range(12))


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(1, 8)), min_size=1, max_size=12))
def test_an_upload_is_complete_exactly_if_every_byte_was_written(
    tmp_path_factory: pytest.TempPathFactory, writes: list[tuple[int, int]]
) -> None:
    """Whatever overlaps and in whatever order: judged against a list of the bytes that were written."""
    with an_account(tmp_path_factory.mktemp("account")) as account:
        upload = account.upload()
        written: set[int] = set()
        for offset, length in writes:
            write(upload, offset, b"x" * length)
            written.update(range(offset, offset + length))
        assert upload.size == max(written) + 1
        if written == set(range(max(written) + 1)):
            upload.commit(account.note)
            assert account.published() == b"x" * len(written)
        else:
            with pytest.raises(RefusedError, match="never written"):
                upload.commit(account.note)


def test_a_size_set_smaller_cuts_the_file(account: Account) -> None:
    """The size that a client sets is honoured, and what is cut off counts as not written."""
    upload = account.upload()
    write(upload, 0, b"0123456789")
    upload.truncate(4)
    assert upload.size == 4
    write(upload, 4, b"xy")
    upload.commit(account.note)
    assert account.published() == b"0123xy"


@pytest.mark.parametrize("size", [11, 1 << 40])
def test_a_size_set_larger_is_a_promise_to_write_it(account: Account, size: int) -> None:
    """A size alone makes no bytes: a file that stays short of it is not complete."""
    upload = account.upload()
    write(upload, 0, b"0123456789")
    upload.truncate(size)
    assert upload.size == 10
    with pytest.raises(RefusedError, match="never written"):
        upload.commit(account.note)
    account.assert_nothing_is_left()


def test_cutting_off_what_came_too_early_leaves_no_gap(account: Account) -> None:
    """What lies beyond the new size is forgotten, and what lies across it is shortened."""
    upload = account.upload()
    write(upload, 0, b"0123")
    write(upload, 6, b"6789")
    write(upload, 20, b"far away")
    upload.truncate(8)
    write(upload, 4, b"45")
    upload.commit(account.note)
    assert account.published() == b"01234567"


@pytest.mark.parametrize("offset", [2**63 - 1, 2**63, 2**64 - 10])
def test_an_offset_that_no_file_has_is_refused(account: Account, offset: int) -> None:
    """Not by a defect, and the upload is over."""
    upload = account.upload()
    with pytest.raises(RefusedError, match="A file may have"):
        write(upload, offset, b"xx")
    with pytest.raises(RefusedError):
        upload.commit(account.note)


def test_endless_gaps_are_refused(account: Account) -> None:
    """What has to be remembered of an upload is bounded."""
    upload = account.upload()
    for block in range(1024):
        write(upload, block * 10 + 1, b"x")
    with pytest.raises(RefusedError, match="left out"):
        write(upload, 1024 * 10 + 1, b"x")


def test_bytes_are_read_back_only_if_asked_for(account: Account) -> None:
    """A file opened for writing alone is not readable."""
    readable, plain = account.upload(readable=True), account.upload()
    write(readable, 0, b"content")
    assert readable.read(3, 100) == b"tent"
    with pytest.raises(RefusedError):
        plain.read(0, 1)
    readable.discard()
    plain.discard()


def test_a_large_upload_is_written_back_on_the_way(account: Account) -> None:
    """Whatever is started on the way, the content stays what it is."""
    upload = account.upload()
    block = os.urandom(1 << 20)
    for number in range(20):
        write(upload, number << 20, block)
    upload.commit(account.note)
    assert account.published() == block * 20


def test_a_large_upload_ends_where_the_disk_is_about_to_be_full(account: Account) -> None:
    """It does not take the last of it, which is for what was acknowledged (rule L8)."""
    upload = account.upload()
    half = bytes(WRITE_BACK_EVERY // 2)
    write(upload, 0, half)
    account.free = 999
    with pytest.raises(RefusedError, match="nearly full"):
        write(upload, len(half), half)
    assert upload.failure == "disk_low"
    with pytest.raises(RefusedError, match="not kept"):
        upload.commit(account.note)
    account.assert_nothing_is_left()


def test_a_discarded_upload_leaves_nothing_however_often(account: Account) -> None:
    """An abort removes the file; a second one, or one after the file was removed by hand, does no harm."""
    upload = account.upload()
    write(upload, 0, b"x")
    next(account.incoming.iterdir()).unlink()
    upload.discard()
    upload.discard()
    account.assert_nothing_is_left()
