"""The sections of `relay.toml`, the host's part: what may be set, what it defaults to, and what it means.

The docstring under a setting is its entry in `docs/configuration.md`. A model that is built without a reading context
(as tests and the demo do) checks its values only; the files that it names are looked at when a configuration is loaded.
"""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, ByteSize, Field, ValidationInfo, field_validator, model_validator

from relay.config import addresses, named_files, reading
from relay.config.admission import AllowedSources, LimitSettings, PenaltySettings
from relay.config.bounds import Most, NotEmpty, Pause, at_most
from relay.config.names import AccountName, HostName, LoginName, NamedSettings, UpstreamName
from relay.config.problems import trouble
from relay.settings import Duration, Settings, Size

LONGEST_KEPT: Final = timedelta(days=4000)
LONGEST_NOTICE: Final = timedelta(days=366)


class LandingSettings(Settings):
    """Where and how clients deliver files by SFTP."""

    listen: Annotated[tuple[addresses.Address, ...], NotEmpty, AfterValidator(addresses.distinct)] = ("0.0.0.0:2222",)
    """The addresses to listen on, each `host:port`; an IPv6 host stands in brackets, port 0 takes any free port.
    Sockets that systemd hands over (`relay.socket`) are listened on instead."""
    host_keys: Annotated[tuple[named_files.HostKeyFile, ...], NotEmpty, Field(validate_default=True)] = (
        Path("ssh_host_ed25519_key"),
        Path("ssh_host_ecdsa_key"),
        Path("ssh_host_rsa_key"),
    )
    """The private host keys, each a secret file. `relay init` makes them; clients may pin them, so they are to stay."""
    algorithms: Literal["compatible", "strict"] = "compatible"
    """Which ciphers, key exchanges and host keys are offered: `strict` leaves out what only older clients need, the
    ECDSA host key among it (rule L26)."""
    settle: Pause = timedelta(seconds=2)
    """How long a landed file rests before it is taken, so that its client may still rename or remove it (rule L6)."""
    scan_every: Pause = timedelta(minutes=1)
    """How often the landing zone is looked through, whatever was or was not heard of it."""
    login_timeout: Pause = timedelta(seconds=30)
    """How long a client may take to log in."""
    drain: Pause = timedelta(seconds=20)
    """How long a stop waits for what is in hand before it is cut off or deferred."""
    max_file_size: Most = ByteSize(20 * 10**9)
    """How large a file may be; a larger one is refused while it is written (rule L8)."""
    min_free: Annotated[Size, Field(le=10**15)] = ByteSize(10**9)
    """How much of the disk stays free: below it uploads are refused, and `disk.low` is logged (rule L8)."""
    limits: LimitSettings = LimitSettings()
    penalties: PenaltySettings = PenaltySettings()

    @field_validator("algorithms")
    @classmethod
    def _has_a_host_key_for_it(cls, algorithms: str, info: ValidationInfo) -> str:
        if algorithms == "strict" and "host_keys" in info.data and reading.looks_at_files(info):
            named_files.check_strict_host_keys(info.data["host_keys"])
        return algorithms

    @property
    def addresses(self) -> tuple[tuple[str, int], ...]:
        """What to listen on, as pairs of host and port."""
        return tuple(addresses.split_address(text) for text in self.listen)


class AccountSettings(NamedSettings):
    """A login of the landing zone; its user name is the name of the table, and it needs a key or a password."""

    name: AccountName
    authorized_keys: named_files.AuthorizedKeysFile | None = None
    """A file of the public keys that may log in, one a line, as OpenSSH writes them."""
    password_hash: named_files.PasswordHashFile | None = None
    """A secret file with the hash of the password, as `relay hash-password` prints it."""
    quota: Most = ByteSize(100 * 10**9)
    """How much may lie in the account's part of the landing zone. What was taken still counts there for a day."""
    max_files: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """How many files and directories may lie there."""
    allow_from: AllowedSources | None = None
    """The addresses and networks that may log in to this account; by default all may (rule L23). Amperity publishes
    its own, and advises against relying on them."""

    @model_validator(mode="after")
    def _can_log_in(self) -> Self:
        if self.authorized_keys is None and self.password_hash is None:
            raise trouble(
                "nobody can log in: it has neither authorized_keys nor password_hash",
                hint='Set authorized_keys = "FILE" (public keys), password_hash = "FILE" (see `relay hash-password`), '
                "or both.",
            )
        return self


class UpstreamSettings(NamedSettings):
    """A server that lists are sent to; lists wait and fail per upstream. It needs a password or a private key."""

    name: UpstreamName
    host: HostName
    """The host name or address of the SFTP server, such as `sftp.attentivemobile.com`."""
    port: Annotated[int, Field(ge=1, le=65535)] = 22
    """The port of the SFTP server."""
    user: LoginName
    """The user name to log in with."""
    password: named_files.PasswordFile | None = None
    """A secret file with the password, alone on its first line."""
    passphrase: named_files.PasswordFile | None = None
    """A secret file with the passphrase of `private_key`, if that is encrypted."""
    private_key: named_files.PrivateKeyFile | None = None
    """A secret file with the private key to log in with."""
    known_hosts: named_files.KnownHostsFile
    """A file with the server's host key, as `ssh-keyscan` prints it; an unknown or changed key stops the upstream."""
    directory: reading.RemoteDirectory = "/uploads"
    """The directory at the upstream that files are put into."""
    publish: Literal["auto", "rename", "direct"] = "auto"
    """How a file gets its final name: by renaming a temporary file, by writing it directly, or by renaming unless the
    server refuses. Direct cannot promise that a file there is complete (rule U2)."""
    connections: Annotated[int, Field(ge=1, le=16)] = 2
    """How many connections there may be at once; over each goes one large list, or up to eight small ones."""
    connect_timeout: Pause = timedelta(seconds=30)
    """How long connecting and logging in may take."""
    stall_timeout: Pause = timedelta(seconds=60)
    """How long an upload may go without any progress before it counts as failed."""

    @field_validator("private_key")
    @classmethod
    def _key_opens(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        # Fields are validated in their order: "passphrase" is absent here if it is wrong itself.
        if path is not None and "passphrase" in info.data and reading.looks_at_files(info):
            named_files.check_private_key(path, info.data["passphrase"])
        return path

    @field_validator("known_hosts")
    @classmethod
    def _host_is_known(cls, path: Path, info: ValidationInfo) -> Path:
        if {"host", "port"} <= info.data.keys() and reading.looks_at_files(info):
            named_files.check_known_hosts(path, info.data["host"], info.data["port"])
        return path

    @model_validator(mode="after")
    def _can_log_in(self) -> Self:
        if self.password is None and self.private_key is None:
            raise trouble(
                "the relay cannot log in there: it has neither password nor private_key",
                hint='Set password = "FILE" or private_key = "FILE".',
            )
        if self.passphrase is not None and self.private_key is None:
            raise trouble(
                "it has a passphrase but no private_key that it could open", hint="Set private_key, or take it out."
            )
        return self


class RetentionSettings(Settings):
    """How long what is kept for people to look at, or to go back to, is kept (rules R4 to R6)."""

    files: Annotated[Duration, at_most(LONGEST_KEPT)] = timedelta(days=7)
    """How long landed and rewritten files are kept. What waits, and the last two lists sent of each segment, stay
    longer."""
    rejects: Annotated[Duration, at_most(LONGEST_KEPT)] = timedelta(days=14)
    """How long reject reports are kept."""
    held: Annotated[Duration, at_most(LONGEST_KEPT)] = timedelta(days=14)
    """How long a held or failed list, or an export in trouble, waits for a person before it is discarded."""
    history: Annotated[Duration, at_most(LONGEST_KEPT)] = timedelta(days=400)
    """How long the history is kept: counts, names and hashes, and nothing of people."""

    @model_validator(mode="after")
    def _reports_outlive_files(self) -> Self:
        if not self.files <= self.rejects <= self.history or self.held > self.history:
            raise trouble(
                "files, rejects and history must not get shorter in this order, nor held be longer than history",
                hint="A report is of use only with its history, and the history has to outlive what it tells of.",
            )
        return self


class LogSettings(Settings):
    """What the log shows."""

    segment_names: Literal["full", "hash"] = "full"
    """Whether log lines name segments, or only the first 12 digits of the name's SHA-256: names can be sensitive."""


class HostSettings(Settings):
    """`relay.toml`: the host's part of the configuration."""

    state_dir: reading.AbsoluteDirectory = Path("/var/lib/relay")
    """The directory that holds everything the relay keeps. It must be on one filesystem."""
    report: reading.AbsoluteFile | None = None
    """A file that the service writes the report into every day (`relay report`). Without it none is written."""
    expiry_notice: Annotated[Duration, at_most(LONGEST_NOTICE)] = timedelta(days=30)
    """How long before the last key of an account or of a route expires `key.expiring` says so (rule L28)."""
    landing: LandingSettings = LandingSettings()
    accounts: Annotated[dict[str, AccountSettings], NotEmpty]
    upstreams: Annotated[dict[str, UpstreamSettings], NotEmpty]
    log: LogSettings = LogSettings()
    retention: RetentionSettings = RetentionSettings()
