"""Rows into values and back. A column has the name of the field that it stores, so most of it needs no telling."""

from dataclasses import asdict, fields
from typing import Any, Final

from sqlalchemy import RowMapping

from relay.model import Arrival, Delivery, Export, Probe, SegmentCounts, Slice, Suspension, Transition
from relay.rewrite.report import load_report

_COUNTS: Final = tuple(it.name for it in fields(SegmentCounts))
_DELIVERY: Final = tuple(it.name for it in fields(Delivery) if it.name != "counts")
_EXPORT: Final = tuple(it.name for it in fields(Export) if it.name != "report")
_SLICE: Final = tuple(it.name for it in fields(Slice))
_ARRIVAL: Final = tuple(it.name for it in fields(Arrival))


def arrival_of(row: RowMapping) -> Arrival:
    """Return the arrival that `row` of the table `arrivals` stores."""
    return Arrival(**{name: row[name] for name in _ARRIVAL})


def export_of(row: RowMapping) -> Export:
    """Return the export that `row` of the table `exports` stores."""
    report = None if row["report"] is None else load_report(row["report"])
    return Export(report=report, **{name: row[name] for name in _EXPORT})


def delivery_of(row: RowMapping) -> Delivery:
    """Return the delivery that `row` of the table `deliveries` stores."""
    counts = SegmentCounts(**{name: row[name] for name in _COUNTS})
    return Delivery(counts=counts, **{name: row[name] for name in _DELIVERY})


def columns_of_delivery(delivery: Delivery) -> dict[str, Any]:
    """Return the columns that store `delivery`."""
    return {name: getattr(delivery, name) for name in _DELIVERY} | asdict(delivery.counts)


def slice_of(row: RowMapping) -> Slice:
    """Return the slice that `row` of the table `slices` stores."""
    return Slice(**{name: row[name] for name in _SLICE})


def suspension_of(row: RowMapping) -> Suspension:
    """Return the suspension that `row` of the table `suspensions` stores."""
    return Suspension(**row)


def probe_of(row: RowMapping) -> Probe:
    """Return the probe that `row` of the table `probes` stores."""
    return Probe(**row)


def transition_of(row: RowMapping) -> Transition:
    """Return the transition that `row` of the table `transitions` stores."""
    return Transition(**row)
