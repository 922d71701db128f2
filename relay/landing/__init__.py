"""Stage 1, custody: the SFTP server that clients upload to."""

from relay.landing.listener import LandingServer

__all__ = ["LandingServer"]
