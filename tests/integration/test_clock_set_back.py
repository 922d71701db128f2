"""The host's clock is set back while the service runs: nothing is silent for as long as the jump."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from soak.clock import COMPILER, Clock

KNOCK = """
import sys, time
from datetime import UTC, datetime
from pathlib import Path
from relay.config import LandingSettings
from relay.landing.door import Door
from relay.store import Store

directory = Path(sys.argv[1])
door = Door(LandingSettings(), Store.open(directory / "relay.db"), displace=lambda _: None)

def knock():
    guest = door.knock("203.0.113.7")
    if guest:
        door.gave_up(guest)
    return guest

began = datetime.now(UTC)
while knock():
    pass
(directory / "knocked").touch()
until = time.monotonic() + 20
while datetime.now(UTC) > began and time.monotonic() < until:
    time.sleep(0.05)
assert datetime.now(UTC) < began, "the clock was not set back"
while not knock() and time.monotonic() < until:
    time.sleep(0.05)
print("let in" if time.monotonic() < until else "shut out")
"""


@pytest.mark.skipif(not COMPILER, reason="needs gcc")
def test_a_source_that_was_too_fast_is_let_in_again_although_the_clock_was_set_back(tmp_path: Path) -> None:
    """What it owes is paid off by waiting, not by what the host's clock shows (rule L21)."""
    clock = Clock(tmp_path)
    with clock.moved():
        process = subprocess.Popen([sys.executable, "-c", KNOCK, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    with process:
        while not (tmp_path / "knocked").exists() and process.poll() is None:
            pass
        clock.move(-timedelta(hours=1))
        said, _ = process.communicate(timeout=60)
    assert said.endswith("let in\n")
