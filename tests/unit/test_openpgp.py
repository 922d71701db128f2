"""The framing of OpenPGP messages, and keys of the newest kind (rules K13 and K14)."""

import io
from pathlib import Path

import pysequoia
import pytest
from parts.packed import ROWS

from relay.model import IdentifierKind
from relay.rewrite.files import SourceFile
from relay.rewrite.packing import unpack
from relay.rewrite.packing.armour import taken_off
from relay.rewrite.packing.openpgp import Tag, begins_message, read_framing
from relay.rewrite.rules import PgpRules, Rules
from relay.rewrite.unusable import Unusable, UnusableSource

SESSION_KEY = b"\xc1\x0d\x03" + bytes.fromhex("0123456789abcdef") + b"\x12abc"


def protected(body: bytes) -> bytes:
    """An encrypted packet in two parts."""
    return b"\xd2\xe9" + body[:512] + bytes((len(body) - 512,)) + body[512:]


def test_parts_of_packets_are_walked_through() -> None:
    """Recipients and kinds are found, and where the last packet ends, whatever way lengths are written in."""
    message = SESSION_KEY + protected(bytes(600))
    framing = read_framing(io.BytesIO(message))
    assert framing.tags == (Tag.SESSION_KEY, Tag.PROTECTED)
    assert framing.recipients == ("0123456789abcdef",)
    assert not framing.is_cut_off
    assert not framing.is_followed
    assert read_framing(io.BytesIO(message[:-1])).is_cut_off
    assert read_framing(io.BytesIO(message[:540])).is_cut_off
    assert read_framing(io.BytesIO(message + b"x")).is_followed
    old = b"\x85\x00\x0c" + SESSION_KEY[2:-1] + b"\xa7" + bytes(10)
    assert read_framing(io.BytesIO(old)).tags == (Tag.SESSION_KEY, Tag.UNPROTECTED)
    long = b"\xd2\xc0\x01" + bytes(193) + b"\xd2\xff\x00\x00\x00\x02" + bytes(2)
    assert read_framing(io.BytesIO(long)).tags == (Tag.PROTECTED, Tag.PROTECTED)


@pytest.mark.parametrize(
    "text", ["", "phone,segment_name", "é,a", "Ä,b", "Ò\x00,", "\ufeffphone", "\u0100\u0101", "ÿþ", "–,–", "😀"]
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "latin-1"])
def test_text_is_not_taken_for_a_message(text: str, encoding: str) -> None:
    """No text begins as a message does, in any encoding that exports may be written in."""
    assert not begins_message(text.encode(encoding, "replace") + b"\n2125550100,VIP\n")


@pytest.mark.parametrize("profile", [pysequoia.Profile.RFC4880, pysequoia.Profile.RFC9580])
@pytest.mark.parametrize("armoured", [False, True])
def test_both_generations_of_keys_decrypt(
    tmp_path: Path,
    profile: pysequoia.Profile,
    armoured: bool,  # noqa: FBT001  a parameter of the test
) -> None:
    """Keys of both standards decrypt, the newer with authenticated encryption (AEAD)."""
    key = pysequoia.Tsk.generate("Relay <relay@example.com>", profile=profile)
    message = pysequoia.encrypt(ROWS, [key.extract_certificate()], armor=armoured)
    (tmp_path / "key").write_bytes(bytes(key))
    (tmp_path / "landed").write_bytes(message)
    rules = Rules(identifier=IdentifierKind.PHONE, pgp=PgpRules(private_key=str(tmp_path / "key")))
    found = unpack([SourceFile(tmp_path / "landed", "x")], tmp_path / "unpacked", rules)
    assert [source.path.read_bytes() for source in found.sources] == [ROWS]
    assert [path.name for path in (tmp_path / "unpacked").iterdir()] == [found.sources[0].path.name]


def refused(message: bytes, tmp_path: Path) -> UnusableSource:
    """How a message is refused by a route without a key."""
    (tmp_path / "landed").write_bytes(message)
    with pytest.raises(UnusableSource) as raised:
        unpack([SourceFile(tmp_path / "landed", "x")], tmp_path / "unpacked", Rules(identifier=IdentifierKind.PHONE))
    return raised.value


def test_the_way_of_encryption_that_only_gnupg_has_is_named(tmp_path: Path) -> None:
    """A message in GnuPG's own form of AEAD is refused with how to have it otherwise."""
    unusable = refused(SESSION_KEY + b"\xd4\x04\x01\x09\x02\x10", tmp_path)
    assert unusable.reason == Unusable.UNKNOWN_PACKING
    assert "--rfc4880" in unusable.hint


@pytest.mark.parametrize(
    ("armoured", "reason"),
    [
        pytest.param(b"-----BEGIN PGP MESSAGE-----\nVersion: 1\n", Unusable.TRUNCATED, id="nothing but headers"),
        pytest.param(b"-----BEGIN PGP MESSAGE-----\n\nhQEM", Unusable.TRUNCATED, id="no last line"),
        pytest.param(b"-----BEGIN PGP MESSAGE-----\n\nhQEM\n-----END PG", Unusable.TRUNCATED, id="half a last line"),
        pytest.param(
            b"-----BEGIN PGP MESSAGE-----\n\nhQ*M\n-----END PGP MESSAGE-----", Unusable.DAMAGED, id="no Base64"
        ),
        pytest.param(b"-----BEGIN PGP MESSAGE-----\n\nhQEM\n-----BEGIN", Unusable.DAMAGED, id="another line"),
    ],
)
def test_broken_armour_is_refused(tmp_path: Path, armoured: bytes, reason: Unusable) -> None:
    """Armour is cut off or damaged like anything else."""
    assert refused(armoured, tmp_path).reason == reason


@pytest.mark.parametrize("size", range(1, 9))
def test_armour_is_taken_off_whatever_its_padding(size: int) -> None:
    """Headers, checksum, padding and line ends of every kind leave the content as it was."""
    content = bytes(range(size)) * 30_000
    text = pysequoia.armor(content, pysequoia.ArmorKind.Message)
    for armoured in (text, text.replace("\n", "\r\n"), f"\n{text}\n\n"):
        assert b"".join(taken_off(io.BytesIO(armoured.encode()))) == content
