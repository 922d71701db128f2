"""`relay find`: in which kept files does a person occur."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from relay.cli.context import config_option
from relay.cli.figures import counted
from relay.cli.state import has_state
from relay.cli.tables import as_text, print_json
from relay.model import RelayError

if TYPE_CHECKING:
    from relay.config import Config
    from relay.rewrite.rules import Rules


@dataclass(frozen=True, slots=True)
class Kept:
    """A file that may hold people, and by which rules it is unpacked; None for a list, which is plain text."""

    path: Path
    rules: "Rules | None"


@click.command()
@config_option
@click.option("--json", "as_json", is_flag=True, help="One JSON document instead of a list.")
@click.pass_context
def find(ctx: click.Context, config: Path, *, as_json: bool) -> None:
    """Say in which kept files a person occurs: the identifier is read from a prompt or from standard input.

    \b
    Example:
      relay find
      printf '212-555-0101' | relay find

    Looked through are uploads, landed files, the sources of exports (packed ones too) and the rewritten lists. No other
    identifier is shown. What is in no file any more, the history does not hold either. Exit status 1 if the person is
    in none, or a file could not be looked into.
    """  # noqa: D301  click's mark for a paragraph that is not to be wrapped
    from relay.cli.occurrences import occurs, sought
    from relay.config import load
    from relay.rewrite.unusable import UnusableSource
    from relay.spool import Spool

    loaded = load(config, with_files=False)
    if not has_state(loaded):
        raise RelayError(
            f"there is no state in {loaded.state_dir} yet", hint="The service makes it at its first start."
        )
    person = sought(_identifier())
    found: list[str] = []
    unread: list[dict[str, str]] = []
    for kept in _kept_files(loaded):
        # Among the uploads: what a kill leaves there is swept (rule R3), and no copy lies outside the state directory.
        with TemporaryDirectory(prefix="find-", dir=Spool(loaded.state_dir).incoming_zone) as work:
            try:
                if occurs(person, kept.path, kept.rules, Path(work)):
                    found.append(str(kept.path))
                    if not as_json:
                        click.echo(as_text(kept.path))
            except FileNotFoundError:
                continue  # Retention was quicker.
            except UnusableSource as unusable:
                unread.append({"file": str(kept.path), "reason": unusable.reason})
                if not as_json:
                    click.echo(f"{as_text(kept.path)} could not be looked into: {unusable.reason}", err=True)
    if as_json:
        print_json({"files": found, "unread": unread})
    else:
        more = f"; {len(unread):,} could not be looked into" if unread else ""
        click.echo(f"found in {counted(len(found), 'file')}{more}", err=True)
    ctx.exit(0 if found and not unread else 1)


def _identifier() -> str:
    """Read the identifier without showing it, and never from the command line, which other users can see."""
    if sys.stdin.isatty():
        return str(click.prompt("phone number or e-mail address", hide_input=True))
    return sys.stdin.readline()


def _kept_files(loaded: "Config") -> Iterator[Kept]:
    """Go through every file that may hold people, each once."""
    from relay.spool import Spool

    spool = Spool(loaded.state_dir)
    of_accounts = {route.account: route.rules for route in loaded.routes.values()}
    any_rules = next(iter(loaded.routes.values())).rules
    seen: set[tuple[int, int]] = set()
    for directory in spool.export_directories():
        route = loaded.routes.get(directory.parent.name)
        rules = route.rules if route else any_rules
        yield from _below(directory, seen, rules)
    for root in (spool.landing_zone, spool.incoming_zone):
        for account in sorted(root.iterdir() if root.is_dir() else ()):
            yield from _below(account, seen, of_accounts.get(account.name, any_rules))


def _below(directory: Path, seen: set[tuple[int, int]], rules: "Rules") -> Iterator[Kept]:
    for path in sorted(directory.rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        status = path.stat()
        # A landed file and the source that was taken of it are one file with two names.
        if (status.st_dev, status.st_ino) not in seen:
            seen.add((status.st_dev, status.st_ino))
            yield Kept(path, None if path.parent.name == "drafts" else rules)
