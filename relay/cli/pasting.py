"""Commands that the relay tells people to run: written so that they work when pasted."""

import os
import shlex
import shutil
import sys
from pathlib import Path
from typing import Final

from relay.cli.context import CONFIG_VARIABLE, DEFAULT_CONFIG
from relay.model import Delivery, DeliveryState, Export, ExportState

DECISIONS: Final[dict[DeliveryState | ExportState, tuple[str, ...]]] = {
    DeliveryState.QUEUED: ("hold", "discard"),
    DeliveryState.DEFERRED: ("hold", "discard"),
    DeliveryState.HELD: ("release", "discard"),
    DeliveryState.FAILED: ("requeue", "discard"),
    ExportState.GATHERING: ("requeue", "discard"),
    ExportState.QUARANTINED: ("requeue", "discard"),
}
"""The commands by which a person can end a state. What is in none of these ends by itself, or is final."""

WAITS_FOR_A_PERSON: Final = frozenset({DeliveryState.HELD, DeliveryState.FAILED, ExportState.QUARANTINED})
"""The states that nothing but a person's decision ends."""


def command_line(config: Path, *words: str) -> str:
    """Return a command on the configuration that is in use, as somebody who ran this program can run it.

    The configuration is named only where it would not be found anyway.
    """
    found_anyway = Path(os.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG)
    named = () if config == found_anyway else ("--config", str(config.absolute()))
    return f"{_this_program()} {shlex.join([*named, *words])}"


def decisions_due(it: Delivery | Export, config: Path) -> list[str]:
    """Return the ways out of a state that nothing but a person's decision ends; none for any other state."""
    return ways_out(it, config) if it.state in WAITS_FOR_A_PERSON else []


def ways_out(it: Delivery | Export, config: Path) -> list[str]:
    """Return the commands by which a person can have a delivery or an export leave its state; none if it is final."""
    decisions = DECISIONS.get(it.state, ())
    if isinstance(it, Delivery) and not it.counts.rows_out:
        decisions = tuple(decision for decision in decisions if decision != "release")  # Rule A9.
    return [command_line(config, *_words(decision, it), it.id) for decision in decisions]


def _words(decision: str, it: Delivery | Export) -> tuple[str, ...]:
    """Return a decision as it is typed: what is incomplete is requeued only by saying that it is whole (rule C8)."""
    is_incomplete = it.state is ExportState.GATHERING or (isinstance(it, Export) and it.reason == "incomplete")
    return (decision, "--as-whole") if decision == "requeue" and is_incomplete else (decision,)


def _this_program() -> str:
    called = shutil.which(sys.argv[0])
    if called is None or Path(called).name != "relay":
        return shlex.join([sys.executable, "-m", "relay"])
    return "relay" if shutil.which("relay") == called else shlex.quote(str(Path(called).absolute()))
