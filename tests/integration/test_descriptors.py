"""How many files and connections the service may have open at once."""

import resource
from pathlib import Path

import pytest
from parts.service import Service, Setup
from parts.sshd import NEEDS_SSHD, Sshd

pytestmark = NEEDS_SSHD


def test_the_service_takes_as_many_descriptors_as_the_host_allows(tmp_path: Path) -> None:
    """The usual soft limit of 1,024 would be used up by clients that are all within their own limits (rule L11)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or hard < 1024:
        pytest.skip("the hard limit leaves nothing to take")
    with Sshd(tmp_path / "upstream") as upstream:
        setup = Setup(tmp_path / "relay", upstream)
        setup.route()
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
        try:
            service = Service(setup)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        with service:
            service.wait_for("relay.ready")
            assert resource.prlimit(service.pid, resource.RLIMIT_NOFILE) == (hard, hard)
            assert service.stop() == 0
