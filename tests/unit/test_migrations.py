"""The revisions of the database's schema."""

import ast
from pathlib import Path

from relay.store.migrations import versions
from relay.store.schema import VERSION


def test_revisions_stand_in_one_line() -> None:
    """Each has the number of its file's name and follows the one before, and the newest is what the schema says.

    Two that number alike, or a revision that follows the wrong one, would leave databases that differ.
    """
    last = None
    for file in sorted(Path(versions.__path__[0]).glob("r*.py")):
        body = ast.parse(file.read_text(encoding="utf-8")).body
        said = {
            it.targets[0].id: ast.literal_eval(it.value)
            for it in body
            if isinstance(it, ast.Assign) and isinstance(it.targets[0], ast.Name)
        }
        number = file.name[1:5]
        assert (said["revision"], said["down_revision"]) == (number, last), file.name
        last = number
    assert last == VERSION
