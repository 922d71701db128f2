"""The settings of a rewrite: how a route's sources are read and what an identifier and a segment name may be.

They are all that a rewrite depends on beside the source's bytes, so their digest tells whether the same bytes would be
judged the same way again (rule D9).
"""

import hashlib
import json
import re
from string import Formatter
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, ByteSize, Field, StringConstraints, field_validator, model_validator

from relay.model import IdentifierKind
from relay.rewrite.dialect import Dialect
from relay.rewrite.mask import mask_name
from relay.settings import Settings, Size

RULES_VERSION: Final = 5
"""Raised whenever the rewrite decides differently under unchanged settings, so that earlier digests no longer match."""

SEGMENT_NAME: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 _-]{0,62}[A-Za-z0-9])?")
"""What a segment may be called (rule S4)."""

_FEWEST_IDENTIFIER_DIGITS: Final = 10

IDENTIFIER_COLUMNS: Final[dict[IdentifierKind, tuple[str, ...]]] = {
    IdentifierKind.PHONE: ("phone", "mobile", "phone_number", "contact_phone", "phone_mobile"),
    IdentifierKind.EMAIL: ("email", "email_address", "contact_email"),
}
"""The identifier columns looked for where the configuration names none, in this order (rule S2)."""

ColumnName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
ColumnNames = tuple[ColumnName, ...]


class PhoneRules(Settings):
    """Which phone numbers are accepted (rules P1 to P6)."""

    validation: Literal["format", "nanp", "valid"] = "format"
    """`format` accepts ten digits, or eleven beginning with 1, in the usual ways of writing them; `nanp` also wants a
    possible area code and exchange; `valid` also wants a number that exists."""
    extension: Literal["reject", "drop"] = "reject"
    """What to do with a number that has an extension: reject its row, or send the number without it."""


class EmailRules(Settings):
    """Which e-mail addresses are accepted (rules E1 to E4)."""

    case: Literal["lower", "preserve"] = "lower"
    """Write addresses in lower case, or as they came. Duplicates are found without case either way."""
    internationalized: bool = False
    """Accept addresses with other than ASCII characters."""


def _is_allowed(name: str) -> bool:
    return SEGMENT_NAME.fullmatch(name) is not None and not is_like_identifier(name)


_NAME_PROBLEM: Final = (
    "a segment name has 1 to 64 ASCII letters, digits, blanks, _ and -, with a letter or digit at both ends, "
    "and is no phone number"
)


def _allowed(name: str) -> str:
    if not _is_allowed(name):
        raise ValueError(_NAME_PROBLEM)
    return name


SegmentName = Annotated[str, AfterValidator(_allowed)]
"""The name of a segment as it may be sent (rule S4)."""


class SegmentRules(Settings):
    """Where a row's segment name comes from and what it may be (rules S3 and S4).

    Of `name`, `template` and `pattern` there can be one; without them it is `column`.
    """

    column: Annotated[ColumnNames, Field(min_length=1)] = ("segment_name",)
    """The column that holds the segment name; of several, the first that the header has. Compared without case."""
    name: SegmentName | None = None
    """One segment for every row of the route; a segment column in the source is then ignored."""
    template: str | None = None
    """The name put together from several columns, such as `"{campaign_name} {treatment_name}"`. A row in which one of
    them is empty has no segment."""
    pattern: str | None = None
    """The name taken from the file's name: a regular expression in Python's notation with a group called `segment`,
    such as `'(?P<segment>.+)_\\d{4}-\\d{2}-\\d{2}'`. It is looked for in the last part of the path, or in all of it if
    it has a `/` itself; and likewise in the names of an archive's members."""
    spaces: Literal["keep", "remove"] = "keep"
    """What to do with blanks in a name that comes from `template` or `pattern`: keep them, or remove them, as
    Amperity's own connector to Attentive does."""
    rename: dict[str, str] = Field(default_factory=dict)
    """Segment names to replace before any rule looks at them, as `"from" = "to"`. Compared exactly, after surrounding
    blanks are trimmed."""
    limit: Annotated[int, Field(ge=1)] = 1000
    """The most segments that one export may name. More mean that the wrong column is read as the segment."""

    @field_validator("template")
    @classmethod
    def _template_names_columns(cls, template: str | None) -> str | None:
        if template is None:
            return None
        try:
            parts = list(Formatter().parse(template))
        except ValueError as error:
            raise ValueError(f"the template cannot be read: {error}") from None
        names = [name for _, name, _, _ in parts if name is not None]
        if not names or not all(map(str.strip, names)) or any(spec or conversion for *_, spec, conversion in parts):
            raise ValueError(
                'a template has the names of columns in braces, such as "{campaign_name} {treatment_name}"'
            )
        return template

    @field_validator("pattern")
    @classmethod
    def _pattern_has_the_group(cls, pattern: str | None) -> str | None:
        if pattern is None:
            return None
        try:
            groups = re.compile(pattern).groupindex
        except re.error as error:
            raise ValueError(f"the pattern is no regular expression: {error}") from None
        if "segment" not in groups:
            raise ValueError("a pattern has a group called segment: '(?P<segment>.+)_\\d{4}-\\d{2}-\\d{2}'")
        return pattern

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        given = [key for key in ("name", "template", "pattern") if getattr(self, key) is not None]
        if len(given) > 1:
            raise ValueError(f"there is more than one source of the name: {' and '.join(given)}; keep one of them")
        return self

    @property
    def template_columns(self) -> tuple[str, ...]:
        """The columns that the template names, each once, in their order."""
        names = (name.strip() for _, name, _, _ in Formatter().parse(self.template or "") if name is not None)
        return tuple(dict.fromkeys(names))

    @field_validator("rename")
    @classmethod
    def _rename_leads_somewhere(cls, rename: dict[str, str]) -> dict[str, str]:
        for old, new in rename.items():
            if old != old.strip():
                raise ValueError(f'"{old}" would never match: surrounding blanks are trimmed before the comparison')
            if not _is_allowed(new):
                raise ValueError(f'"{mask_name(old)}" becomes "{mask_name(new)}": {_NAME_PROBLEM}')
            if rename.get(new, new) != new:
                # A rewritten file that comes in again must not move to yet another segment (rule S7).
                raise ValueError(
                    f'"{mask_name(old)}" becomes "{mask_name(new)}", which is itself renamed; '
                    "name the last one directly"
                )
        return rename


class SourceRules(Settings):
    """How a source is read (rules S1 and S2). `auto` is recognised from the content."""

    format: Literal["auto", "csv", "ndjson", "json", "parquet"] = "auto"
    """What the rows are written in, once a file is unpacked."""
    gaps: Literal["quarantine", "accept"] = "quarantine"
    """What to do with a directory or an archive whose files show that one is missing or empty (rules C6 and K4)."""
    delimiter: str = "auto"
    """The character between two cells. `auto` recognises comma, tab, pipe and semicolon."""
    escape: str = "none"
    """The character that takes away the meaning of the one after it, often a backslash; or `none`."""
    quotes: Literal["auto", "standard", "none"] = "auto"
    """Whether `"` around a cell has the meaning that CSV gives it. `none` takes it for a character like any other, as
    an export with the quote mode "none" means it. `auto` gives it that meaning, too, but quarantines the export where
    a cell of several lines holds what looks like further rows; `standard` lets such cells pass (rule S13)."""
    header: Literal["auto", "required", "none"] = "auto"
    """Whether the first row holds the columns' names."""
    identifier_column: Annotated[ColumnNames, Field(min_length=1)] | None = None
    """The column that holds the identifier; of several, the first that the header has, and no other is ever mixed in
    or taken in its place. Compared without case. By default `phone`, `mobile`, `phone_number`, `contact_phone`,
    `phone_mobile`, or `email`, `email_address`, `contact_email`, or else what holds identifiers."""
    control_column: ColumnNames = ("is_control",)
    """The column that marks the rows of a control group, which are not sent; of several, the first that the header has.
    An empty list sends them like all others."""
    row_number_column: ColumnNames = ("row_number",)
    """The column that numbers the rows; of several, the first that the header has. A gap in it is a sign of missing
    rows, which quarantines the export (rule S12). An empty list takes no notice of it."""

    @field_validator("delimiter")
    @classmethod
    def _delimiter_is_one_character(cls, delimiter: str) -> str:
        if delimiter != "auto" and (len(delimiter) != 1 or delimiter in '"\r\n\0' or delimiter.isalnum()):
            raise ValueError('a delimiter is "auto" or one character, but no letter, digit, quote or line end')
        return delimiter

    def dialect(self, delimiter: str) -> Dialect:
        """Return the dialect of a text with this delimiter."""
        return Dialect(
            delimiter,
            None if self.escape == "none" else self.escape,
            quotes=self.quotes != "none",
            trusted=self.quotes == "standard",
        )

    @field_validator("escape")
    @classmethod
    def _escape_is_one_character(cls, escape: str) -> str:
        if escape != "none" and (len(escape) != 1 or escape in '"\r\n\0' or escape.isalnum() or escape.isspace()):
            raise ValueError('an escape is "none" or one character, but no letter, digit, blank, quote or line end')
        return escape

    @model_validator(mode="after")
    def _delimiter_differs_from_escape(self) -> Self:
        if self.delimiter == self.escape:
            raise ValueError("delimiter and escape cannot be the same character")
        return self


class UnpackRules(Settings):
    """How much may come out of one landed file that is packed (rule K3)."""

    size: Annotated[Size, Field(gt=0)] = ByteSize(50_000_000_000)
    """The most that a file may unpack to. Each layer (PGP around gzip around TAR) counts by itself, and so much room on
    the disk may be needed twice while it is unpacked."""
    ratio: Annotated[int, Field(ge=1)] = 250
    """The most that a file may unpack to as a multiple of its own size; it counts from 64 MB on."""
    members: Annotated[int, Field(ge=1)] = 10_000
    """The most members that the archives in a file may have."""
    depth: Annotated[int, Field(ge=1, le=16)] = 4
    """The most layers that a file may be packed in."""


class PgpRules(Settings):
    """Where the key lies by which exports are decrypted that are encrypted with PGP (rule K13)."""

    private_key: str | None = None
    """The path of the private key, in a secret file."""
    passphrase: str | None = None
    """The path of its passphrase, in another."""


class Rules(Settings):
    """Everything that a rewrite depends on beside the bytes of its sources."""

    identifier: IdentifierKind
    source: SourceRules = SourceRules()
    segment: SegmentRules = SegmentRules()
    phone: PhoneRules = PhoneRules()
    email: EmailRules = EmailRules()
    unpack: UnpackRules = UnpackRules()
    pgp: PgpRules = PgpRules()

    @property
    def identifier_columns(self) -> tuple[str, ...]:
        """The names an identifier column may have, in the order of preference (rule S2)."""
        return self.source.identifier_column or IDENTIFIER_COLUMNS[self.identifier]

    def digest(self) -> str:
        """Return a SHA-256 that changes whenever these rules might judge the same bytes differently (rule D9)."""
        content = {"version": RULES_VERSION, "rules": self.model_dump(mode="json")}
        return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def is_like_identifier(name: str) -> bool:
    """Say whether a segment's name reads as a phone number: ten digits or more, and no letter (rule S4)."""
    return sum(map(str.isdecimal, name)) >= _FEWEST_IDENTIFIER_DIGITS and not any(map(str.isalpha, name))
