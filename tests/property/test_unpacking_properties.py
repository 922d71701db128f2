"""Whatever lands, packed or seemingly so: it comes out whole, or there is a reason (rules K1 to K7)."""

import json
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal

import pysequoia
import pytest
from hypothesis import given
from hypothesis import strategies as st
from parts.packed import MORE_ROWS, ROWS, gzipped, tarred, zipped, zstandard

from relay.model import IdentifierKind, Report
from relay.rewrite.engine import rewrite
from relay.rewrite.files import SourceFile
from relay.rewrite.packing import unpack
from relay.rewrite.rules import PgpRules, Rules, SourceRules, UnpackRules
from relay.rewrite.unusable import Unusable, UnusableSource

IN_MEMORY: Final = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108  a directory of random name in it
RULES: Final = Rules(identifier=IdentifierKind.PHONE, unpack=UnpackRules(members=20, depth=3))
PARTS: Final = {"x/1.csv": ROWS, "x/2.csv": MORE_ROWS}

ROWS_AS_NDJSON: Final = b'{"phone": "2125550100", "segment_name": "VIP"}\n{"phone": 2125550101, "segment_name": "a"}\n'
ROWS_AS_JSON: Final = b'[\n {"phone": "2125550100", "segment_name": "VIP"},\n {"phone": 1.5, "segment_name": "a"}\n]\n'

CHECKED: Final[dict[str, Callable[[], bytes]]] = {
    "gzip": lambda: gzipped(ROWS + MORE_ROWS),
    "zip": lambda: zipped(PARTS),
    "zstd": lambda: zstandard(ROWS + MORE_ROWS),
    "gzip, tar": lambda: gzipped(tarred(PARTS)),
}
"""Packings in which a checksum tells of every damage to the content."""

MAGIC: Final = (
    *(
        b"\x1f\x8b\x08",
        b"PK\x03\x04",
        b"PK\x05\x06",
        b"\x28\xb5\x2f\xfd",
        b"\x50\x2a\x4d\x18",
        b"\xff\xfe",
        b"\xfe\xff",
    ),
    *(b"PAR1", b"\x85\x01\x0c\x03", b"\xc1\x8c\x03", b"-----BEGIN PGP MESSAGE-----\n\n", b'{"', b"[{", b""),
)


@st.composite
def mutated(draw: st.DrawFn, whole: bytes) -> bytes:
    """A file with a few bytes changed, left out or put in, or cut off."""
    content = bytearray(whole)
    for _ in range(draw(st.integers(1, 4))):
        if not content:
            break
        place = draw(st.integers(0, len(content) - 1))
        match draw(st.sampled_from(["change", "leave out", "put in", "cut off"])):
            case "change":
                content[place] = draw(st.integers(0, 255))
            case "leave out":
                del content[place : place + draw(st.integers(1, 40))]
            case "put in":
                content[place:place] = draw(st.binary(min_size=1, max_size=12))
            case _:
                del content[place:]
    return bytes(content)


def unpacked(content: bytes, rules: Rules = RULES) -> bytes | UnusableSource:
    """Everything that comes out of a file, or the reason why nothing does."""
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as directory:
        landed = Path(directory) / "landed"
        landed.write_bytes(content)
        try:
            found = unpack([SourceFile(landed, "/uploads/x")], Path(directory) / "unpacked", rules)
        except UnusableSource as unusable:
            return unusable
        return b"".join(source.path.read_bytes() for source in found.sources)


def is_answer(unusable: UnusableSource) -> bool:
    """Whether a refusal says why, where, and what to do."""
    return unusable.reason in set(Unusable) and bool(unusable.detail) and bool(unusable.hint)


@given(st.data(), st.sampled_from(sorted(CHECKED)))
def test_damage_never_changes_what_comes_out(data: st.DataObject, packing: str) -> None:
    """Whatever happens to a packed file, each part comes out as it was, or the file is refused, or is not packed."""
    whole = CHECKED[packing]()
    content = data.draw(mutated(whole))
    found = unpacked(content)
    if isinstance(found, UnusableSource):
        assert is_answer(found)
    else:
        assert found in {content, ROWS + MORE_ROWS, MORE_ROWS + ROWS, ROWS, MORE_ROWS}


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[bool, bytes], Rules]:
    """A message, binary and armoured, and the rules of a route that can decrypt it."""
    key = pysequoia.Tsk.generate("Relay <relay@example.com>")
    path = tmp_path_factory.mktemp("pgp") / "key"
    path.write_bytes(bytes(key))
    recipients = [key.extract_certificate()]
    messages = {armoured: pysequoia.encrypt(ROWS, recipients, armor=armoured) for armoured in (False, True)}
    return messages, RULES.model_copy(update={"pgp": PgpRules(private_key=str(path))})


@given(st.data(), st.booleans())
def test_damage_never_changes_what_was_encrypted(
    encrypted: tuple[dict[bool, bytes], Rules],
    data: st.DataObject,
    armoured: bool,  # noqa: FBT001  drawn
) -> None:
    """Whatever happens to a message, it is decrypted to what it was, or is refused, or is not taken for one."""
    messages, rules = encrypted
    content = data.draw(mutated(messages[armoured]))
    found = unpacked(content, rules)
    if isinstance(found, UnusableSource):
        assert is_answer(found)
    else:
        assert found in {content, ROWS}


@given(st.data())
def test_a_damaged_tar_archive_is_refused_or_comes_out(data: st.DataObject) -> None:
    """TAR has no checksum over its content: a damaged archive is refused or gives no more than it had, and ends."""
    found = unpacked(data.draw(mutated(tarred(PARTS))))
    assert is_answer(found) if isinstance(found, UnusableSource) else len(found) <= 15_000


@given(st.data(), st.sampled_from([ROWS_AS_NDJSON, ROWS_AS_JSON]))
def test_damaged_json_gets_an_answer(data: st.DataObject, whole: bytes) -> None:
    """Whatever happens to NDJSON or JSON, the rewrite ends with counts that add up or with a reason."""
    check_answer(rewritten(data.draw(mutated(whole))))


VALUES: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=4,
)


@given(st.lists(st.dictionaries(st.sampled_from(["phone", "segment_name", "is_control", "x"]), VALUES), min_size=1))
def test_ndjson_and_json_are_one(rows: list[dict[str, object]]) -> None:
    """The same objects come to the same report as NDJSON and as JSON, whatever their values are."""
    found = [
        rewritten("\n".join(map(json.dumps, rows)).encode(), "ndjson"),
        rewritten(json.dumps(rows, indent=1).encode(), "json"),
    ]
    reasons = [it.reason if isinstance(it, UnusableSource) else (it.totals, it.reasons) for it in found]
    assert reasons[0] == reasons[1]
    check_answer(found[0])


@given(st.sampled_from(MAGIC), st.binary(max_size=600))
def test_any_bytes_get_an_answer(magic: bytes, rest: bytes) -> None:
    """Whatever bytes land, the rewrite ends with counts that add up or with a reason."""
    check_answer(rewritten(magic + rest))


def check_answer(answer: Report | UnusableSource) -> None:
    """See that a refusal says why, and that a report's counts add up."""
    if isinstance(answer, UnusableSource):
        assert is_answer(answer)
    else:
        totals = answer.totals
        others = totals.duplicates + totals.rejected + totals.empty + totals.control
        assert totals.rows_in == totals.rows_out + others


def rewritten(content: bytes, kind: Literal["auto", "json", "ndjson"] = "auto") -> Report | UnusableSource:
    """The report of a rewrite, or the reason why there is none."""
    with tempfile.TemporaryDirectory(dir=IN_MEMORY) as directory:
        landed = Path(directory) / "landed"
        landed.write_bytes(content)
        try:
            rules = RULES.model_copy(update={"source": SourceRules(format=kind)})
            return rewrite([SourceFile(landed, "/uploads/x")], rules, Path(directory) / "rewrite")
        except UnusableSource as unusable:
            return unusable
