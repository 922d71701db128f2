"""From the landing zone to planned deliveries, with the real stages, rewrite and store, and a clock that is moved."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from parts.configuration import write_configuration
from parts.people import people

from relay.config import load
from relay.intake.accept import Acceptor
from relay.intake.assemble import Assembler
from relay.model import DeliveryState, ExportState
from relay.rewrite.rules import SegmentRules
from relay.spool import Spool
from relay.store import Store

ROUTE = "sirendenim"
DIRECTORY = Path("uploads/sirendenim")
LIST = "phone\n" + "".join(f"{it.phone}\n" for it in people(5))
VIP = SegmentRules(name="VIP")
BY_NAME = SegmentRules(pattern=r"(?P<segment>.+)_\d{4}-\d{2}-\d{2}")


class Zone:
    """One account's landing zone, and what becomes of the files in it."""

    def __init__(self, directory: Path) -> None:
        config = load(write_configuration(directory / "etc"), with_files=False)
        self._config = replace(config, state_dir=directory / "state")
        self._spool = Spool(self._config.state_dir)
        self._spool.prepare(self._config.accounts)
        self.store = Store.open(self._spool.database)
        # Files are as old as the test, and the relay is to find that they have rested.
        self.now = datetime.now(UTC) + timedelta(minutes=10)
        self.ticks = timedelta(0)

    def set(self, **settings: Any) -> None:
        """Change the route's settings, as a reload does."""
        changed = self._config.routes[ROUTE].model_copy(update=settings)
        self._config = replace(self._config, routes={ROUTE: changed})

    def land(self, name: str, content: str = LIST) -> None:
        """Put a file there and have it judged."""
        path = self._spool.landing("amperity") / DIRECTORY / name
        path.parent.mkdir(parents=True, exist_ok=True)
        # In one go, as a new file: one that is written over is another kind of arrival.
        (fresh := path.with_name(".fresh")).write_text(content)
        fresh.replace(path)
        assembler = Assembler(self._config, self._spool, self.store, now=lambda: self.now)
        for _ in range(2):
            assembler.scan()
            self.now += timedelta(minutes=3)
        asyncio.run(self._accept())

    async def _accept(self) -> None:
        acceptor = Acceptor(self._spool, self.store, now=self._tell)
        for export in self.store.received_exports():
            await acceptor.settle(export, self._config.routes[export.route])

    def _tell(self) -> datetime:
        self.now += self.ticks
        return self.now

    @property
    def exports(self) -> list[ExportState]:
        """The states of all exports, oldest first."""
        return [it.state for it in reversed(self.store.exports())]

    @property
    def lists(self) -> list[tuple[str, str, DeliveryState]]:
        """Every delivery's client domain, segment and state, oldest first."""
        return [(it.client_domain, it.segment, it.state) for it in reversed(self.store.deliveries())]


@pytest.fixture
def zone(tmp_path: Path) -> Iterator[Zone]:
    """An empty landing zone, its route in UTC."""
    zone = Zone(tmp_path)
    try:
        yield zone
    finally:
        zone.store.close()


def test_the_same_bytes_under_the_same_name_are_a_duplicate(zone: Zone) -> None:
    """A re-delivery burns no number and is not rewritten again (rule D9)."""
    zone.set(segment=VIP)
    zone.land("list.csv")
    zone.land("list.csv")
    assert zone.exports == [ExportState.ACCEPTED, ExportState.DUPLICATED]
    assert zone.lists == [("sirendenim", "VIP", DeliveryState.QUEUED)]


def test_the_same_bytes_under_the_name_of_another_segment_are_its_list(zone: Zone) -> None:
    """Two groups with the same people are two segments where the file's name tells them apart (rule D9)."""
    zone.set(segment=BY_NAME)
    zone.land("VIP_2026-05-22.csv")
    zone.land("Gold_2026-05-22.csv")
    assert zone.lists == [("sirendenim", it, DeliveryState.QUEUED) for it in ("VIP", "Gold")]


def test_the_same_bytes_after_the_destination_was_put_right_are_sent_there(zone: Zone) -> None:
    """What went to the wrong account is no reason to send nothing to the right one (rule D9)."""
    zone.set(segment=VIP, client_domain="siren")
    zone.land("list.csv")
    zone.set(client_domain="sirendenim")
    zone.land("list.csv")
    assert zone.lists == [(it, "VIP", DeliveryState.QUEUED) for it in ("siren", "sirendenim")]


def test_a_list_whose_rewrite_took_past_midnight_bears_the_new_date(zone: Zone) -> None:
    """The date is that of the moment in which it is planned (rules D1 and D2)."""
    zone.set(segment=VIP)
    zone.land("yesterday.csv", LIST)
    zone.now = (zone.now + timedelta(days=1)).replace(hour=23, minute=53, second=30)
    midnight = zone.now.date() + timedelta(days=1)
    zone.ticks = timedelta(seconds=20)
    zone.land("list.csv", LIST + "2125550199\n")
    newest = zone.store.deliveries()[0]
    assert newest.queued_at is not None
    assert newest.queued_at.date() == newest.remote_date == midnight
