"""What a client can reach: its own directory, and by no trick anything else."""

import os
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from parts.descriptors import open_descriptors

from relay.landing.codec import RefusedError
from relay.landing.filesystem import DEEPEST, Disk, RemotePath, Root, remote_path, shown
from relay.model import RelayError

SECRET = b"not the client's"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory with a file, neither of which is the account's."""
    directory = tmp_path / "landing" / "other"
    directory.mkdir(parents=True)
    (directory / "secret").write_bytes(SECRET)
    return directory


@pytest.fixture
def landing(tmp_path: Path) -> Path:
    """The account's directory."""
    directory = tmp_path / "landing" / "amperity"
    directory.mkdir(parents=True)
    return directory


@pytest.fixture
def root(tmp_path: Path, landing: Path) -> Iterator[Root]:
    """The account's part of the disk."""
    (tmp_path / "incoming").mkdir()
    root = Root(landing, tmp_path / "incoming", Disk())
    yield root
    root.close()


@pytest.mark.parametrize(
    ("raw", "names"),
    [
        (b"", ()),
        (b".", ()),
        (b"/", ()),
        (b"uploads/list.csv", ("uploads", "list.csv")),
        (b"/uploads/list.csv", ("uploads", "list.csv")),
        (b"//uploads///list.csv//", ("uploads", "list.csv")),
        (b"./uploads/./list.csv/.", ("uploads", "list.csv")),
        (b"/uploads/a b\\ c.csv", ("uploads", "a b\\ c.csv")),
        ("/uploads/Ünïcödé".encode(), ("uploads", "Ünïcödé")),
    ],
)
def test_paths_are_taken_however_a_client_writes_them(raw: bytes, names: RemotePath) -> None:
    """Relative, absolute, with doubled and trailing slashes: one file (rule L7)."""
    assert remote_path(raw) == names


@pytest.mark.parametrize(
    ("raw", "names"),
    [
        (b"..", ()),
        (b"/..", ()),
        (b"../../../../etc/passwd", ("etc", "passwd")),
        (b"/uploads/../../../etc/passwd", ("etc", "passwd")),
        (b"/uploads/..", ()),
        (b"/uploads/../uploads/../..", ()),
        (b"/uploads/a/../../b", ("b",)),
        (b"/uploads/.../x", ("uploads", "...", "x")),
        (b"/uploads/..;/x", ("uploads", "..;", "x")),
        (b"/uploads/..%2f..%2fx", ("uploads", "..%2f..%2fx")),
        (b"/uploads/..\\..\\x", ("uploads", "..\\..\\x")),
        ("/uploads/\u2024\u2024/x".encode(), ("uploads", "\u2024\u2024", "x")),
    ],
)
def test_no_path_names_anything_above_the_root(raw: bytes, names: RemotePath) -> None:
    """Going up ends at the root, wherever the dots stand; what only looks like dots is a name."""
    assert remote_path(raw) == names


@pytest.mark.parametrize(
    "raw",
    [
        b"/uploads/nul\0.csv",
        b"/uploads/line\nfeed",
        b"/uploads/\x1b[2J",
        b"/uploads/\x7f",
        "/uploads/\u0085next".encode(),
        "/uploads/\u2028line".encode(),
        b"/uploads/\xff\xfe",
        b"/uploads/\xc0\xae\xc0\xae/x",
        b"/uploads/\xed\xa0\x80",
        b"/uploads/" + b"x" * 256,
        b"/uploads/" + "é".encode() * 128,
        b"/x" * (DEEPEST + 1),
    ],
)
def test_names_that_nobody_needs_are_refused(raw: bytes) -> None:
    """Control characters, what is not UTF-8 (overlong dots among it), and too much of anything."""
    with pytest.raises(RefusedError):
        remote_path(raw)


def test_the_longest_name_is_taken() -> None:
    """255 bytes are what a file system takes, and a path may be as deep as is said."""
    assert remote_path(b"x" * 255) == ("x" * 255,)
    assert len(remote_path(b"/x" * DEEPEST)) == DEEPEST


def reads(root: Root, path: RemotePath) -> bytes:
    """Read a file."""
    download = root.open_file(path)
    try:
        return download.read(0, 1000)
    finally:
        download.close()


def creates(root: Root, path: RemotePath) -> None:
    """Publish a file of one byte."""
    os.write(descriptor := root.create_incoming("temporary"), b"x")
    os.close(descriptor)
    try:
        with root.published("temporary", path, must_be_new=False):
            pass
    finally:
        root.discard_incoming("temporary")


THROUGH_A_DIRECTORY: list[Callable[[Root], object]] = [
    lambda root: reads(root, ("uploads", "link", "secret")),
    lambda root: creates(root, ("uploads", "link", "new")),
    lambda root: creates(root, ("uploads", "link", "secret")),
    lambda root: root.stat(("uploads", "link", "secret")),
    lambda root: root.stat(("uploads", "link")),
    lambda root: root.open_directory(("uploads", "link")),
    lambda root: root.make_directory(("uploads", "link", "new")),
    lambda root: root.remove_file(("uploads", "link", "secret")),
    lambda root: root.remove_directory(("uploads", "link")),
    lambda root: root.rename(("uploads", "link", "secret"), ("uploads", "mine"), replace=False),
    lambda root: root.rename(("uploads", "link", "secret"), ("uploads", "mine"), replace=True),
    lambda root: root.rename(("uploads", "mine"), ("uploads", "link", "new"), replace=False),
    lambda root: root.rename(("uploads", "mine"), ("uploads", "link", "secret"), replace=True),
    lambda root: root.rename(("uploads", "link"), ("uploads", "moved"), replace=True),
]


@pytest.mark.parametrize("attempt", THROUGH_A_DIRECTORY)
@pytest.mark.parametrize("target", ["../../other", "absolute", ".."])
def test_a_link_to_a_directory_leads_nowhere(
    root: Root, landing: Path, outside: Path, target: str, attempt: Callable[[Root], object]
) -> None:
    """A link that lies there, by whatever means, is not followed by any operation (rule L4)."""
    (landing / "uploads" / "mine").write_bytes(b"mine")
    (landing / "uploads" / "link").symlink_to(outside if target == "absolute" else target)
    before = (outside / "secret").stat()
    with pytest.raises((FileNotFoundError, NotADirectoryError)):
        attempt(root)
    assert sorted(path.name for path in outside.iterdir()) == ["secret"]
    assert (outside / "secret").stat() == before
    assert (landing / "uploads" / "mine").read_bytes() == b"mine"


def test_a_link_to_a_file_is_not_read_listed_or_written_through(root: Root, landing: Path, outside: Path) -> None:
    """To a client a link does not exist; an upload of its name takes its place and leaves its target alone."""
    (landing / "uploads" / "link").symlink_to(outside / "secret")
    with pytest.raises(FileNotFoundError):
        reads(root, ("uploads", "link"))
    listing = root.open_directory(("uploads",))
    assert [name for name, _ in listing.take(10)] == [".", ".."]
    listing.close()
    creates(root, ("uploads", "link"))
    assert (outside / "secret").read_bytes() == SECRET
    assert not (landing / "uploads" / "link").is_symlink()


def test_a_directory_moved_up_after_it_was_made_leads_nowhere(root: Root, landing: Path) -> None:
    """The known escape: something legal deep in the tree, renamed upwards, must not become a way out."""
    root.make_directory(("uploads", "a"))
    root.make_directory(("uploads", "a", "b"))
    root.rename(("uploads", "a", "b"), ("b",), replace=False)
    assert remote_path(b"/b/../../etc/passwd") == ("etc", "passwd")
    with pytest.raises(FileNotFoundError):
        root.stat(("etc", "passwd"))
    assert (landing / "b").is_dir()


def test_a_directory_swapped_for_a_link_between_check_and_use_is_not_followed(
    root: Root, landing: Path, outside: Path
) -> None:
    """The place of an upload is looked up anew when it is published, and no link is followed then either."""
    root.make_directory(("uploads", "inner"))
    assert root.check_publishable(("uploads", "inner", "list.csv"), must_be_new=False) is False
    (landing / "uploads" / "inner").rmdir()
    (landing / "uploads" / "inner").symlink_to(outside)
    with pytest.raises(NotADirectoryError):
        creates(root, ("uploads", "inner", "list.csv"))
    assert sorted(path.name for path in outside.iterdir()) == ["secret"]


def test_a_directory_swapped_for_a_link_over_and_over_leads_nowhere(root: Root, landing: Path, outside: Path) -> None:
    """Whatever moment an operation hits, it sees the directory or nothing, and never what the link points to."""
    inner, aside, link = landing / "uploads" / "inner", landing / "aside", landing / "link"
    inner.mkdir()
    link.symlink_to(outside)
    before = (outside / "secret").stat()
    over = threading.Event()

    def swap() -> None:
        while not over.is_set():
            for source, target in ((inner, aside), (link, inner), (inner, link), (aside, inner)):
                source.rename(target)

    swapping = threading.Thread(target=swap)
    swapping.start()
    read: set[bytes] = set()

    def attempts(number: int) -> Iterator[Callable[[], object]]:
        yield lambda: read.add(reads(root, ("uploads", "inner", "secret")))
        yield lambda: creates(root, ("uploads", "inner", f"new-{number}"))
        yield lambda: root.remove_file(("uploads", "inner", "secret"))
        yield lambda: root.make_directory(("uploads", "inner", f"made-{number}"))
        yield lambda: root.rename(("uploads", "inner", "secret"), ("mine",), replace=True)

    for number in range(300):
        for attempt in attempts(number):
            with suppress(OSError):
                attempt()
    over.set()
    swapping.join()
    assert read == set()
    assert [path.name for path in outside.iterdir()] == ["secret"]
    assert (outside / "secret").stat() == before


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes devices")
def test_devices_do_not_exist_for_a_client(root: Root, landing: Path) -> None:
    """Not even opened: that alone may do something to one."""
    try:
        os.mknod(landing / "uploads" / "null", 0o600 | stat.S_IFCHR, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("devices cannot be made here")
    for attempt in (root.stat, root.open_file, root.remove_file):
        with pytest.raises(FileNotFoundError):
            attempt(("uploads", "null"))
    assert (landing / "uploads" / "null").is_char_device()


def test_pipes_and_sockets_do_not_exist_for_a_client(root: Root, landing: Path) -> None:
    """A pipe that somebody put there is not opened, which would wait for its writer."""
    os.mkfifo(landing / "uploads" / "pipe")
    with pytest.raises(FileNotFoundError):
        reads(root, ("uploads", "pipe"))
    with pytest.raises(FileNotFoundError):
        root.stat(("uploads", "pipe"))


def test_names_that_a_client_could_not_say_are_not_listed(root: Root, landing: Path) -> None:
    """What was put there under a name that is not text would only break the listing."""
    (landing / "uploads" / "fine").touch()
    Path(os.fsdecode(os.fsencode(landing / "uploads") + b"/\xff\xfe")).touch()
    (landing / "uploads" / "with\nnewline").touch()
    listing = root.open_directory(("uploads",))
    assert [name for name, _ in listing.take(10)] == [".", "..", "fine"]
    listing.close()


def test_the_parent_of_the_root_is_not_shown(root: Root, landing: Path) -> None:
    """`..` is listed as every client expects it, with the attributes of the directory itself."""
    listing = root.open_directory(())
    entries = dict(listing.take(10))
    listing.close()
    assert entries[".."].st_ino == entries["."].st_ino == landing.stat().st_ino


@pytest.mark.parametrize("path", [(), ("uploads",)])
def test_the_root_and_uploads_stay(root: Root, landing: Path, path: RemotePath) -> None:
    """Every account has `/uploads`, whatever its client does (rule L7)."""
    root.make_directory(("elsewhere",))
    with pytest.raises(RefusedError):
        root.remove_directory(path)
    for replace in (False, True):
        with pytest.raises(RefusedError):
            root.rename(path, ("gone",), replace=replace)
        with pytest.raises(RefusedError):
            root.rename(("elsewhere",), path, replace=replace)
    assert (landing / "uploads").is_dir()


def test_uploads_is_made_again_if_it_is_gone(landing: Path, root: Root, tmp_path: Path) -> None:
    """Whoever removed the directory on the host, the next login finds it."""
    (landing / "uploads").rmdir()
    Root(landing, tmp_path / "incoming", Disk()).close()
    assert root.stat(("uploads",))


@pytest.mark.parametrize("replace", [False, True])
def test_nothing_takes_the_place_of_a_directory(root: Root, landing: Path, *, replace: bool) -> None:
    """Neither a file nor a directory is renamed over a directory, though the system would allow an empty one."""
    for name in ("one", "two"):
        root.make_directory((name,))
    creates(root, ("file",))
    with pytest.raises(FileExistsError):
        root.rename(("one",), ("two",), replace=replace)
    with pytest.raises((FileExistsError, IsADirectoryError)):
        root.rename(("file",), ("two",), replace=replace)
    with pytest.raises(FileExistsError):
        root.rename(("one",), ("file",), replace=replace)
    assert (landing / "one").is_dir()
    assert (landing / "two").is_dir()


def test_rename_overwrites_only_where_it_may(root: Root, landing: Path) -> None:
    """RENAME of version 3 refuses a name that is taken; posix-rename takes it."""
    (landing / "new").write_bytes(b"new")
    (landing / "old").write_bytes(b"old")
    with pytest.raises(FileExistsError):
        root.rename(("new",), ("old",), replace=False)
    assert (landing / "old").read_bytes() == b"old"
    root.rename(("new",), ("old",), replace=True)
    assert (landing / "old").read_bytes() == b"new"
    assert not (landing / "new").exists()


def test_a_directory_is_not_moved_where_its_files_could_not_be_reached(root: Root) -> None:
    """Moving deep trees into one another must not make paths that the system cannot be given."""
    deep: RemotePath = ()
    for _ in range(DEEPEST - 1):
        deep = (*deep, "d")
        root.make_directory(deep)
    root.make_directory(("other",))
    root.make_directory(("other", "inner"))
    root.rename(("other",), (*deep[:-2], "other"), replace=False)
    with pytest.raises(RefusedError, match="nested"):
        root.rename(("d",), ("uploads", "d"), replace=False)


def test_a_file_that_was_replaced_comes_back_if_its_successor_fails(root: Root, landing: Path, tmp_path: Path) -> None:
    """What has been acknowledged is not lost to an upload that in the end was not."""
    (landing / "list.csv").write_bytes(b"acknowledged")
    inode = (landing / "list.csv").stat().st_ino
    os.write(descriptor := root.create_incoming("temporary"), b"successor")
    os.close(descriptor)

    def note() -> None:
        assert (landing / "list.csv").read_bytes() == b"successor"
        raise RelayError("the database is full")

    with pytest.raises(RelayError), root.published("temporary", ("list.csv",), must_be_new=False):
        note()
    assert (landing / "list.csv").read_bytes() == b"acknowledged"
    assert (landing / "list.csv").stat().st_ino == inode
    assert list((tmp_path / "incoming").iterdir()) == []


def test_a_name_taken_meanwhile_is_not_taken_back(root: Root, landing: Path) -> None:
    """A failed upload removes its own file only, not the one that another client put in its place."""
    os.close(root.create_incoming("temporary"))

    def note() -> None:
        (landing / "another").write_bytes(b"another's")
        (landing / "another").rename(landing / "list.csv")
        raise RelayError("the database is full")

    with pytest.raises(RelayError), root.published("temporary", ("list.csv",), must_be_new=False):
        note()
    assert (landing / "list.csv").read_bytes() == b"another's"


def test_a_file_that_comes_back_is_never_gone(root: Root, landing: Path) -> None:
    """A kill at any moment leaves it, or its successor, under the name."""
    (landing / "list.csv").write_bytes(b"acknowledged")
    over, missing = threading.Event(), 0

    def watch() -> None:
        nonlocal missing
        while not over.is_set():
            missing += not (landing / "list.csv").exists()

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        for _ in range(2000):
            os.close(root.create_incoming("temporary"))
            with pytest.raises(RelayError), root.published("temporary", ("list.csv",), must_be_new=False):
                raise RelayError("the database is full")
    finally:
        over.set()
        watcher.join()
    assert missing == 0
    assert (landing / "list.csv").read_bytes() == b"acknowledged"


def test_what_cannot_come_back_is_kept(landing: Path, tmp_path: Path) -> None:
    """If the disk refuses even that, the bytes of the file that was replaced are not removed with the rest."""
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    root = Root(landing, incoming, Disk())
    (landing / "list.csv").write_bytes(b"acknowledged")
    os.close(root.create_incoming("temporary"))

    def refuse() -> None:
        # A directory cannot be renamed over a file.
        (incoming / "temporary.replaced").rename(incoming / "kept")
        (incoming / "temporary.replaced").mkdir()
        raise RelayError("the disk is failing")

    with pytest.raises(RelayError), root.published("temporary", ("list.csv",), must_be_new=False):
        refuse()
    assert (incoming / "temporary.replaced").exists()
    root.close()


@pytest.mark.parametrize(
    ("change", "synced"),
    [
        (lambda root: root.rename(("uploads", "f"), ("uploads", "g"), replace=False), ["uploads"]),
        (lambda root: root.rename(("uploads", "f"), ("uploads", "g"), replace=True), ["uploads"]),
        (lambda root: root.rename(("uploads", "f"), ("d", "f"), replace=False), ["d", "uploads"]),
        (lambda root: root.rename(("uploads", "f"), ("d", "f"), replace=True), ["d", "uploads"]),
        (lambda root: root.rename(("d",), ("uploads", "d"), replace=False), ["uploads", "amperity"]),
        (lambda root: root.remove_file(("uploads", "f")), ["uploads"]),
        (lambda root: root.make_directory(("uploads", "new")), ["uploads"]),
    ],
)
def test_what_a_client_was_told_of_names_is_durable(
    landing: Path, tmp_path: Path, change: Callable[[Root], None], synced: list[str]
) -> None:
    """Every directory that has changed is synced before the answer, the one with the new name first (rule L1)."""
    (tmp_path / "incoming").mkdir()
    seen: list[str] = []
    root = Root(
        landing, tmp_path / "incoming", Disk(sync=lambda it: seen.append(Path(f"/proc/self/fd/{it}").readlink().name))
    )
    (landing / "d").mkdir()
    (landing / "uploads" / "f").touch()
    change(root)
    root.close()
    assert seen == synced


def test_what_is_open_is_closed_once(root: Root, landing: Path) -> None:
    """A second time would close whatever has got that number by then: another client's upload, or the database."""
    (landing / "file").touch()
    for opened in (root.open_file(("file",)), root.open_directory(())):
        opened.close()
        other = os.open(landing, os.O_RDONLY)
        opened.close()
        os.fstat(other)
        os.close(other)


def test_an_exclusive_upload_replaces_nothing(root: Root, landing: Path) -> None:
    """The name is looked at again at the moment of publishing."""
    os.close(root.create_incoming("temporary"))
    (landing / "list.csv").write_bytes(b"first")
    with pytest.raises(FileExistsError), root.published("temporary", ("list.csv",), must_be_new=True):
        pytest.fail("published over another file")
    assert (landing / "list.csv").read_bytes() == b"first"


def test_no_descriptor_stays_open(root: Root, landing: Path) -> None:
    """Looking, failing to look and renaming leave as many descriptors open as before."""
    (landing / "file").touch()
    before = open_descriptors()
    root.make_directory(("uploads", "a"))
    root.stat(("uploads", "a"))
    root.rename(("file",), ("uploads", "a", "file"), replace=False)
    for attempt in THROUGH_A_DIRECTORY:
        with pytest.raises((OSError, RefusedError)):
            attempt(root)
    assert open_descriptors() == before


def test_a_path_is_shown_as_the_client_knows_it() -> None:
    """From its own root."""
    assert shown(("uploads", "list.csv")) == "/uploads/list.csv"
    assert shown(()) == "/"
