"""What the tests on machines share."""

from pathlib import Path

import pytest
from parts.installation import make_release


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release of this checkout, with its dependencies."""
    return make_release(tmp_path_factory.mktemp("release") / "newer")
