"""The whole configuration, as everything but its reading knows it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from relay.config.host import AccountSettings, LandingSettings, LogSettings, RetentionSettings, UpstreamSettings
from relay.config.route import RouteSettings


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration, validated: the host's part and every route by its name."""

    state_dir: Path
    landing: LandingSettings
    accounts: Mapping[str, AccountSettings]
    upstreams: Mapping[str, UpstreamSettings]
    routes: Mapping[str, RouteSettings]
    log: LogSettings = field(default_factory=LogSettings)
    retention: RetentionSettings = field(default_factory=RetentionSettings)
    report: Path | None = None
    expiry_notice: timedelta = timedelta(days=30)

    def route_for(self, account: str, path: str) -> RouteSettings | None:
        """Return the one route that wants a file, if any does."""
        return next((route for route in self.routes.values() if route.matches(account, path)), None)
