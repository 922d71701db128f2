"""A few days of the soak; `sh tests/soak/run` has as many as one likes."""

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from soak.clock import COMPILER
from soak.one import prepare, soak

pytestmark = [pytest.mark.skipif(COMPILER is None, reason="needs gcc"), pytest.mark.timeout(600)]

DAYS = 20 if os.environ.get("HYPOTHESIS_PROFILE") == "full" else 2


@pytest.mark.parametrize("seed", range(1, DAYS + 1))
def test_the_promise_holds_on_a_day_when_everything_goes_wrong(seed: int, tmp_path: Path) -> None:
    """Deaths, faults, an operator and a jumping clock: nothing is lost, doubled, reordered or misnamed."""
    # In a process of its own, whose daemons alone see the moved clock.
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, spawn, initializer=prepare, initargs=(tmp_path,)) as pool:
        outcome = pool.submit(soak, seed, tmp_path).result()
    assert not outcome.trouble, outcome.trouble
