"""The demo itself: Amperity uploads an export, the real relay rewrites and sends it, and what arrived is compared.

Everything is real but the two ends: the played Amperity and the stand-in for Attentive.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final, Literal

from relay.demo.narration import narrate
from relay.demo.player import Player, write_key_pair
from relay.demo.sample import Sample, write_sample
from relay.demo.scene import ACCOUNT, ROUTE, Scene
from relay.demo.service import Line, Service
from relay.demo.stand_in import StandIn
from relay.keys import generate_host_keys
from relay.log import Event
from relay.model import RelayError

Actor = Literal["Amperity", "relay", "stand-in"]
Tell = Callable[[Actor, str], None]
"""Shows one step as it happens: who, and what."""

_REMOTE_PATH: Final = "/uploads/customers.csv"
_SHORTEST_DEADLINE_SECONDS: Final = 60
_ROWS_PER_SECOND: Final = 1_000
"""A sample of a million rows may take longer than a minute, but not for ever."""


class DemoFailed(RelayError):  # noqa: N818  reads as what it says
    """What arrived is not what had to arrive, or it did not arrive in time."""


@dataclass(frozen=True, slots=True)
class ReceivedFile:
    """One file at the stand-in."""

    name: str
    segment: str
    rows: int
    first_lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the demo came to. The counts are the export's, as the relay logged them."""

    scene: Scene
    export: str
    counts: Line
    received: tuple[ReceivedFile, ...]
    rejects: Path
    first_rejects: tuple[str, ...]


def run(directory: Path, rows: int, tell: Tell, *, deadline: float | None = None) -> Outcome:
    """Play the whole way of one export of `rows` rows, and then the same file once more.

    Args:
        directory: where everything is put; new or empty.
        rows: how large the export is.
        tell: shows each step.
        deadline: seconds after which the demo gives up; by default a minute, and more for a large export.

    Raises:
        RelayError: something was not as it has to be, or took too long; the message says what.
    """
    scene = Scene(directory.absolute())
    scene.prepare()
    sample = write_sample(scene.sample, rows)
    tell("Amperity", f"exports {rows:,} rows of invented customers, {scene.sample.stat().st_size:,} bytes")
    deadline = deadline or max(_SHORTEST_DEADLINE_SECONDS, rows / _ROWS_PER_SECOND)
    return asyncio.run(_play_in_time(scene, sample, tell, deadline))


async def _play_in_time(scene: Scene, sample: Sample, tell: Tell, deadline: float) -> Outcome:
    try:
        async with asyncio.timeout(deadline):
            return await _play(scene, sample, tell)
    except TimeoutError:
        raise DemoFailed(
            f"the demo was not through after {deadline:g} s", hint=f"What the relay did is in {scene.log}"
        ) from None


async def _play(scene: Scene, sample: Sample, tell: Tell) -> Outcome:
    async with StandIn(scene.attentive, lambda name: tell("stand-in", f"received {name}")) as stand_in:
        tell("stand-in", f"plays Attentive's SFTP server on {stand_in.host}:{stand_in.port}")
        _write_keys(scene, stand_in)
        async with Service(scene.configuration, scene.log, lambda line: _retell(line, tell)) as service:
            player = await _wait_until_ready(scene, service)
            tell("Amperity", f"uploads {_REMOTE_PATH} by SFTP")
            await player.upload(scene.sample, _REMOTE_PATH)
            accepted = await service.until(Event.EXPORT_ACCEPTED)
            sent = [await service.until(Event.DELIVERY_SENT) for _ in sample.lists]
            tell("Amperity", "uploads the same file again, as a retried run does")
            await player.upload(scene.sample, _REMOTE_PATH)
            await service.until(Event.EXPORT_DUPLICATED)
            if status := await service.stop():
                raise DemoFailed(f"the relay ended with status {status}", hint=f"See its log: {scene.log}")
    return compare(scene, sample, accepted, sent)


def _write_keys(scene: Scene, stand_in: StandIn) -> None:
    """Give each side its keys and secrets, as `relay init` and the two vendors' teams do in earnest."""
    write_key_pair(scene.client_key, scene.directory / "amperity.pub")
    host_keys = generate_host_keys(scene.directory)
    scene.write_configuration(stand_in, [key.path.name for key in host_keys], datetime.now(UTC))
    scene.client_known_hosts.write_text("".join(f"* {key.public}\n" for key in host_keys), encoding="utf-8")


async def _wait_until_ready(scene: Scene, service: Service) -> Player:
    ready = await service.until(Event.RELAY_READY)
    host, _, port = ready["listen"][0].rpartition(":")
    return Player(host, int(port), ACCOUNT, scene.client_key, scene.client_known_hosts)


def _retell(line: Line, tell: Tell) -> None:
    if (words := narrate(line)) is not None:
        tell("relay", words)


def compare(scene: Scene, sample: Sample, accepted: Line, sent: list[Line]) -> Outcome:
    """Compare what arrived with what the sample's own account says must arrive: names, bytes and counts."""
    _expect("rows read", accepted["rows_in"], sample.rows)
    _expect("duplicates", accepted["duplicates"], sample.duplicates)
    _expect("rows without a number", accepted["empty"], sample.empty)
    _expect("rows rejected", accepted["rejected"], sample.rejected)
    names = {line["segment"]: line["remote_name"] for line in sent}
    _expect("segments sent", sorted(names), sorted(sample.lists))
    _expect("files received", sorted(path.name for path in scene.received.iterdir()), sorted(names.values()))
    for segment, name in names.items():
        if (scene.received / name).read_bytes() != sample.expected_file(segment):
            raise DemoFailed(f"{name} does not hold what the sample has for “{segment}”", hint=f"See {scene.directory}")
    rejects = scene.state / "exports" / ROUTE / accepted["export"] / "rejects.csv"
    return Outcome(
        scene=scene,
        export=accepted["export"],
        counts=accepted,
        received=tuple(
            ReceivedFile(names[segment], segment, len(members), _first_lines(scene.received / names[segment], 2))
            for segment, members in sample.lists.items()
        ),
        rejects=rejects,
        first_rejects=_first_lines(rejects, 6),
    )


def _expect(what: str, found: object, expected: object) -> None:
    if found != expected:
        raise DemoFailed(f"{what}: {found}, but the sample has {expected}", hint="This is a defect of the relay.")


def _first_lines(file: Path, count: int) -> tuple[str, ...]:
    with file.open(encoding="utf-8") as lines:
        return tuple(line.rstrip("\n") for line in islice(lines, count))
