"""Unpacking: what lands packed comes out as plain files, whole, within limits, or not at all (rules K1 to K7)."""

import io
import itertools
import stat
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from parts.packed import MORE_ROWS, ROWS, gzipped, tar_of, tarred, zipped, zstandard

from relay.model import IdentifierKind
from relay.rewrite.files import SourceFile
from relay.rewrite.packing import Unpacked, unpack
from relay.rewrite.packing.members import shown_name
from relay.rewrite.rules import Rules, SourceRules, UnpackRules
from relay.rewrite.unusable import Unusable, UnusableSource

TEXT = ROWS.decode()


@pytest.fixture
def unpacked(tmp_path: Path) -> Callable[..., Unpacked]:
    """Unpacks files with the contents given, each time into a new directory."""
    attempts = itertools.count(1)

    def unpacked_files(*contents: bytes, limits: UnpackRules | None = None, accept_gaps: bool = False) -> Unpacked:
        attempt = tmp_path / str(next(attempts))
        attempt.mkdir()
        sources = []
        for number, content in enumerate(contents, start=1):
            path = attempt / f"landed{number}.csv"
            path.write_bytes(content)
            sources.append(SourceFile(path, f"/uploads/{number}.csv"))
        source = SourceRules(gaps="accept" if accept_gaps else "quarantine")
        rules = Rules(identifier=IdentifierKind.PHONE, source=source, unpack=limits or UnpackRules())
        return unpack(sources, attempt / "unpacked", rules)

    return unpacked_files


def contents(found: Unpacked) -> list[bytes]:
    """What is in the files that came out."""
    return [source.path.read_bytes() for source in found.sources]


def test_a_plain_file_stays_where_it_is(unpacked: Callable[..., Unpacked], tmp_path: Path) -> None:
    """What is not packed is neither copied nor remarked upon."""
    found = unpacked(ROWS)
    assert [source.path for source in found.sources] == [tmp_path / "1" / "landed1.csv"]
    assert not found.recognised
    assert not (tmp_path / "1" / "unpacked").exists()


@pytest.mark.parametrize(
    ("packed", "chain"),
    [
        pytest.param(gzipped(ROWS), "gzip", id="gzip"),
        pytest.param(gzipped(ROWS[:20]) + gzipped(ROWS[20:]), "gzip", id="gzip of two members"),
        pytest.param(gzipped(ROWS) + bytes(512), "gzip", id="gzip, padded"),
        pytest.param(zstandard(ROWS), "zstd", id="zstd"),
        pytest.param(zstandard(ROWS[:20]) + zstandard(ROWS[20:]), "zstd", id="zstd of two frames"),
        pytest.param(zipped({"export.csv": ROWS}), "zip", id="zip"),
        pytest.param(zipped({"export.csv": ROWS}, zipfile.ZIP_STORED), "zip", id="zip, stored"),
        pytest.param(tarred({"export.csv": ROWS}), "tar", id="tar"),
        pytest.param(gzipped(tarred({"export.csv": ROWS})), "gzip, tar", id="tgz"),
        pytest.param(zstandard(tarred({"export.csv": ROWS})), "zstd, tar", id="tar.zst"),
        pytest.param(tarred({"export.csv.gz": gzipped(ROWS)}), "tar, gzip", id="gzip within tar"),
        pytest.param(gzipped(gzipped(zipped({"a/b.csv": ROWS}))), "gzip, gzip, zip", id="three layers"),
    ],
)
def test_every_packing_is_recognised_by_its_content(
    unpacked: Callable[..., Unpacked], tmp_path: Path, packed: bytes, chain: str
) -> None:
    """What comes out is what went in, whatever the name says, and nothing of the layers between stays on the disk."""
    found = unpacked(packed)
    assert contents(found) == [ROWS]
    assert found.recognised["packing"] == chain
    into = tmp_path / "1" / "unpacked"
    assert list(into.rglob("*")) == [source.path for source in found.sources]
    assert stat.S_IMODE(into.stat().st_mode) == 0o700
    assert stat.S_IMODE(found.sources[0].path.stat().st_mode) == 0o600


def test_a_zip64_archive_is_unpacked(unpacked: Callable[..., Unpacked]) -> None:
    """An archive that says its sizes in 64 bits, as large ones must, is read like any other."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive, archive.open("a.csv", "w", force_zip64=True) as member:
        member.write(ROWS)
    assert contents(unpacked(content.getvalue())) == [ROWS]


def test_parts_come_in_natural_order_without_bystanders(unpacked: Callable[..., Unpacked]) -> None:
    """Members count in the order of the numbers in their names; what systems add, and end markers, do not count."""
    members = {
        "x/VIP 10.csv": b"10,\n",
        "x/VIP 9.csv": b"9,\n",
        "x/VIP 2.csv": b"2,\n",
        "__MACOSX/x/._part-2.csv": b"\0\5\x16\7",
        "x/.part-2.csv.crc": b"crc",
        "x/_SUCCESS": b"",
        "x/_committed_77": b"{}",
        "x/_Started_77": b"",
        "x/_metadata": b"PAR1",
        "x/_common_metadata": b"PAR1",
        "x/part-2.csv.DONE": b"",
    }
    for archive in (zipped(members), tarred(members)):
        found = unpacked(archive)
        assert contents(found) == [b"2,\n", b"9,\n", b"10,\n"]
        assert [source.shown for source in found.sources] == [
            *("/uploads/1.csv: x/VIP 2.csv", "/uploads/1.csv: x/VIP 9.csv", "/uploads/1.csv: x/VIP 10.csv")
        ]
        assert found.recognised["members"] == 3


@pytest.mark.parametrize("pack", [zipped, tarred], ids=["zip", "tar"])
def test_a_missing_part_is_noticed(
    unpacked: Callable[..., Unpacked], pack: Callable[[dict[str, bytes]], bytes]
) -> None:
    """A gap in the numbers of an archive's members is what it is among landed files, unless the route accepts gaps."""
    archive = pack({"x/0000001.csv": ROWS, "x/0000003.csv": MORE_ROWS, "y/part-00001-a.csv": ROWS, "y/_SUCCESS": b""})
    with pytest.raises(UnusableSource, match=r"the archive has 2 members; 0000002\.csv is missing") as raised:
        unpacked(archive)
    assert raised.value.reason == Unusable.INCOMPLETE
    assert "source.gaps" in raised.value.hint
    assert contents(unpacked(archive, accept_gaps=True)) == [ROWS, MORE_ROWS, ROWS]
    with pytest.raises(UnusableSource, match=r"0000002\.csv is empty"):
        unpacked(pack({"0000001.csv": ROWS, "0000002.csv": b""}))


def test_names_of_members_never_become_paths(unpacked: Callable[..., Unpacked], tmp_path: Path) -> None:
    """A member that wants to lie elsewhere lies where every member lies, under a number."""
    for archive in (zipped({"../../evil.csv": ROWS, "/etc/evil": ROWS}), tarred({"../../evil.csv": ROWS})):
        found = unpacked(archive)
        assert {source.path.parent.name for source in found.sources} == {"unpacked"}
        assert all(source.path.name.isdecimal() for source in found.sources)
    assert not list(tmp_path.parent.rglob("evil*"))


def test_several_landed_files_are_told_apart(unpacked: Callable[..., Unpacked]) -> None:
    """Files that landed packed in different ways become one sequence; trouble says in which of them it is."""
    found = unpacked(gzipped(ROWS), zipped({"b.csv": MORE_ROWS}), ROWS)
    assert contents(found) == [ROWS, MORE_ROWS, ROWS]
    assert found.recognised == {"packing": "gzip; zip", "members": 1}
    with pytest.raises(UnusableSource, match=r"/uploads/2\.csv: its gzip data is cut off"):
        unpacked(ROWS, gzipped(ROWS)[:-1])


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_becomes_utf8(unpacked: Callable[..., Unpacked], encoding: str) -> None:
    """Text in UTF-16 with a byte-order mark comes out in UTF-8, also what takes two units, across pieces."""
    text = TEXT + "😀é,VIP\n" * 200_000
    found = unpacked(("\ufeff" + text).encode(encoding))
    assert contents(found) == [text.encode()]
    assert found.recognised == {"encoding": "UTF-16"}


def cuts(whole: bytes) -> list[bytes]:
    """A file cut at every place."""
    return [whole[:size] for size in range(8, len(whole))]


@pytest.mark.parametrize("pack", [gzipped, zstandard], ids=["gzip", "zstd"])
def test_compressed_data_cut_anywhere_is_truncated(
    unpacked: Callable[..., Unpacked], pack: Callable[[bytes], bytes]
) -> None:
    """Wherever compressed data is cut off, it is refused as cut off."""
    for cut in cuts(pack(ROWS)):
        with pytest.raises(UnusableSource) as raised:
            unpacked(cut)
        assert raised.value.reason == Unusable.TRUNCATED


def test_a_zip_archive_cut_anywhere_is_truncated(unpacked: Callable[..., Unpacked]) -> None:
    """A ZIP archive without its directory is refused as cut off, although parts of it could be read."""
    for cut in cuts(zipped({"1.csv": ROWS, "2.csv": MORE_ROWS})):
        with pytest.raises(UnusableSource) as raised:
            unpacked(cut)
        assert raised.value.reason == Unusable.TRUNCATED


def test_a_tar_archive_cut_anywhere_is_truncated(unpacked: Callable[..., Unpacked]) -> None:
    """A TAR archive without its end mark is refused as cut off, also where it is cut between two members."""
    whole = tarred({"1.csv": ROWS, "2.csv": MORE_ROWS})
    end = 2048 + 512
    for size in (512, 513, 560, 1000, 1024, 1025, 1536, 1537, 2047, 2048, 2049, end - 1):
        with pytest.raises(UnusableSource) as raised:
            unpacked(whole[:size])
        assert raised.value.reason == Unusable.TRUNCATED, size
    assert contents(unpacked(whole[:end])) == [ROWS, MORE_ROWS]


def flipped(content: bytes, place: int) -> bytes:
    """The same with one bit wrong."""
    return content[:place] + bytes((content[place] ^ 1,)) + content[place + 1 :]


@pytest.mark.parametrize(
    "damaged",
    [
        pytest.param(flipped(gzipped(ROWS), -6), id="gzip, wrong checksum"),
        pytest.param(flipped(gzipped(ROWS), -2), id="gzip, wrong length"),
        pytest.param(gzipped(ROWS) + b"something else", id="gzip, something behind"),
        pytest.param(flipped(zstandard(ROWS), -2), id="zstd, wrong checksum"),
        pytest.param(zstandard(ROWS) + b"something else", id="zstd, something behind"),
        pytest.param(flipped(zipped({"1.csv": ROWS}, zipfile.ZIP_STORED), 60), id="zip, wrong checksum"),
        pytest.param(zipped({"1.csv": ROWS}) + b"something else", id="zip, something behind"),
        pytest.param(zipped({"1.csv": ROWS}) + zipped({"2.csv": ROWS}), id="zip behind zip"),
        pytest.param(zipped({"1.csv": ROWS}) + zipped({}), id="empty zip behind zip"),
        pytest.param(flipped(tarred({"1.csv": ROWS, "2.csv": ROWS}), 1024), id="tar, wrong header"),
        pytest.param(tarred({"1.csv": ROWS}) + tarred({"2.csv": ROWS}), id="tar behind tar"),
        pytest.param(tarred({"1.csv": ROWS}) + b"something else", id="tar, something behind"),
    ],
)
def test_damaged_data_is_refused(unpacked: Callable[..., Unpacked], damaged: bytes) -> None:
    """What does not agree with its own checksums, or goes on behind its end, is refused whole."""
    with pytest.raises(UnusableSource) as raised:
        unpacked(damaged)
    assert raised.value.reason == Unusable.DAMAGED
    assert "sent again" in raised.value.hint


def link(kind: bytes) -> tarfile.TarInfo:
    """A member that is no file."""
    info = tarfile.TarInfo("part.csv")
    info.type, info.linkname = kind, "/etc/passwd"
    return info


def zip_of(info: zipfile.ZipInfo) -> bytes:
    """A ZIP archive with one member."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(info, b"/etc/passwd")
    return content.getvalue()


def zipped_link() -> bytes:
    """A ZIP archive with a symbolic link."""
    info = zipfile.ZipInfo("part.csv")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return zip_of(info)


@pytest.mark.parametrize(
    ("archive", "said"),
    [
        pytest.param(tar_of(link(tarfile.SYMTYPE)), "part.csv in the archive is a symbolic link", id="symbolic link"),
        pytest.param(tar_of(link(tarfile.LNKTYPE)), "a hard link", id="hard link"),
        pytest.param(tar_of(link(tarfile.CHRTYPE)), "a device", id="device"),
        pytest.param(tar_of(link(tarfile.FIFOTYPE)), "a named pipe", id="named pipe"),
        pytest.param(zipped_link(), "a link", id="link in a zip"),
    ],
)
def test_what_is_no_file_in_an_archive_is_refused(unpacked: Callable[..., Unpacked], archive: bytes, said: str) -> None:
    """A link may stand for a part that is then missing, and a device for nothing good: the archive is refused."""
    with pytest.raises(UnusableSource, match=said) as raised:
        unpacked(archive)
    assert raised.value.reason == Unusable.UNUSABLE_MEMBER


def test_members_of_one_name_are_refused(unpacked: Callable[..., Unpacked]) -> None:
    """Where two members have one name, one may be meant to replace the other: nobody can tell."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        for _ in range(2):
            archive.addfile(tarfile.TarInfo("part.csv"))
    with pytest.raises(UnusableSource, match=r"2 members of the archive are called part\.csv") as raised:
        unpacked(content.getvalue())
    assert raised.value.reason == Unusable.UNUSABLE_MEMBER


def encrypted_zip() -> bytes:
    """A ZIP archive whose member says that it is encrypted, in its own header and in the directory."""
    content = bytearray(zipped({"export.csv": ROWS}))
    content[6] |= 1
    content[content.rindex(b"PK\x01\x02") + 8] |= 1
    return bytes(content)


def test_an_encrypted_zip_archive_is_refused(unpacked: Callable[..., Unpacked]) -> None:
    """A password on an archive is named as what is wrong, and PGP as what would be right."""
    with pytest.raises(UnusableSource, match=r"export\.csv in the ZIP archive is encrypted") as raised:
        unpacked(encrypted_zip())
    assert raised.value.reason == Unusable.ENCRYPTED_ARCHIVE
    assert "PGP" in raised.value.hint


def test_an_unusual_compression_in_a_zip_archive_is_named(unpacked: Callable[..., Unpacked]) -> None:
    """A method that ZIP has but nobody's export needs is refused by its number."""
    with pytest.raises(UnusableSource, match="compressed by method 14") as raised:
        unpacked(zipped({"export.csv": ROWS}, zipfile.ZIP_LZMA))
    assert raised.value.reason == Unusable.UNKNOWN_PACKING


@pytest.mark.parametrize(
    ("content", "reason", "said"),
    [
        pytest.param(b"%PDF-1.7\n...", Unusable.NOT_TEXT, "a PDF document", id="PDF"),
        pytest.param(zipped({"xl/workbook.xml": b""}), Unusable.NOT_TEXT, "an Excel workbook", id="XLSX"),
        pytest.param(zipped({"mimetype": b"x"}), Unusable.NOT_TEXT, "OpenDocument", id="ODS"),
        pytest.param(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", Unusable.NOT_TEXT, "Excel", id="XLS"),
        pytest.param(b"\x89PNG\r\n\x1a\n", Unusable.NOT_TEXT, "an image", id="PNG"),
        pytest.param(b"\x7fELF\x02", Unusable.NOT_TEXT, "a program", id="ELF"),
        pytest.param(b"\n<!DOCTYPE html><html>", Unusable.NOT_TEXT, "an HTML page", id="HTML"),
        pytest.param(b"\xef\xbb\xbf<?xml version='1.0'?>", Unusable.NOT_TEXT, "an XML document", id="XML"),
        pytest.param(TEXT.encode("utf-16-le"), Unusable.NOT_TEXT, "UTF-16 without", id="UTF-16 without mark"),
        pytest.param(TEXT.encode("utf-16-be"), Unusable.NOT_TEXT, "UTF-16 without", id="UTF-16, big end first"),
        pytest.param(TEXT.encode("utf-32"), Unusable.NOT_TEXT, "UTF-32", id="UTF-32"),
        pytest.param(bytes(range(256)) * 9, Unusable.NOT_TEXT, "binary data", id="noise"),
        pytest.param(bytes(2048), Unusable.NOT_TEXT, "binary data", id="NULs"),
        pytest.param(b"BZh91AY", Unusable.UNKNOWN_PACKING, "bzip2", id="bzip2"),
        pytest.param(b"7z\xbc\xaf\x27\x1c", Unusable.UNKNOWN_PACKING, "7-Zip", id="7-Zip"),
        pytest.param(zipped({}), Unusable.EMPTY, "no file with rows", id="empty archive"),
        pytest.param(zipped({"a/": b"", ".b": b"x"}), Unusable.EMPTY, "no file with rows", id="nothing but bystanders"),
        pytest.param(b"\xff\xfea\0\x00\xd8b\0", Unusable.NOT_TEXT, "line 1 is not UTF-16", id="lone surrogate"),
        pytest.param(b"\xff\xfea\0\n\0\x00\xd8", Unusable.TRUNCATED, "line 2, the last", id="cut-off surrogate"),
        pytest.param(b"\xff\xfea\0\n\0b", Unusable.TRUNCATED, "line 2, the last", id="half a unit"),
    ],
)
def test_what_holds_no_rows_is_called_by_its_name(
    unpacked: Callable[..., Unpacked], content: bytes, reason: Unusable, said: str
) -> None:
    """What cannot be an export is refused with what it is, also within an archive."""
    with pytest.raises(UnusableSource, match=said) as raised:
        unpacked(content)
    assert raised.value.reason == reason
    assert raised.value.hint
    with pytest.raises(UnusableSource, match=rf"strange\.csv: .*{said}"):
        unpacked(tarred({"strange.csv": content}))


@pytest.mark.parametrize(
    "pack", [gzipped, zstandard, lambda rows: zipped({"1.csv": rows})], ids=["gzip", "zstd", "zip"]
)
def test_a_bomb_is_not_unpacked(
    unpacked: Callable[..., Unpacked], tmp_path: Path, pack: Callable[[bytes], bytes]
) -> None:
    """What becomes many times itself is given up at the limit, which the message names."""
    bomb = pack(bytes(80_000_000))
    with pytest.raises(UnusableSource, match=r"unpack\.ratio") as raised:
        unpacked(bomb, limits=UnpackRules(ratio=10))
    assert raised.value.reason == Unusable.TOO_LARGE
    assert sum(path.stat().st_size for path in (tmp_path / "1" / "unpacked").iterdir()) < 70_000_000


def test_more_than_the_size_allowed_is_not_unpacked(unpacked: Callable[..., Unpacked]) -> None:
    """The size counts over all members of a file; what fits exactly does fit."""
    rules = UnpackRules.model_validate({"size": f"{2 * len(ROWS)}B"})
    archive = {"1.csv": ROWS, "2.csv": ROWS}
    assert contents(unpacked(zipped(archive), limits=rules)) == [ROWS, ROWS]
    with pytest.raises(UnusableSource, match=r"unpack\.size") as raised:
        unpacked(zipped(archive | {"3.csv": b"x"}), limits=rules)
    assert raised.value.reason == Unusable.TOO_LARGE


@pytest.mark.parametrize("pack", [zipped, tarred], ids=["zip", "tar"])
def test_more_members_than_allowed_are_not_unpacked(
    unpacked: Callable[..., Unpacked], pack: Callable[[dict[str, bytes]], bytes]
) -> None:
    """Directories and bystanders count, too: a directory of millions is a bomb in itself."""
    members = {f"{number}/": b"" for number in range(5)}
    with pytest.raises(UnusableSource, match=r"unpack\.members") as raised:
        unpacked(pack(members), limits=UnpackRules(members=4))
    assert raised.value.reason == Unusable.TOO_MANY_MEMBERS


def test_a_huge_directory_is_refused_before_it_is_read(unpacked: Callable[..., Unpacked]) -> None:
    """A ZIP archive whose directory could hold far more members than allowed is refused by the directory's size."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        info = zipfile.ZipInfo("export.csv")
        info.comment = b"x" * 20_000
        archive.writestr(info, ROWS)
    assert contents(unpacked(content.getvalue())) == [ROWS]
    with pytest.raises(UnusableSource, match=r"unpack\.members"):
        unpacked(content.getvalue(), limits=UnpackRules(members=10))


def test_more_layers_than_allowed_are_not_unpacked(unpacked: Callable[..., Unpacked]) -> None:
    """Packing within packing ends at the limit, which the message names."""
    assert contents(unpacked(gzipped(gzipped(ROWS)), limits=UnpackRules(depth=2))) == [ROWS]
    with pytest.raises(UnusableSource, match=r"more than 2 layers \(gzip, gzip, gzip\).*unpack\.depth") as raised:
        unpacked(gzipped(gzipped(gzipped(ROWS))), limits=UnpackRules(depth=2))
    assert raised.value.reason == Unusable.TOO_DEEP


def test_a_header_of_any_claimed_length_is_not_taken_into_memory(unpacked: Callable[..., Unpacked]) -> None:
    """A TAR archive with an extended header of gigabytes, or of less than nothing, is damaged; it is not read."""
    for size in (3_000_000, -512):
        info = tarfile.TarInfo("pax")
        info.type, info.size = tarfile.XHDTYPE, size
        archive = info.tobuf(tarfile.GNU_FORMAT) + bytes(max(0, size) // 512 * 512 + 512) + tarred({"1.csv": ROWS})
        with pytest.raises(UnusableSource) as raised:
            unpacked(archive)
        assert raised.value.reason == Unusable.DAMAGED


def test_whoever_waits_hears_of_progress(tmp_path: Path) -> None:
    """Unpacking says now and then that it goes on, and ends where nobody wants to hear it any more."""
    (tmp_path / "landed").write_bytes(gzipped(ROWS * 60_000))
    heard = []

    def listen() -> None:
        heard.append(1)
        if len(heard) == 3:
            raise SystemExit

    rules = Rules(identifier=IdentifierKind.PHONE)
    with pytest.raises(SystemExit):
        unpack([SourceFile(tmp_path / "landed", "x")], tmp_path / "unpacked", rules, progress=listen)
    assert len(heard) == 3


def test_a_person_in_a_members_name_is_not_shown() -> None:
    """Part numbers and dates are shown, what may be somebody's number or address is masked."""
    assert shown_name("0000001.csv") == "0000001.csv"
    assert shown_name("export-20261123062155.csv") == "export-20261123062155.csv"
    assert "2125550100" not in shown_name("2125550100.csv")
    assert "jane" not in shown_name("jane@example.com.csv")
    assert shown_name("a\nb\x1b") == "a?b?"
    assert len(shown_name("x" * 500)) < 100


def test_memory_stays_flat(tmp_path: Path) -> None:
    """Unpacking 200 MB takes no more memory than unpacking a little does."""
    path = tmp_path / "large.tgz"
    path.write_bytes(gzipped(tarred({"1.csv": ROWS * 4_000_000})))
    program = (
        "import resource, sys; from pathlib import Path\n"
        "from relay.rewrite.files import SourceFile; from relay.rewrite.packing import unpack\n"
        "from relay.rewrite.rules import Rules, UnpackRules\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "rules = Rules(identifier='phone', unpack=UnpackRules(ratio=9999))\n"
        "unpack([SourceFile(Path(sys.argv[1]), 'x')], Path(sys.argv[2]), rules)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    grown = subprocess.run([sys.executable, "-c", program, path, tmp_path / "out"], check=True, capture_output=True)
    assert int(grown.stdout) < 64 * 1024
