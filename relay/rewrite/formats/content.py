"""Which format a plain file is in, told from its content or from the route's setting (rule K8)."""

import codecs
from pathlib import Path
from typing import Final

from relay.rewrite.formats.document import Document
from relay.rewrite.layout import Format
from relay.rewrite.text import LONGEST_LINE
from relay.rewrite.unusable import Unusable, UnusableSource

PARQUET: Final = b"PAR1"
"""What a Parquet file begins and ends with."""

_HEAD: Final = 4096
_CALLED: Final = {Format.NDJSON: "NDJSON", Format.JSON: "JSON", Format.PARQUET: "Parquet", Format.CSV: "CSV text"}


def format_of(path: Path, setting: str) -> Format:
    """Return the format of a file; an empty one is CSV as good as any.

    Args:
        path: the file, no longer packed.
        setting: the route's `source.format`.

    Raises:
        UnusableSource: it cannot be in the format that the setting says.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not head.strip():
        return Format.CSV
    if setting == "auto":
        if head.startswith(PARQUET):
            return Format.PARQUET
        return _kind_of_json(path) if _is_json(head) else Format.CSV
    wanted = Format(setting)
    if head.startswith(PARQUET) != (wanted is Format.PARQUET) or (
        wanted in {Format.NDJSON, Format.JSON} and not _is_json(head)
    ):
        found = "is a Parquet file" if head.startswith(PARQUET) else f"does not begin as {_CALLED[wanted]} does"
        raise UnusableSource(
            Unusable.OTHER_FORMAT,
            f"it {found}; {_CALLED[wanted]} was expected, as source.format says",
            'Have the export written in that format, or set source.format = "auto".',
        )
    return wanted


def _is_json(head: bytes) -> bool:
    """Say whether a file begins as an object or an array of objects does, which no CSV text does."""
    begin = b"".join(head.removeprefix(codecs.BOM_UTF8).split())[:2]
    return begin in {b'{"', b"{}", b"[{", b"[]"} or begin in {b"{", b"["}


def _kind_of_json(path: Path) -> Format:
    """Tell objects in a row, one a line, from one document that holds them all."""
    with path.open("rb") as file:
        document = Document(file)
        if document.peek() == "[":
            return Format.JSON
        line = document.line
        try:
            first = document.value()
        except UnusableSource:
            return Format.JSON if _goes_on(path) else Format.NDJSON
        holds_rows = any(isinstance(value, list) and value and isinstance(value[0], tuple) for _, value in first)
        of_one_line = document.line == line
        if document.peek() == "{" or (of_one_line and not holds_rows):
            return Format.NDJSON
        return Format.JSON


def _goes_on(path: Path) -> bool:
    """Say whether the first object, which is not whole within bounds, goes on behind its first line."""
    with path.open("rb") as file:
        first = file.readline(LONGEST_LINE)
    if not first.endswith(b"\n"):
        return len(first) == LONGEST_LINE
    return first.rstrip()[-1:] in {b"{", b"[", b",", b":"}
