"""Where a person occurs: one identifier, in whatever way it is written, looked for in a file, packed or not."""

import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from relay.model import RelayError

if TYPE_CHECKING:
    from relay.rewrite.rules import Rules

_BETWEEN: Final = r"[\s().\-/\u2010-\u2015\u200b-\u200d\ufeff]{0,4}"
_PREFIX: Final = rf"(?<!\d)(?:\+|0{{2}}|011)?{_BETWEEN}1?{_BETWEEN}1?{_BETWEEN}"
_DIGITS: Final = 10


def pattern_of(identifier: str) -> re.Pattern[str]:
    """Return what matches an identifier in text: a phone number in any of the accepted ways, an address in any case.

    Raises:
        RelayError: it is neither; the message does not show it.
    """
    identifier = identifier.strip()
    if re.fullmatch(r"[^@\s,\"]+@[^@\s,\"]+", identifier):
        return re.compile(rf"(?<![\w.+-]){re.escape(identifier)}(?![\w-]|\.\w)", re.IGNORECASE)
    digits = re.sub(r"\D", "", unicodedata.normalize("NFKC", identifier))
    if len(digits) == _DIGITS + 1 and digits[0] == "1":
        digits = digits[1:]
    if len(digits) != _DIGITS:
        raise RelayError(
            "that is neither a phone number of ten digits nor an e-mail address",
            hint="Write the number with its area code, as in 212-555-01XX, or the whole address.",
        )
    return re.compile(_PREFIX + _BETWEEN.join(digits) + r"(?!\d)")


def occurs(pattern: re.Pattern[str], file: Path, rules: "Rules | None", work: Path) -> bool:
    """Say whether the identifier is in a file; what it is packed in is unpacked into `work` first.

    Raises:
        UnusableSource: it cannot be unpacked or read.
    """
    from relay.rewrite.files import SourceFile
    from relay.rewrite.packing import unpack

    plain = [file]
    if rules is not None:
        plain = [source.path for source in unpack([SourceFile(file, file.name)], work, rules).sources]
    return any(pattern.search(unicodedata.normalize("NFKC", text)) for path in plain for text in _texts(path, rules))


def _texts(path: Path, rules: "Rules | None") -> Iterator[str]:
    """Yield the text of a file, piece by piece; no identifier is cut in two."""
    from relay.rewrite.formats import columns_of, read_batches
    from relay.rewrite.formats.content import format_of
    from relay.rewrite.layout import Format

    if rules is not None and format_of(path, "auto") is Format.PARQUET:
        columns = columns_of(path, Format.PARQUET, rules)
        for rows in read_batches(path, Format.PARQUET, columns, range(len(columns))):
            yield from ("\n".join(row.cells) for row in rows)
        return
    with path.open(encoding="utf-8", errors="replace", newline="\n") as lines:
        yield from lines
