"""The one door out: log in, stage, verify, publish by SFTP, and say what went wrong in words to act on."""

from relay.upstream.connection import Session, StaleSessionError, connect
from relay.upstream.draft import Draft
from relay.upstream.failures import FAILURES, Permanence, Reason, Scope, UpstreamError
from relay.upstream.probe import Findings, probe
from relay.upstream.publish import Upload

__all__ = [
    "FAILURES",
    "Draft",
    "Findings",
    "Permanence",
    "Reason",
    "Scope",
    "Session",
    "StaleSessionError",
    "Upload",
    "UpstreamError",
    "connect",
    "probe",
]
