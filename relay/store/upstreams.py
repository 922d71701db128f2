"""Verbs on what is known of upstreams: what a check found there, and what the relay itself has left there."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, select, union_all
from sqlalchemy.dialects.sqlite import insert

from relay.model import Delivery, DeliveryState, Probe
from relay.naming import delivery_of_temporary
from relay.store.rows import probe_of
from relay.store.schema import deliveries, probes, slices
from relay.store.slices import slices_of
from relay.store.verbs import Verbs, find_delivery

_GIVEN_UP: Final = (DeliveryState.SUPERSEDED, DeliveryState.DISCARDED)


class UpstreamVerbs(Verbs):
    """What is known of upstreams."""

    def remember_probe(self, probe: Probe) -> None:
        """Keep what a check found at an upstream, in place of what an earlier one found."""
        said = {"probed_at": probe.probed_at, "publish": probe.publish, "found": dict(probe.found)}
        with self._database.transaction(probe.probed_at) as transaction:
            transaction.run(
                insert(probes)
                .values(upstream=probe.upstream, **said)
                .on_conflict_do_update(index_elements=["upstream"], set_=said)
            )

    def probes(self) -> dict[str, Probe]:
        """Return what the last check found, by upstream."""
        with self._database.reading() as connection:
            rows = connection.execute(select(probes)).mappings()
            return {row["upstream"]: probe_of(row) for row in rows}

    def leftovers(self, upstream: str, present: Mapping[str, int]) -> list[str]:
        """Say which files at an upstream, given by name and size, the relay has left there itself and needs no more.

        Those are temporary files of its own deliveries (rule U3), and the beginnings of lists that were written
        directly, cut off, and have been given up since (rule U9). A file of which the state does not know is another's.
        """
        with self._database.reading() as connection:
            named = {name: made for name in present if (made := delivery_of_temporary(name))}
            left = [
                name
                for name, (remote_name, delivery_id) in named.items()
                if (it := find_delivery(connection, delivery_id))
                and it.upstream == upstream
                and remote_name in _names(connection, it)
                and _needs_no_more(it, name)
            ]
            given_up = (deliveries.c.upstream == upstream) & deliveries.c.state.in_(_GIVEN_UP)
            whole = select(deliveries.c.unanswered, deliveries.c.size).where(
                given_up, deliveries.c.unanswered == deliveries.c.remote_name, deliveries.c.files == 1
            )
            sliced = select(deliveries.c.unanswered, slices.c.size).join(
                slices, (slices.c.delivery_id == deliveries.c.id) & (slices.c.remote_name == deliveries.c.unanswered)
            )
            cut_off = connection.execute(union_all(whole, sliced.where(given_up))).all()
        return left + [name for name, size in cut_off if present.get(name, size) < size]


def _names(connection: Connection, delivery: Delivery) -> set[str | None]:
    """Return the final names of a delivery's files."""
    if delivery.files == 1:
        return {delivery.remote_name}
    return {it.remote_name for it in slices_of(connection, delivery.id)}


def _needs_no_more(delivery: Delivery, name: str) -> bool:
    """Say whether a temporary file tells nothing that the delivery's next attempt must know (rule U8)."""
    if delivery.state is DeliveryState.SENDING:
        return False
    return name != delivery.unanswered or delivery.state in _GIVEN_UP
