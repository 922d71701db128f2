"""Canaries: the made-up people of the tests, searched for wherever none of them may ever show (rule R1)."""

import re
from fnmatch import fnmatch
from pathlib import Path

# Every number of the tests is NXX 555 01XX and every address is at example.com, in whatever way it is written. Digits
# of a hash or of an instant do not count, hence the look-around.
_PERSON = re.compile(
    r"(?<![0-9a-f])1?\W{0,3}[2-9]\d\d\W{0,3}555\W{0,3}01\d\d(?![0-9a-f])|[\w.+-]+@(?:\w+\.)*example\.com",
    re.IGNORECASE,
)


def people_in(text: str) -> list[str]:
    """Return what in `text` looks like one of the tests' people."""
    return _PERSON.findall(text)


def assert_no_person(text: str, where: str) -> None:
    """Fail where `text` shows one of the tests' people, without showing it once more."""
    if people_in(text):
        masked = _PERSON.sub("<PERSON>", text)
        shown = "\n".join(line for line in masked.splitlines() if "<PERSON>" in line)
        raise AssertionError(f"personal data in {where}:\n{shown[:2000]}")


def assert_no_person_below(directory: Path, *, but: tuple[str, ...]) -> None:
    """Fail where a file below `directory` shows one of the tests' people.

    Files that a pattern of `but` matches are left out; its `*` also crosses directories.
    """
    for path in sorted(directory.rglob("*")):
        name = str(path.relative_to(directory))
        if path.is_file() and not any(fnmatch(name, pattern) for pattern in but):
            assert_no_person(path.read_bytes().decode("latin-1"), name)
