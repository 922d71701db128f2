"""The configuration: TOML files in, validated and frozen settings out, every problem of every file at once."""

from relay.config.admission import LimitSettings, PenaltySettings
from relay.config.host import (
    AccountSettings,
    HostSettings,
    LandingSettings,
    LogSettings,
    RetentionSettings,
    UpstreamSettings,
)
from relay.config.loading import load
from relay.config.problems import ConfigError, Problem
from relay.config.route import RouteSettings, SourceSettings
from relay.config.whole import Config

__all__ = [
    "AccountSettings",
    "Config",
    "ConfigError",
    "HostSettings",
    "LandingSettings",
    "LimitSettings",
    "LogSettings",
    "PenaltySettings",
    "Problem",
    "RetentionSettings",
    "RouteSettings",
    "SourceSettings",
    "UpstreamSettings",
    "load",
]
