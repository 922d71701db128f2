"""The soak's command: `sh tests/soak/run --seeds 1-1000`."""

import argparse
import multiprocessing
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from soak.clock import COMPILER
from soak.one import Outcome, prepare, soak


def main() -> int:
    """Soak every seed and return how it went: 0 if the promise held in all of them."""
    parser = argparse.ArgumentParser(prog="tests/soak/run", description=__doc__)
    parser.add_argument("--seeds", default="1-20", help="one seed, or the first and the last: 1-1000")
    parser.add_argument("--workers", type=int, default=2, help="days at once")
    parser.add_argument("--directory", type=Path, default=None, help="where a day that failed is kept")
    asked = parser.parse_args()
    if COMPILER is None:
        sys.exit("needs gcc")
    first, _, last = asked.seeds.partition("-")
    seeds = range(int(first), int(last or first) + 1)
    directory = asked.directory or Path(tempfile.mkdtemp(prefix="soak-"))
    directory.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    outcomes: list[Outcome] = []
    with ProcessPoolExecutor(
        asked.workers, multiprocessing.get_context("spawn"), initializer=prepare, initargs=(directory,)
    ) as pool:
        for done in as_completed([pool.submit(soak, seed, directory) for seed in seeds]):
            outcome = done.result()
            outcomes.append(outcome)
            if outcome.trouble:
                _say(f"seed {outcome.seed} FAILED: {outcome.trouble}")
            if len(outcomes) % 20 == 0:
                _say(_summary(outcomes, began))
    _say(_summary(outcomes, began))
    return int(any(it.trouble for it in outcomes))


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _summary(outcomes: list[Outcome], began: float) -> str:
    failed = sorted(it.seed for it in outcomes if it.trouble)
    return (
        f"{len(outcomes)} days, {sum(it.lives for it in outcomes)} lives, "
        f"{sum(it.uploads for it in outcomes)} acknowledged uploads, {sum(it.sent for it in outcomes)} lists sent, "
        f"failed: {failed or 'none'}, {time.monotonic() - began:.0f} s"
    )


if __name__ == "__main__":
    sys.exit(main())
