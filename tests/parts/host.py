"""A configured host with a real state, on which an operator runs commands."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from parts.books import Books
from parts.configuration import write_configuration
from relay.cli import main
from relay.model import Delivery, Hold, HoldReason

SHRUNK = Hold(HoldReason.SHRUNK, "20 rows, last sent 48,000, −100.0 %, limit −50.0 %", "release or discard it")
"""A verdict that holds a list."""


@dataclass(frozen=True)
class Host:
    """A configuration, and the state as the service would have left it; the books' clock starts at the real time."""

    config: Path
    state_dir: Path
    books: Books

    def run(self, *arguments: str, **environment: str) -> Result:
        """Run a command."""
        return run(self.config, *arguments, **environment)

    def document(self, *arguments: str) -> Any:  # noqa: ANN401  JSON
        """Run a command with `--json` and return its document."""
        return json.loads(self.run(*arguments, "--json").stdout)

    def set_route(self, text: str) -> None:
        """Put settings at the top of the route's file."""
        path = self.config.parent / "routes.d" / "sirendenim.toml"
        path.write_text(f"{text}\n{path.read_text()}")

    def claim(self, **what: Any) -> Delivery:
        """Plan a list and claim it for sending."""
        self.books.plan(**what)
        claimed = self.books.claim()
        assert claimed is not None
        return claimed

    def send(self, **what: Any) -> Delivery:
        """Plan a list and send it."""
        claimed = self.claim(**what)
        self.books.send(claimed)
        return self.books.look(claimed)

    def fail(self, **what: Any) -> Delivery:
        """Plan a list and have the upstream refuse it."""
        claimed = self.claim(**what)
        self.books.fail(claimed)
        return self.books.look(claimed)

    def quarantine(self) -> str:
        """Receive an export that cannot be used, and return its id."""
        export = self.books.receive()
        self.books.store.quarantine(export.id, "truncated", "line 7 is cut off", "have it sent again", self.books.now)
        return export.id


def run(config: Path, *arguments: str, **environment: str) -> Result:
    """Run a command with a configuration."""
    return CliRunner().invoke(main, ["--config", str(config), *arguments], env=environment)


def configure(directory: Path) -> tuple[Path, Path]:
    """Write a configuration; return it with the state directory that it names, which is not there yet."""
    config, state_dir = write_configuration(directory / "etc"), directory / "state"
    config.write_text(config.read_text().replace("/var/lib/relay", str(state_dir)))
    return config, state_dir


@contextmanager
def a_host(directory: Path) -> Iterator[Host]:
    """A host whose service has run, and has done nothing yet."""
    config, state_dir = configure(directory)
    state_dir.mkdir()
    with Books(state_dir / "relay.db") as books:
        books.now = datetime.now(UTC)
        yield Host(config, state_dir, books)
