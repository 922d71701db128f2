"""Where a person occurs: one identifier, in whatever way it is written, looked for in a file, packed or not."""

import json
import re
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from relay.model import RelayError

if TYPE_CHECKING:
    from relay.rewrite.rules import Rules

_BETWEEN: Final = r"[ ().\-/]*"
_COUNTRY: Final = r"(?:(?:00|011)?11?)?"
"""The code of +1 where nothing parts it from the number. Behind a blank or the like, the number begins by itself."""

_IN_JSON: Final = re.compile(r"(?:\\u[0-9A-Fa-f]{4})+")


@dataclass(frozen=True, slots=True)
class Sought:
    """An identifier that is looked for: what matches it, in a text that was folded first."""

    pattern: re.Pattern[str]
    fold: Callable[[str], str]

    def is_in(self, text: str) -> bool:
        """Say whether it stands in a text, as it is or behind the escapes of JSON and CSV."""
        if self.pattern.search(self.fold(text)):
            return True
        return "\\" in text and self.pattern.search(self.fold(_without_escapes(text))) is not None


def sought(identifier: str) -> Sought:
    """Return what finds an identifier: a number in every way that rule P1 accepts, an address in any case.

    Raises:
        RelayError: it is neither; the message does not show it.
    """
    from relay.rewrite.phone import fold, judge_phone
    from relay.rewrite.rules import PhoneRules
    from relay.rewrite.verdict import Identifier

    identifier = identifier.strip()
    if re.fullmatch(r"[^@\s,\"]+@[^@\s,\"]+", identifier):
        address = re.compile(rf"(?<![\w.+-]){re.escape(identifier)}(?![\w-]|\.\w)", re.IGNORECASE)
        return Sought(address, _compatible)
    number = judge_phone(identifier, PhoneRules())
    if not isinstance(number, Identifier):
        raise RelayError(
            "that is neither a phone number of ten digits nor an e-mail address",
            hint="Write the number with its area code, as in 212-555-01XX, or the whole address.",
        )
    return Sought(re.compile(rf"(?<!\d){_COUNTRY}{_BETWEEN.join(number.value)}(?!\d)"), fold)


def _compatible(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def _without_escapes(text: str) -> str:
    r"""Return a text with its `\u002d` and `\t` as what they mean, and without any other backslash."""
    spelled = _IN_JSON.sub(lambda escapes: str(json.loads(f'"{escapes[0]}"')), text)
    return spelled.replace("\\t", "\t").replace("\\", "")


def occurs(person: Sought, file: Path, rules: "Rules | None", work: Path) -> bool:
    """Say whether the identifier is in a file; what it is packed in is unpacked into `work` first.

    Raises:
        UnusableSource: it cannot be unpacked or read.
    """
    from relay.rewrite.files import SourceFile
    from relay.rewrite.packing import unpack

    plain = [file]
    if rules is not None:
        plain = [source.path for source in unpack([SourceFile(file, file.name)], work, rules).sources]
    return any(person.is_in(text) for path in plain for text in _texts(path, rules))


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
