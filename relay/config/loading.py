"""Loading a configuration: `relay.toml` and `routes.d/*.toml`, read, validated and cross-checked in one go."""

import itertools
import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from relay.config.host import HostSettings
from relay.config.patterns import PathPattern
from relay.config.problems import ConfigError, Problem
from relay.config.reading import Reading
from relay.config.route import RouteSettings
from relay.config.translation import key_path, problems_of
from relay.config.whole import Config

ROUTES: Final = "routes.d"
"""The directory beside `relay.toml` that has a file for each route."""

_Model = TypeVar("_Model", bound=BaseModel)
_Table = dict[str, Any]


def load(path: Path, *, with_files: bool = True) -> Config:
    """Read the configuration whose host's part is the file `path`.

    Args:
        path: `relay.toml`, or a file in its place.
        with_files: also look at the files that settings name (keys, secrets, known hosts). Without, their paths are
            only resolved: for commands that read the state, and may be run by somebody who cannot read secrets.

    Raises:
        ConfigError: it cannot be used; its `problems` are all that are wrong with all files.
    """
    problems: list[Problem] = []
    tables = _read(path, problems, missing=f"`relay init --directory {path.parent}` writes one to start from.")
    reading = Reading(
        directory=path.absolute().parent,
        credentials=_credentials(),
        with_files=with_files,
        accounts=None if tables is None else _names(tables, "accounts"),
        upstreams=None if tables is None else _names(tables, "upstreams"),
    )
    host = (
        None
        if tables is None
        else _validate(HostSettings, path, _with_names(path, tables, problems), reading, problems)
    )
    routes = _routes(path.parent / ROUTES, reading, problems)
    if host is None or problems:
        raise ConfigError(problems)
    return Config(
        state_dir=host.state_dir,
        landing=host.landing,
        accounts=host.accounts,
        upstreams=host.upstreams,
        routes={route.name: route for route in routes},
        log=host.log,
        retention=host.retention,
        report=host.report,
        expiry_notice=host.expiry_notice,
    )


def _routes(directory: Path, reading: Reading, problems: list[Problem]) -> list[RouteSettings]:
    """Read every route; those that are right are returned, what is wrong with the others is added to `problems`."""
    files = sorted(path for path in directory.glob("*.toml") if not path.name.startswith("."))
    if not files:
        found = "has no file NAME.toml" if directory.is_dir() else "is not there"
        problems.append(
            Problem(
                directory,
                "",
                f"the directory of the routes {found}, so nothing would be forwarded",
                "Write one file for each tenant; its name becomes the route's.",
            )
        )
    routes = []
    for file in files:
        table = _read(file, problems)
        if table is not None:
            route = _validate(RouteSettings, file, _with_name(file, (), table, problems), reading, problems)
            routes += [route] if route else []
    problems += _overlaps(directory, routes)
    return routes


def _overlaps(directory: Path, routes: Sequence[RouteSettings]) -> list[Problem]:
    return [
        Problem(
            directory / f"{second.name}.toml",
            "path",
            f"route {first.name} of the same account would take some of the same files",
            f'"{first.path}" and "{second.path}" overlap; give each route a directory of its own, such as '
            f'"/uploads/{second.name}/**".',
        )
        for first, second in itertools.combinations(routes, 2)
        if first.account == second.account and PathPattern(first.path).overlaps(PathPattern(second.path))
    ]


def _read(path: Path, problems: list[Problem], *, missing: str = "") -> _Table | None:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        problems.append(Problem(path, "", "there is no such file", missing))
    except OSError as error:
        problems.append(Problem(path, "", f"it cannot be read: {error.strerror}", "Check its owner and mode."))
    except UnicodeDecodeError:
        problems.append(Problem(path, "", "it is not UTF-8 text", "Save it as UTF-8."))
    except tomllib.TOMLDecodeError as error:
        problems.append(
            Problem(path, "", f"it is not TOML: {error}", "Text stands in quotes, lists in brackets: https://toml.io")
        )
    return None


def _validate(
    model: type[_Model], file: Path, table: _Table, reading: Reading, problems: list[Problem]
) -> _Model | None:
    try:
        return model.model_validate(table, context=reading)
    except ValidationError as error:
        problems += problems_of(error, file, model)
        return None


def _names(tables: _Table, section: str) -> frozenset[str]:
    named = tables.get(section)
    return frozenset(named) if isinstance(named, Mapping) else frozenset()


def _credentials() -> Path | None:
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    return Path(directory) if directory else None


def _with_names(file: Path, tables: _Table, problems: list[Problem]) -> _Table:
    """Give each account and upstream its name, which is that of its table."""
    return tables | {
        section: {
            name: _with_name(file, (section, name), table, problems) if isinstance(table, dict) else table
            for name, table in tables[section].items()
        }
        for section in ("accounts", "upstreams")
        if isinstance(tables.get(section), dict)
    }


def _with_name(file: Path, at: tuple[str, ...], table: _Table, problems: list[Problem]) -> _Table:
    """Give a table its name: the last part of where it stands, for a route the file's."""
    if "name" in table:
        problems.append(
            Problem(
                file, key_path((*at, "name")), "unknown key", "The name is that of the table, or of a route's file."
            )
        )
    return table | {"name": at[-1] if at else file.stem}
