"""PGP: messages and keys as GnuPG makes them are decrypted, or refused with what to do (rules K13 and K14)."""

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from parts.configuration import write_configuration
from parts.gnupg import NEEDS_GNUPG, GnuPG, gnupg
from parts.host import run
from parts.packed import MORE_ROWS, ROWS, gzipped, tarred, zipped
from parts.service import Service, Setup
from parts.sftp import sftp
from parts.sshd import NEEDS_SSHD, Sshd

from relay.model import IdentifierKind, RelayError
from relay.rewrite.files import SourceFile
from relay.rewrite.packing import unpack
from relay.rewrite.packing.pgpkeys import read_keys
from relay.rewrite.rules import PgpRules, Rules, UnpackRules
from relay.rewrite.unusable import Unusable, UnusableSource

pytestmark = NEEDS_GNUPG

PASSPHRASE = "correct horse"


@pytest.fixture(scope="module")
def theirs() -> Iterator[GnuPG]:
    """A keyring with the relay's key (an older and a newer subkey), one with a passphrase, and a stranger's."""
    with gnupg() as keyring:
        keyring.make_key("relay", subkeys=("rsa2048", "cv25519"))
        keyring.make_key("locked", passphrase=PASSPHRASE)
        keyring.make_key("stranger")
        yield keyring


@pytest.fixture
def decrypted(theirs: GnuPG, tmp_path: Path) -> Callable[..., tuple[list[bytes], dict[str, object]]]:
    """Unpacks a message with the key of somebody, and returns what came out and what was recognised."""
    attempts = itertools.count(1)

    def decrypt(
        message: bytes, *, by: str = "relay", passphrase: str = "", limits: UnpackRules | None = None
    ) -> tuple[list[bytes], dict[str, object]]:
        attempt = tmp_path / str(next(attempts))
        landed, key, words = tmp_path / "landed", tmp_path / "key", tmp_path / "passphrase"
        landed.write_bytes(message)
        key.write_bytes(theirs.private_key(by, passphrase=PASSPHRASE if by == "locked" else ""))
        words.write_text(f"{passphrase}\n")
        pgp = PgpRules(private_key=str(key), passphrase=str(words) if passphrase else None)
        rules = Rules(identifier=IdentifierKind.PHONE, pgp=pgp, unpack=limits or UnpackRules())
        found = unpack([SourceFile(landed, "/uploads/x.pgp")], attempt, rules)
        return [source.path.read_bytes() for source in found.sources], found.recognised

    return decrypt


@pytest.mark.parametrize(
    "options",
    [
        pytest.param((), id="binary"),
        pytest.param(("--armor",), id="armoured"),
        pytest.param(("--compress-algo", "zlib"), id="zlib"),
        pytest.param(("--compress-algo", "none"), id="not compressed"),
        pytest.param(("--armor", "--compress-algo", "none"), id="armoured, not compressed"),
        pytest.param(("--textmode",), id="text mode"),
        pytest.param(("--throw-keyids",), id="hidden recipient"),
        pytest.param(("--sign", "--local-user", "stranger@example.com"), id="signed, too"),
        pytest.param(("--recipient", "stranger@example.com"), id="to several"),
    ],
)
def test_what_gnupg_encrypts_is_decrypted(
    theirs: GnuPG, decrypted: Callable[..., tuple[list[bytes], object]], options: tuple[str, ...]
) -> None:
    """Whatever way GnuPG was told to encrypt, the content comes out, and what it was in is said."""
    content = ROWS * 20_000
    (found,), recognised = decrypted(theirs.encrypt(content, *options, to="relay"))
    assert found.replace(b"\r\n", b"\n") == content
    assert recognised == {"packing": "pgp"}


def test_every_subkey_decrypts(theirs: GnuPG, decrypted: Callable[..., tuple[list[bytes], object]]) -> None:
    """A message to the older subkey is decrypted as one to the newer, and as one to a file of two keys."""
    for subkey in theirs.subkeys("relay"):
        assert decrypted(theirs.encrypt(ROWS, to=f"{subkey}!"))[0] == [ROWS]


def test_one_key_file_may_hold_several_keys(theirs: GnuPG, tmp_path: Path) -> None:
    """While a new key is given out, the old one still opens what is encrypted to it."""
    both = tmp_path / "both"
    both.write_bytes(theirs.run("--export-secret-keys", "relay@example.com", "stranger@example.com"))
    expected = {subkey.lower() for person in ("relay", "stranger") for subkey in theirs.subkeys(person)}
    assert set(read_keys(both, None).decryptors) == expected


def test_a_passphrase_opens_a_key(theirs: GnuPG, decrypted: Callable[..., tuple[list[bytes], object]]) -> None:
    """A protected key decrypts with its passphrase; one that needs none is not put off by one."""
    message = theirs.encrypt(ROWS, to="locked")
    assert decrypted(message, by="locked", passphrase=PASSPHRASE)[0] == [ROWS]
    assert decrypted(theirs.encrypt(ROWS, to="relay"), passphrase="needless")[0] == [ROWS]


@pytest.mark.parametrize("passphrase", ["", "wrong"])
def test_a_key_that_does_not_open_is_told(
    theirs: GnuPG, decrypted: Callable[..., tuple[list[bytes], object]], passphrase: str
) -> None:
    """Without its passphrase, or with a wrong one, a key is useless: the setting to mend is named."""
    with pytest.raises(UnusableSource, match=r"pgp\.private_key cannot be used: .* key [0-9A-F]{16}") as raised:
        decrypted(theirs.encrypt(ROWS, to="locked"), by="locked", passphrase=passphrase)
    assert raised.value.reason == Unusable.UNUSABLE_KEY
    assert "passphrase" in raised.value.hint


@pytest.mark.parametrize(
    ("content", "chain"),
    [
        (gzipped(ROWS), "pgp, gzip"),
        (zipped({"a.csv": ROWS}), "pgp, zip"),
        (gzipped(tarred({"a.csv": ROWS})), "pgp, gzip, tar"),
    ],
)
def test_archives_in_messages_are_unpacked(
    theirs: GnuPG, decrypted: Callable[..., tuple[list[bytes], dict[str, object]]], content: bytes, chain: str
) -> None:
    """What was packed before it was encrypted is unpacked after it was decrypted."""
    found, recognised = decrypted(theirs.encrypt(content, to="relay"))
    assert (found, recognised["packing"]) == ([ROWS], chain)


def test_messages_in_archives_are_decrypted(
    theirs: GnuPG, decrypted: Callable[..., tuple[list[bytes], dict[str, object]]]
) -> None:
    """Parts that are encrypted each by itself are parts all the same."""
    archive = zipped(
        {f"{number}.csv.pgp": theirs.encrypt(rows, to="relay") for number, rows in ((1, ROWS), (2, MORE_ROWS))}
    )
    assert decrypted(archive)[0] == [ROWS, MORE_ROWS]


def refused(message: bytes, decrypted: Callable[..., object], **options: object) -> UnusableSource:
    """How a message is refused."""
    with pytest.raises(UnusableSource) as raised:
        decrypted(message, **options)
    assert raised.value.hint
    return raised.value


def test_a_message_to_somebody_else_names_both_keys(
    theirs: GnuPG, decrypted: Callable[..., tuple[list[bytes], object]]
) -> None:
    """A message that is not for the route's key says for which one it is, and which one the route has."""
    unusable = refused(theirs.encrypt(ROWS, to="stranger"), decrypted)
    assert unusable.reason == Unusable.WRONG_KEY
    assert theirs.subkeys("stranger")[0] in unusable.detail
    assert all(subkey in unusable.detail for subkey in theirs.subkeys("relay"))


def test_a_hidden_message_to_somebody_else_is_refused(
    theirs: GnuPG, decrypted: Callable[..., tuple[list[bytes], object]]
) -> None:
    """If a message hides for whom it is, all keys are tried, and the refusal says so."""
    unusable = refused(theirs.encrypt(ROWS, "--throw-keyids", to="stranger"), decrypted)
    assert unusable.reason == Unusable.DAMAGED
    assert "hides for whom it is" in unusable.detail


def test_what_is_not_encrypted_to_a_key_is_refused(
    theirs: GnuPG, decrypted: Callable[..., tuple[list[bytes], object]]
) -> None:
    """Signatures, keys, and messages with a password are OpenPGP, but not what was agreed."""
    by = ("--local-user", "stranger@example.com")
    words = ("--passphrase", PASSPHRASE, "--symmetric")
    found = {
        "signed": refused(theirs.run(*by, "--sign", given=ROWS), decrypted),
        "armoured": refused(theirs.run(*by, "--armor", "--sign", given=ROWS), decrypted),
        "clear": refused(theirs.run(*by, "--clearsign", given=ROWS), decrypted),
        "detached": refused(theirs.run(*by, "--detach-sign", given=ROWS), decrypted),
        "stored": refused(theirs.run("--store", given=ROWS), decrypted),
        "key": refused(theirs.private_key("stranger"), decrypted),
        "public": refused(theirs.run("--export", "stranger@example.com"), decrypted),
        "password": refused(theirs.run(*words, given=ROWS), decrypted),
    }
    reasons = {what: unusable.reason for what, unusable in found.items()}
    assert reasons.pop("password") == Unusable.WRONG_KEY
    assert set(reasons.values()) == {Unusable.NOT_ENCRYPTED}


def test_a_message_without_integrity_protection_is_refused(
    theirs: GnuPG, decrypted: Callable[..., tuple[list[bytes], object]]
) -> None:
    """A message that could have been cut off unnoticed is not trusted."""
    assert refused(theirs.encrypt(ROWS, "--rfc2440", to="relay"), decrypted).reason == Unusable.UNPROTECTED


@pytest.mark.parametrize("options", [(), ("--armor",)], ids=["binary", "armoured"])
def test_a_message_cut_anywhere_is_truncated(
    theirs: GnuPG, decrypted: Callable[..., tuple[list[bytes], object]], options: tuple[str, ...]
) -> None:
    """Wherever a message is cut off, nothing of it is used."""
    whole = theirs.encrypt(os.urandom(20_000), *options, to="relay")
    whole = whole.rstrip() if options else whole
    places = [*range(40 if options else 5, 400, 31), len(whole) // 2, *range(len(whole) - 40, len(whole), 3)]
    for size in places:
        assert refused(whole[:size], decrypted).reason == Unusable.TRUNCATED, size


def test_a_changed_message_is_refused(theirs: GnuPG, decrypted: Callable[..., tuple[list[bytes], object]]) -> None:
    """A bit that is wrong, or something behind the end, is noticed."""
    whole = theirs.encrypt(ROWS * 100, to="relay")
    for place in (len(whole) // 2, len(whole) - 3):
        changed = whole[:place] + bytes((whole[place] ^ 1,)) + whole[place + 1 :]
        assert refused(changed, decrypted).reason == Unusable.DAMAGED
    armoured = theirs.encrypt(ROWS, "--armor", to="relay")
    assert refused(whole + b"more", decrypted).reason == Unusable.DAMAGED
    assert refused(whole + b"garbage\n", decrypted).reason == Unusable.DAMAGED
    assert refused(whole + whole, decrypted).reason == Unusable.DAMAGED
    assert refused(armoured + b"more", decrypted).reason == Unusable.DAMAGED
    assert refused(armoured.replace(b"=", b"!"), decrypted).reason == Unusable.DAMAGED


def test_a_bomb_in_a_message_is_not_unpacked(
    theirs: GnuPG, decrypted: Callable[..., tuple[list[bytes], object]], tmp_path: Path
) -> None:
    """What GnuPG compressed obeys the limits, too, and the file that grows is stopped at them."""
    bomb = theirs.encrypt(bytes(90_000_000), to="relay")
    unusable = refused(bomb, decrypted, limits=UnpackRules(ratio=10))
    assert (unusable.reason, "unpack.ratio" in unusable.detail) == (Unusable.TOO_LARGE, True)
    assert all(path.stat().st_size < 70_000_000 for path in (tmp_path / "1").iterdir())


def test_without_a_key_the_setting_is_named(theirs: GnuPG, tmp_path: Path) -> None:
    """A route that has no key says which setting gives it one."""
    landed = tmp_path / "landed"
    landed.write_bytes(theirs.encrypt(ROWS, to="relay"))
    with pytest.raises(UnusableSource, match="no key to decrypt it") as raised:
        unpack([SourceFile(landed, "x")], tmp_path / "unpacked", Rules(identifier=IdentifierKind.PHONE))
    assert raised.value.reason == Unusable.NO_KEY
    assert "pgp.private_key" in raised.value.hint


def test_an_expired_key_is_told(tmp_path: Path) -> None:
    """A key that has expired is still read, for it must not stop the relay, and says since when."""
    with gnupg() as keyring:
        then = ("--faked-system-time", "20250101T120000!")
        keyring.run(*then, "--passphrase", "", "--quick-gen-key", "old <old@example.com>", "rsa2048", "cert,encr", "1d")
        message = keyring.encrypt(ROWS, *then, to="old")
        key, landed = tmp_path / "key", tmp_path / "landed"
        key.write_bytes(keyring.private_key("old"))
        landed.write_bytes(message)
    assert not read_keys(key, None).decryptors
    rules = Rules(identifier=IdentifierKind.PHONE, pgp=PgpRules(private_key=str(key)))
    with pytest.raises(UnusableSource, match="which expired on 2025-01-02") as raised:
        unpack([SourceFile(landed, "x")], tmp_path / "unpacked", rules)
    assert raised.value.reason == Unusable.UNUSABLE_KEY
    assert "quick-set-expire" in raised.value.hint


def test_what_is_no_private_key_is_refused(theirs: GnuPG, tmp_path: Path) -> None:
    """A public key, a text, nothing, and a key that only signs are no keys to decrypt with."""
    key = tmp_path / "key"
    theirs.make_key("signer", subkeys=())
    for content, said in (
        (theirs.run("--armor", "--export", "relay@example.com"), "a public key; the private one is needed"),
        (b"no key", "no OpenPGP key"),
        (b"", "no OpenPGP"),
        (theirs.private_key("signer"), "none of the keys in the file can decrypt"),
    ):
        key.write_bytes(content)
        with pytest.raises(RelayError, match=said) as raised:
            read_keys(key, None)
        assert raised.value.hint
    with pytest.raises(RelayError, match="cannot be read"):
        read_keys(tmp_path / "missing", None)


@pytest.fixture
def configuration(theirs: GnuPG, tmp_path: Path) -> Path:
    """A configuration whose route decrypts by the key that has a passphrase."""
    path = write_configuration(tmp_path / "relay")
    route = path.parent / "routes.d" / "sirendenim.toml"
    route.write_text(f'{route.read_text()}\n[pgp]\nprivate_key = "pgp.key"\npassphrase = "pgp.passphrase"\n')
    for name, content in (
        ("pgp.key", theirs.private_key("locked", passphrase=PASSPHRASE)),
        ("pgp.passphrase", PASSPHRASE.encode()),
    ):
        (path.parent / name).write_bytes(content)
        (path.parent / name).chmod(0o600)
    return path


def test_check_opens_the_key(theirs: GnuPG, configuration: Path) -> None:
    """`relay check` says what the route decrypts and until when, or that the passphrase does not open the key."""
    fine = run(configuration, "check")
    assert fine.exit_code == 0
    assert f"decrypts what is encrypted to {theirs.subkeys('locked')[0]}, does not expire" in " ".join(
        fine.stdout.split()
    )
    (configuration.parent / "pgp.passphrase").write_text("wrong")
    wrong = run(configuration, "check")
    assert wrong.exit_code == 2
    assert "pgp.private_key: the passphrase does not open the key" in wrong.stderr
    assert "wrong" not in wrong.output


def test_preview_decrypts(theirs: GnuPG, configuration: Path, tmp_path: Path) -> None:
    """`relay preview` shows what an encrypted export holds, and what it was packed in."""
    export = tmp_path / "export.csv"
    export.write_bytes(theirs.encrypt(gzipped(ROWS), to="locked"))
    shown = run(configuration, "preview", str(export), "--route", "sirendenim")
    assert shown.exit_code == 0
    assert 'recognised as packing "pgp, gzip", format "csv"' in shown.stdout
    assert PASSPHRASE not in shown.output


@NEEDS_SSHD
def test_an_encrypted_export_goes_all_the_way(theirs: GnuPG, tmp_path: Path) -> None:
    """What lands encrypted is decrypted by the real service and sent in clear, and no word of the secrets is logged."""
    with Sshd(tmp_path / "upstream") as upstream:
        setup = Setup(tmp_path / "relay", upstream)
        setup.route(sections='[pgp]\nprivate_key = "pgp.key"\npassphrase = "pgp.passphrase"')
        for name, content in (
            ("pgp.key", theirs.private_key("locked", passphrase=PASSPHRASE)),
            ("pgp.passphrase", PASSPHRASE.encode()),
        ):
            (setup.directory / name).write_bytes(content)
            (setup.directory / name).chmod(0o600)
        export = setup.directory / "upload"
        export.write_bytes(theirs.encrypt(gzipped(ROWS), to="locked"))
        with Service(setup) as service:
            sftp(service.port, "amperity", setup.client_key, f'put "{export}" "/uploads/export.csv"')
            service.wait_for("delivery.sent", rows_out=2)
            accepted = service.wait_for("export.accepted")
            assert service.stop() == 0
        assert accepted["recognised"]["packing"] == "pgp, gzip"
        assert PASSPHRASE not in str(service.lines)
        assert list(upstream.received().values()) == [b"2125550100,VIP\n2125550101,VIP\n"]
        assert not [path for path in setup.directory.rglob("unpacked*") if path.is_dir()]
