"""Wrong configurations as data: each directory spoils a right one, and has in `expected.txt` what `relay check` says.

A case's files take the place of those of the right configuration. Three lists may be among them: `absent.txt` of what
is taken away, `readable.txt` of what everybody may read, `secret.txt` of the case's own files with mode 600. In
`expected.txt` the directory of the configuration is written as `DIR`.
"""

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from parts.configuration import write_configuration

from relay.cli import main
from relay.config import ConfigError, load

CASES = sorted(path.parent for path in Path(__file__).parent.glob("*/expected.txt"))
LISTS = ("absent.txt", "readable.txt", "secret.txt")


def spoil(directory: Path, case: Path) -> Path:
    """Make the wrong configuration of a case in `directory`, and return its `relay.toml`."""
    path = write_configuration(directory)
    for file in case.rglob("*"):
        if file.is_file() and file.name not in {"expected.txt", *LISTS}:
            shutil.copyfile(file, directory / file.relative_to(case))
    for name in listed(case, "secret.txt"):
        (directory / name).chmod(0o600)
    for name in listed(case, "readable.txt"):
        (directory / name).chmod(0o644)
    for name in listed(case, "absent.txt"):
        gone = directory / name
        gone.rmdir() if gone.is_dir() else gone.unlink()
    return path


def listed(case: Path, name: str) -> list[str]:
    """Return the file names that one of a case's lists holds."""
    file = case / name
    return file.read_text(encoding="utf-8").split() if file.exists() else []


def check(path: Path) -> Result:
    """Run `relay check` on a configuration."""
    return CliRunner().invoke(main, ["--config", str(path), "check"], env={"CREDENTIALS_DIRECTORY": None})


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_check_says_everything_that_is_wrong(tmp_path: Path, case: Path) -> None:
    """Every problem of every file is told at once, with file, key and hint, and the exit status is 2."""
    path = spoil(tmp_path / "relay", case)
    result = check(path)
    assert result.stderr.replace(str(path.parent), "DIR") == (case / "expected.txt").read_text(encoding="utf-8")
    assert result.stdout == ""
    assert result.exit_code == 2
    assert "hunter2" not in result.output


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_each_problem_has_its_place(tmp_path: Path, case: Path) -> None:
    """A problem names the file that it is in, and what to do about it where the message alone does not say that."""
    path = spoil(tmp_path / "relay", case)
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert caught.value.problems
    for problem in caught.value.problems:
        assert problem.file.is_relative_to(path.parent)
        assert problem.message
        assert problem.hint or "must be" in problem.message or "missing" in problem.message or " is " in problem.message


def test_the_configuration_that_the_cases_spoil_is_right(tmp_path: Path) -> None:
    """What a case complains about is the case's own doing."""
    result = check(write_configuration(tmp_path / "relay"))
    assert (result.exit_code, result.stderr) == (0, "")


def test_there_are_cases() -> None:
    """The cases are found, and each directory is one."""
    assert sorted(path for path in Path(__file__).parent.iterdir() if path.is_dir() and path.name[0].isalpha()) == CASES
    assert len(CASES) >= 15
