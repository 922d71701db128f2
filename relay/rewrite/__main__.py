"""The child that rewrites one export: `python -m relay.rewrite`, a JSON request on standard input.

    {"parent": 4711, "sources": [{"path": "…", "name": "…"}], "rules": {…}, "into": "…"}
    {"parent": 4711, "compare": [["today's list or null", "the list before"], …]}

The second kind compares lists and prints, for each pair, an overlap or null. The parent is the process that asks, and
the child ends with it.
It exits with 0 when `into` holds everything; with 3 when the sources cannot be used, and says why as JSON on standard
output; with 4 when the disk had no room, and says which error it was; with 1 when it crashed, and says where as JSON on
standard error. It never says what was in a cell: not an exception's message, nor a traceback's source lines.
"""

import errno
import json
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from relay.core_dumps import forbid_core_dumps
from relay.rewrite.parent import die_with

NICENESS: Final = 10
"""Uploads and the daemon's loop come first."""

UNUSABLE: Final = 3
NO_ROOM: Final = 4
CRASHED: Final = 1

_ROOMLESS: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS})
"""What a disk says that takes nothing for now, whatever is written to it."""


def main() -> int:
    """Serve the one request and return the exit status."""
    os.nice(NICENESS)
    os.umask(0o077)
    forbid_core_dumps()
    try:
        request = json.load(sys.stdin)
        die_with(request["parent"])
        return _compare(request["compare"]) if "compare" in request else _serve(request)
    except Exception as error:  # noqa: BLE001  the child's last word: it ends here, and its parent is told where
        if isinstance(error, OSError) and error.errno in _ROOMLESS:
            json.dump({"errno": error.errno}, sys.stdout)
            return NO_ROOM
        json.dump({"crash": _where(error)}, sys.stderr)
        return CRASHED


def _serve(request: dict[str, Any]) -> int:
    # Imported here so that trouble with an import is reported like any other.
    from relay.rewrite.engine import rewrite  # noqa: PLC0415
    from relay.rewrite.files import SourceFile  # noqa: PLC0415
    from relay.rewrite.rules import Rules  # noqa: PLC0415
    from relay.rewrite.unusable import UnusableSource  # noqa: PLC0415

    sources = [SourceFile(Path(source["path"]), source["name"]) for source in request["sources"]]
    rules = Rules.model_validate(request["rules"])
    try:
        rewrite(sources, rules, Path(request["into"]))
    except UnusableSource as unusable:
        json.dump({"reason": unusable.reason, "detail": unusable.detail, "hint": unusable.hint}, sys.stdout)
        return UNUSABLE
    return 0


def _compare(pairs: Sequence[tuple[str | None, str]]) -> int:
    from relay.rewrite.overlap import compare  # noqa: PLC0415  as above

    overlaps = [compare(Path(today) if today else None, Path(before)) for today, before in pairs]
    json.dump([it and {"kept": it.kept, "lost": it.lost, "gained": it.gained} for it in overlaps], sys.stdout)
    return 0


def _where(error: Exception) -> str:
    """Return an exception's type, of a system error which one it was, and the last place in our own code."""
    places = traceback.extract_tb(error.__traceback__)
    place = next(place for place in reversed(places) if Path(place.filename).is_relative_to(Path(__file__).parent))
    kind = type(error).__name__
    if isinstance(error, OSError) and error.errno is not None:
        kind += f" {errno.errorcode.get(error.errno, error.errno)}"
    return f"{kind} in {Path(place.filename).name}:{place.lineno} ({place.name})"


if __name__ == "__main__":
    sys.exit(main())
