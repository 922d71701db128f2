"""Sets the scene: the demo's directory, and in it a configuration like the one that a real host has."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from relay.demo.stand_in import StandIn
from relay.model import RelayError

ROUTE = "sirendenim"
ACCOUNT = "amperity"

_HOST_SETTINGS = """\
state_dir = {state_dir}

[landing]
listen = ["127.0.0.1:0"]                  # any free port
min_free = "10MB"                         # a demonstration may run where there is little
host_keys = [{host_keys}]

[accounts.amperity]
authorized_keys = "amperity.pub"

[upstreams.attentive]                     # the demo's stand-in
host = "{host}"
port = {port}
user = "{user}"
password = "attentive.password"
known_hosts = "attentive.known_hosts"
"""

_ROUTE_SETTINGS = """\
account = "amperity"
path = "/uploads/**"
upstream = "attentive"
client_domain = "sirendenim"
identifier = "phone"
timezone = "{timezone}"
"""


@dataclass(frozen=True, slots=True)
class Scene:
    """Where everything of one demo lies."""

    directory: Path

    @property
    def configuration(self) -> Path:
        """The relay's configuration, with its keys and secrets beside it."""
        return self.directory / "relay.toml"

    @property
    def routes(self) -> Path:
        """The routes' part of the configuration."""
        return self.directory / "routes.d"

    @property
    def state(self) -> Path:
        """What the relay keeps."""
        return self.directory / "state"

    @property
    def log(self) -> Path:
        """The relay's log, one JSON object a line."""
        return self.directory / "relay.log"

    @property
    def amperity(self) -> Path:
        """What the played Amperity has: its key, the relay's host keys, the export."""
        return self.directory / "amperity"

    @property
    def attentive(self) -> Path:
        """What the stand-in for Attentive serves."""
        return self.directory / "attentive"

    @property
    def received(self) -> Path:
        """The files that the stand-in was sent."""
        return self.attentive / "uploads"

    @property
    def sample(self) -> Path:
        """The export that the played Amperity uploads."""
        return self.amperity / "customers.csv"

    @property
    def client_key(self) -> Path:
        """The key that the played Amperity logs in with."""
        return self.amperity / "id_ed25519"

    @property
    def client_known_hosts(self) -> Path:
        """The relay's host keys, as the played Amperity pins them."""
        return self.amperity / "known_hosts"

    def prepare(self) -> None:
        """Make the directories.

        Raises:
            RelayError: the directory is not empty; a demo shows a first day, so it needs a fresh one.
        """
        try:
            self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            taken = any(self.directory.iterdir())
        except OSError as error:
            raise RelayError(f"cannot use {self.directory}: {error.strerror}", hint="Name another one.") from error
        if taken:
            raise RelayError(f"{self.directory} is not empty", hint="Name a new or an empty directory, or none at all.")
        for directory in (self.routes, self.amperity, self.attentive):
            directory.mkdir(mode=0o700)

    def write_configuration(self, stand_in: StandIn, host_keys: list[str], now: datetime) -> None:
        """Write `relay.toml`, the route, and the secrets for logging in at `stand_in`.

        Args:
            stand_in: the upstream, already listening.
            host_keys: the relay's host keys, names of files beside `relay.toml`.
            now: decides the route's time zone.
        """
        self.configuration.write_text(
            _HOST_SETTINGS.format(
                state_dir=_quoted(str(self.state)),
                host_keys=", ".join(map(_quoted, host_keys)),
                host=stand_in.host,
                port=stand_in.port,
                user=stand_in.user,
            ),
            encoding="utf-8",
        )
        # Over midnight the second upload would be the next day's list and be sent again (rule D6).
        timezone = "Etc/GMT-6" if now.hour == 23 else "UTC"
        (self.routes / f"{ROUTE}.toml").write_text(_ROUTE_SETTINGS.format(timezone=timezone), encoding="utf-8")
        (self.directory / "attentive.known_hosts").write_text(stand_in.known_hosts, encoding="utf-8")
        password = self.directory / "attentive.password"
        password.touch(mode=0o600)
        password.write_text(stand_in.password + "\n", encoding="utf-8")


def _quoted(text: str) -> str:
    """Write `text` as a TOML string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
