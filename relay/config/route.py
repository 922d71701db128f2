"""The sections of a route's file, one tenant's part: what may be set, what it defaults to, and what it means.

The docstring under a setting is its entry in `docs/configuration.md`, as in `relay.config.host`.
"""

from datetime import date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Annotated, Final, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, ValidationInfo, field_validator, model_validator

from relay.config import named_files, reading
from relay.config.bounds import Pause, at_most
from relay.config.names import ClientDomain, NamedSettings, RouteName, TimeZone
from relay.config.patterns import PathPattern
from relay.config.problems import trouble
from relay.freshness import Expectation
from relay.guards import GuardPolicy
from relay.model import IdentifierKind
from relay.rewrite.rules import (
    EmailRules,
    PgpRules,
    PhoneRules,
    Rules,
    SegmentName,
    SegmentRules,
    SourceRules,
    UnpackRules,
)
from relay.settings import Duration, Settings, TimeOfDay

LONGEST_RESTORE_AGE: Final = timedelta(days=400)
LONGEST_GRACE: Final = timedelta(hours=12)
LONGEST_STALE_AFTER: Final = timedelta(days=30)
LONGEST_WAIT: Final = timedelta(hours=12)
"""Exports come daily and use the same names: what is left of one must be given up before the next one."""


class SourceSettings(SourceRules):
    """How exports of this route are read, and when one counts as complete."""

    group: Literal["file", "directory"] = "file"
    """What makes one export: a file, or all files of a directory. With `directory`, `complete` is `done` or `quiet`
    (rule C1)."""
    complete: Literal["close", "done", "quiet"] = "close"
    """What makes an export complete: its client's CLOSE, an end marker such as `<file>.DONE` or `<directory>/.DONE`, or
    that nothing more came for `quiet` (rule C1)."""
    quiet: Pause = timedelta(seconds=60)
    """How long an export must rest that counts as complete by that, and a file that was put there by other means (rule
    L5)."""
    wait: Annotated[Duration, at_most(LONGEST_WAIT)] = timedelta(hours=2)
    """How long, after the last file came, missing ones or the end marker are waited for before the export is
    quarantined as `incomplete` (rule C5)."""

    @model_validator(mode="after")
    def _directory_has_an_end(self) -> Self:
        if self.group == "directory" and self.complete == "close":
            raise trouble(
                "no file's CLOSE tells that a directory has all of its files",
                hint='Beside group = "directory", set complete = "done" if an end marker (.DONE) is sent, or "quiet".',
            )
        return self

    @property
    def gathers(self) -> bool:
        """Whether an export may have to wait for more files."""
        return self.group == "directory" or self.complete == "done"


class PgpSettings(Settings):
    """The private key by which this route's exports are decrypted, where they are encrypted with PGP (rule K13)."""

    passphrase: named_files.PasswordFile | None = None
    """A secret file with the passphrase of `private_key`, if that has one, alone on its first line."""
    private_key: named_files.PrivateKeyFile | None = None
    """A secret file with the private key, as `gpg --export-secret-keys` writes it. It may hold several, such as the one
    before, as long as exports are encrypted to it."""

    @field_validator("private_key")
    @classmethod
    def _key_opens(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        # Fields are validated in their order: "passphrase" is absent here if it is wrong itself.
        if path is not None and "passphrase" in info.data and reading.looks_at_files(info):
            named_files.check_decryption_key(path, info.data["passphrase"])
        return path

    @model_validator(mode="after")
    def _passphrase_opens_something(self) -> Self:
        if self.passphrase is not None and self.private_key is None:
            raise trouble(
                "it has a passphrase but no private_key that it could open", hint="Set private_key, or take it out."
            )
        return self

    @property
    def rules(self) -> PgpRules:
        """The paths, for the rewrite's process, which reads the files itself."""
        key, words = self.private_key, self.passphrase
        return PgpRules(private_key=None if key is None else str(key), passphrase=None if words is None else str(words))


class RouteSettings(NamedSettings):
    """One tenant: which landed files, rewritten by which rules, are sent where. The file's name is the route's."""

    name: RouteName
    account: reading.AccountReference
    """The account whose files this route takes."""
    path: Annotated[str, AfterValidator(PathPattern.checked)] = "/**"
    """Which of the account's files: `*` and `?` stand for characters of one name, `**` for any number of directories.
    Routes of one account must not overlap."""
    upstream: reading.UpstreamReference
    """The upstream that the lists are sent to."""
    client_domain: ClientDomain
    """The customer domain that Attentive's White Glove team gave you, a bare label such as `sirendenim`; every file's
    name begins with it (rule A1)."""
    identifier: IdentifierKind
    """What subscribers are identified by, as agreed with the White Glove team: `phone` or `email`. Never guessed."""
    timezone: TimeZone = ZoneInfo("UTC")
    """The IANA time zone in which a list's date is told (rule D2)."""
    stale_after: Annotated[Duration, at_most(LONGEST_STALE_AFTER)] = timedelta(hours=48)
    """How long after its landing a list that is still unsent is held for a person (rule G8)."""
    max_restore_age: Annotated[Duration, at_most(LONGEST_RESTORE_AGE)] = timedelta(days=7)
    """How long ago a list may have been sent that `relay restore` sends again without being told that it is old."""
    expect_by: TimeOfDay | None = None
    """The time of day in `timezone`, such as `"06:00"`, by which the lists of each date are to be sent (rule W1).
    Without it nothing is expected."""
    grace: Annotated[Duration, at_most(LONGEST_GRACE)] = timedelta(hours=2)
    """How long after `expect_by` what is late counts as missing (rule W2)."""
    expect_segments: tuple[SegmentName, ...] = ()
    """The segments that are expected; by default those of which a list was sent in the three days before."""
    source: SourceSettings = SourceSettings()
    segment: SegmentRules = SegmentRules()
    phone: PhoneRules = PhoneRules()
    email: EmailRules = EmailRules()
    unpack: UnpackRules = UnpackRules()
    pgp: PgpSettings = PgpSettings()
    guards: GuardPolicy = GuardPolicy()

    @property
    def expectation(self) -> Expectation | None:
        """When which lists are expected to be sent, if that was said."""
        if self.expect_by is None:
            return None
        return Expectation(self.expect_by, self.grace, self.timezone, self.expect_segments)

    @property
    def rules(self) -> Rules:
        """The part of the settings that decides what a rewrite makes of given bytes."""
        source = SourceRules(**{key: getattr(self.source, key) for key in SourceRules.model_fields})
        return Rules(
            identifier=self.identifier,
            source=source,
            segment=self.segment,
            phone=self.phone,
            email=self.email,
            unpack=self.unpack,
            pgp=self.pgp.rules,
        )

    @cached_property
    def pattern(self) -> PathPattern:
        """Which paths the route wants."""
        return PathPattern(self.path)

    def day_of(self, moment: datetime) -> date:
        """Return the date of a moment, in the route's time zone (rule D2)."""
        return moment.astimezone(self.timezone).date()

    def matches(self, account: str, path: str) -> bool:
        """Say whether the route wants the file that `account` named `path`."""
        return account == self.account and self.pattern.matches(path)
