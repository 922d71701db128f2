"""A right configuration becomes settings: defaults, places of files, routes that find their files."""

from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from parts.configuration import PASSWORD, ROUTE_TOML, write_configuration
from pydantic import ValidationError

from relay.config import (
    AccountSettings,
    Config,
    ConfigError,
    LandingSettings,
    Problem,
    RouteSettings,
    UpstreamSettings,
    load,
)
from relay.config.named_files import read_password, read_password_hash
from relay.config.translation import key_path
from relay.model import IdentifierKind, RelayError


@pytest.fixture(autouse=True)
def _no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever runs the tests as a service has credentials of their own."""
    monkeypatch.delenv("CREDENTIALS_DIRECTORY", raising=False)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The `relay.toml` of a right configuration."""
    return write_configuration(tmp_path / "relay")


def route(**settings: object) -> RouteSettings:
    """Return a route with what it needs, and `settings`."""
    needed = {
        "name": "sirendenim",
        "account": "amperity",
        "upstream": "attentive",
        "client_domain": "sirendenim",
        "identifier": "phone",
    }
    return RouteSettings.model_validate(needed | settings)


def upstream(**settings: object) -> UpstreamSettings:
    """Return an upstream with what it needs, and `settings`."""
    needed = {"name": "attentive", "host": "sftp.example.com", "user": "u", "password": "p", "known_hosts": "k"}
    return UpstreamSettings.model_validate(needed | settings)


def test_a_configuration_is_loaded(path: Path) -> None:
    """The host's part and the routes become one value, names included."""
    config = load(path)
    assert config.state_dir == Path("/var/lib/relay")
    assert {name: account.name for name, account in config.accounts.items()} == {"amperity": "amperity"}
    assert {name: upstream.name for name, upstream in config.upstreams.items()} == {"attentive": "attentive"}
    assert {name: route.name for name, route in config.routes.items()} == {"sirendenim": "sirendenim"}
    assert config.routes["sirendenim"].identifier is IdentifierKind.PHONE


def test_what_is_not_set_has_its_default(path: Path) -> None:
    """The defaults are those of the reference."""
    config = load(path)
    upstream, route = config.upstreams["attentive"], config.routes["sirendenim"]
    assert (config.landing.settle, config.landing.scan_every) == (timedelta(seconds=2), timedelta(minutes=1))
    assert (config.landing.login_timeout, config.landing.drain) == (timedelta(seconds=30), timedelta(seconds=20))
    assert (upstream.port, upstream.directory, upstream.publish, upstream.connections) == (22, "/uploads", "auto", 2)
    assert (upstream.connect_timeout, upstream.stall_timeout) == (timedelta(seconds=30), timedelta(seconds=60))
    assert (route.timezone, route.stale_after) == (ZoneInfo("UTC"), timedelta(hours=48))
    assert (route.source.complete, route.source.quiet) == ("close", timedelta(seconds=60))
    assert (route.phone.validation, route.guards.max_shrink) == ("format", 0.5)
    assert config.log.segment_names == "full"


def test_what_is_set_of_the_host_arrives(path: Path) -> None:
    """Every section of `relay.toml` is in the whole configuration."""
    more = 'report = "/srv/report.html"\n' + path.read_text(encoding="utf-8") + '[retention]\nfiles = "3d"\n'
    path.write_text(more, encoding="utf-8")
    config = load(path)
    assert config.report == Path("/srv/report.html")
    assert config.retention.files == timedelta(days=3)


def test_files_are_looked_up_beside_the_configuration(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative name means the configuration's directory, wherever the relay was started and however it was told."""
    monkeypatch.chdir(path.parent.parent)
    config = load(path.relative_to(path.parent.parent))
    assert config.landing.host_keys == (path.parent / "ssh_host_ed25519_key",)
    assert config.accounts["amperity"].authorized_keys == path.parent / "amperity.pub"
    assert config.upstreams["attentive"].known_hosts == path.parent / "attentive.known_hosts"


def test_an_absolute_name_is_taken_as_it_is(path: Path, tmp_path: Path) -> None:
    """A secret may lie elsewhere."""
    elsewhere = tmp_path / "elsewhere"
    (path.parent / "attentive.password").rename(elsewhere)
    path.write_text(
        path.read_text(encoding="utf-8").replace('"attentive.password"', f'"{elsewhere}"'), encoding="utf-8"
    )
    assert load(path).upstreams["attentive"].password == elsewhere


def test_a_credential_comes_first(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file among systemd's credentials is preferred; one that is not there is looked up beside the configuration."""
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (path.parent / "attentive.password").rename(credentials / "attentive.password")
    # As systemd leaves it: the group bits stand for an access list with the service's user alone.
    (credentials / "attentive.password").chmod(0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(credentials))
    config = load(path)
    assert config.upstreams["attentive"].password == credentials / "attentive.password"
    assert config.accounts["amperity"].password_hash == path.parent / "amperity.hash"


def test_files_can_be_left_alone(path: Path) -> None:
    """A command that reads only the state works where the secrets cannot be seen; the paths are known all the same."""
    (path.parent / "attentive.password").unlink()
    (path.parent / "amperity.hash").chmod(0o644)
    (path.parent / "amperity.pub").write_text("no key", encoding="utf-8")
    config = load(path, with_files=False)
    assert config.upstreams["attentive"].password == path.parent / "attentive.password"
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert len(caught.value.problems) == 3


def test_a_private_key_is_opened_with_its_passphrase(path: Path) -> None:
    """An upstream's key and passphrase are tried out before they are needed."""
    import asyncssh  # noqa: PLC0415  only this test makes a key of its own

    key = asyncssh.generate_private_key("ssh-ed25519").export_private_key("pkcs8-pem", passphrase=PASSWORD)
    (path.parent / "attentive.key").write_bytes(key)
    (path.parent / "attentive.key").chmod(0o600)
    host = path.read_text(encoding="utf-8").replace("password = ", 'private_key = "attentive.key"\npassphrase = ')
    path.write_text(host, encoding="utf-8")
    assert load(path).upstreams["attentive"].private_key == path.parent / "attentive.key"
    (path.parent / "attentive.password").write_text("open barley\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"upstreams.attentive.private_key: .*attentive.key is not opened"):
        load(path)


def test_a_directory_in_place_of_a_file_is_a_problem(tmp_path: Path) -> None:
    """What cannot be read is told like any other problem."""
    (tmp_path / "relay.toml").mkdir()
    with pytest.raises(ConfigError, match="it cannot be read: Is a directory"):
        load(tmp_path / "relay.toml")


def test_problems_of_all_files_come_together(path: Path) -> None:
    """One wrong file does not hide another."""
    path.write_text("state_dir = 1", encoding="utf-8")
    (path.parent / "routes.d" / "second.toml").write_text("account = 1", encoding="utf-8")
    (path.parent / "routes.d" / "third.toml").write_text("= 1", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path)
    places = {(problem.file.name, problem.path) for problem in caught.value.problems}
    assert {("relay.toml", "state_dir"), ("second.toml", "account"), ("third.toml", "")} <= places


def test_an_unreadable_host_file_blames_no_route(path: Path) -> None:
    """Where relay.toml says nothing, no route is told that its account is unknown."""
    path.write_text("[accounts", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert [problem.file.name for problem in caught.value.problems] == ["relay.toml"]


def test_an_account_with_a_mistake_is_still_known(path: Path) -> None:
    """A route is not blamed for a mistake in its account."""
    path.write_text(path.read_text(encoding="utf-8").replace("authorized_keys", "authorised_keys"), encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert [problem.path for problem in caught.value.problems] == ["accounts.amperity.authorised_keys"]


def test_routes_of_several_accounts_may_share_a_path(path: Path) -> None:
    """Paths overlap only within one account; another account's files lie elsewhere."""
    host = path.read_text(encoding="utf-8") + '[accounts.second]\npassword_hash = "amperity.hash"\n'
    path.write_text(host, encoding="utf-8")
    second = ROUTE_TOML.replace('account = "amperity"', 'account = "second"')
    (path.parent / "routes.d" / "second.toml").write_text(second, encoding="utf-8")
    config = load(path)
    assert config.route_for("amperity", "/uploads/sirendenim/x.csv") is config.routes["sirendenim"]
    assert config.route_for("second", "/uploads/sirendenim/x.csv") is config.routes["second"]


def test_a_file_without_a_route_has_none(path: Path) -> None:
    """What no route wants is nobody's."""
    config = load(path)
    assert config.route_for("amperity", "/uploads/x.csv") is None
    assert config.route_for("stranger", "/uploads/sirendenim/x.csv") is None


def test_a_route_takes_everything_unless_told_otherwise() -> None:
    """Without a path a route wants all files of its account, at any depth."""
    assert route().matches("amperity", "/x.csv")
    assert route().matches("amperity", "/uploads/2026/x.csv")
    assert not route().matches("other", "/x.csv")


def test_rules_are_what_a_rewrite_depends_on() -> None:
    """When a file counts as complete does not change what is made of its bytes, so it is no part of the rules (D9)."""
    plain = route()
    assert plain.rules.identifier is IdentifierKind.PHONE
    assert route(source={"complete": "quiet", "quiet": "5m"}).rules.digest() == plain.rules.digest()
    assert route(guards={"max_shrink": 0.1}, stale_after="1h", path="/x/**").rules.digest() == plain.rules.digest()
    for change in (
        {"identifier": "email"},
        {"source": {"header": "none"}},
        {"segment": {"name": "VIP"}},
        {"phone": {"validation": "nanp"}},
        {"email": {"case": "preserve"}},
    ):
        assert route(**change).rules.digest() != plain.rules.digest()


@pytest.mark.parametrize("domain", ["sirendenim", "SirenDenim", "siren-denim", "7up", "x", "a" * 63])
def test_a_client_domain_is_a_label(domain: str) -> None:
    """It is written into names as it was given: letters, digits and inner hyphens."""
    assert route(client_domain=domain).client_domain == domain


@pytest.mark.parametrize(
    "domain",
    ["", "siren.denim", "siren_denim", "siren/denim", "siren denim", "-siren", "siren-", "sirén", "a" * 64, "a\n"],
)
def test_anything_else_is_no_client_domain(domain: str) -> None:
    """An underscore would make a name ambiguous, a slash or a dot would lead elsewhere."""
    with pytest.raises(ValidationError, match="bare label"):
        route(client_domain=domain)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a/b", ".hidden", "a b", "a\n", "a\0", "-x", "é", "a" * 65, "a@example.com"]
)
def test_an_account_that_would_be_no_safe_directory_is_refused(name: str) -> None:
    """An account's name is a directory's; none can lead out, and none is an address."""
    with pytest.raises(ValidationError, match="cannot be used for an account"):
        AccountSettings(name=name, password_hash=Path("x"))


@pytest.mark.parametrize("name", ["", "a.b", "a/b", "_x", "a b", "a" * 33])
def test_a_route_that_would_be_no_safe_id_is_refused(name: str) -> None:
    """A route's name begins the ids of its exports, in which a dot has a meaning."""
    with pytest.raises(ValidationError, match="this name cannot be used"):
        route(name=name)


@pytest.mark.parametrize(
    ("listen", "addresses"),
    [
        (["0.0.0.0:2222"], (("0.0.0.0", 2222),)),  # noqa: S104
        (["[::1]:2222", "127.0.0.1:2222"], (("::1", 2222), ("127.0.0.1", 2222))),
        (["[::]:2222", "0.0.0.0:2222"], (("::", 2222), ("0.0.0.0", 2222))),  # noqa: S104
        (["localhost:0", "localhost:0"], (("localhost", 0), ("localhost", 0))),
    ],
)
def test_addresses_to_listen_on(listen: list[str], addresses: tuple[tuple[str, int], ...]) -> None:
    """An address is a host and a port; any free port, 0, can be asked for again and again."""
    assert LandingSettings.model_validate({"listen": listen}).addresses == addresses


@pytest.mark.parametrize(
    "listen",
    [["0.0.0.0:22", "10.0.0.1:22"], ["[::1]:22", "[0:0::1]:22"], ["relay:22", "RELAY:22"], ["[::]:22", "[::1]:22"]],
)
def test_an_address_that_is_taken_by_another_is_refused(listen: list[str]) -> None:
    """The second listener would fail to start."""
    with pytest.raises(ValidationError, match="claim the same port"):
        LandingSettings.model_validate({"listen": listen})


@pytest.mark.parametrize("host", ["sftp.example.com", "192.0.2.1", "2001:db8::1", "localhost", "a_b.example.com."])
def test_hosts(host: str) -> None:
    """A host is a name or an address."""
    assert upstream(host=host).host == host


@pytest.mark.parametrize("host", ["", "sftp://x", "x:22", "a b", "-x.example.com", "a..b", "x/uploads", "a" * 300])
def test_what_is_no_host(host: str) -> None:
    """A URL, or a host with its port, would fail at every connection."""
    with pytest.raises(ValidationError, match="not a host name"):
        upstream(host=host)


@pytest.mark.parametrize(("given", "kept"), [("/uploads/", "/uploads"), ("uploads", "uploads"), ("/", "/"), (".", ".")])
def test_the_upstreams_directory(given: str, kept: str) -> None:
    """A slash at the end means nothing; a relative directory is the server's business."""
    assert upstream(directory=given).directory == kept


def test_the_first_line_is_the_password(tmp_path: Path) -> None:
    """A line end after the password is none of it; blanks are."""
    (tmp_path / "password").write_bytes(b" open sesame \r\nsecond line\n")
    assert read_password(tmp_path / "password") == " open sesame "


@pytest.mark.parametrize(
    ("content", "message"), [(b"", "is empty"), (b"\nhunter2\n", "is empty"), (b"\xff\xfe", "is not text")]
)
def test_a_file_without_a_password_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    """The error repeats nothing of the file."""
    (tmp_path / "password").write_bytes(content)
    with pytest.raises(RelayError, match=message) as caught:
        read_password(tmp_path / "password")
    assert "hunter2" not in caught.value.message + caught.value.hint


def test_a_password_hash_is_read(path: Path) -> None:
    """What `relay hash-password` prints is taken, its line end left out."""
    assert read_password_hash(path.parent / "amperity.hash").startswith("$argon2id$")
    (path.parent / "amperity.hash").write_text("hunter2\n", encoding="utf-8")
    with pytest.raises(RelayError, match="holds no password hash") as caught:
        read_password_hash(path.parent / "amperity.hash")
    assert "hunter2" not in caught.value.message + caught.value.hint


def test_a_password_that_cannot_be_read_is_trouble(tmp_path: Path) -> None:
    """The error says why."""
    with pytest.raises(RelayError, match="the file cannot be read: Is a directory"):
        read_password(tmp_path)


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ((), ""),
        (("state_dir",), "state_dir"),
        (("landing", "listen", 0), "landing.listen[0]"),
        (("accounts", "a.b", "name"), 'accounts."a.b".name'),
    ],
)
def test_a_key_is_written_as_toml_names_it(parts: tuple[str | int, ...], text: str) -> None:
    """A problem's place can be looked up in the file."""
    assert key_path(parts) == text


def test_a_problem_is_a_sentence_with_its_place() -> None:
    """File, key and message stand in one line, the hint under it."""
    problem = Problem(Path("relay.toml"), "landing.drain", "it is missing", "Set it.")
    assert str(problem) == "relay.toml: landing.drain: it is missing\n    Set it."
    assert str(Problem(Path("relay.toml"), "", "there is no such file")) == "relay.toml: there is no such file"


def test_a_configuration_can_be_made_without_files() -> None:
    """Tests and the demo build settings in memory; only loading looks at files."""
    config = Config(
        state_dir=Path("/tmp/state"),  # noqa: S108  a name, never used
        landing=LandingSettings(),
        accounts={"amperity": AccountSettings(name="amperity", authorized_keys=Path("missing"))},
        upstreams={"attentive": upstream()},
        routes={"sirendenim": route()},
    )
    assert config.route_for("amperity", "/x.csv") == route()
