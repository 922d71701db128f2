"""The relay: receives Amperity's exports by SFTP and forwards them to Attentive as compliant files."""

__version__ = "0.1.0"
